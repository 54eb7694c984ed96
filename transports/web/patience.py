"""uvicorn's HTTP protocol, with an end to its patience: a request's head has so long to come, from its connection's begin or its
first byte on. uvicorn itself would hold a connection that sends nothing, or a byte a minute, for ever. And an upgrade that the
WebSocket library would fail at is refused here.
"""

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_S", "patient"]

HEAD_S: Final = 15.0
"""How long a request's head may take."""
_MOST_LINES: Final = 100
_LONGEST_LINE: Final = 8_000
"""Bytes of one line of an upgrade's head."""
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def _fits(event: h11.Request) -> bool:
    """Whether the WebSocket library will answer it: one with a longer line it leaves open without a word."""
    lines = [len(event.target), *(len(name) + len(value) for name, value in event.headers)]
    own = [value for name, value in event.headers if name.lower().startswith(b"sec-websocket")]
    return len(lines) <= _MOST_LINES and max(lines) <= _LONGEST_LINE and all(value.isascii() for value in own)


def patient(head_s: float) -> type[asyncio.Protocol]:
    """A protocol that waits so long for a head."""

    class Patient(H11Protocol):
        """Invariant: the timer runs while a head is waited for, and at no other time."""

        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._head_timer = self.loop.call_later(head_s, self._lose_patience)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                self._forget()
            elif self._head_timer is None:  # another request on the same connection has begun
                self._head_timer = self.loop.call_later(head_s, self._lose_patience)

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            if _fits(event):
                super().handle_websocket_upgrade(event)
            else:
                self.send_400_response("The head of this upgrade is too long, or not ASCII.")

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _forget(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _lose_patience(self) -> None:
            self._head_timer = None
            if not self.transport.is_closing():
                if self.conn.trailing_data[0]:  # of a head that is cut
                    self.transport.write(_TOO_SLOW)
                self.transport.close()

    return Patient
