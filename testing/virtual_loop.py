"""Time that passes by itself: an event loop whose clock jumps to the next timer as soon as nothing else is left to do.

Invariants: time moves only between two turns of the loop, never back, and never while work outside of the loop is under way
(a thread, a file). What such work brings is taken only when nothing else is ready, so that a thread's speed changes no order.
A wait that nothing can end is an error (TL701) and not a hang.
"""

import asyncio
import functools
import selectors
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from typing import Any, ParamSpec, TypeVar

from ..core.errors import TurnlogError
from ..engine.clock import Clock

__all__ = ["VirtualClock", "VirtualLoop", "run_virtual", "virtual_time"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

START_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z: when every virtual day begins."""

_S = 1_000_000_000
_WORK_PATIENCE_S = 60.0  # of real time, for threads and sockets
_IDLE_PATIENCE_S = 1.0  # of real time, for a thread that the loop does not know of


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time. `now_ns`: since it began. `jumps`: how often time has moved."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.jumps = 0
        self._work = 0
        self._guard = threading.Lock()
        self._arrived: list[asyncio.Handle] = []
        super().__init__(_VirtualSelector(self._settle))

    def time(self) -> float:
        """Seconds of virtual time since the loop began."""
        return self.now_ns / _S

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Hold time still for as long as this is open: something outside of the loop is at work, and it will say so."""
        self._work += 1
        try:
            yield
        finally:
            self._work -= 1

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override] # as the base has it, written for a subclass
        """As always; time stands still until it is done."""
        done: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self._work += 1
        done.add_done_callback(self._work_done)
        return done

    async def shutdown_default_executor(self, *args: Any) -> None:
        """As always; the limit that newer Pythons set for it is one of real time."""
        with self.outside():
            await super().shutdown_default_executor(*args)

    def call_soon_threadsafe(  # type: ignore[override] # args are not a TypeVarTuple here
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As always; from another thread it is called when nothing else is ready."""
        if asyncio._get_running_loop() is self or self.is_closed():
            return super().call_soon_threadsafe(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        with self._guard:
            self._arrived.append(handle)
        super().call_soon_threadsafe(_nothing)
        return handle

    def _work_done(self, _: object) -> None:
        self._work -= 1

    def _settle(self, wait_s: float | None, select: Callable[[float | None], list[Any]], sockets: int) -> list[Any]:
        """Nothing is ready: take what came from outside, else wait for it, else let time pass."""
        found = select(0)
        if found or self._take_arrived():
            return found
        if self._work or (wait_s is None and sockets):
            return self._wait_outside(select, _WORK_PATIENCE_S)
        if wait_s is None:
            return self._wait_outside(select, _IDLE_PATIENCE_S)
        self.now_ns += max(1, round(wait_s * _S))
        self.jumps += 1
        return []

    def _take_arrived(self) -> bool:
        with self._guard:
            arrived, self._arrived = self._arrived, []
        for handle in arrived:
            self.call_soon(_run, handle)
        return bool(arrived)

    def _wait_outside(self, select: Callable[[float | None], list[Any]], patience_s: float) -> list[Any]:
        found = select(patience_s)
        if not found and not self._take_arrived():
            raise TurnlogError("TL701", f"after {self.time():.3f} s of virtual time {self._why()}", _hint(self))
        return found

    def _why(self) -> str:
        if self._work:
            return f"{self._work} pieces of work outside of the loop have not ended within {_WORK_PATIENCE_S:.0f} real seconds"
        return "every task waits, there is no timer, and nothing can wake any of them"


class _VirtualSelector(selectors.BaseSelector):
    """The platform's selector, which waits only where `settle` says so."""

    def __init__(self, settle: Callable[[float | None, Callable[[float | None], list[Any]], int], list[Any]]) -> None:
        self._real = selectors.DefaultSelector()
        self._settle = settle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; a timeout above 0, or None, says that the loop has nothing to do."""
        if timeout is not None and timeout <= 0:
            return self._real.select(0)
        return self._settle(timeout, self._real.select, len(self._real.get_map()) - 1)  # one is the loop's own

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """As the real one."""
        return self._real.get_map()

    def close(self) -> None:
        """As the real one."""
        self._real.close()


class VirtualClock(Clock):
    """The engine's clock on a VirtualLoop: START_NS plus the loop's time."""

    def __init__(self, loop: VirtualLoop | None = None) -> None:
        self._loop = loop or running_loop()

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return START_NS + self._loop.now_ns


def running_loop() -> VirtualLoop:
    """The loop of this task. Raises TurnlogError TL701 if its time is not virtual."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        hint = "run the test with @virtual_time, run_virtual(…), or let it ask for the fixture `turnlog`"
        raise TurnlogError("TL701", "this event loop is not on virtual time", hint)
    return loop


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time, as asyncio.run does on real time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def virtual_time(test: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Decorator: an async test becomes a plain function that runs on a VirtualLoop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return run_virtual(test(*args, **kwargs))

    return run


def _run(handle: asyncio.Handle) -> None:
    if not handle.cancelled():
        handle._run()


def _nothing() -> None:
    """What wakes the loop."""


def _hint(loop: VirtualLoop) -> str:
    waiting = sorted(task.get_name() + " at " + _place(task) for task in asyncio.all_tasks(loop))
    return "waiting: " + "; ".join(waiting[:8])


def _place(task: "asyncio.Task[Any]") -> str:
    stack = task.get_stack(limit=1)
    return f"{stack[-1].f_code.co_filename}:{stack[-1].f_lineno}" if stack else "its start"
