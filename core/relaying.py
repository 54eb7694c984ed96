"""What a proxied session needs of the world: connections that carry frames as they are, and who opens one to a provider.

A frame is a whole WebSocket message: text as str, binary as bytes. What stands in it is nobody's affair here.
"""

from typing import Protocol, runtime_checkable

import msgspec

from .definition import SessionDefinition

__all__ = ["Frame", "Frames", "RelayLink", "Relays", "Upgrade"]

Frame = str | bytes
"""One message: str for a text one, bytes for a binary one."""


class Upgrade(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller's request asks for that its provider is to see, too. No credential of the caller is ever in it.

    query: the parameters of its address, but for those that are ours. compressed: it offers permessage-deflate.
    """

    query: list[tuple[str, str]] = []
    headers: list[tuple[str, str]] = []
    subprotocols: list[str] = []
    compressed: bool = False


class Frames(Protocol):
    """One connection that carries frames unchanged, in order, one task for each direction."""

    async def receive(self) -> Frame:
        """The next message. Raises LinkClosed with the peer's code and reason; 1005 where it gave none, 1006 where lost."""

    async def send(self, frame: Frame) -> None:
        """Hand a message over; waits while the peer does not read. Raises LinkClosed."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order; 1005 closes without a code, as it came. Closing twice does nothing."""

    async def abort(self) -> None:
        """Break the connection off, with whatever waits for a peer that does not read."""


class RelayLink(Frames, Protocol):
    """A provider's connection, and what its answer to the upgrade said."""

    @property
    def subprotocol(self) -> str | None:
        """The one that the provider has chosen."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of its answer that are a caller's affair."""


@runtime_checkable
class Relays(Protocol):
    """A provider whose connection can be handed through as it is."""

    async def open_frames(self, definition: SessionDefinition, upgrade: Upgrade) -> RelayLink:
        """A new connection, with our key. Raises LinkError TL301 or TL303 as Provider.connect does."""
