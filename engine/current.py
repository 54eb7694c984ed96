"""Which session the running code works for: for logs and traces, which nothing decides by.

A session's task, the tools and steps that it starts, and its handler have it in their context; elsewhere it is "".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["SESSION", "working_for"]

SESSION: ContextVar[str] = ContextVar("turnlog_session", default="")


@contextmanager
def working_for(session: str) -> Iterator[None]:
    """What runs in here, and the tasks that it makes, work for this session."""
    token = SESSION.set(session)
    try:
        yield
    finally:
        SESSION.reset(token)
