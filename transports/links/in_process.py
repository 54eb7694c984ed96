"""Two connected links in one process: what one end sends, the other receives. No copy and no task switch of their own.

For one event loop; not thread-safe. Closing either end closes both; a reader still gets what was queued before. A link
whose reader leaves more than `limit_bytes` unread is closed: a stuck peer must cost neither memory nor anyone's time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ...core.errors import LinkClosed
from .received import Received

__all__ = ["LIMIT_BYTES", "InProcessLink", "host", "pair"]

_log: Final = logging.getLogger("turnlog.links")

LIMIT_BYTES: Final = 16 * 1024 * 1024
"""What may wait for a reader: over four minutes of 24 kHz PCM in base64."""
_TOO_SLOW: Final = 1008
_FAILED: Final = 1011


class InProcessLink:
    """One end of a pair; see core.ports.Link."""

    __slots__ = ("_inbox", "_limit", "_theirs")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._inbox = Received()
        self._theirs = self._inbox  # until pair() joins two. Not the other link: two that know each other are a circle

    async def receive(self) -> bytes:
        """The next message. Raises LinkClosed after the last one, ProtocolError TL307 if another task is reading."""
        return await self._inbox.get()

    def send(self, message: bytes) -> None:
        """Queue a message for the other end. Raises LinkClosed, also when the other end's reader is too far behind."""
        if self._inbox.closed is not None:
            raise self._inbox.over(self._inbox.closed)
        waiting = self._theirs.waiting_bytes
        if waiting > self._limit:
            raise self._end(_TOO_SLOW, f"the reader left {waiting} bytes unread; the limit is {self._limit}")
        self._theirs.put(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close both ends; what was sent before is still received. Closing twice does nothing."""
        self._end(code, reason)

    def _end(self, code: int, reason: str) -> LinkClosed:
        closed = LinkClosed(code, reason)
        self._inbox.end(closed)
        self._theirs.end(LinkClosed(code, reason))
        return self._inbox.closed or closed


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
    near._theirs, far._theirs = far._inbox, near._inbox
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
