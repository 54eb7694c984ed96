"""A caller's link over a Starlette WebSocket (any ASGI server that speaks WebSocket).

The socket is accepted and belongs to the link from now on. Whoever accepted it awaits run(), which writes until the end;
the session reads with receive() and queues with send(). No task is made here.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final, NamedTuple

from starlette.websockets import WebSocket, WebSocketDisconnect

from ...core.bucket import Bucket
from ...core.errors import LinkClosed, ProtocolError

__all__ = ["CLOSE_S", "LIMIT_BYTES", "MAX_MESSAGE_BYTES", "CallerSocket"]

LIMIT_BYTES: Final = 16 * 1024 * 1024
"""What may wait for a caller that does not read: over four minutes of 24 kHz PCM in base64."""
MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""The largest message a caller may send, unless configured otherwise."""
CLOSE_S: Final = 5.0
"""What is queued and the close frame have so long to leave."""
_BINARY: Final = 1003
_TOO_SLOW: Final = 1008
_TOO_MANY: Final = 1008
_TOO_BIG: Final = 1009


class CallerSocket:
    """One caller's WebSocket as a link; see core.ports.Link."""

    def __init__(
        self,
        socket: WebSocket,
        *,
        max_bytes: int = MAX_MESSAGE_BYTES,
        limit_bytes: int = LIMIT_BYTES,
        close_s: float = CLOSE_S,
        messages_s: float | None = None,
    ) -> None:
        self._socket = socket
        self._bucket = None if messages_s is None else Bucket(messages_s, asyncio.get_running_loop().time())
        self._max_bytes = max_bytes
        self._limit_bytes = limit_bytes
        self._writer = _Writer(socket, close_s)
        self._reading: asyncio.Timeout | None = None
        self._ended: LinkClosed | None = None  # by whichever side came first

    # --- the session's side: core.ports.Link ---

    async def receive(self) -> bytes:
        """The next text message as UTF-8 bytes.

        Raises LinkClosed with the caller's close code and reason, or with ours: 1009 for a message over the maximum (caused
        by ProtocolError TL306), 1003 for a binary one (TL304), 1008 for a caller that does not read, or sends too often
        (TL506), 1006 for a lost one.
        """
        if self._ended is not None:
            raise self._ended
        try:
            async with asyncio.timeout(None) as self._reading:
                message = await self._socket.receive()
        except TimeoutError:
            raise self._why() from None
        finally:
            self._reading = None
        if message["type"] == "websocket.disconnect":
            raise self._peer_closed(message)
        text = message.get("text")
        if text is None:
            problem = ProtocolError("TL304", "the caller sent a binary message", "Realtime messages are text")
            raise self._end(_BINARY, "TL304 Realtime messages are text, not binary") from problem
        raw: bytes = text.encode()
        if len(raw) > self._max_bytes:
            problem = _too_big(f"a message of {len(raw)} bytes exceeds the maximum of {self._max_bytes}")
            raise self._end(_TOO_BIG, f"TL306 {problem.message}") from problem
        if self._bucket is not None and self._bucket.take(asyncio.get_running_loop().time()):
            raise self._end(_TOO_MANY, "TL506 more messages a second than this key's limits allow")
        return raw

    def send(self, message: bytes) -> None:
        """Queue a text message. Raises LinkClosed, also when the caller has left more than the limit unread."""
        if self._ended is not None:
            raise self._ended
        if self._writer.waiting_bytes > self._limit_bytes:
            # An orderly close would wait behind those bytes.
            raise self._end(_TOO_SLOW, f"the caller left more than {self._limit_bytes} bytes unread", at_once=True)
        self._writer.put(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what is queued, then close; gives a caller that does not read close_s. Closing twice does nothing."""
        self._end(code, reason)
        await self._writer.done.wait()

    # --- the server's side ---

    async def run(self) -> None:
        """Write what is queued until either side closes. Never raises for what the caller does."""
        await self._writer.run()
        if self._ended is not None and self._reading is not None:
            self._reading.reschedule(0)  # a caller that reads nothing may not answer our close either

    # --- the end ---

    def _why(self) -> LinkClosed:
        return self._ended or LinkClosed(1006, "the connection was lost")

    def _end(self, code: int, reason: str, *, at_once: bool = False) -> LinkClosed:
        """Close from our side, behind what is queued; what came first stays."""
        if self._ended is not None:
            return self._ended
        self._ended = LinkClosed(code, reason)
        self._writer.finish(_Goodbye(code, reason.encode()[:123].decode(errors="ignore")), at_once=at_once)
        return self._ended

    def _peer_closed(self, message: MutableMapping[str, Any]) -> LinkClosed:
        """Note how the caller closed. uvicorn gives no reason, and 1005, where there was no close frame at all."""
        code, reason = message.get("code", 1005), message.get("reason")
        cause = None
        if self._ended is None:
            if code == 1005 and reason is None:
                code, reason = 1006, "the connection was lost"
            elif code == _TOO_BIG:  # the server's own bound, far above ours
                cause = _too_big(reason or "the message is larger than the server reads")
                reason = f"TL306 {cause.message}"
            self._ended = LinkClosed(code, reason or "")
            self._ended.__cause__ = cause
        self._writer.finish(None, at_once=True)
        return self._ended


class _Goodbye(NamedTuple):
    code: int
    reason: str


class _Writer:
    """Writes one message after the other; a deadline, once set, bounds all that is left."""

    def __init__(self, socket: WebSocket, close_s: float) -> None:
        self._socket = socket
        self._close_s = close_s
        self._queue: asyncio.Queue[bytes | _Goodbye | None] = asyncio.Queue()
        self._deadline: float | None = None
        self._writing: asyncio.Timeout | None = None
        self.waiting_bytes = 0
        self.done = asyncio.Event()

    def put(self, message: bytes) -> None:
        self._queue.put_nowait(message)
        self.waiting_bytes += len(message)

    def finish(self, goodbye: _Goodbye | None, *, at_once: bool) -> None:
        """Nothing comes after this; without a goodbye the connection is gone already."""
        self._queue.put_nowait(goodbye)
        self._deadline = asyncio.get_running_loop().time() + (0 if at_once else self._close_s)
        if self._writing is not None:
            self._writing.reschedule(self._deadline)

    async def run(self) -> None:
        try:
            async with asyncio.timeout_at(self._deadline) as self._writing:
                while isinstance(message := await self._queue.get(), bytes):
                    await self._socket.send({"type": "websocket.send", "text": message.decode()})
                    self.waiting_bytes -= len(message)
                if message is not None:
                    await self._socket.close(*message)
        except (TimeoutError, WebSocketDisconnect):
            return  # the reader learns why
        finally:
            self._writing = None
            self.done.set()


def _too_big(detail: str) -> ProtocolError:
    return ProtocolError("TL306", detail, "send smaller pieces, or raise the server's maximum message size")
