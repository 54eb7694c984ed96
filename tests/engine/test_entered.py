"""Being inside of a loop, for the time of a block."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from turnlog.engine.handlers.entered import Entered
from turnlog.engine.handlers.handler_loop import HandlerLoop


async def test_the_former_loop_is_put_back() -> None:
    """Inside another loop runs; behind it the one from before, after an error too."""
    outer, inner = asyncio.get_running_loop(), asyncio.new_event_loop()
    try:
        with Entered(inner):
            assert asyncio.get_running_loop() is inner
        assert asyncio.get_running_loop() is outer
        with pytest.raises(KeyError), Entered(inner):
            raise KeyError
        assert asyncio.get_running_loop() is outer
    finally:
        inner.close()


def drive(coro: Coroutine[Any, Any, None]) -> None:
    """Run a handler to its end, at once."""
    loop = HandlerLoop(0)
    main = loop.start(coro)
    loop.drain()
    main.result()
    loop.close_all()


async def test_a_task_in_which_another_loops_tasks_ran_is_itself_again() -> None:
    """A handler's loop is driven in the middle of a task, and one more within that; behind each, its task is the current one."""
    host, tasks = asyncio.current_task(), []

    async def inner() -> None:
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    async def outer() -> None:
        mine = asyncio.current_task()
        drive(inner())
        assert asyncio.current_task() is mine
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    drive(outer())
    assert len({*tasks, host}) == 3
    assert asyncio.current_task() is host
    async with asyncio.timeout(60):  # which asks for the current task
        await asyncio.sleep(0)


def test_without_a_loop_there_is_none_behind_it() -> None:
    """Where no loop ran before, none runs after."""
    loop = asyncio.new_event_loop()
    try:
        with Entered(loop):
            assert asyncio.get_running_loop() is loop
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
    finally:
        loop.close()
