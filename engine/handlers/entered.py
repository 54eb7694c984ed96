"""Being inside of a loop: what asyncio takes for the running loop of this thread, and for its task, for the time of a block.

From Python 3.14 on a thread has one current task, of whatever loop: none can be entered while another's task runs. So the
task that the block stands in is set aside meanwhile, as asyncio itself does it around an eager task.
"""

import asyncio
import sys
from asyncio import _get_running_loop, _set_running_loop
from typing import Any

__all__ = ["Entered"]


class Entered:
    """Makes a loop the running one of this thread, and puts the former one back, with its task."""

    __slots__ = ("_loop", "_outer", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        self._outer = _get_running_loop()
        self._task = _set_aside(self._outer) if self._outer is not self._loop else None
        _set_running_loop(self._loop)

    def __exit__(self, *_: object) -> None:
        _set_running_loop(self._outer)
        if self._task is not None:
            _put_back(self._outer, self._task)


if sys.version_info >= (3, 14):
    # A loop's current task, while that loop is the running one; typeshed has only what is public.
    from asyncio.tasks import _swap_current_task  # type: ignore[attr-defined]

    def _set_aside(loop: asyncio.AbstractEventLoop | None) -> asyncio.Task[Any] | None:
        return _swap_current_task(loop, None) if loop is not None else None

    def _put_back(loop: asyncio.AbstractEventLoop | None, task: asyncio.Task[Any]) -> None:
        if loop is not None:
            _swap_current_task(loop, task)

else:  # each loop has a current task of its own

    def _set_aside(loop: asyncio.AbstractEventLoop | None) -> asyncio.Task[Any] | None:
        return None

    def _put_back(loop: asyncio.AbstractEventLoop | None, task: asyncio.Task[Any]) -> None:
        pass
