"""The caller's line of a call that the provider holds with it: nothing passes here, but it ends as the call does.

Closing it hangs the call up at the provider.
"""

import asyncio
from collections.abc import Awaitable, Callable

from ...core.errors import LinkClosed

__all__ = ["DirectCaller"]


class DirectCaller:
    """A caller's link without messages; see core.ports.Link. `end` ends the call at the provider."""

    def __init__(self, end: Callable[[], Awaitable[None]]) -> None:
        self._end = end
        self._ended: asyncio.Future[LinkClosed] = asyncio.get_running_loop().create_future()

    async def receive(self) -> bytes:
        """Wait for the end. Raises LinkClosed."""
        raise await asyncio.shield(self._ended)

    def send(self, message: bytes) -> None:
        """Nothing: its provider tells it what there is to tell. Raises LinkClosed."""
        if self._ended.done():
            raise self._ended.result()

    @property
    def is_over(self) -> bool:
        """Whether either side has ended it."""
        return self._ended.done()

    @property
    def is_closed(self) -> bool:
        """The same: there is no connection of ours."""
        return self._ended.done()

    async def hang_up(self, reason: str = "hung up") -> None:
        """End the call in order, as its caller asked for."""
        await self.close(1000, reason)

    def over(self, reason: str) -> None:
        """The call has ended at the provider: there is nothing to hang up."""
        if not self._ended.done():
            self._ended.set_result(LinkClosed(1000, reason))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Hang up. Twice does nothing. Raises what hanging up raises."""
        if not self._ended.done():
            self._ended.set_result(LinkClosed(code, reason))
            await self._end()
