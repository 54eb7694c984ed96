"""Transition tables: what is absent is an error. docs/reference/states.md is drawn from them.

A say is owed from SayRequested to SaySettled; a link lives from LinkOpened to LinkClosed; a session from SessionStarted to
SessionEnded.
"""

from enum import Enum
from typing import TypeVar

from . import events as e

__all__ = ["SAY", "SESSION", "SayState", "SessionState", "step"]


S = TypeVar("S", bound=Enum)


class SayState(Enum):
    """Where a say stands between request and outcome."""

    PENDING = "pending"  # owed, nothing asked of the provider
    DISPATCHED = "dispatched"  # response.create committed and sent
    SOUNDING = "sounding"  # the provider answers; audio may be on its way
    PLAYING = "playing"  # the provider is done; the caller still hears
    SETTLED = "settled"


class SessionState(Enum):
    """Where a session stands."""

    NEW = "new"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"


SAY: dict[tuple[SayState, type[e.Event]], SayState] = {
    (SayState.PENDING, e.SayDispatched): SayState.DISPATCHED,
    (SayState.PENDING, e.SaySettled): SayState.SETTLED,
    (SayState.DISPATCHED, e.SayRefused): SayState.PENDING,
    (SayState.DISPATCHED, e.ResponseStarted): SayState.SOUNDING,
    (SayState.DISPATCHED, e.SaySettled): SayState.SETTLED,
    (SayState.SOUNDING, e.ResponseEnded): SayState.PLAYING,
    (SayState.SOUNDING, e.SaySettled): SayState.SETTLED,
    (SayState.PLAYING, e.SaySettled): SayState.SETTLED,
}

SESSION: dict[tuple[SessionState, type[e.Event]], SessionState] = {
    (SessionState.NEW, e.SessionStarted): SessionState.ACTIVE,
    (SessionState.ACTIVE, e.SessionEnding): SessionState.ENDING,
    (SessionState.ENDING, e.SessionEnding): SessionState.ENDING,  # a harder reason overtakes a drain
    (SessionState.ENDING, e.SessionEnded): SessionState.ENDED,
}


def step(table: dict[tuple[S, type[e.Event]], S], state: S, event: e.Event) -> S:
    """The state after `event`. Raises ValueError if the table has no such transition: a bug, not bad input."""
    after = table.get((state, type(event)))
    if after is None:
        raise ValueError(f"{type(event).__name__} cannot happen in state {state.value!r}")
    return after
