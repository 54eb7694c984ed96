"""Driving a handler's loop from a task of the host's."""

import asyncio

import pytest

from turnlog.engine.handlers.callback import in_callback
from turnlog.engine.handlers.handler_loop import HandlerLoop


@pytest.mark.parametrize("hop", [True, False])
async def test_a_handlers_loop_is_driven_either_way(hop: bool) -> None:
    """Its tasks run, and the host's loop and task are what they were afterwards."""
    inner = HandlerLoop(0)
    seen: list[object] = []

    async def handler() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.get_running_loop())

    def drive() -> None:
        inner.start(handler())
        inner.drain()

    host, me = asyncio.get_running_loop(), asyncio.current_task()
    await in_callback(drive, hop=hop)
    assert seen[1] is inner and seen[0] is not me
    assert asyncio.get_running_loop() is host and asyncio.current_task() is me
    inner.close_all()


@pytest.mark.parametrize("hop", [True, False])
async def test_an_error_comes_through(hop: bool) -> None:
    """What the function raises is raised to whoever waits."""

    def bad() -> None:
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        await in_callback(bad, hop=hop)
