"""Waiting for the next commit: of this process at once, of another one at the next look."""

import asyncio
from types import TracebackType
from typing import Self

from .tail import Tail

__all__ = ["Awake"]


class Awake:
    """Entered, it is told of each commit. `arm` before reading, `wait` after it: what was committed in between ends the wait."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._awake = asyncio.Event()
        self._asleep = True  # so that a burst of commits wakes the loop once

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._leave = self._tail.follow(self._wake)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            try:
                self._loop.call_soon_threadsafe(self._awake.set)
            except RuntimeError:
                pass  # that loop is closed: nobody follows any more

    def arm(self) -> None:
        """What is committed from here on ends the next wait."""
        self._awake.clear()
        self._asleep = True

    async def wait(self) -> None:
        """Until something is committed, at most until the next look is due."""
        try:
            async with asyncio.timeout(self._tail.poll_s):
                await self._awake.wait()
        except TimeoutError:
            pass  # look all the same
