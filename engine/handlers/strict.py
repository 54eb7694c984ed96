"""Strict mode: inside a handler's drain the wall clock, randomness and blocking calls raise TL104 at the handler's line.

Two nets, both of the interpreter's own: a profile function, set on the thread for the length of a drain, sees each call of a C
function however the handler got hold of it (`from time import time`); an audit hook, installed with the first strict drain,
sees files, sockets, processes and sleeps opened from anywhere below. Outside strict drains neither refuses anything.

Who is refused: the innermost frame that is neither the standard library's nor turnlog's decides. Imports, logging, tracebacks,
warnings and debuggers between it and the call excuse it. Not seen: calls that C code makes by itself (`map(time.time, …)`),
and the rest of a step whose refusal the handler has swallowed. If the thread is being profiled already, only the hook works.
"""

import os
import random
import socket
import sys
import sysconfig
import time
import uuid
from asyncio import Handle, StreamReader, StreamWriter, selector_events, sslproto
from collections import deque
from collections.abc import Callable
from datetime import date, datetime
from itertools import repeat
from threading import get_ident
from types import FrameType
from typing import Any

from .escapes import escape, run_callbacks

__all__ = ["run_refusing", "strictly"]

Run = Callable[[deque[Handle], int], None]

_CLOCK = ("the clock shows another time in a replay", "session.now() is the time of the event that the handler stands at")
_RANDOM = ("a replay would draw other numbers", "draw from session.random, whose seed is in the log")
_UUID = ("a replay would make another id", "session.uuid() makes one that is the same in every replay")
_BLOCKS = (
    "it holds up every session of this process, and a replay would do it again",
    "await session.call(…) or session.step(fn, …) does it outside and logs the result; to wait: await asyncio.sleep(…)",
)

_clocks = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "process_time_ns")
_own_random: Any = random.random.__self__  # type: ignore[attr-defined]  # the generator behind the module's functions
_Why = tuple[str, str]

# Invariant: the values are shown only for calls that the handler makes itself; else the library function it called is named.
_READS: dict[object, tuple[str, _Why]] = {
    **{getattr(time, name): (f"time.{name}()", _CLOCK) for name in _clocks},
    datetime.now: ("datetime.now()", _CLOCK),
    datetime.utcnow: ("datetime.utcnow()", _CLOCK),
    datetime.today: ("datetime.today()", _CLOCK),
    date.today: ("date.today()", _CLOCK),
    _own_random.random: ("random.random()", _RANDOM),
    _own_random.getrandbits: ("random.getrandbits()", _RANDOM),
    super(random.Random, _own_random).seed: ("random.seed()", _RANDOM),
    os.urandom: ("os.urandom()", _RANDOM),
    **({os.getrandom: ("os.getrandom()", _RANDOM)} if hasattr(os, "getrandom") else {}),
    time.sleep: ("time.sleep()", _BLOCKS),  # audited by newer Pythons only
    getattr(uuid, "_generate_time_safe", None): ("uuid.uuid1()", _UUID),
}
_READS.pop(None, None)

# Strategy: a transport of the host's loop swallows what its socket raises, and closes: so its own methods are refused.
_selectors: Any = selector_events  # Any: its classes are private
_tls: Any = sslproto
_WRITES = frozenset(
    id(function.__code__)
    for function in (
        *(StreamWriter.write, StreamWriter.writelines, StreamWriter.write_eof, StreamWriter.drain, StreamReader.feed_data),
        *(_selectors._SelectorSocketTransport.write, _tls._SSLProtocolTransport.write),
        _selectors._SelectorDatagramTransport.sendto,
    )
)
_ON_SOCKETS = frozenset({"send", "sendall", "sendto", "sendmsg", "recv", "recv_into", "recvfrom", "recvmsg", "accept"})
_BLOCKING = frozenset(
    {
        *("open", "builtins.input", "time.sleep", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
        *("os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "pty.spawn"),
        *("subprocess.Popen", "sqlite3.connect", "socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo"),
        *("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo", "socket.sendto", "socket.sendmsg"),
    }
)
_EXCUSED = frozenset(
    {
        *("importlib", "zipimport", "pkgutil", "logging", "traceback", "linecache", "tokenize", "inspect", "warnings"),
        *("pdb", "bdb", "cmd", "code", "rlcompleter", "faulthandler", "trace", "cProfile", "tracemalloc"),
        *("coverage", "_pytest", "pytest", "debugpy", "pydevd", "_pydevd_bundle", "IPython"),
    }
)

_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_SITE = tuple({sysconfig.get_path(kind) + os.sep for kind in ("purelib", "platlib")})
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_OWN = tuple(os.path.join(_PACKAGE, part, "") for part in ("core", "store", "transports", "engine", "server", "testing", "cli"))

_inside: set[int] = set()  # threads that run a strict drain right now
_hooked = False


def strictly(run: Run, ready: deque[Handle], limit: int) -> None:
    """Run ready callbacks by `run`, which is or ends in run_refusing, and take the nets away afterwards."""
    _install()
    me = get_ident()
    _inside.add(me)
    try:
        run(ready, limit)
    finally:
        _inside.discard(me)
        if sys.getprofile() is _profile:
            sys.setprofile(None)


def run_refusing(ready: deque[Handle], limit: int) -> None:
    """As run_callbacks, with the profile function set: anew for each, because the interpreter drops one that raises."""
    for _ in repeat(None, limit):
        if not ready:
            break
        if sys.getprofile() is None:
            sys.setprofile(_profile)
        run_callbacks(ready, 1)


def _install() -> None:
    global _hooked
    if not _hooked:
        _hooked = True
        sys.addaudithook(_audit)  # for the life of the process: hooks cannot be removed


def _audit(event: str, _: object) -> None:
    if _inside and event in _BLOCKING and get_ident() in _inside:
        _judge(sys._getframe(1), f"{event.removeprefix('builtins.')}()", _BLOCKS)


def _profile(frame: FrameType, event: str, called: Any) -> None:
    if event != "c_call":
        if event == "call" and id(frame.f_code) in _WRITES:
            _judge(frame, "", _BLOCKS)
    elif (read := _READS.get(called)) is not None:
        _judge(frame, *read)
    elif isinstance(getattr(called, "__self__", None), socket.SocketType) and called.__name__ in _ON_SOCKETS:
        _judge(frame, f"socket.{called.__name__}()", _BLOCKS)


def _judge(frame: FrameType | None, call: str, why: _Why) -> None:
    """Raise, if it is the handler that makes this call."""
    decided = False
    while frame is not None and frame.f_code is not run_callbacks.__code__:
        file = frame.f_code.co_filename
        module = frame.f_globals.get("__name__", "")
        if file.startswith("<frozen importlib") or module.partition(".")[0] in _EXCUSED:
            return
        if not decided:
            if file.startswith(_OWN):
                return
            if file.startswith((_STDLIB, "<frozen")) and not file.startswith(_SITE):
                call = f"{module}.{frame.f_code.co_name}()"
                why = _UUID if module == "uuid" else why
            else:
                decided = True
        frame = frame.f_back
    if decided and frame is not None:
        raise escape(call, *why)
