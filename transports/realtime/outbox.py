"""What a server owes its client, as encoded messages in order. Pure: ids come from the callable it is given."""

from collections.abc import Callable
from typing import Any

import msgspec

from .wire import encode_event

__all__ = ["Outbox"]

_encode = msgspec.json.Encoder().encode


class Outbox:
    """Messages owed to the peer, oldest first. `ids(kind)` makes opaque ids."""

    def __init__(self, ids: Callable[[str], str]) -> None:
        self.ids = ids
        self.closed = False
        self._messages: list[bytes] = []
        # Strategy: random bytes for every message would be a tenth of what a message costs. One id is drawn, and counted on.
        self._event = ids("event")
        self.quoted = _encode(self._event)[:-1]  # as it stands in JSON, its closing quote left out
        self.count = 0

    def next_id(self) -> bytes:
        """The next event_id as it stands in JSON, in its quotes."""
        self.count += 1
        return b'%b_%d"' % (self.quoted, self.count)

    def send(self, type_: str, /, **fields: Any) -> None:
        """Queue an event with a new event_id."""
        if not self.closed:
            self.count += 1
            self._messages.append(encode_event(type_, f"{self._event}_{self.count}", **fields))

    def send_bare(self, type_: str, /, **fields: Any) -> None:
        """Queue an event without an event_id, as the specification has one."""
        if not self.closed:
            self._messages.append(encode_event(type_, None, **fields))

    def send_delta(self, head: bytes, *tail: bytes) -> None:
        """Queue an event whose bytes are known but for its event_id: head, id, tail."""
        if not self.closed:
            self._messages.append(b"".join((head, self.next_id(), *tail)))

    def drain(self) -> list[bytes]:
        """Take all that is owed."""
        messages, self._messages = self._messages, []
        return messages
