"""Tests for engine/handlers/await_stack.py."""

import asyncio
import types
from collections.abc import AsyncIterator, Generator
from typing import Any

from turnlog.engine.handlers.await_stack import await_stack, describe
from turnlog.engine.handlers.handler_loop import HandlerLoop


async def innermost() -> None:
    """Waits for ever."""
    await asyncio.get_running_loop().create_future()


async def middle() -> None:
    """Waits for innermost."""
    await innermost()


def suspended(coro: Any) -> tuple[HandlerLoop, asyncio.Task[Any]]:
    """A task run to its first await that nothing answers."""
    loop = HandlerLoop(0)
    task = loop.start(coro)
    loop.drain()
    return loop, task


def functions(task: asyncio.Task[Any]) -> list[str]:
    """The names of the frames of the task, without their qualifiers."""
    return [frame.function.rpartition(".")[2] for frame in await_stack(task)]


def test_the_stack_goes_from_the_outermost_frame_inwards() -> None:
    """Each frame names its file, the line it waits at and its function."""
    loop, task = suspended(middle())
    outer, inner = await_stack(task)
    assert (outer.file, outer.function, inner.function) == (__file__, "middle", "innermost")
    assert inner.line == innermost.__code__.co_firstlineno + 2
    loop.close_all()


def test_the_stack_follows_awaited_tasks() -> None:
    """Where a task awaits another task, that one's frames follow."""

    async def waits_for_a_task() -> None:
        await asyncio.create_task(middle())

    loop, task = suspended(waits_for_a_task())
    assert functions(task) == ["waits_for_a_task", "middle", "innermost"]
    loop.close_all()


def test_tasks_that_await_each_other_are_shown_once() -> None:
    """A deadlock of two tasks does not hang the one who asks."""

    async def ring() -> None:
        mine = asyncio.current_task()
        assert mine is not None

        async def link() -> None:
            await mine

        await asyncio.create_task(link())

    loop, task = suspended(ring())
    assert functions(task) == ["ring", "link"]
    loop.close_all()


def test_generator_based_awaitables_are_shown_too() -> None:
    """`@types.coroutine` generators and `__await__` methods stand in the stack like coroutines."""

    @types.coroutine
    def by_generator() -> Generator[Any, Any, None]:
        yield from asyncio.get_running_loop().create_future()

    class ByMethod:
        def __await__(self) -> Generator[Any, Any, None]:
            return (yield from by_generator())

    async def waits() -> None:
        await ByMethod()

    loop, task = suspended(waits())
    assert functions(task) == ["waits", "__await__", "by_generator"]
    loop.close_all()


def test_the_stack_ends_at_the_line_of_an_async_for() -> None:
    """What an async generator awaits is not shown by the interpreter: its reader's line is the last one."""

    async def never() -> AsyncIterator[int]:
        await innermost()
        yield 1

    async def reads() -> None:
        async for _ in never():
            raise AssertionError

    loop, task = suspended(reads())
    assert functions(task) == ["reads"]
    loop.close_all()


def test_a_task_is_described_in_one_line() -> None:
    """The description gives the name and, short, every frame."""
    loop, task = suspended(middle())
    first = middle.__code__.co_firstlineno + 2
    second = innermost.__code__.co_firstlineno + 2
    assert describe(task) == f"Task-1: test_await_stack.py:{first} middle > test_await_stack.py:{second} innermost"
    loop.close_all()


def test_a_finished_task_has_no_stack() -> None:
    """Nothing waits in a task that is done."""

    async def nothing() -> None:
        pass

    _, task = suspended(nothing())
    assert await_stack(task) == []
