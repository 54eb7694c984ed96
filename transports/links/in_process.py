"""Two connected links in one process: what one end sends, the other receives. No copy and no task switch of their own.

For one event loop; not thread-safe. Closing either end closes both; a reader still gets what was queued before. A link
whose reader leaves more than `limit_bytes` unread is closed: a stuck peer must cost neither memory nor anyone's time.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ...core.errors import LinkClosed, ProtocolError

__all__ = ["LIMIT_BYTES", "InProcessLink", "host", "pair"]

_log: Final = logging.getLogger("turnlog.links")

LIMIT_BYTES: Final = 16 * 1024 * 1024
"""What may wait for a reader: over four minutes of 24 kHz PCM in base64."""
_TOO_SLOW: Final = 1008
_FAILED: Final = 1011


class InProcessLink:
    """One end of a pair; see core.ports.Link."""

    __slots__ = ("_closed", "_inbox", "_inbox_bytes", "_limit", "_peer", "_waiter")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._peer = self  # until pair() joins two
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._closed: tuple[int, str] | None = None  # close code and reason

    async def receive(self) -> bytes:
        """The next message. Raises LinkClosed after the last one, ProtocolError TL307 if another task is reading."""
        while not self._inbox:
            if self._closed is not None:
                raise LinkClosed(*self._closed)
            if self._waiter is not None:
                raise ProtocolError("TL307", "two tasks receive from one link", "let one task receive and hand on")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._inbox.popleft()
        self._inbox_bytes -= len(message)
        return message

    def send(self, message: bytes) -> None:
        """Queue a message for the other end. Raises LinkClosed, also when the other end's reader is too far behind."""
        if self._closed is not None:
            raise LinkClosed(*self._closed)
        peer = self._peer
        if peer._inbox_bytes > self._limit:
            reason = f"the reader left {peer._inbox_bytes} bytes unread; the limit is {self._limit}"
            self._end(_TOO_SLOW, reason)
            raise LinkClosed(_TOO_SLOW, reason)
        peer._inbox.append(message)
        peer._inbox_bytes += len(message)
        peer._wake()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close both ends; what was sent before is still received. Closing twice does nothing."""
        if self._closed is None:
            self._end(code, reason)

    def _end(self, code: int, reason: str) -> None:
        for end in (self, self._peer):
            end._closed = (code, reason)
            end._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def pair(*, limit_bytes: int = LIMIT_BYTES) -> tuple[InProcessLink, InProcessLink]:
    """Two connected ends. `limit_bytes` bounds what may wait unread in each direction."""
    return _joined(InProcessLink(limit_bytes), InProcessLink(limit_bytes))


def host(serve: Callable[[InProcessLink], Awaitable[None]], *, limit_bytes: int = LIMIT_BYTES) -> InProcessLink:
    """A link whose other end `serve` handles until it is closed. Closing the link waits until `serve` has returned.

    If `serve` fails the link closes with code 1011, as a server does with a WebSocket.
    """
    near, far = _joined(_HostedLink(limit_bytes), InProcessLink(limit_bytes))
    near.task = asyncio.get_running_loop().create_task(_serve(serve, far), name="turnlog hosted link")
    return near


_Near = TypeVar("_Near", bound=InProcessLink)


def _joined(near: _Near, far: InProcessLink) -> tuple[_Near, InProcessLink]:
    near._peer, far._peer = far, near
    return near, far


class _HostedLink(InProcessLink):
    """The near end of a hosted link: it owns the task that serves the far end."""

    __slots__ = ("task",)
    task: asyncio.Task[None]

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close both ends and wait for the far one's task."""
        await super().close(code, reason)
        if asyncio.current_task() is not self.task:
            await asyncio.wait((self.task,))


async def _serve(serve: Callable[[InProcessLink], Awaitable[None]], far: InProcessLink) -> None:
    try:
        await serve(far)
        await far.close()
    except Exception as error:
        _log.exception("the service behind an in-process link failed")
        await far.close(_FAILED, f"the service failed: {type(error).__name__}")
