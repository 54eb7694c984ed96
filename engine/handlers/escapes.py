"""The border between a handler and the world: what a handler's loop refuses, and the words it says it with.

Everything here raises HandlerError TL104 naming the call, the handler's own line and the remedy. Nothing is stubbed out or
silently ignored: a call that cannot be replayed must fail where it is written, live too, or the log would promise too much.
Known limits, which no loop can catch: a send on an object opened elsewhere, and sets of asyncio objects that this loop did
not make (`asyncio.all_tasks()`, bare `asyncio.Future()`, the outer futures of gather): those order by memory address.
"""

import asyncio
import os
import sys
import sysconfig
import threading
from collections import deque
from itertools import repeat
from types import FrameType
from typing import Any, NoReturn

from ...core.errors import HandlerError

__all__ = ["RefusingLoop", "escape", "guard_threads", "handler_line", "refuse_memory_order", "run_callbacks"]

_ENGINE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_SITE = tuple({sysconfig.get_path(kind) + os.sep for kind in ("purelib", "platlib")})
_TASKS = os.path.join(os.path.dirname(asyncio.__file__), "tasks.py")
_OUTSIDE_WORK = 'do such work outside: await session.call("tool", …) or session.step(fn, …) logs its result, and replays it'


def run_callbacks(ready: deque[asyncio.Handle], limit: int) -> None:
    """Run ready callbacks in order until none is left, or `limit` of them have run.

    This frame is the border: the frames it calls are the handler's, the frames above it are the host's.
    """
    for _ in repeat(None, limit):
        if not ready:
            break
        handle = ready.popleft()
        if not handle.cancelled():
            handle._run()


# --- saying where ---


def handler_line() -> str:
    """`file:line` of the innermost frame that is the handler's: neither the standard library, nor the engine, nor installed.

    Handlers may be installed packages too: failing the first choice, the innermost installed frame is named.
    """
    frame: FrameType | None = sys._getframe(1)
    installed = ""
    while frame is not None and frame.f_code is not run_callbacks.__code__:
        file = frame.f_code.co_filename
        if file.startswith(_SITE):
            installed = installed or ("" if file.startswith(_ENGINE) else f"{file}:{frame.f_lineno}")
        elif not file.startswith((_ENGINE, _STDLIB, "<frozen")):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return installed or "a callback of the standard library"


def escape(call: str, why: str, hint: str = _OUTSIDE_WORK) -> HandlerError:
    """The TL104 error for `call`, made at the handler's own line."""
    return HandlerError("TL104", f"{call} at {handler_line()}: {why}", hint)


# --- what cannot be refused by a method of the loop ---


def refuse_memory_order() -> None:
    """Refuse a task that as_completed() makes of a bare coroutine: it walks a set of coroutines, which order by address."""
    frame: FrameType | None = sys._getframe(2)
    if frame is None or "ensure_future" not in frame.f_code.co_name:
        return
    while frame is not None and frame.f_code.co_filename == _TASKS:
        if frame.f_code.co_qualname.startswith(("as_completed", "_AsCompletedIterator")):
            raise escape(
                "asyncio.as_completed()",
                "it starts bare coroutines in the order of their memory addresses, which no replay repeats",
                "give it tasks: [asyncio.create_task(one), asyncio.create_task(two)]",
            )
        frame = frame.f_back


_start_thread = threading.Thread.start


def _start_outside_drains(self: threading.Thread) -> None:
    """Start the thread's activity, once. Refused in a turnlog handler."""
    if isinstance(asyncio._get_running_loop(), RefusingLoop):
        raise escape("Thread.start()", "a thread runs at its own pace, which no replay repeats")
    _start_thread(self)


def guard_threads() -> None:
    """Refuse thread starts inside drains, in the whole process from now on; elsewhere they are as before.

    Strategy: an audit hook would do without replacing a method, but Python 3.11 raises no event for a thread start, and a
    hook slows down every audited operation of the process.
    """
    threading.Thread.start = _start_outside_drains  # type: ignore[method-assign]  # the one door all threads go through


# --- the methods of a loop that a handler must not have ---


def _refuse(name: str) -> Any:  # Any: it takes the place of methods of every signature
    def refused(self: asyncio.AbstractEventLoop, *_: Any, **__: Any) -> NoReturn:
        raise escape(f"loop.{name}()", "a handler's loop has no I/O, threads, executors or signals, so that it replays")

    refused.__name__ = refused.__qualname__ = name
    return refused


class RefusingLoop(asyncio.AbstractEventLoop):
    """An event loop without I/O, threads and a life of its own: each of those methods raises TL104 at the call."""

    # running and stopping: the host drives a handler's loop
    run_forever = _refuse("run_forever")
    run_until_complete = _refuse("run_until_complete")
    stop = _refuse("stop")
    close = _refuse("close")
    # threads and executors
    run_in_executor = _refuse("run_in_executor")
    set_default_executor = _refuse("set_default_executor")
    # names and connections
    getaddrinfo = _refuse("getaddrinfo")
    getnameinfo = _refuse("getnameinfo")
    create_connection = _refuse("create_connection")
    create_server = _refuse("create_server")
    create_unix_connection = _refuse("create_unix_connection")
    create_unix_server = _refuse("create_unix_server")
    create_datagram_endpoint = _refuse("create_datagram_endpoint")
    connect_accepted_socket = _refuse("connect_accepted_socket")
    start_tls = _refuse("start_tls")
    sendfile = _refuse("sendfile")
    # pipes and processes
    connect_read_pipe = _refuse("connect_read_pipe")
    connect_write_pipe = _refuse("connect_write_pipe")
    subprocess_exec = _refuse("subprocess_exec")
    subprocess_shell = _refuse("subprocess_shell")
    # file descriptors and sockets
    add_reader = _refuse("add_reader")
    remove_reader = _refuse("remove_reader")
    add_writer = _refuse("add_writer")
    remove_writer = _refuse("remove_writer")
    sock_accept = _refuse("sock_accept")
    sock_connect = _refuse("sock_connect")
    sock_recv = _refuse("sock_recv")
    sock_recv_into = _refuse("sock_recv_into")
    sock_recvfrom = _refuse("sock_recvfrom")
    sock_recvfrom_into = _refuse("sock_recvfrom_into")
    sock_sendall = _refuse("sock_sendall")
    sock_sendfile = _refuse("sock_sendfile")
    sock_sendto = _refuse("sock_sendto")
    # signals and task factories
    add_signal_handler = _refuse("add_signal_handler")
    remove_signal_handler = _refuse("remove_signal_handler")
    set_task_factory = _refuse("set_task_factory")

    # what a loop must have, and a handler's has nothing of

    def get_debug(self) -> bool:
        """False: asyncio's debug mode looks at the wall clock."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """Changes nothing."""

    def get_task_factory(self) -> None:
        """None: tasks are always the loop's own."""

    async def shutdown_asyncgens(self) -> None:
        """Changes nothing: the session's end closes them."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- asyncio's signature
        """Changes nothing: there is none."""
