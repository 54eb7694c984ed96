"""The watchdog: one bad handler must not silence the other calls.

One thread for the process, alive while there are watched handlers and asleep while none of them runs. It logs where a handler
stands that has not yielded for `report_ms`, and after `stuck_ms` raises HandlerStuck inside it; a handler that swallows even
that gets an exception which `except Exception` does not catch. Nothing here reads a handler's state.

The one danger is an exception that arrives after the drain, in the host's code. A pending one strikes at the next call, loop
or function entry of its thread; so the drain's end first waits for one that is just being raised, and then lets what is pending
strike where it is caught. What cannot be interrupted: a single call into C that does not return.
"""

import ctypes
import logging
import os
import sys
import threading
import time
from asyncio import Handle
from collections import deque
from collections.abc import Callable
from threading import get_ident
from types import FrameType
from typing import NamedTuple

import msgspec

from ...core.errors import HandlerStuck
from .escapes import run_callbacks

__all__ = ["HandlerLimits", "Watch"]

Run = Callable[[deque[Handle], int], None]

log = logging.getLogger("turnlog")

_TICK_S = 0.02
_TICK_NS = 20_000_000
_IDLE_TICKS = 25  # rounds without a drain under way, after which the thread sleeps until one begins
_NAP_S = 10.0

_DEBUGGERS = ("bdb", "pdb", "pydevd", "debugpy")
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class HandlerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a handler may run without awaiting: after report_ms it is reported, after stuck_ms stopped. None: never."""

    report_ms: int | None = 100
    stuck_ms: int | None = 2000

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not (type(value) is int and value > 0):
                raise ValueError(f"HandlerLimits({name}={value!r}): a positive number of ms, or None")


class _Unheeded(BaseException):
    """For a handler that caught HandlerStuck and went on."""


_INJECTED = (HandlerStuck, _Unheeded)
_raise_in = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)(("PyThreadState_SetAsyncExc", ctypes.pythonapi))


class Watch:
    """Watches the drains of one handler. `interrupted`: an exception was raised in it; the handler cannot be trusted any more."""

    def __init__(self, name: str, limits: HandlerLimits) -> None:
        self.name = name
        self.limits = limits
        self.interrupted = False
        self.drains = 0
        self._lock = threading.RLock()
        self._open = True
        _DOG.opened()

    def run(self, run: Run, ready: deque[Handle], limit: int) -> None:
        """Run ready callbacks by `run`, watched. When this is left, by whatever way, nothing of the watchdog is pending."""
        ident, busy = get_ident(), _DOG.busy
        self.drains += 1
        try:
            busy[ident] = self
            if _DOG.asleep:
                _DOG.wake.set()
            try:
                run(ready, limit)
            finally:
                busy[ident] = None  # Invariant: no interpreter check before this store; after it nothing new is raised
                self._settle(ident)
        except _INJECTED:
            busy[ident] = None
            self._settle(ident)
            # Strategy: Python 3.14 can be struck between taking a lock and entering the `with` that would release it. The
            # lock is reentrant so that the line above passes even then, and is left behind.
            self._lock = threading.RLock()

    def _settle(self, ident: int) -> None:
        with self._lock:
            if not self.interrupted:
                return
        # Strategy: one that may be pending is replaced by one that is caught here. Taking it back would leave the interpreter's
        # own flag set until the next one: every check of the process slow, and a profiled function of 3.11 stuck for ever.
        try:
            while True:
                _raise_in(ident, _Unheeded)
        except _INJECTED:
            return

    def interrupt(self, ident: int, drain: int) -> bool:
        """Raise in the thread, if it still runs that drain. For the watchdog's thread."""
        lock = self._lock
        if not lock.acquire(blocking=False):
            return False  # it is leaving the drain
        try:
            if _DOG.busy.get(ident) is not self or self.drains != drain:
                return False
            kind = _Unheeded if self.interrupted else HandlerStuck
            self.interrupted = True
            _raise_in(ident, kind)
            return True
        finally:
            lock.release()

    def close(self) -> None:
        """The handler has ended. Twice is as good as once."""
        if self._open:
            self._open = False
            _DOG.closed()


class _Seen(NamedTuple):
    """A drain that was under way at one look and still is at the next."""

    watch: Watch
    drain: int
    since_ns: int
    ran_ns: int = 0  # since then, or since the last exception raised in it: time in which this process ran too
    reported: bool = False


class _Watchdog:
    """`busy`: by thread, the watch whose drain runs there. The thread lives from the first opened watch to the last closed."""

    def __init__(self) -> None:
        self.busy: dict[int, Watch | None] = {}
        self.wake = threading.Event()
        self.asleep = False
        self._watches = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def opened(self) -> None:
        """One more handler to watch."""
        with self._lock:
            self._watches += 1
            if self._thread is None or not self._thread.is_alive():  # not alive: a fork leaves it behind
                self._thread = threading.Thread(target=self._work, name="turnlog watchdog", daemon=True)
                self._thread.start()

    def closed(self) -> None:
        """One handler less."""
        with self._lock:
            self._watches -= 1
            thread = self._thread
            if self._watches or thread is None:
                return
            self._thread = None
            self.wake.set()
        thread.join()

    def _work(self) -> None:
        me = threading.current_thread()
        seen: dict[int, _Seen] = {}
        idle, before_ns = 0, time.monotonic_ns()
        while self._thread is me:
            self.asleep = idle >= _IDLE_TICKS
            if self.asleep and not any(list(self.busy.values())):  # else it began before it could see that we sleep
                self.wake.wait(_NAP_S)
                before_ns = time.monotonic_ns()
            self.asleep = False
            self.wake.clear()
            if self._thread is not me:
                break
            self.wake.wait(_TICK_S)
            now_ns = time.monotonic_ns()
            seen = self._look(seen, now_ns, min(now_ns - before_ns, 2 * _TICK_NS))
            before_ns, idle = now_ns, 0 if seen else idle + 1

    def _look(self, seen: dict[int, _Seen], now_ns: int, ran_ns: int) -> dict[int, _Seen]:
        """Judge each drain under way. ran_ns: time since the last look in which this process was not suspended or starved."""
        looked = {}
        for ident, watch in list(self.busy.items()):
            if watch is None:
                continue
            drain = watch.drains
            last = seen.get(ident)
            if last is None or last.watch is not watch or last.drain != drain:
                looked[ident] = _Seen(watch, drain, now_ns)
            else:
                looked[ident] = _judge(ident, last._replace(ran_ns=last.ran_ns + ran_ns), now_ns)
        return looked


def _judge(ident: int, seen: _Seen, now_ns: int) -> _Seen:
    report_ms, stuck_ms = seen.watch.limits.report_ms, seen.watch.limits.stuck_ms
    held_ms = (now_ns - seen.since_ns) // 1_000_000
    stack = stack_of(ident)
    if any(module.partition(".")[0] in _DEBUGGERS for _, module in stack):
        return seen._replace(since_ns=now_ns, ran_ns=0)
    if report_ms is not None and held_ms >= report_ms and not seen.reported:
        where = "".join(f"\n  {line}" for line, _ in stack)
        log.warning("session %s: its handler has not yielded for %d ms; it stands at%s", seen.watch.name, held_ms, where)
        seen = seen._replace(reported=True)
    if stuck_ms is not None and seen.ran_ns >= stuck_ms * 1_000_000 and seen.watch.interrupt(ident, seen.drain):
        where = stack[-1][0] if stack else "a place unknown"
        log.error("session %s: its handler has not yielded for %d ms and is stopped at %s", seen.watch.name, held_ms, where)
        seen = seen._replace(ran_ns=0)
    return seen


def stack_of(ident: int) -> list[tuple[str, str]]:
    """(file:line function, module) of each frame of the handler that this thread runs, outermost first."""
    frame: FrameType | None = sys._current_frames().get(ident)
    stack: list[tuple[str, str]] = []
    while frame is not None and frame.f_code is not run_callbacks.__code__:
        code = frame.f_code
        if not code.co_filename.startswith(_OWN):
            stack.append((f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}", frame.f_globals.get("__name__", "")))
        frame = frame.f_back
    return stack[::-1] if frame is not None else []


_DOG = _Watchdog()
