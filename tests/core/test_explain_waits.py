"""What the handler stands at: turns and signals are handed out as the engine does, and nothing is handed out twice."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.driving import SITE
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.explain.trail import Entry
from turnlog.core.explain.waits import DELIVERED, Waits
from turnlog.engine.handlers import handler_run


def fold(*events: e.Event) -> Waits:
    """The waits after these events."""
    waits = Waits()
    for seq, event in enumerate(events, 1):
        waits.apply(Entry(seq, seq, -1, event))
    return waits


def turn(number: int) -> e.TurnEnded:
    """A turn."""
    return e.TurnEnded(turn=number, item=f"i{number}", text="x")


def wanted(index: int) -> e.InputRequested:
    """An input()."""
    return e.InputRequested(index=index, command=c.Input(), site=SITE)


def test_what_a_handler_is_given_is_what_the_engine_gives() -> None:
    """The table here is the engine's, and the start."""
    assert set(DELIVERED) == {*handler_run.DELIVERED, e.SessionStarted}


def test_turns_go_to_inputs_in_order() -> None:
    """The first to the first; the rest wait on either side."""
    waits = fold(wanted(1), wanted(2), turn(1))
    assert (list(waits.turns.waiting), [index for index, _ in waits.turns.taken]) == ([2], [1])
    assert [one.seq for one in fold(turn(1), turn(2), wanted(1)).turns.lying] == [2]


def test_a_turn_given_back_goes_to_the_next() -> None:
    """Its taker was cancelled before it went on."""
    waits = fold(wanted(1), wanted(2), turn(1), e.CommandAbandoned(index=3, command=1))
    assert [index for index, _ in waits.turns.taken] == [2]
    assert not waits.turns.lying


def test_after_the_callers_have_gone_nobody_waits() -> None:
    """input() takes what lies there and raises else, signals alike."""
    waits = fold(wanted(1), e.CallersGone(), wanted(2), e.SignalAwaited(index=3, command=c.AwaitSignal(name="x"), site=SITE))
    assert not waits.turns.waiting and not waits.signals["x"].waiting
    assert [index for index, _ in fold(turn(1), e.CallersGone(), wanted(1)).turns.taken] == [1]


def test_signals_of_other_names_wake_nobody() -> None:
    """Each name has a queue of its own."""
    waits = fold(
        e.SignalAwaited(index=1, command=c.AwaitSignal(name="paid"), site=SITE), e.SignalReceived(name="left", data=b"\xc0")
    )
    assert list(waits.signals["paid"].waiting) == [1]
    assert len(waits.signals["left"].lying) == 1


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["want", "turn", "abandon"]), max_size=30), st.data())
def test_every_turn_is_somewhere_exactly_once(kinds: list[str], data: st.DataObject) -> None:
    """Taken or lying there; and never does one lie while someone waits."""
    waits, index, turns = Waits(), 0, 0
    for seq, kind in enumerate(kinds, 1):
        event: Any
        match kind:
            case "want":
                index += 1
                event = wanted(index)
            case "turn":
                turns += 1
                event = turn(turns)
            case _:
                event = e.CommandAbandoned(index=100 + seq, command=data.draw(st.integers(0, index)))
        waits.apply(Entry(seq, seq, -1, event))
        held = [one.event.turn for one in waits.turns.lying] + [one.event.turn for _, one in waits.turns.taken]  # type: ignore[union-attr] # turns only
        assert sorted(held) == list(range(1, turns + 1))
        assert not (waits.turns.lying and waits.turns.waiting)
