"""The log of a proxied session, written behind what passes: nobody who passes a frame waits for it, unless too much waits.

Frames are read and appended in ticks. A disk that is full for a moment costs nothing: the append is tried again meanwhile.
What cannot be written within RETRY_S, or where another owner has the session, ends it: nothing passes for long unrecorded.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from ..clock import Clock
from ..session_log import SessionLog
from .record import Passed, RelayRecord

__all__ = ["LIMIT_BYTES", "RETRY_S", "RelayLog"]

LIMIT_BYTES: Final = 64 * 1024 * 1024
"""So much may wait for the log before what passes has to wait, too."""
RETRY_S: Final = 10.0
_TICK_S: Final = 0.025  # what passes gathers so long, then is entered and written together
_AT_ONCE: Final = 8  # frames read in one callback of the loop: others pass between

log = logging.getLogger("turnlog")


class RelayLog:
    """Writes what passed. `failed` is set when it cannot any more: `failure` says why."""

    def __init__(self, record: RelayRecord, appends: SessionLog, clock: Clock) -> None:
        self.failure: BaseException | None = None
        self._record = record
        self._appends = appends
        self._clock = clock
        self._waiting = _Waiting()
        self._last: Callable[[int], None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether so much waits that what passes has to wait."""
        return self._waiting.bytes > LIMIT_BYTES and self.failure is None

    def passed(self, one: Passed) -> None:
        """A frame has passed."""
        self._waiting.put(one, len(one.frame))

    def note(self, fact: Callable[[int], object]) -> None:
        """Something else has happened, behind what passed before: `fact` records it, at the given time."""
        self._waiting.put(fact, 0)

    async def room(self) -> None:
        """Wait until there is room again, or nothing can be written any more."""
        while self.is_full:
            self._waiting.taken.clear()
            await self._waiting.taken.wait()

    def finish(self, last: Callable[[int], None]) -> None:
        """Nothing passes any more: `last` records the session's end, at the given time."""
        self._last = last
        self._waiting.came.set()
        self._waiting.over.set()

    async def run(self) -> None:
        """Write until the end. Raises StoreError, or what is wrong with the log."""
        try:
            while not await self._round():
                pass
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self._waiting.taken.set()
            self._appends.watched.closed(self.failure)

    async def _round(self) -> bool:
        """Wait for something, and write it. Returns whether it was the last."""
        waiting, due_ns = self._waiting, self._record.due_ns()
        await waiting.something(None if due_ns is None else max(0.0, (due_ns - self._clock.now_ns()) / 1e9))
        if waiting.frames:
            await waiting.more(_TICK_S)
        while waiting.frames:
            for _ in range(min(_AT_ONCE, len(waiting.frames))):
                self._enter(waiting.take())
            await asyncio.sleep(0)
        ended, now_ns = self._last is not None, self._clock.now_ns()
        due_ns = self._record.due_ns()
        if ended or (due_ns is not None and due_ns <= now_ns):
            self._record.close_segments(now_ns)
            self._record.time_passed(now_ns)
        if self._last is not None:
            self._last(now_ns)
        staged, segments = self._record.take()
        if staged:
            await self._appends.append(staged, segments, ended=ended)
        waiting.taken.set()
        return ended


    def _enter(self, one: Passed | Callable[[int], object]) -> None:
        if isinstance(one, Passed):
            self._record.passed(one)
            return
        now_ns = self._clock.now_ns()
        self._record.close_segments(now_ns)
        one(now_ns)


class _Waiting:
    """What passed and is not written yet."""

    def __init__(self) -> None:
        self.frames: deque[Passed | Callable[[int], object]] = deque()
        self.bytes = 0
        self.came = asyncio.Event()
        self.over = asyncio.Event()
        self.taken = asyncio.Event()

    def put(self, one: Passed | Callable[[int], object], size: int) -> None:
        self.frames.append(one)
        self.bytes += size
        self.came.set()

    def take(self) -> Passed | Callable[[int], object]:
        one = self.frames.popleft()
        self.bytes -= len(one.frame) if isinstance(one, Passed) else 0
        return one

    async def something(self, limit_s: float | None) -> None:
        """Wait for a frame or the end, so long at most."""
        if not self.frames and not self.over.is_set():
            self.came.clear()
            await _set_within(self.came, limit_s)

    async def more(self, limit_s: float) -> None:
        """Let more come before it is written, unless nothing does any more."""
        if not self.over.is_set():
            await _set_within(self.over, limit_s)


async def _set_within(event: asyncio.Event, limit_s: float | None) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        return
