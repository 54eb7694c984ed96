"""Decisions while nobody is there and somebody is to come: a caller whose connection dropped, or the first one. Live only.

What sounded was heard until the drop; what was not heard at all waits to be said. Speech under way is made a turn of what was
heard of it, or, if the provider makes none of it, discarded: no turn stays open for one who may never come back.
"""

from collections.abc import Iterator

from . import events as e
from .barging import discard
from .playing import Heads
from .saying import LOST, settle_sounding
from .state import State
from .states import SayState

__all__ = ["DROPPED", "FORGET_S", "awaited_deadline", "decide_drop", "decide_waiting", "is_awaited"]

DROPPED = frozenset({1001, 1005, 1006})
"""Close codes of who did not hang up: a page that was left or reloaded, no code at all, a connection that was lost."""
FORGET_S = 3  # how long the provider may take to make an item of speech that its caller did not end
_S = 1_000_000_000


def is_awaited(state: State) -> bool:
    """Whether nobody is there and somebody may still come."""
    return state.links.awaited is not None and state.links.gone_ns is None


def decide_drop(state: State, heads: Heads, closed: e.LinkClosed) -> Iterator[e.Event]:
    """The last caller's connection dropped."""
    grace_ms = state.life.definition.reattach_grace_s * 1000
    yield e.CallerAwaited(grace_ms=grace_ms, link=closed.link, code=closed.code, reason=closed.reason)
    yield from _silence(state, heads)
    if state.floor.talking():
        yield e.InputCommitAsked(link=closed.link)  # nobody sends the silence that would end it
    elif _commits_by_hand(state):
        yield e.InputClearAsked(link=closed.link)  # half of what it was about to commit


def _commits_by_hand(state: State) -> bool:
    return state.links.settings.get("turn_detection", state.life.definition.turn_detection) is None


def decide_waiting(state: State, heads: Heads, now_ns: int) -> Iterator[Iterator[e.Event]]:
    """What the clock brings while somebody is awaited: a group of events for each fact."""
    waits = state.links.awaited
    if waits is None or state.links.gone_ns is not None:
        return
    yield _silence(state, heads)
    if now_ns >= waits.since_ns + FORGET_S * _S and (left := _unfinished(state)):
        for item in left:
            yield discard(state, heads, item, "its caller was lost")
        yield iter([e.InputClearAsked(link=waits.link)])
    if now_ns >= waits.until_ns:
        yield iter([e.CallersGone(reason=waits.reason)])


def awaited_deadline(state: State) -> list[int]:
    """When `decide_waiting` has something to say because of the clock (ns)."""
    waits = state.links.awaited
    if waits is None or state.links.gone_ns is not None:
        return []
    return [waits.until_ns, *([waits.since_ns + FORGET_S * _S] if _unfinished(state) else [])]


def _unfinished(state: State) -> list[str]:
    """Speech of which there is no item yet."""
    return [item for item, one in state.turns.open.items() if one.committed_ns is None]


def _silence(state: State, heads: Heads) -> Iterator[e.Event]:
    """Nobody hears what sounds; what was asked for and has not begun is asked for again when somebody does."""
    yield from settle_sounding(state, heads, LOST)
    for name, say in list(state.delivery.says.items()):
        if say.state is SayState.DISPATCHED:
            yield e.SayRefused(say=name, attempt=say.attempt, code=LOST, message="nobody is there to hear it")
