"""What a server is told at its start. Values only: who reads them checks nothing again."""

from typing import Any, Final, Literal

import msgspec

from ..transports.callers.websocket import MAX_MESSAGE_BYTES

__all__ = ["DEFAULTS", "ServerSettings"]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server answers. Without keys only peers on loopback are let in.

    drain_s: how long sessions may run on once the server is told to stop by SIGTERM; on_drain: whether those that run then
    still end, or are kept: left without an end, for an engine that takes them up.
    """

    keys: tuple[str, ...] = ()
    max_message_bytes: int = MAX_MESSAGE_BYTES
    drain_s: float = 20.0
    on_drain: Literal["end", "keep"] = "end"

    def __repr__(self) -> str:
        return f"ServerSettings({len(self.keys)} keys, max_message_bytes={self.max_message_bytes})"  # never a key

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("max_message_bytes", self.max_message_bytes)]


DEFAULTS: Final = ServerSettings()
