"""Tests for engine/handlers/virtual_clock.py."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.engine.handlers.virtual_clock import HandlerTimer, VirtualClock

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000


def timer() -> HandlerTimer:
    """A timer that does nothing."""
    return HandlerTimer(0, int, (), loop, None)


loop = asyncio.new_event_loop()
loop.close()


def armed(clock: VirtualClock, delay: float) -> HandlerTimer:
    """A timer waiting for `delay` seconds from now."""
    one = timer()
    clock.arm(one, clock.after(delay))
    return one


def test_time_counts_from_the_start_and_never_backwards() -> None:
    """Time is seconds since the start, and an earlier event does not turn it back."""
    clock = VirtualClock(START)
    assert clock.time() == 0.0
    clock.advance(START + 1_500_000_000)
    assert clock.time() == 1.5
    clock.advance(START + 3)
    assert clock.now_ns == START + 1_500_000_000


@given(st.integers(min_value=1, max_value=97 * 24 * 3600 * SECOND))
def test_time_round_trips_every_nanosecond_of_three_months(elapsed_ns: int) -> None:
    """call_at(loop.time()) means this very nanosecond, however long the session lasts."""
    clock = VirtualClock(START)
    clock.advance(START + elapsed_ns)
    assert clock.at(clock.time()) == START + elapsed_ns


@given(st.lists(st.floats(min_value=0.0, max_value=100.0), min_size=1, max_size=30))
def test_sleeping_until_a_time_always_gets_there(delays: list[float]) -> None:
    """Code that sleeps for `deadline - loop.time()` until it is reached wakes at most three times."""
    clock = VirtualClock(START)
    for delay in delays:
        deadline = clock.time() + delay
        wakes = 0
        while (left := deadline - clock.time()) > 0:
            clock.advance(clock.after(left))
            wakes += 1
        assert wakes <= 3


def test_a_deadline_ahead_by_less_than_a_nanosecond_is_one_ahead() -> None:
    """Float drift cannot make a timer of no length."""
    clock = VirtualClock(START)
    clock.advance(START + 300_000_000)
    assert clock.after(0.1 + 0.2 - 0.3) == clock.now_ns + 1
    assert clock.at(0.1 + 0.2) == clock.now_ns + 1
    assert clock.after(0.0) == clock.at(0.3) == clock.now_ns


def test_deadlines_may_lie_behind() -> None:
    """A negative delay is due at once, before what is due now."""
    clock = VirtualClock(START)
    armed(clock, 0.0)
    late = armed(clock, -1.0)
    assert clock.next() == (late.number, START - SECOND)
    assert clock.fire(late.number, START) is late
    assert clock.now_ns == START


def test_timers_come_due_by_deadline_then_by_creation() -> None:
    """The earliest timer is next; of equal deadlines the one created first."""
    clock = VirtualClock(START)
    for delay in (2.0, 1.0, 1.0):
        armed(clock, delay)
    order = []
    while due := clock.next():
        order.append(due)
        clock.fire(*due)
    assert order == [(2, START + SECOND), (3, START + SECOND), (1, START + 2 * SECOND)]


def test_firing_moves_time_to_the_deadline_at_least() -> None:
    """A host whose clock reads a little early does not make a timer fire before its deadline; a late one is believed."""
    clock = VirtualClock(START)
    first, second = armed(clock, 1.0), armed(clock, 2.0)
    clock.fire(first.number, START + 999_999_000)
    assert clock.now_ns == START + SECOND
    clock.fire(second.number, START + 2_000_700_000)
    assert clock.now_ns == START + 2_000_700_000


def test_a_timer_fires_once_and_a_disarmed_or_unknown_one_never() -> None:
    """fire() of a timer that waits no more gives nothing, and time stands."""
    clock = VirtualClock(START)
    fired, disarmed = armed(clock, 1.0), armed(clock, 1.0)
    clock.disarm(disarmed.number)
    assert clock.fire(fired.number, START) is fired
    for number in (fired.number, disarmed.number, 77):
        assert clock.fire(number, START + 9 * SECOND) is None
    assert (clock.next(), clock.now_ns) == (None, START + SECOND)


def test_cancelled_timers_do_not_pile_up() -> None:
    """A handler that sets a long timeout for every turn, and never needs it, holds a bounded number of entries."""
    clock = VirtualClock(START)
    kept = armed(clock, 7.0)
    for _ in range(10_000):
        clock.disarm(armed(clock, 3600.0).number)
    assert len(clock._heap) < 100
    assert clock.next() == (kept.number, START + 7 * SECOND)


def test_an_infinite_timer_waits_but_never_comes_due() -> None:
    """A sleep of math.inf is a timer that no event can be expected for."""
    clock = VirtualClock(START)
    never = armed(clock, math.inf)
    assert clock.next() is None
    assert clock.after(-math.inf) < START
    assert clock.fire(never.number, START) is never


def test_a_delay_that_is_no_number_is_refused() -> None:
    """NaN has no place in time."""
    with pytest.raises(ValueError, match="not NaN"):
        VirtualClock(START).after(math.nan)


def test_clear_forgets_every_timer() -> None:
    """After clear() nothing is due and nothing can be fired."""
    clock = VirtualClock(START)
    one = armed(clock, 1.0)
    clock.clear()
    assert clock.next() is None
    assert clock.fire(one.number, START) is None
