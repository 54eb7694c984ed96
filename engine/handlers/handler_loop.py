"""HandlerLoop: the event loop a handler runs on, one per session, live and in replay alike.

It has no selector, no threads and no clock: the host delivers an event (advance, settle, fire), then drains. Given the same
deliveries it makes the same steps in any process on the same Python minor. It can be driven from plain code, a callback or a
task of the host (Entered).

    loop = HandlerLoop(start_ns)
    main = loop.start(handler(session))
    loop.drain()
    while not main.done():
        number, deadline_ns = loop.next_timer()      # or a completion: loop.settle(future, result)
        loop.fire(number, deadline_ns)
        loop.drain()
    loop.close_all()
"""

import asyncio
import gc
import sys
from asyncio import _get_running_loop
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVarTuple

from .await_stack import await_stack, describe
from .entered import Entered
from .escapes import RefusingLoop, escape, guard_threads, refuse_memory_order, run_callbacks
from .roster import AsyncGens, HandlerTask, Roster
from .virtual_clock import HandlerTimer, VirtualClock

__all__ = ["HandlerLoop"]

_CLOSING_ROUNDS = 4  # how often a task is asked to stop before it is stopped, and how often that is tried
_CLOSING_STEPS = 1000  # callbacks run after each of those requests, so that one that never rests cannot hold the teardown

_Ts = TypeVarTuple("_Ts")
_ExceptionHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]
_Run = Callable[[deque[asyncio.Handle], int], None]


class HandlerLoop(RefusingLoop):
    """A deterministic event loop. `unhandled` collects the contexts asyncio would log; `closing` is set during teardown.

    run: what runs ready callbacks, up to a number of them: run_callbacks, or something around it (strict mode, a watchdog).
    """

    def __init__(self, start_ns: int, run: _Run = run_callbacks) -> None:
        guard_threads()
        self._run_callbacks = run
        self.unhandled: list[dict[str, Any]] = []
        self.closing = False
        self._closed = False
        self._clock = VirtualClock(start_ns)
        self._ready: deque[asyncio.Handle] = deque()
        self._roster = Roster(self, start_ns)
        self._agens = AsyncGens()
        self._exception_handler: _ExceptionHandler | None = None

    # --- for the host: deliver, then drain ---

    def start(self, coro: Any) -> asyncio.Task[Any]:
        """Make the handler's main task, in a context that inherits nothing from the host's. The caller drains."""
        with Entered(self):
            return self.create_task(coro, context=Context())

    def advance(self, at_ns: int) -> None:
        """Move time to that of the event being delivered (ns since the Unix epoch); never backwards."""
        self._clock.advance(at_ns)

    @property
    def now_ns(self) -> int:
        """The time of the event delivered last, ns since the Unix epoch."""
        return self._clock.now_ns

    def settle(self, future: asyncio.Future[Any], result: object = None, error: BaseException | None = None) -> bool:
        """Complete a future of this loop from an event. False, and nothing done, if it was done or cancelled before."""
        if self._closed or future.done():
            return False
        with Entered(self):
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        return True

    def next_timer(self) -> tuple[int, int] | None:
        """(number, deadline in ns since the Unix epoch) of the timer that comes due first, None without timers."""
        return self._clock.next()

    def fire(self, number: int, at_ns: int) -> bool:
        """Deliver TimerFired: time becomes `at_ns`, at least the deadline, and the timer's callback ready.

        False, and nothing done, for a timer that was cancelled, fired before, or never created.
        """
        timer = self._clock.fire(number, at_ns)
        if timer is None:
            return False
        self._ready.append(timer)
        return True

    def drain(self) -> None:
        """Run what is ready, and what that makes ready, until nothing is."""
        if self._ready:
            self._run(sys.maxsize)

    def _run(self, limit: int) -> None:
        if self.is_running():
            raise escape("loop.drain()", "the loop is draining already", "only the host drains a handler's loop")
        collecting = gc.isenabled()
        hooks = sys.get_asyncgen_hooks()
        # Cyclic collection runs finalizers at moments that depend on all the process allocates: not while a handler runs.
        gc.disable()
        sys.set_asyncgen_hooks(self._agens.begun, self._dropped)
        try:
            with Entered(self):
                self._run_callbacks(self._ready, limit)
        finally:
            sys.set_asyncgen_hooks(*hooks)
            if collecting:
                gc.enable()

    def _dropped(self, agen: AsyncGenerator[Any, Any]) -> None:
        """The interpreter's hook for a generator dropped halfway: its `finally` still has to run."""
        if self.is_running():
            self._agens.forget(agen)
            self.create_task(agen.aclose())
        else:
            self._agens.keep(agen)

    # --- for the host: where it stands, and the end ---

    def where(self, task: asyncio.Task[Any]) -> list[tuple[str, int, str]]:
        """The frames (file, line, function) of a suspended task, from its coroutine inwards."""
        return list(await_stack(task))

    def blocked(self) -> str | None:
        """The await stacks of all unfinished tasks, a line each, if nothing of this loop can wake one; else None.

        Whether an event is still to settle a future only the host knows: ask when it expects none.
        """
        unfinished = self._roster.unfinished()
        if not unfinished or self._ready or self._clock.next() is not None:
            return None
        return "\n".join(map(describe, unfinished))

    def close_all(self) -> None:
        """End everything left, in order of creation: tasks by cancellation, then async generators; then refuse all work.

        What will not stop after a bounded number of requests is closed under its feet. Twice is as good as once.
        """
        if self._closed:
            return
        if self.is_running():
            raise escape("loop.close_all()", "the loop is draining", "only the host closes a handler's loop")
        self.closing = True
        for attempt in range(2 * _CLOSING_ROUNDS):
            tasks, agens = self._roster.unfinished(), self._agens.take_leftovers()
            if not tasks and not agens:
                break
            for task in tasks:
                self._request(task.cancel) if attempt < _CLOSING_ROUNDS else self._force(task)
            for agen in agens:
                self._request(self._close_agen, agen)
        self._ready.clear()
        self._clock.clear()
        self._closed = True

    def _request(self, ask: Callable[..., object], *args: Any) -> None:
        with Entered(self):
            self.call_soon(ask, *args, context=Context())
        with suppress(SystemExit):  # asyncio lets it through beside the task that it ends
            self._run(_CLOSING_STEPS)

    def _close_agen(self, agen: AsyncGenerator[Any, Any]) -> None:
        self.create_task(agen.aclose(), name="closing an async generator")

    def _force(self, task: HandlerTask) -> None:
        """Close a task's coroutine, then let the task find out, so that nothing stays pending."""
        self._request(self._close_coro, task)
        self._request(task.cancel)
        if task.done() and not task.cancelled():
            task.exception()  # "cannot reuse already awaited coroutine", of our own making: not to be reported
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # if it even ignored close(), it is reported above

    def _close_coro(self, task: HandlerTask) -> None:
        coro: Any = task.get_coro()
        try:
            coro.close()
        except BaseException as error:
            self.unhandled.append({"message": "a task refused to end with its session", "exception": error, "task": task})

    # --- for asyncio and the handler: scheduling ---

    def call_soon(self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None) -> asyncio.Handle:
        """Run the callback later in this drain."""
        self._check_inside("call_soon")
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """The same as call_soon: from another thread it is refused, there is no moment at which it could replay."""
        self._check_inside("call_soon_threadsafe")
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback when a TimerFired event for this timer is delivered, due `delay` seconds from now."""
        self._check_inside("call_later")
        timer = HandlerTimer(self.time() + delay, callback, args, self, context)
        self._clock.arm(timer, self._clock.after(delay))
        return timer

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """The same, due at `when` in the seconds of time()."""
        self._check_inside("call_at")
        timer = HandlerTimer(when, callback, args, self, context)
        self._clock.arm(timer, self._clock.at(when))
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        """A future; the host settles its own with settle()."""
        return self._roster.future()

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None, **options: Any
    ) -> asyncio.Task[Any]:
        """A task, started later in this drain (`eager_start=True` is refused). It is kept alive until it is done."""
        try:
            self._check_inside("create_task")
            refuse_memory_order()
            if options.pop("eager_start", None):
                why = "an eager task runs before its creator goes on, on some Python versions only"
                raise escape("create_task(eager_start=True)", why, "leave eager_start out")
            return self._roster.task(coro, name, context, **options)
        except BaseException:
            if asyncio.iscoroutine(coro):
                coro.close()  # or it would warn that it was never awaited, beside the error that says why
            raise

    def _check_inside(self, method: str) -> None:
        if self._closed:
            raise escape(f"loop.{method}()", "the session's loop is closed", "nothing can be started after the session's end")
        if _get_running_loop() is not self:
            why = "only code that the loop runs itself may schedule: another moment or thread cannot be replayed"
            hint = "let the outside work return its result instead: await session.call(…) or session.step(…)"
            raise escape(f"loop.{method}()", why, hint)

    def _timer_handle_cancelled(self, timer: HandlerTimer) -> None:
        self._clock.disarm(timer.number)

    # --- for asyncio and the handler: the rest of a loop ---

    def time(self) -> float:
        """Seconds since the session's start, as of the event delivered last."""
        return self._clock.time()

    def is_running(self) -> bool:
        """True for code that a drain of this loop runs."""
        return _get_running_loop() is self

    def is_closed(self) -> bool:
        """True after close_all()."""
        return self._closed

    def get_exception_handler(self) -> _ExceptionHandler | None:
        """What set_exception_handler was given."""
        return self._exception_handler

    def set_exception_handler(self, handler: _ExceptionHandler | None) -> None:
        """Called inside drains in place of collecting into `unhandled`."""
        self._exception_handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Collect the context."""
        self.unhandled.append(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error nobody awaits. Outside a drain the handler's own code must not run: then it is collected."""
        if self._exception_handler is None or not self.is_running():
            self.default_exception_handler(context)
            return
        try:
            self._exception_handler(self, context)
        except Exception as error:
            self.default_exception_handler(context)
            self.default_exception_handler({"message": "the exception handler raised", "exception": error})
