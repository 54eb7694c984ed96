"""A caller's link that says something before its peer does: what the peer's credential asks of the session."""

from typing import Any, Final

import msgspec

from ...core.ports import Link

__all__ = ["Opened", "configured"]

_encode: Final = msgspec.json.Encoder().encode


class Opened:
    """A link, and what its peer has asked for already; see core.ports.OpenedLink."""

    def __init__(self, link: Link, opening: bytes) -> None:
        self.opening = opening
        self.receive = link.receive
        self.send = link.send
        self.close = link.close


def configured(link: Link, settings: dict[str, Any]) -> Link:
    """The link, its peer having asked for these settings of the session; {} asks for nothing."""
    return Opened(link, _encode({"type": "session.update", "session": settings})) if settings else link
