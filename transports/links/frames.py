"""A provider's connection of the library `websockets` that carries frames unchanged, for proxied sessions.

Text stays text and binary binary, a message is sent when the peer takes it, and the close code is the one that came. Nothing is
parsed here.
"""

import asyncio
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ...core.errors import LinkClosed
from ...core.relaying import Frame
from .websocket import shorten_reason

__all__ = ["TOLD", "FrameConnection"]

TOLD: Final = frozenset({"x-request-id", "openai-version", "openai-processing-ms", "retry-after"})
"""The headers of a provider's answer that are a caller's affair; others name our account, or are the connection's own."""
_NO_CODE: Final = 1005
_LOST: Final = 1006
_INVALID: Final = 1007


class FrameConnection:
    """One connection; see core.relaying.RelayLink."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def subprotocol(self) -> str | None:
        """The one that the provider has chosen."""
        return self._connection.subprotocol

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of its answer that are a caller's affair."""
        response = self._connection.response
        given = response.headers.raw_items() if response is not None else ()
        return [(name, value) for name, value in given if name.lower() in TOLD]

    async def receive(self) -> Frame:
        """The next message. Raises LinkClosed with the provider's code and reason, or 1007, 1009 for what it must not send."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            raise _closed(closed) from None
        except UnicodeDecodeError:
            await self._connection.close(_INVALID, "text that is not UTF-8")
            raise LinkClosed(_INVALID, "text that is not UTF-8") from None

    async def send(self, frame: Frame) -> None:
        """Hand a message over; waits while the provider does not read. Raises LinkClosed."""
        connection = self._connection
        try:
            async with connection.send_context():
                if isinstance(frame, str):
                    connection.protocol.send_text(frame.encode())
                else:
                    connection.protocol.send_binary(frame)
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order; 1005 closes without a code. Closing twice does nothing."""
        try:
            async with self._connection.send_context():
                self._connection.protocol.send_close(*(() if code == _NO_CODE else (code, shorten_reason(reason))))
        except ConnectionClosed:
            pass

    async def abort(self) -> None:
        """Break the connection off."""
        self._connection.transport.abort()
        await asyncio.shield(self._connection.wait_closed())


def _closed(closed: ConnectionClosed) -> LinkClosed:
    """Why, as the peer said it; where we had closed first, or found fault with it, as we said it."""
    if closed.rcvd is not None and (closed.sent is None or closed.rcvd_then_sent):
        return LinkClosed(closed.rcvd.code, closed.rcvd.reason)
    if closed.sent is not None:
        return LinkClosed(closed.sent.code, closed.sent.reason)
    return LinkClosed(_LOST, "the connection was lost")
