"""Being inside of a loop: what asyncio takes for the running loop of this thread, for the time of a block."""

import asyncio
from asyncio import _get_running_loop, _set_running_loop

__all__ = ["Entered"]


class Entered:
    """Makes a loop the running one of this thread, and puts the former one back."""

    __slots__ = ("_loop", "_outer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        self._outer = _get_running_loop()
        _set_running_loop(self._loop)

    def __exit__(self, *_: object) -> None:
        _set_running_loop(self._outer)
