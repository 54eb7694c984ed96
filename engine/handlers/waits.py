"""What a handler waits for: completions of its commands, by index, and the next thing that is delivered at all.

Every future is of the handler's loop and settled by what is delivered only.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakSet

from .settling import SettlingLoop

__all__ = ["Waits"]

T = TypeVar("T")


class Waits:
    """The futures that are open, and the coroutines around them. `abandon` is told of a command that is waited for no more."""

    def __init__(self, loop: SettlingLoop, abandon: Callable[[int], None]) -> None:
        self._loop = loop
        self._abandon = abandon
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lent: WeakSet[Coroutine[Any, Any, Any]] = WeakSet()

    # --- the handler's side ---

    def completion(self, index: int) -> Coroutine[Any, Any, Any]:
        """Wait for the completion of a command; a cancelled wait abandons it. It may complete before it is awaited."""
        self._open[index] = future = self._loop.create_future()
        return self.lend(self._completed(index, future))

    def lend(self, coro: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Give a coroutine to the handler, which may end before it has awaited it."""
        self._lent.add(coro)
        return coro

    def close(self) -> None:
        """Close the coroutines that the handler holds and has not awaited: at its end that is no oversight to warn of."""
        for coro in self._lent:
            if inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
                coro.close()

    def let_go(self) -> None:
        """The loop is closed: nobody waits, and whoever was to be told is let go of."""
        self._abandon = _nobody

    async def _completed(self, index: int, future: asyncio.Future[Any]) -> Any:
        try:
            return await future
        except asyncio.CancelledError:
            if self._open.pop(index, None) is not None:
                self._abandon(index)
            raise

    async def wait(self) -> None:
        """Wait until something was delivered that a waiter may look at."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        await future

    # --- what is delivered ---

    def settle(self, index: int, result: object = None, error: BaseException | None = None) -> None:
        """Complete a command, if it is waited for."""
        if future := self._open.pop(index, None):
            self._loop.settle(future, result, error)

    def settle_all(self, error: BaseException | None) -> None:
        """Complete all that is open, in the order in which it was asked for."""
        for index in sorted(self._open):
            self.settle(index, error=error)

    def wake(self) -> None:
        """Let everyone who waits look."""
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            self._loop.settle(future)


def _nobody(index: int) -> None:
    """There is nothing left to abandon."""
