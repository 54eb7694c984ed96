"""Running something in a callback of the host's loop, from a task of it."""

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["in_callback"]


async def in_callback(function: Callable[..., object], *args: Any) -> None:
    """Run a function in a callback of the running loop: a handler's loop must not be driven inside a host task (3.14)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def call() -> None:
        error: Exception | None = None
        try:
            function(*args)
        except Exception as raised:
            error = raised
        if done.cancelled():
            return  # whoever waited is gone; the function has run
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(None)

    loop.call_soon(call)
    await done
