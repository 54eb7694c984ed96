"""Tests for engine/handlers/strict.py: what a strict handler is refused, on which line, and who is not."""

import asyncio
import builtins
import datetime as dt
import importlib
import inspect
import io
import logging
import os
import pathlib
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from turnlog.core.errors import HandlerError
from turnlog.engine.handlers import strict
from turnlog.engine.handlers.handler_loop import HandlerLoop
from turnlog.engine.handlers.strict import run_refusing, strictly
from turnlog.engine.handlers.watchdog import HandlerLimits

Handler = Callable[[], Awaitable[object]]


def outcome(handler: Handler) -> asyncio.Task[Any]:
    """The finished task of a handler that ran in strict mode and needed no event."""
    loop = HandlerLoop(0, partial(strictly, run_refusing))
    task = loop.start(handler())
    loop.drain()
    loop.close_all()
    return task


def refusal(call: Callable[[], object]) -> HandlerError:
    """What a strict handler gets for this call."""

    async def handler() -> None:
        call()

    error = outcome(handler).exception()
    assert isinstance(error, HandlerError), error
    assert error.code == "TL104"
    return error


CLOCKS: dict[str, Callable[[], object]] = {
    "time.time()": lambda: time.time(),
    "time.time_ns()": lambda: time.time_ns(),
    "time.monotonic()": lambda: time.monotonic(),
    "time.perf_counter()": lambda: perf_counter(),
    "time.process_time()": lambda: time.process_time(),
    "datetime.now()": lambda: datetime.now(),
    "datetime.today()": lambda: dt.datetime.today(),
    "date.today()": lambda: date.today(),
}
DRAWS: dict[str, Callable[[], object]] = {
    "random.random()": lambda: random.random(),
    "random.choice()": lambda: random.choice([1, 2, 3]),
    "random.randint()": lambda: random.randint(1, 6),
    "random.shuffle()": lambda: random.shuffle([1, 2]),
    "random.gauss()": lambda: random.gauss(),
    "random.seed()": lambda: random.seed(1),
    "os.urandom()": lambda: os.urandom(4),
    "secrets.token_hex()": lambda: secrets.token_hex(),
    "secrets.token_urlsafe()": lambda: secrets.token_urlsafe(),
}
IDS: dict[str, Callable[[], object]] = {"uuid.uuid4()": lambda: uuid.uuid4(), "uuid.uuid1()": lambda: uuid.uuid1()}
BLOCKS: dict[str, Callable[[], object]] = {
    "time.sleep()": lambda: time.sleep(0.001),
    "open()": lambda: open(os.devnull),
    "pathlib.": lambda: Path(os.devnull).read_text(),
    "os.listdir()": lambda: os.listdir("."),
    "os.system()": lambda: os.system("true"),
    "input()": lambda: builtins.input(),
    "socket.__init__()": lambda: socket.socket(),
    "socket.create_connection()": lambda: socket.create_connection(("127.0.0.1", 9)),
    "socket.getaddrinfo()": lambda: socket.getaddrinfo("localhost", 80),
    "subprocess.run()": lambda: subprocess.run(["true"]),
    "tempfile.": lambda: tempfile.TemporaryDirectory(),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_the_clock_is_refused(name: str) -> None:
    """However it was imported; the remedy is session.now()."""
    error = refusal(CLOCKS[name])
    assert error.message.startswith(f"{name} at {__file__}:")
    assert "session.now()" in error.hint


@pytest.mark.parametrize("name", DRAWS)
def test_randomness_is_refused(name: str) -> None:
    """Under the name of the function that the handler called; the remedy is session.random."""
    error = refusal(DRAWS[name])
    assert error.message.startswith(f"{name} at {__file__}:")
    assert "session.random" in error.hint


@pytest.mark.parametrize("name", IDS)
def test_random_ids_are_refused(name: str) -> None:
    """The remedy is session.uuid()."""
    error = refusal(IDS[name])
    assert error.message.startswith(f"{name} at {__file__}:")
    assert "session.uuid()" in error.hint


@pytest.mark.parametrize("name", BLOCKS)
def test_blocking_calls_are_refused(name: str) -> None:
    """Before anything happens; the remedy is a call or a step."""
    error = refusal(BLOCKS[name])
    assert error.message.startswith(name) and f" at {__file__}:" in error.message
    assert "session.step" in error.hint


def test_the_line_is_the_handlers() -> None:
    """The error names the line of the call, inside a function that the handler calls too."""

    def deeper() -> float:
        return time.time()

    error = refusal(deeper)
    assert f"{__file__}:{inspect.unwrap(deeper).__code__.co_firstlineno + 1}" in error.message


def test_a_write_on_a_hosts_socket_is_refused() -> None:
    """An object opened elsewhere is no way out either: neither a socket nor a stream's transport over one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert refusal(lambda: ours.send(b"x")).message.startswith("socket.send()")
        assert refusal(lambda: ours.sendall(b"x")).message.startswith("socket.sendall()")
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


async def test_a_write_on_a_hosts_stream_is_refused() -> None:
    """A StreamWriter of the host's loop sends at once when it can; in strict mode it cannot."""
    ours, theirs = socket.socketpair()
    _reader, writer = await asyncio.open_connection(sock=ours)
    refused: list[BaseException | None] = []

    async def handler() -> None:
        writer.write(b"hello")

    asyncio.get_running_loop().call_soon(lambda: refused.append(outcome(handler).exception()))
    await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    theirs.setblocking(False)
    assert theirs.recv(10) == b""
    theirs.close()
    (error,) = refused
    assert isinstance(error, HandlerError) and error.message.startswith(f"asyncio.streams.write() at {__file__}")


def test_every_call_is_judged_after_a_refusal_too() -> None:
    """A refusal that the handler catches does not end the watch over its later steps."""
    refused = []

    async def handler() -> None:
        for _ in range(3):
            try:
                time.time()
            except HandlerError as error:
                refused.append(error.code)
            await asyncio.sleep(0)

    outcome(handler)
    assert refused == ["TL104"] * 3


def test_what_turnlog_and_pythons_own_tools_do_is_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Logging, tracebacks, imports, warnings and asyncio itself read clocks and files; none of it changes a replay."""
    (tmp_path / "late_module.py").write_text("import random, time\nSTARTED = time.time()\nNUMBER = random.random()\n")
    sys.path.insert(0, str(tmp_path))
    shown: list[str] = []

    async def handler() -> str:
        logging.getLogger("a handler's").warning("hello")
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        try:
            raise ValueError("shown")
        except ValueError:
            shown.append(traceback.format_exc())
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            warnings.warn("careful", stacklevel=1)
        importlib.invalidate_caches()
        module = importlib.import_module("late_module")
        return f"{module.STARTED > 0} {random.Random(7).randint(1, 6)} {datetime.fromtimestamp(0).year}"

    try:
        assert outcome(handler).result() == "True 3 1970"
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("late_module", None)
    assert "hello" in caplog.text and __file__ in shown[0]


def test_print_is_allowed() -> None:
    """Words on a stream that is open are for the developer."""
    out = io.StringIO()

    async def handler() -> None:
        print("here", file=out)

    assert outcome(handler).exception() is None
    assert out.getvalue() == "here\n"


def test_a_debugger_may_read_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed at pdb's prompt is run, be it a look at the clock."""
    import pdb

    typed = io.StringIO("p time.time() > 0\ncontinue\n")
    answers = io.StringIO()

    async def handler() -> int:
        pdb.Pdb(stdin=typed, stdout=answers, nosigint=True, readrc=False).set_trace()
        return 1

    tracer = sys.gettrace()
    try:
        assert outcome(handler).result() == 1
    finally:
        sys.settrace(tracer)  # pdb leaves none: what measures coverage is one
    assert "True" in answers.getvalue()


def test_nothing_is_refused_outside_the_drain() -> None:
    """After a strict drain, beside it in another thread, and in a loop that is not strict, all is as before."""
    seen: list[object] = []

    def elsewhere() -> None:
        with open(os.devnull):
            seen.append((time.time() > 0, random.random() < 1))

    meanwhile = threading.Event()
    go = threading.Event()

    def beside() -> None:
        go.wait(10)
        elsewhere()
        meanwhile.set()

    thread = threading.Thread(target=beside)
    thread.start()

    async def handler() -> None:
        go.set()
        while not meanwhile.is_set():  # noqa: ASYNC110 -- an event of a thread, which no handler could await
            await asyncio.sleep(0)

    assert outcome(handler).exception() is None
    thread.join()
    elsewhere()
    assert sys.getprofile() is None

    async def lax() -> None:
        elsewhere()

    loop = HandlerLoop(0)
    task = loop.start(lax())
    loop.drain()
    assert task.exception() is None
    loop.close_all()
    assert len(seen) == 3


def test_a_profiler_that_runs_already_is_left_alone() -> None:
    """Then calls are not watched one by one, but what opens things still is."""
    calls = 0

    def profiler(frame: object, event: str, called: object) -> None:
        nonlocal calls
        calls += 1

    errors = []

    async def handler() -> None:
        time.time()
        with pytest.raises(HandlerError) as refused:
            open(os.devnull)  # noqa: ASYNC230 -- what must be refused
        errors.append(refused.value)

    sys.setprofile(profiler)
    try:
        task = outcome(handler)
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    assert task.exception() is None
    assert calls > 0 and errors[0].code == "TL104"


def test_a_bound_on_callbacks_holds() -> None:
    """As run_callbacks, it runs at most that many."""
    ran: list[int] = []
    loop = HandlerLoop(0, partial(strictly, run_refusing))

    async def handler() -> None:
        for number in range(5):
            asyncio.get_running_loop().call_soon(ran.append, number)

    loop.start(handler())
    loop._run(3)
    assert ran == [0, 1]
    loop.drain()
    assert ran == [0, 1, 2, 3, 4]
    loop.close_all()


def test_a_callback_of_the_standard_library_is_nobodys() -> None:
    """Where no frame of a handler stands between the call and the loop, nobody can be told to do otherwise."""

    async def handler() -> None:
        asyncio.get_running_loop().call_soon(pathlib.Path(os.devnull).read_text)

    loop = HandlerLoop(0, partial(strictly, run_refusing))
    loop.start(handler())
    loop.drain()
    loop.close_all()
    assert loop.unhandled == []


@pytest.mark.realtime
def test_the_hook_costs_next_to_nothing() -> None:
    """An audited event outside strict drains, with everything that is hooked to it, takes less than 2 us."""
    outcome(_nothing)
    assert min(_per_event_us(20_000) for _ in range(5)) < 2  # 0.1 us of it is the hook, on the machine it was measured on


async def _nothing() -> None:
    """Install the hook."""


def _per_event_us(rounds: int) -> float:
    began = perf_counter()
    for _ in range(rounds):
        sys.audit("turnlog.test")
    return (perf_counter() - began) / rounds * 1e6


class Elsewhere(socket.socket):
    """A socket of another class."""


def test_the_nets_as_the_interpreter_calls_them() -> None:
    """Called by hand, where coverage can see them: what is refused, and what is let through."""
    ours, theirs = Elsewhere(), socket.socket()
    imported: dict[str, Any] = {"__name__": "importlib.something", "look": strict._profile, "frame": sys._getframe}
    exec("def asked(called): look(frame(), 'c_call', called)", imported)
    mine = sys._getframe()

    async def handler() -> list[str]:
        here, refused = sys._getframe(), []
        nets: list[Callable[[], None]] = [
            lambda: strict._profile(here, "c_call", time.time),
            lambda: strict._profile(here, "c_call", os.urandom),
            lambda: strict._profile(here, "c_call", ours.send),
            lambda: strict._audit("open", ()),
            lambda: strict._audit("builtins.input", ()),
            lambda: strict._profile(here, "c_call", len),
            lambda: strict._profile(here, "c_call", theirs.fileno),
            lambda: strict._profile(here, "call", None),
            lambda: strict._profile(here, "return", None),
            lambda: strict._profile(mine, "c_call", time.time),
            lambda: imported["asked"](time.time),
            lambda: strict._audit("os.getpid", ()),
        ]
        for net in nets:
            try:
                net()
            except HandlerError as error:
                refused.append(error.message.partition(" at ")[0])
        return refused

    loop = HandlerLoop(0)
    task = loop.start(handler())
    strict._inside.add(threading.get_ident())
    try:
        loop.drain()
    finally:
        strict._inside.discard(threading.get_ident())
    loop.close_all()
    ours.close()
    theirs.close()
    assert task.result() == ["time.time()", "os.urandom()", "socket.send()", "open()", "input()"]


def test_names_that_a_handler_used_are_told() -> None:
    """Not those of the function that the library calls in the end; a handler's write is judged before a transport swallows it."""
    refused: list[str] = []

    async def handler() -> None:
        def net(frame: Any, event: str, called: Any) -> None:
            if event == "c_call" and called is os.urandom:
                strict._profile(frame, event, called)
            elif event == "call" and frame.f_code is asyncio.StreamWriter.write.__code__:
                strict._profile(frame, event, called)

        asks: list[Callable[[], object]] = [uuid.uuid4, lambda: asyncio.StreamWriter.write(None, b"")]  # type: ignore[arg-type]
        for ask in asks:
            sys.setprofile(net)
            try:
                ask()
            except HandlerError as error:
                refused.append(error.message.partition(" at ")[0])
            finally:
                sys.setprofile(None)

    loop = HandlerLoop(0)
    loop.start(handler())
    loop.drain()
    loop.close_all()
    assert refused == ["uuid.uuid4()", "asyncio.streams.write()"]


def test_what_nobody_asked_for_is_let_through() -> None:
    """A call that turnlog makes, and one below which there is nothing but the standard library, down to the loop."""
    with pytest.raises(ValueError, match="report_ms") as own:
        HandlerLimits(report_ms=0)
    assert own.tb.tb_next is not None
    strict._profile(own.tb.tb_next.tb_frame, "c_call", time.time)

    async def handler() -> None:
        asyncio.get_running_loop().call_soon(strict._audit, "open", ())

    loop = HandlerLoop(0)
    loop.start(handler())
    strict._inside.add(threading.get_ident())
    try:
        loop.drain()
    finally:
        strict._inside.discard(threading.get_ident())
    loop.close_all()
    assert loop.unhandled == []


def test_finished_frames_of_the_library_are_walked() -> None:
    """As the interpreter hands them over: a transport's write, a library function that draws."""
    for call, event, called in ((asyncio.StreamWriter.write, "call", None), (uuid.UUID, "c_call", os.urandom)):
        with pytest.raises((AttributeError, TypeError, ValueError)) as failed:
            call(None, b"")  # type: ignore[arg-type]
        frame = failed.tb.tb_next.tb_frame if failed.tb.tb_next else None
        assert frame is not None
        strict._profile(frame, event, called)


def test_run_callbacks_is_the_border() -> None:
    """Called with no border on the stack, as by a hook of the engine's own, nothing is judged."""
    outcome(_nothing)
    strict._inside.add(threading.get_ident())
    try:
        with open(os.devnull) as devnull:
            assert devnull.read() == ""
    finally:
        strict._inside.discard(threading.get_ident())
