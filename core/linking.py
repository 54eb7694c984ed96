"""Decisions on links: what it means that one is gone, or could not be opened. Live only."""

from collections.abc import Iterator

from . import events as e
from .awaiting import DROPPED, decide_drop
from .calling import lost_sight
from .decide import begin_ending
from .playing import Heads
from .saying import LOST, needs_voice, settle_sounding, take_back
from .state import State

__all__ = ["decide_link_closed", "decide_link_failed"]


def decide_link_closed(state: State, heads: Heads, closed: e.LinkClosed) -> Iterator[e.Event]:
    """A link is gone: without its provider a session ends; without callers nobody is left to hear.

    A caller that dropped may come back for a while. A direct call goes on without its sideband, and is over without a word of
    ours: then its caller's line ends, too.
    """
    of_provider, of_caller = closed.link == state.links.provider, closed.link in state.links.callers
    of_voice = closed.link == state.links.voice
    own = [response for response, one in state.playout.responses.items() if one.say is None]
    yield closed
    if of_provider and state.call.id:
        yield from lost_sight(state, heads, own)
    elif of_provider and not state.call.link:
        detail = f"{closed.code} {closed.reason}".strip()
        yield from begin_ending(state, e.SessionEnding(reason="provider_lost", code="TL302", detail=detail))
    elif of_voice:
        yield from _voice_lost(state, heads)
    elif of_caller and not state.links.callers:
        yield from _nobody_left(state, heads, closed)
    elif of_caller:
        since_ns = min(state.links.callers.values())
        unheard = [response for response, one in state.playout.responses.items() if one.began_ns < since_ns]
        yield from settle_sounding(state, heads, LOST, unheard)  # who is there has nothing of them


def _nobody_left(state: State, heads: Heads, closed: e.LinkClosed) -> Iterator[e.Event]:
    ending = state.life.ending
    if closed.code not in DROPPED or closed.link == state.call.link or (ending and not ending.drain):
        yield e.CallersGone(reason=closed.reason)
        return
    yield from decide_drop(state, heads, closed)
    if state.life.definition.reattach_grace_s == 0:
        yield e.CallersGone(reason=closed.reason)


def decide_link_failed(state: State, heads: Heads, failed: e.LinkFailed) -> Iterator[e.Event]:
    """A link could not be opened: the provider's is the session's end, its own voice that of the says which need it."""
    yield failed
    if failed.side == "voice":
        yield from _voice_lost(state, heads)
    else:
        yield from begin_ending(state, e.SessionEnding(reason="provider_lost", code=failed.code, detail=failed.message))


def _voice_lost(state: State, heads: Heads) -> Iterator[e.Event]:
    """The line to this machine's own voice is gone or cannot be had: what only it could speak has failed."""
    for name, say in list(state.delivery.says.items()):
        is_made = say.ended is not None and say.stream is None and say.piece + 1 >= len(say.pieces)
        if needs_voice(state.life.definition, say.command) and not is_made:
            yield from take_back(state, heads, name, "no_voice")
