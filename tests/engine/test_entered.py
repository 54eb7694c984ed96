"""Being inside of a loop, for the time of a block."""

import asyncio

import pytest

from turnlog.engine.entered import Entered


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
