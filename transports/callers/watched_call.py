"""A call that was answered here, and its sidebands: sockets that read along and may say something too.

To the session it is one link, the caller's. A sideband gets what the caller's data channel gets from the moment it joins, in
the same ids; nothing that it missed, and no audio. What it sends is a message of the caller's. The caller ends the call; a
sideband ends only itself.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from ...core.errors import LinkClosed
from ...core.ports import Link

__all__ = ["CallLink", "WatchedCall"]

_AUDIO: Final = b'{"type":"response.output_audio.delta"'
_GREETING: Final = b'{"type":"session.created"'


class CallLink(Link, Protocol):
    """A caller's end of a call; see callers.webrtc."""

    @property
    def is_over(self) -> bool:
        """Whether either side has ended it."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing of it is left."""

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Hand messages on as they come."""

    def push(self, message: bytes) -> None:
        """A message as if the peer had sent it."""

    async def hang_up(self, reason: str = ...) -> None:
        """End it in order."""


class WatchedCall:
    """The link of one call; see core.ports.DirectLink and OpenedLink."""

    def __init__(self, call: CallLink, opening: bytes = b"") -> None:
        self._call = call
        self.opening = opening
        self._sidebands: set[Link] = set()
        self._over: asyncio.Future[LinkClosed] = asyncio.get_running_loop().create_future()
        self.listen = call.listen
        self.hang_up = call.hang_up

    @property
    def is_over(self) -> bool:
        """Whether either side has ended it."""
        return self._call.is_over

    @property
    def is_closed(self) -> bool:
        """Whether nothing of it is left."""
        return self._call.is_closed

    # --- the session's side: core.ports.DirectLink ---

    async def receive(self) -> bytes:
        """The next message of the caller, or of a sideband. Raises LinkClosed when the caller has gone."""
        try:
            return await self._call.receive()
        except LinkClosed as closed:
            self._end(closed)
            raise

    def send(self, message: bytes) -> None:
        """Send to the caller and, but for the audio, to all sidebands. Raises LinkClosed when the caller has gone."""
        self._call.send(message)
        if not self._sidebands or message.startswith((_AUDIO, _GREETING)):
            return
        for sideband in tuple(self._sidebands):
            with suppress(LinkClosed):  # its own watch() ends with it
                sideband.send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """The session is over, or the caller's place is taken: close the call, and let every sideband go. Twice does nothing."""
        self._end(LinkClosed(code, reason))
        await self._call.close(code, reason)

    # --- the sidebands' side ---

    async def watch(self, sideband: Link) -> None:
        """Let a sideband take part until it leaves or the call is over; it is closed then, as the caller was."""
        self._sidebands.add(sideband)
        reading = asyncio.create_task(self._read(sideband))
        try:
            either: set[asyncio.Future[Any]] = {reading, self._over}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._sidebands.discard(sideband)
            reading.cancel()
            await asyncio.wait({reading})
            over = self._over.result() if self._over.done() else LinkClosed(1000, "")
            await sideband.close(over.close_code, over.reason)

    async def _read(self, sideband: Link) -> None:
        with suppress(LinkClosed):
            while True:
                self._call.push(await sideband.receive())

    def _end(self, closed: LinkClosed) -> None:
        if not self._over.done():
            self._over.set_result(closed)
