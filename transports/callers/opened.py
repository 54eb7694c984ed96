"""A caller's link that says something before its peer does: what the peer's credential asks of the session."""

from typing import Any, Final

import msgspec

from ...core.ports import Link

__all__ = ["OpenedLink", "configured"]

_encode: Final = msgspec.json.Encoder().encode


class OpenedLink:
    """A link, and one message as if its peer had sent it first; see core.ports.Link."""

    def __init__(self, link: Link, first: bytes) -> None:
        self._link = link
        self._first: bytes | None = first
        self.send = link.send
        self.close = link.close

    async def receive(self) -> bytes:
        """The next message. Raises LinkClosed."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._link.receive()


def configured(link: Link, settings: dict[str, Any]) -> Link:
    """The link, its peer having asked for these settings of the session; {} asks for nothing."""
    return OpenedLink(link, _encode({"type": "session.update", "session": settings})) if settings else link
