"""A link over a connection of the library `websockets`, of its client or its server.

Strategy: `broadcast` to one connection is the library's only synchronous way to send; it writes a frame at once, without a
task and without a switch to it (6.2 us a message against 8.2 by `send`, measured). What the socket does not take waits in
the transport's buffer, which is bounded here: a peer that does not read is cut off.
"""

import logging
from collections.abc import Callable
from typing import Final

from websockets.asyncio.connection import Connection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from ...core.errors import LinkClosed, ProtocolError
from .direct import DirectConnection

__all__ = ["LIMIT_BYTES", "MAX_MESSAGE_BYTES", "UNLOGGED", "WebSocketLink", "shorten_reason"]

LIMIT_BYTES: Final = 16 * 1024 * 1024
"""What may wait for a peer that does not read."""
MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""Give it as `max_size` where a connection is opened: a larger message closes the link with code 1009."""
_READ_BYTES: Final = 64 * 1024
_BINARY: Final = 1003
_TOO_SLOW: Final = 1008
_TOO_BIG: Final = 1009


class _Unlogged(logging.LoggerAdapter[logging.Logger]):
    """The library writes headers, keys included, and all messages at DEBUG: that level does not exist here."""

    def isEnabledFor(self, level: int) -> bool:
        return level > logging.DEBUG and super().isEnabledFor(level)


UNLOGGED: Final = _Unlogged(logging.getLogger("turnlog.links"), {})
"""Give it as `logger` where a connection or a server is opened: no key gets into a log, whatever the user configures."""


class WebSocketLink:
    """One end of a WebSocket; see core.ports.Link. The connection is open and belongs to the link from now on."""

    def __init__(self, connection: Connection, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._connection = connection
        self._limit = limit_bytes
        self._ended: LinkClosed | None = None  # why we ended it, where that is not what the close frames say
        self._failure: Exception | None = None  # of the one who listens
        # Strategy: asyncio makes a buffer of 256 KiB for every read, which the allocator takes from the system and gives back
        # each time: 20 us of the 45 that a message of 2 KB takes (measured). One of 64 KiB comes from the heap.
        if hasattr(connection.transport, "max_size"):
            connection.transport.max_size = _READ_BYTES

    async def receive(self) -> bytes:
        """The next text message as UTF-8 bytes.

        Raises LinkClosed with the peer's close code and reason, or with ours: 1009 for a message over the maximum (caused
        by ProtocolError TL306), 1003 for a binary one (TL304), 1008 for a peer that does not read, 1006 for a lost connection.
        """
        try:
            message = await self._connection.recv()
        except ConnectionClosed as error:
            if self._failure is not None:
                raise self._failure from None
            closed = self._closed(error)
            raise closed from closed.__cause__
        if isinstance(message, str):
            return message.encode()
        problem = ProtocolError("TL304", f"the peer sent a binary message of {len(message)} bytes", "Realtime messages are text")
        self._ended = LinkClosed(_BINARY, "TL304 Realtime messages are text, not binary")
        self._ended.__cause__ = problem
        await self._connection.close(_BINARY, self._ended.reason)
        raise self._ended from problem

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Hand messages on as they arrive; see core.ports.DirectLink. Only a DirectConnection can."""
        connection = self._connection
        if not isinstance(connection, DirectConnection):
            return
        connection.on_text, connection.on_failure = take, self._listener_failed

    def _listener_failed(self, error: Exception) -> None:
        """receive() raises it: where it was raised it would only break the connection without a word."""
        self._failure = error

    def send(self, message: bytes) -> None:
        """Write a text message. Raises LinkClosed, also when the peer has left more than the limit unread."""
        connection = self._connection
        if self._ended is not None:
            raise self._ended
        if connection.protocol.state is not State.OPEN:
            raise self._send_closed()
        waiting = connection.transport.get_write_buffer_size()
        if waiting > self._limit:
            self._ended = LinkClosed(_TOO_SLOW, f"the peer left {waiting} bytes unread; the limit is {self._limit}")
            connection.transport.abort()  # an orderly close would wait behind those bytes
            raise self._ended
        broadcast((connection,), message, text=True)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what is queued, then close; waits for the peer at most the connection's close_timeout. Twice does nothing."""
        await self._connection.close(code, shorten_reason(reason))

    def _closed(self, error: ConnectionClosed) -> LinkClosed:
        if self._ended is not None:
            return self._ended
        if error.rcvd is not None and (error.sent is None or error.rcvd_then_sent):
            return LinkClosed(error.rcvd.code, error.rcvd.reason)
        if error.sent is None:
            cause = error.__cause__
            return LinkClosed(1006, f"the connection was lost{': ' + str(cause) if cause and str(cause) else ''}")
        if error.sent.code != _TOO_BIG:
            return LinkClosed(error.sent.code, error.sent.reason)
        closed = LinkClosed(_TOO_BIG, f"TL306 a message is too large: {error.sent.reason}")
        closed.__cause__ = ProtocolError("TL306", error.sent.reason, "raise the maximum message size, or send smaller pieces")
        return closed

    def _send_closed(self) -> LinkClosed:
        connection = self._connection
        code = 1006 if connection.close_code is None else connection.close_code
        return LinkClosed(code, connection.close_reason or "the connection is closing")


def shorten_reason(reason: str) -> str:
    """A close frame holds 123 bytes of reason: cut at a whole character."""
    return reason.encode()[:123].decode(errors="ignore")
