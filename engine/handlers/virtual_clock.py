"""The time of one session: integer nanoseconds that only delivered events move, and the timers that wait for them.

Nothing here reads a clock. Times are ns since the Unix epoch, as in the log; handlers see seconds since the session's start,
small enough numbers for a float to hold each nanosecond of three months. Timers are numbered 1, 2, 3… by creation; the
number is what a TimerFired event names. A cancelled or fired timer is forgotten.
"""

import asyncio
import math
from heapq import heapify, heappop, heappush

__all__ = ["HandlerTimer", "VirtualClock"]

_SECOND = 1_000_000_000
_NEVER = 2**62  # ns, 146 years: a timer that far ahead (asyncio.sleep(math.inf)) exists but never comes due
_SWEEP = 64  # cancelled timers the heap may hold before they are swept out


class HandlerTimer(asyncio.TimerHandle):
    """A timer of a handler: `number` by creation, `deadline_ns` since the Unix epoch."""

    __slots__ = ("deadline_ns", "number")

    number: int
    deadline_ns: int


def _nanoseconds(seconds: float) -> int:
    """The nearest whole ns. Whole and fractional seconds apart, so that large times do not lose their last digits."""
    if not -_NEVER < seconds * _SECOND < _NEVER:
        if math.isnan(seconds):
            raise ValueError("a delay or time must be a number of seconds, not NaN")
        return _NEVER if seconds > 0 else -_NEVER
    fraction, whole = math.modf(seconds)
    return int(whole) * _SECOND + round(fraction * _SECOND)


class VirtualClock:
    """Now, and the timers not yet fired."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.now_ns = start_ns
        self._created = 0
        self._waiting: dict[int, HandlerTimer] = {}
        # Invariant: holds (deadline, number) of every waiting timer that can come due; numbers no longer waiting are skipped.
        self._heap: list[tuple[int, int]] = []

    def time(self) -> float:
        """Seconds since the session's start."""
        return (self.now_ns - self.start_ns) / _SECOND

    def advance(self, at_ns: int) -> None:
        """Move to the time of a delivered event; an earlier time changes nothing."""
        self.now_ns = max(self.now_ns, at_ns)

    def after(self, delay: float) -> int:
        """The deadline `delay` seconds ahead.

        Strategy: what lies ahead by less than half a ns still lies 1 ns ahead. Code that sleeps for `deadline - loop.time()`
        until that is 0 would otherwise, by float drift, wake for ever at the same instant.
        """
        ahead = _nanoseconds(delay)
        return self.now_ns + (max(1, ahead) if delay > 0 else ahead)

    def at(self, when: float) -> int:
        """The deadline at `when` seconds since the session's start, at least 1 ns ahead if `when` is ahead at all."""
        deadline_ns = self.start_ns + _nanoseconds(when)
        return max(self.now_ns + 1, deadline_ns) if when > self.time() else deadline_ns

    def arm(self, timer: HandlerTimer, deadline_ns: int) -> None:
        """Number the timer and wait for its deadline."""
        self._created += 1
        timer.number = self._created
        timer.deadline_ns = deadline_ns
        self._waiting[timer.number] = timer
        if deadline_ns - self.start_ns < _NEVER:
            heappush(self._heap, (deadline_ns, timer.number))

    def disarm(self, number: int) -> None:
        """Forget a timer that was cancelled. One already fired is not there any more."""
        self._waiting.pop(number, None)
        if len(self._heap) > _SWEEP + 2 * len(self._waiting):
            self._heap = [entry for entry in self._heap if entry[1] in self._waiting]
            heapify(self._heap)

    def next(self) -> tuple[int, int] | None:
        """(number, deadline_ns) of the timer that comes due first; of equal deadlines the one created first."""
        while self._heap:
            deadline_ns, number = self._heap[0]
            if number in self._waiting:
                return number, deadline_ns
            heappop(self._heap)
        return None

    def fire(self, number: int, at_ns: int) -> HandlerTimer | None:
        """Take the timer out and move to `at_ns`, at least its deadline. None, and time stands, if it waits no more."""
        timer = self._waiting.pop(number, None)
        if timer is not None:
            self.advance(max(at_ns, timer.deadline_ns))
        return timer

    def clear(self) -> None:
        """Forget every timer."""
        self._waiting.clear()
        self._heap.clear()
