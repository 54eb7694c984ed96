"""The SDK's execution context of a session: what its memory and its reasoners take the session's id from.

The SDK has such contexts only while a reasoner runs. What is made here is given to one call, and the agent keeps none of it.
"""

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..handlers.current import SESSION

__all__ = ["as_current", "in_session"]


def _made_for_session(agent: Any) -> Any:
    """A context of the session that the running code works for; None where the agent makes none that is known here."""
    make = getattr(agent, "_get_current_execution_context", None)
    if make is None:
        return None
    before, agent._current_execution_context = getattr(agent, "_current_execution_context", None), None
    try:
        context = make()
    finally:
        agent._current_execution_context = before
    if not dataclasses.is_dataclass(context) or isinstance(context, type):
        return None
    return dataclasses.replace(context, session_id=SESSION.get() or getattr(context, "session_id", None))


@contextmanager
def as_current(agent: Any) -> Iterator[None]:
    """The agent has the session's context in here. Nothing may be awaited: the agent is everybody's."""
    context = _made_for_session(agent)
    if context is None:
        yield
        return
    before, agent._current_execution_context = agent._current_execution_context, context
    try:
        yield
    finally:
        agent._current_execution_context = before


@contextmanager
def in_session(agent: Any) -> Iterator[None]:
    """What this task calls in here is called for the session, by the SDK's own context variable."""
    context = _made_for_session(agent)
    module = sys.modules.get(type(context).__module__)
    begin, end = getattr(module, "set_execution_context", None), getattr(module, "reset_execution_context", None)
    if context is None or begin is None or end is None:
        yield
        return
    token = begin(context)
    try:
        yield
    finally:
        end(token)
