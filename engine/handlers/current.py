"""Which session, and which call of it, the running code works for: for logs, traces and what outside services are told.

A session's task, the tools and steps that it starts, and its handler have the session in their context, a tool also its call;
elsewhere both are "". Nothing decides by them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["CALL", "SESSION", "working_for"]

SESSION: ContextVar[str] = ContextVar("turnlog_session", default="")
CALL: ContextVar[str] = ContextVar("turnlog_call", default="")
"""The same on every attempt of one call, another for each call of a session."""


@contextmanager
def working_for(session: str) -> Iterator[None]:
    """What runs in here, and the tasks that it makes, work for this session."""
    token = SESSION.set(session)
    try:
        yield
    finally:
        SESSION.reset(token)
