"""What a node says to its engine, message by message: none is larger than the engine takes, and a lost link is no error here."""

import logging
from collections.abc import Callable

import msgspec

from ...core import events as e
from ...core.codec import decode
from ...core.errors import LinkClosed
from ...core.tool_errors import told
from . import wire

__all__ = ["Uplink"]

log = logging.getLogger("turnlog")


class Uplink:
    """The way up. send: takes a message's bytes; of the link that stands. most: as many as the engine takes at once."""

    def __init__(self, send: Callable[[bytes], None], most: int = wire.MAX_BYTES) -> None:
        self.send = send
        self.most = most

    def say(self, message: wire.Up) -> None:
        """Send a message. One that is too large would cost the link: something smaller goes in its place."""
        raw = wire.packed(message)
        if len(raw) > self.most and (smaller := self._instead(message, len(raw))) is not None:
            raw = wire.packed(smaller)
        try:
            self.send(raw)
        except LinkClosed:
            pass  # whoever reads the link learns of it

    def _instead(self, message: wire.Up, size: int) -> wire.Up | None:
        words = f"TL306 {size} bytes are more than the {self.most} that the engine takes at once"
        match message:
            case wire.Completed():
                return wire.Completed(
                    session=message.session, index=message.index, seq=message.seq, type_name="ProtocolError", message=words
                )
            case wire.Answered():
                output = told("ProtocolError", words)
                return msgspec.structs.replace(message, output=output, ok=False)
            case wire.Attempt():
                event = decode(wire.recorded_in(message.entry))
                if not isinstance(event, e.StreamItem):
                    return None
                ended = e.StreamEnded(index=event.index, type_name="ProtocolError", message=words)
                return wire.Attempt(session=message.session, entry=wire.entry_of(message.entry.seq, 0, 0, ended))
            case wire.AskedFor() if message.clip:
                log.warning("session %s: a recording is too long to be sent to the engine: %s", message.session, words)
                without = msgspec.structs.replace(message, clip=b"")
                size = len(wire.packed(without))
                return without if size <= self.most else self._instead(without, size)
            case wire.AskedFor():
                return wire.Diverged(session=message.session, code="TL306", message=f"a command of {words[6:]}")
        return None
