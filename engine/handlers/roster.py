"""What a handler's loop has made, in the order it made it: tasks, futures, async generators.

Order of creation is the one order that two runs share. asyncio keeps tasks in sets (TaskGroup, wait), and a set walks by
hash: so tasks and futures hash by creation instead of by address. Equality stays identity.
"""

import asyncio
import weakref
from collections.abc import AsyncGenerator
from contextvars import Context
from itertools import count
from typing import Any

__all__ = ["AsyncGens", "HandlerFuture", "HandlerTask", "Roster"]

_SWEEP = 32  # generators remembered before the finished ones are swept out


class HandlerFuture(asyncio.Future[Any]):
    """A future that hashes by creation."""

    __slots__ = ("order",)

    order: int

    def __hash__(self) -> int:
        return self.order


class HandlerTask(asyncio.Task[Any]):
    """A task that hashes by creation."""

    __slots__ = ("order",)

    def __init__(self, order: int, coro: Any, **options: Any) -> None:
        self.order = order  # before Task.__init__, which enters the task into a set
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.order


class Roster:
    """Makes tasks and futures, and keeps every task alive until it is done."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start_ns: int) -> None:
        self._loop = loop
        # Strategy: asyncio keeps one set of tasks for the whole process. Without the session's start in the high bits, the
        # first tasks of a thousand sessions would collide there; low bits alone decide the order in a session's own sets.
        self._orders = count(((start_ns >> 10) % 2**20 << 40) + 1)
        self._names = count(1)
        self._open: dict[int, HandlerTask] = {}

    def future(self) -> HandlerFuture:
        """A new future."""
        future = HandlerFuture(loop=self._loop)
        future.order = next(self._orders)
        return future

    def task(self, coro: Any, name: str | None, context: Context | None, **options: Any) -> HandlerTask:
        """A new task; without a name it is Task-1, Task-2… of this session."""
        if name is None:
            name = f"Task-{next(self._names)}"
        task = HandlerTask(next(self._orders), coro, loop=self._loop, name=name, context=context, **options)
        self._open[task.order] = task
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._open.pop(hash(task), None)

    def unfinished(self) -> list[HandlerTask]:
        """Tasks not done, in order of creation."""
        return [task for task in self._open.values() if not task.done()]


class AsyncGens:
    """The async generators a handler has begun to iterate, and which of them it dropped halfway.

    Held weakly: a generator left by `break` is closed as soon as its last reference goes. Only the cyclic garbage collector
    drops at moments that differ between runs; it is off inside a drain, so what is dropped outside one is kept for the end.
    """

    def __init__(self) -> None:
        self._born = count(1)
        self._known: dict[int, tuple[int, weakref.ref[AsyncGenerator[Any, Any]]]] = {}  # by id(), which lives as long
        self._kept: list[tuple[int, AsyncGenerator[Any, Any]]] = []
        self._sweep_at = _SWEEP

    def begun(self, agen: AsyncGenerator[Any, Any]) -> None:
        """The interpreter's first-iteration hook."""
        if len(self._known) >= self._sweep_at:
            self._known = {key: entry for key, entry in self._known.items() if entry[1]() is not None}
            self._sweep_at = max(_SWEEP, 2 * len(self._known))
        self._known[id(agen)] = (next(self._born), weakref.ref(agen))

    def forget(self, agen: AsyncGenerator[Any, Any]) -> int:
        """The generator will be closed by others; its number, 0 if it was not known."""
        known = self._known.pop(id(agen), None)
        return known[0] if known else 0

    def keep(self, agen: AsyncGenerator[Any, Any]) -> None:
        """Keep a generator that was dropped outside a drain, for take_leftovers()."""
        self._kept.append((self.forget(agen), agen))

    def take_leftovers(self) -> list[AsyncGenerator[Any, Any]]:
        """Every generator neither finished nor closed, in order of creation; they are no longer known afterwards."""
        alive = [(number, agen) for number, ref in self._known.values() if (agen := ref()) is not None]
        leftovers = sorted(self._kept + alive, key=lambda entry: entry[0])
        self._known.clear()
        self._kept.clear()
        return [agen for _, agen in leftovers]
