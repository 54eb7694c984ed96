"""Keys of signals and says: the last are remembered, by the log alone, and none grows with the call."""

from collections.abc import Callable

import msgspec
import pytest

from tests.core.driving import SITE, START_NS
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.asked import decide_said, decide_signal
from turnlog.core.keys import MOST_KEYS, remember
from turnlog.core.playing import Heads
from turnlog.core.ports import Playhead
from turnlog.core.state import State

MORE = 5


class Nothing:
    """Nothing sounds."""

    def sample(self, response: str, now_ns: int) -> Playhead:
        """Nobody asks."""
        raise AssertionError(response)


HEADS = Heads(Nothing(), START_NS)


def test_the_last_keys_are_remembered() -> None:
    """One that is used again keeps its place and its meaning; of too many the oldest goes, and is told."""
    kept: dict[str, int] = {}
    assert [remember(kept, str(n), n) for n in range(MOST_KEYS)] == [None] * MOST_KEYS
    assert remember(kept, "0", -1) is None and kept["0"] == 0
    assert remember(kept, "new", 7) == 0
    assert len(kept) == MOST_KEYS and "0" not in kept and kept["new"] == 7


def said(n: int, index: int = 0) -> e.SayRequested:
    """A say with a key of its own."""
    return e.SayRequested(index=index, say=f"said_{n}", command=c.Say(text="x", key=f"key {n}"), site=SITE)


def signalled(n: int) -> e.SignalReceived:
    """A signal with a key of its own."""
    return e.SignalReceived(name="paid", data=msgspec.msgpack.encode(n), key=f"key {n}")


@pytest.mark.parametrize("of", [signalled, said, lambda n: said(n, n + 1)], ids=["signal", "outside", "handler"])
def test_a_state_forgets_the_oldest_keys(of: Callable[[int], e.Event]) -> None:
    """However many there are in a session, as many as MOST_KEYS are held, and of them the last."""
    state = State()
    for n in range(MOST_KEYS + MORE):
        state.apply(2 * n + 1, START_NS, of(n))
        if isinstance(of(n), e.SayRequested):
            state.apply(2 * n + 2, START_NS, e.SaySettled(say=f"said_{n}", status="cancelled"))
    kept = [list(keys) for keys in (state.signals.keys, state.delivery.outside, state.delivery.keys) if keys]
    assert kept == [[f"key {n}" for n in range(MORE, MOST_KEYS + MORE)]]


def test_what_comes_again_under_a_forgotten_key_is_new() -> None:
    """Under a remembered one it is the same fact, and so is a say that is still owed."""
    state = State()
    for n in range(MOST_KEYS + MORE):
        state.apply(n + 1, START_NS, signalled(n))
        state.apply(n + 1, START_NS, said(n))
    assert list(decide_signal(state, signalled(MORE))) == []
    assert list(decide_signal(state, signalled(0))) == [signalled(0)]
    assert list(decide_said(state, HEADS, said(0))) == []
    state.apply(5000, START_NS, e.SaySettled(say="said_0", status="cancelled"))
    assert next(decide_said(state, HEADS, said(0))) == said(0)
    assert list(decide_said(state, HEADS, said(MORE))) == []
