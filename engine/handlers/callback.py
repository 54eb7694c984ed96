"""Running something that drives a handler's loop, from a task of the host's loop."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["NESTING_FORBIDDEN", "in_callback"]

NESTING_FORBIDDEN = sys.version_info >= (3, 14)
"""From 3.14 on a task of one loop cannot be entered while a task of another runs in the same thread: a running session's handler
is driven where none does. A replay, which may be called anywhere, sets the task aside instead (entered.py)."""


async def in_callback(function: Callable[..., object], *args: Any, hop: bool = NESTING_FORBIDDEN) -> None:
    """Run a function that drives a handler's loop: in a callback of the running loop where it must be (`hop`), else at once.

    Strategy: the hop costs two turns of the host's loop, a tenth of what a command costs; it is taken where Python asks it.
    """
    if not hop:
        function(*args)
        return
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
