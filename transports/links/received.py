"""What a link has received and nobody has taken: a queue with an end, for links whose messages come by callbacks.

For one event loop. A link hands on receive() and listen() of core.ports.DirectLink to this.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from ...core.errors import LinkClosed, ProtocolError

__all__ = ["Received"]


class Received:
    """Messages in the order in which they came, then the end."""

    __slots__ = ("_failure", "_messages", "_take", "_waiter", "closed", "waiting_bytes")

    def __init__(self) -> None:
        self.closed: LinkClosed | None = None
        self.waiting_bytes = 0
        self._messages: deque[bytes] = deque()
        self._take: Callable[[bytes], None] | None = None
        self._failure: Exception | None = None  # of the one who listens
        self._waiter: asyncio.Future[None] | None = None

    def put(self, message: bytes) -> None:
        """A message has come. Nothing comes behind the end."""
        if self.closed is not None:
            return
        if self._take is None or self._messages:
            self._messages.append(message)
            self.waiting_bytes += len(message)
            self._wake()
            return
        try:
            self._take(message)
        except Exception as error:  # get() raises it: whoever put the message has no part in it
            self._failure, self._take = error, None
            self._wake()

    def end(self, closed: LinkClosed) -> None:
        """Nothing more comes; what ended it first stays."""
        if self.closed is None:
            self.closed = closed
            self._wake()

    async def get(self) -> bytes:
        """The next message. Raises LinkClosed after the last one, what the listener raised, TL307 to a second reader."""
        while not self._messages:
            if self._failure is not None:
                raise self._failure
            if self.closed is not None:
                raise self.over(self.closed)
            if self._waiter is not None:
                raise ProtocolError("TL307", "two tasks receive from one link", "let one task receive and hand on")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        self.waiting_bytes -= len(message)
        return message

    @staticmethod
    def over(closed: LinkClosed) -> LinkClosed:
        """The end, to be raised.

        Strategy: a new one each time. One that is kept and raised keeps its traceback, and with it all of whoever received.
        """
        again = LinkClosed(closed.close_code, closed.reason)
        again.__cause__ = closed.__cause__
        return again

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Hand messages on as they come, unless one before still waits; see core.ports.DirectLink."""
        self._take = take

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
