"""Tests for engine/handlers/escapes.py."""

import asyncio
import inspect
import sys
import sysconfig
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from turnlog.core.errors import HandlerError
from turnlog.engine.handlers.escapes import RefusingLoop, guard_threads, handler_line
from turnlog.engine.handlers.handler_loop import HandlerLoop

Handler = Callable[[], Awaitable[object]]
REFUSED = sorted(
    name for name, made in vars(RefusingLoop).items() if getattr(made, "__code__", None) is RefusingLoop.stop.__code__
)


def outcome(handler: Handler) -> asyncio.Task[Any]:
    """The finished task of a handler that needs no event."""
    loop = HandlerLoop(0)
    task = loop.start(handler())
    loop.drain()
    loop.close_all()
    return task


def error_of(handler: Handler) -> HandlerError:
    """The HandlerError that ended the handler."""
    error = outcome(handler).exception()
    assert isinstance(error, HandlerError)
    return error


def line_of(handler: Handler, offset: int) -> str:
    """`file:line` of the line `offset` below the handler's `def`."""
    return f"{__file__}:{inspect.unwrap(handler).__code__.co_firstlineno + offset}"


def write(path: Path, source: str) -> dict[str, Any]:
    """The names of a module compiled as if it stood at `path`."""
    names: dict[str, Any] = {}
    exec(compile(source, str(path), "exec"), names)
    return names


def test_every_method_of_a_loop_is_either_refused_or_made() -> None:
    """No method of AbstractEventLoop is left that would raise a bare NotImplementedError."""
    inherited = [
        name
        for name, made in vars(asyncio.AbstractEventLoop).items()
        if callable(made) and not name.startswith("__") and getattr(HandlerLoop, name) is made
    ]
    assert inherited == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_method_names_itself_the_line_and_the_remedy(name: str) -> None:
    """I/O, executors, signals and the like raise TL104 at the handler's own line."""

    async def handler() -> None:
        getattr(asyncio.get_running_loop(), name)(1, key=2)

    error = error_of(handler)
    assert error.code == "TL104"
    assert f"loop.{name}() at {line_of(handler, 1)}:" in error.message
    assert "session.call" in error.hint
    assert "session.step" in error.hint


def test_the_methods_refused_are_those_that_leave_the_loop() -> None:
    """The list of refusals holds what the issue names."""
    assert {"run_in_executor", "create_connection", "create_server", "subprocess_exec", "add_reader", "sock_recv"} <= set(REFUSED)
    assert {"add_signal_handler", "getaddrinfo", "start_tls", "connect_read_pipe", "set_task_factory"} <= set(REFUSED)


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("run_in_executor", lambda: asyncio.to_thread(int)),
        ("create_connection", lambda: asyncio.open_connection("localhost", 1)),
        ("create_server", lambda: asyncio.start_server(lambda *_: None, "localhost", 1)),
        ("subprocess_exec", lambda: asyncio.create_subprocess_exec("true")),
        ("subprocess_shell", lambda: asyncio.create_subprocess_shell("true")),
    ],
)
def test_asyncio_functions_are_refused_at_the_handlers_line(method: str, call: Handler) -> None:
    """Where asyncio itself calls the refused method, the error still names the handler's line, not asyncio's."""

    async def handler() -> None:
        await call()

    error = error_of(handler)
    assert f"loop.{method}() at {line_of(handler, 1)}:" in error.message


def test_a_thread_start_is_refused_in_a_drain_only() -> None:
    """Thread.start() raises TL104 at the handler's line; the host may start threads as ever."""
    guard_threads()
    guard_threads()

    async def handler() -> None:
        threading.Thread(target=int).start()

    error = error_of(handler)
    assert f"Thread.start() at {line_of(handler, 1)}:" in error.message
    ran = threading.Event()
    thread = threading.Thread(target=ran.set)
    thread.start()
    thread.join()
    assert ran.is_set()


def test_as_completed_takes_tasks_but_no_bare_coroutines() -> None:
    """as_completed() walks a set of what it is given: coroutines would start in memory order, tasks do not."""

    async def number(value: int) -> int:
        return value

    async def of_coroutines() -> None:
        pair = [number(1), number(2)]
        try:
            list(asyncio.as_completed(pair))
        finally:
            for coro in pair:
                coro.close()

    async def of_tasks() -> list[int]:
        tasks = [asyncio.create_task(number(value)) for value in range(5)]
        return [await done for done in asyncio.as_completed(tasks)]

    error = error_of(of_coroutines)
    assert f"asyncio.as_completed() at {line_of(of_coroutines, 3)}:" in error.message
    assert "create_task" in error.hint
    assert outcome(of_tasks).result() == [0, 1, 2, 3, 4]


def test_ensure_future_and_gather_of_coroutines_are_fine() -> None:
    """Only as_completed is refused: others start coroutines in the order in which they are given."""
    started: list[int] = []

    async def number(value: int) -> int:
        started.append(value)
        return value

    async def handler() -> list[int]:
        one = asyncio.ensure_future(number(1))
        return [*await asyncio.gather(number(2), number(3)), await one]

    assert outcome(handler).result() == [2, 3, 1]
    assert started == [1, 2, 3]


def test_an_installed_library_is_not_the_handler(tmp_path: Path) -> None:
    """Called through an installed package, the line is that of the handler that called the package."""
    site = Path(sysconfig.get_path("purelib"))
    library = write(site / "some_client.py", "import asyncio\nasync def get():\n    await asyncio.to_thread(int)\n")
    handler = write(tmp_path / "hotel.py", "async def handler(get):\n    await get()\n")["handler"]
    assert f" at {tmp_path / 'hotel.py'}:2:" in error_of(lambda: handler(library["get"])).message
    assert f" at {site / 'some_client.py'}:3:" in error_of(library["get"]).message


def test_the_hosts_lines_are_never_named() -> None:
    """The search ends where the host handed over: a callback without a line of its own says so."""
    loop = HandlerLoop(0)

    async def handler() -> None:
        running = asyncio.get_running_loop()
        running.call_soon(running.stop)

    loop.start(handler())
    loop.drain()
    (context,) = loop.unhandled
    assert "loop.stop() at a callback of the standard library:" in str(context["exception"])
    loop.close_all()


def test_outside_a_drain_the_line_is_the_callers() -> None:
    """handler_line() in plain code names that code."""
    assert handler_line() == f"{__file__}:{sys._getframe().f_lineno}"


def test_what_a_loop_has_nothing_of_does_nothing() -> None:
    """Debug mode, task factories and the two shutdowns exist, and change nothing."""

    async def handler() -> tuple[object, object]:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()
        return loop.get_debug(), loop.get_task_factory()

    assert outcome(handler).result() == (False, None)
