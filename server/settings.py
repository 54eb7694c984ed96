"""What a server is told at its start. Values only: who reads them checks nothing again."""

from typing import Any, Final

import msgspec

from ..transports.callers.websocket import MAX_MESSAGE_BYTES

__all__ = ["DEFAULTS", "ServerSettings"]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server answers. Without keys only peers on loopback are let in."""

    keys: tuple[str, ...] = ()
    max_message_bytes: int = MAX_MESSAGE_BYTES

    def __repr__(self) -> str:
        return f"ServerSettings({len(self.keys)} keys, max_message_bytes={self.max_message_bytes})"  # never a key

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("max_message_bytes", self.max_message_bytes)]


DEFAULTS: Final = ServerSettings()
