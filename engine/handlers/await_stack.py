"""Where a suspended task waits, for people: a read-only look at the frames between a task and what it awaits."""

import asyncio
import os
from typing import Any, NamedTuple

__all__ = ["Frame", "await_stack", "describe"]


class Frame(NamedTuple):
    """One suspended frame."""

    file: str
    line: int
    function: str


def await_stack(task: asyncio.Task[Any]) -> list[Frame]:
    """The frames from the task's coroutine inwards; where it awaits another task, that task's frames follow.

    The interpreter does not show what an `async for` over an async generator awaits: the stack ends at that line.
    """
    frames: list[Frame] = []
    seen: set[int] = set()
    waiting: Any = task
    while isinstance(waiting, asyncio.Task) and id(waiting) not in seen:
        seen.add(id(waiting))
        awaited: Any = waiting.get_coro()
        while awaited is not None:
            frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
            if frame is not None:
                frames.append(Frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname))
            awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
        waiting = getattr(waiting, "_fut_waiter", None)
    return frames


def describe(task: asyncio.Task[Any]) -> str:
    """One line: the task's name, then each frame as file:line function, the innermost last."""
    stack = " > ".join(f"{os.path.basename(file)}:{line} {function}" for file, line, function in await_stack(task))
    return f"{task.get_name()}: {stack}"
