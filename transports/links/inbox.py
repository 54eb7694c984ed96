"""What has come over a link and waits for its reader: in order, bounded, and ended once. For one event loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from ...core.errors import LinkClosed, ProtocolError

__all__ = ["LIMIT_BYTES", "LinkInbox"]

LIMIT_BYTES: Final = 16 * 1024 * 1024
"""What may wait for a reader: over four minutes of 24 kHz PCM in base64."""
_TOO_SLOW: Final = 1008


class LinkInbox:
    """The receiving half of a link; see core.ports.Link and DirectLink for what `receive` and `listen` promise."""

    __slots__ = ("_bytes", "_failure", "_limit", "_take", "_waiter", "_waiting", "ended")

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.ended: LinkClosed | None = None
        self._limit = limit_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._take: Callable[[bytes], None] | None = None
        self._failure: Exception | None = None  # of the one who listens
        self._waiter: asyncio.Future[None] | None = None

    def put(self, message: bytes) -> None:
        """A message has come. What comes after the end is dropped; a reader that is too far behind ends it (1008)."""
        if self.ended is not None:
            return
        if self._take is not None and not self._waiting:
            self._hand(message, self._take)
            return
        self._waiting.append(message)
        self._bytes += len(message)
        if self._bytes > self._limit:
            self.end(_TOO_SLOW, f"the reader left {self._bytes} bytes unread; the limit is {self._limit}")
        self._wake()

    def end(self, code: int, reason: str) -> bool:
        """No more comes; what waits is still received. False if it had ended."""
        if self.ended is not None:
            return False
        self.ended = LinkClosed(code, reason)
        self._wake()
        return True

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """From now on `take` gets each message, unless one before it still waits for receive(); None ends that."""
        self._take = take

    async def receive(self) -> bytes:
        """The next message. Raises LinkClosed after the last one, ProtocolError TL307 if another task is reading."""
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            if self.ended is not None:
                raise self.ended
            if self._waiter is not None:
                raise ProtocolError("TL307", "two tasks receive from one link", "let one task receive and hand on")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._waiting.popleft()
        self._bytes -= len(message)
        return message

    def _hand(self, message: bytes, take: Callable[[bytes], None]) -> None:
        try:
            take(message)
        except Exception as error:  # receive() raises it: here it would only break the connection without a word
            self._failure, self._take = error, None
            self.end(1011, "who listens to the link has failed")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
