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
    """Where a say stands between request and outcome; of a say in several pieces, where the piece in question does."""

    PENDING = "pending"  # owed: nothing is asked of the provider
    DISPATCHED = "dispatched"  # response.create committed and sent
    SOUNDING = "sounding"  # the provider answers; audio may be on its way
    PLAYING = "playing"  # the provider is done; the callers still get it, or hear it
    CUT = "cut"  # nothing more of it is delivered; how much was heard is being found out
    SETTLED = "settled"


class SessionState(Enum):
    """Where a session stands."""

    NEW = "new"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"


SAY: dict[tuple[SayState, type[e.Event]], SayState] = {
    (SayState.PENDING, e.SayDispatched): SayState.DISPATCHED,
    (SayState.PENDING, e.PlayoutCut): SayState.CUT,  # between two pieces
    (SayState.PENDING, e.SaySettled): SayState.SETTLED,
    (SayState.DISPATCHED, e.SayRefused): SayState.PENDING,
    (SayState.DISPATCHED, e.ResponseStarted): SayState.SOUNDING,
    (SayState.DISPATCHED, e.PlayoutCut): SayState.CUT,  # the piece before it still sounded
    (SayState.DISPATCHED, e.SaySettled): SayState.SETTLED,
    (SayState.SOUNDING, e.ResponseEnded): SayState.PLAYING,
    (SayState.SOUNDING, e.PlayoutCut): SayState.CUT,
    (SayState.SOUNDING, e.PlayoutEnded): SayState.PENDING,  # its provider was lost
    (SayState.SOUNDING, e.SaySettled): SayState.SETTLED,
    (SayState.PLAYING, e.SayDispatched): SayState.DISPATCHED,  # the next piece, when the one before is delivered
    (SayState.PLAYING, e.PlayoutCut): SayState.CUT,
    (SayState.PLAYING, e.PlayoutEnded): SayState.PENDING,  # the next piece, or the outcome
    (SayState.PLAYING, e.SaySettled): SayState.SETTLED,
    (SayState.CUT, e.PlayoutCut): SayState.CUT,  # two pieces of it sounded
    (SayState.CUT, e.SayRefused): SayState.CUT,
    (SayState.CUT, e.ResponseEnded): SayState.CUT,
    (SayState.CUT, e.PlayoutEnded): SayState.CUT,
    (SayState.CUT, e.SayResumed): SayState.PENDING,  # it was no speech that cut it
    (SayState.CUT, e.SaySettled): SayState.SETTLED,
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
