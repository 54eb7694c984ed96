"""A caller's WebSocket, over any ASGI server, that carries frames unchanged, for proxied sessions. Nothing is parsed here.

The socket is accepted and belongs to the link from now on. ASGI gives 1005 both for a close frame without a code and, without
a reason, for a connection that was lost: the two are told apart here.
"""

import asyncio
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from ...core.bucket import Bucket
from ...core.errors import LinkClosed
from ...core.relaying import Frame
from ..links.websocket import shorten_reason
from .websocket import CLOSE_S, MAX_MESSAGE_BYTES

__all__ = ["CallerFrames"]

_NO_CODE: Final = 1005
_LOST: Final = 1006
_TOO_MANY: Final = 1008
_TOO_BIG: Final = 1009


class CallerFrames:
    """One caller's connection; see core.relaying.Frames."""

    def __init__(
        self,
        socket: WebSocket,
        *,
        max_bytes: int = MAX_MESSAGE_BYTES,
        messages_s: float | None = None,
        close_s: float = CLOSE_S,
    ) -> None:
        self._socket = socket
        self._bucket = None if messages_s is None else Bucket(messages_s, asyncio.get_running_loop().time())
        self._max_bytes = max_bytes
        self._close_s = close_s
        self._ended: LinkClosed | None = None

    async def receive(self) -> Frame:
        """The next message. Raises LinkClosed with the caller's code and reason; 1009 for too large a one, 1008 for too many."""
        if self._ended is not None:
            raise self._ended
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise self._end(_code_of(message))
        frame: Frame | None = message.get("text")
        if frame is None:
            frame = message["bytes"]
        assert frame is not None  # ASGI: one of the two
        if len(frame) > self._max_bytes:
            raise await self._refuse(_TOO_BIG, f"TL306 a message of {len(frame)} exceeds the maximum of {self._max_bytes}")
        if self._bucket is not None and self._bucket.take(asyncio.get_running_loop().time()):
            raise await self._refuse(_TOO_MANY, "TL506 more messages a second than this key's limits allow")
        return frame

    async def _refuse(self, code: int, reason: str) -> LinkClosed:
        await self.close(code, reason)
        return self._end(LinkClosed(code, reason))

    async def send(self, frame: Frame) -> None:
        """Hand a message over; waits while the caller does not read. Raises LinkClosed."""
        try:
            if isinstance(frame, str):
                await self._socket.send({"type": "websocket.send", "text": frame})
            else:
                await self._socket.send({"type": "websocket.send", "bytes": frame})
        except (WebSocketDisconnect, RuntimeError, OSError):  # RuntimeError: it was closed from here
            raise self._end(LinkClosed(_LOST, "the connection was lost")) from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order, within a time; 1005 closes without a code. Closing twice does nothing."""
        if self._ended is not None:
            return
        self._end(LinkClosed(code, reason))
        goodbye: dict[str, Any] = {"type": "websocket.close", "code": None, "reason": ""}
        if code != _NO_CODE:
            goodbye |= {"code": code, "reason": shorten_reason(reason)}
        try:
            async with asyncio.timeout(self._close_s):
                await self._socket.send(goodbye)
        except (WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            return  # it has gone, or reads nothing: its server hangs up when the endpoint returns

    async def abort(self) -> None:
        """Nothing is sent any more: the server hangs up when the endpoint returns."""
        self._end(LinkClosed(_LOST, "the connection was broken off"))

    def _end(self, closed: LinkClosed) -> LinkClosed:
        if self._ended is None:
            self._ended = closed
        return self._ended


def _code_of(message: Any) -> LinkClosed:
    code, reason = message.get("code", _NO_CODE), message.get("reason")
    if code == _NO_CODE and reason is None:
        return LinkClosed(_LOST, "the connection was lost")
    return LinkClosed(code, reason or "")
