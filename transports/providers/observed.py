"""A call's link: one peer carries the media, observers (sidebands) read along and may say something too.

To the session it is one link. Observers get what the media's peer gets from the moment they join, but for the audio and the
greeting; nothing that they missed is replayed. The media's peer ends the call; an observer ends only itself.
"""

import asyncio
from typing import Final

from ...core.errors import LinkClosed
from ...core.ports import Link

__all__ = ["ObservedLink"]

_AHEAD: Final = 64  # messages that may wait for the session, of all peers together; then they are not read
_NOT_OBSERVED: Final = (b'{"type":"response.output_audio.delta"', b'{"type":"session.created"')


class ObservedLink:
    """The link of one call; see core.ports.Link. `carry` reads the media's peer and must run beside the session."""

    def __init__(self, media: Link) -> None:
        self._media = media
        self._observers: set[Link] = set()
        self._inbox: asyncio.Queue[bytes | LinkClosed] = asyncio.Queue(_AHEAD)
        self._ended: LinkClosed | None = None  # the media's peer is gone
        self._closed: tuple[int, str] | None = None  # the session is over

    # --- the session's side: core.ports.Link ---

    async def receive(self) -> bytes:
        """The next message of any peer. Raises LinkClosed when the media's peer is gone."""
        if self._ended is not None:
            raise self._ended
        message = await self._inbox.get()
        if isinstance(message, LinkClosed):
            self._ended = message
            raise message
        return message

    def send(self, message: bytes) -> None:
        """Send to the media's peer and, but for the audio, to all observers. Raises LinkClosed when the former is gone."""
        self._media.send(message)
        if self._observers and not message.startswith(_NOT_OBSERVED):
            for observer in tuple(self._observers):
                try:
                    observer.send(message)
                except LinkClosed:  # its own observe() ends with it
                    self._observers.discard(observer)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """The session is over: close the link of every peer. Closing twice does nothing."""
        await self.hang_up(code, reason)
        self._closed = (code, reason)
        await asyncio.gather(*(observer.close(code, reason) for observer in tuple(self._observers)))
        while not self._inbox.empty():  # who waits to be read goes on, and finds its link closed
            self._inbox.get_nowait()

    async def hang_up(self, code: int = 1000, reason: str = "") -> None:
        """Close the media's link; the session finds that out and ends."""
        await self._media.close(code, reason)

    # --- the peers' side ---

    async def carry(self) -> None:
        """Read the media's peer until it is gone."""
        try:
            while True:
                await self._inbox.put(await self._media.receive())
        except LinkClosed as closed:
            await self._inbox.put(closed)

    async def observe(self, observer: Link) -> None:
        """Let an observer take part until it leaves or the call ends."""
        if self._closed is not None:
            await observer.close(*self._closed)
            return
        self._observers.add(observer)
        try:
            while self._closed is None:
                await self._inbox.put(await observer.receive())
        except LinkClosed:
            return
        finally:
            self._observers.discard(observer)
