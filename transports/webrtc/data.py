"""The data channel: text both ways. What is sent before it opens waits; what waits is bounded."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiortc import RTCDataChannel

from ...core.errors import LinkClosed, ProtocolError, TurnlogError
from .inside import unacknowledged

__all__ = ["LABEL", "MAX_MESSAGE_BYTES", "DataLine"]

LABEL: Final = "oai-events"
MAX_MESSAGE_BYTES: Final = 256 * 1024
"""What we take; it is in our description as a=max-message-size."""
_POLL_S: Final = 0.005
_TOO_SLOW: Final = 1008
_TOO_BIG: Final = 1009

_log: Final = logging.getLogger("turnlog.links")


class DataLine:
    """The channel of one peer, from before it exists. `take` gets texts, `faulted` what is none, `lost` why it ended."""

    def __init__(
        self,
        take: Callable[[bytes], None],
        faulted: Callable[[TurnlogError], None],
        lost: Callable[[str], None],
        limit_bytes: int,
    ) -> None:
        self._take = take
        self._faulted = faulted
        self._lost = lost
        self._limit = limit_bytes
        self._waiting: list[bytes] | None = []  # what waits for the channel to open; None: there will be no channel
        self.channel: RTCDataChannel | None = None

    def absent(self) -> None:
        """The peer wants no channel: what would go over it is dropped."""
        self._waiting = None

    def use(self, channel: RTCDataChannel) -> None:
        """This is the channel, if it is the first of its name."""
        if channel.label != LABEL or self.channel is not None:
            _log.info("a peer opened a data channel %r, which is not used", channel.label[:80])
            return
        self.channel = channel
        channel.on("message", self._received)
        channel.on("close", lambda: self._lost("the peer closed the data channel"))
        if channel.readyState == "open":
            self._opened()
        else:
            channel.on("open", self._opened)

    def send(self, message: bytes) -> None:
        """Send a text. Raises LinkClosed: 1008 where too much waits, 1009 where the peer does not take so large a one."""
        channel = self.channel
        if channel is not None and channel.readyState == "open":
            self._check_room(channel.bufferedAmount)
            self._hand_over(channel, message)
        elif channel is not None and channel.readyState in ("closing", "closed"):
            raise LinkClosed(1006, "the data channel is closed")
        elif self._waiting is not None:
            self._check_room(sum(map(len, self._waiting)))
            self._waiting.append(message)

    async def drained(self, timeout_s: float) -> None:
        """Return when the peer has acknowledged all that was sent, or will not, or after `timeout_s`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while loop.time() < until and self._owed():  # noqa: ASYNC110  # aiortc tells nobody of an acknowledgement
            await asyncio.sleep(_POLL_S)

    def _owed(self) -> bool:
        channel = self.channel
        if channel is None or channel.readyState == "connecting":
            return bool(self._waiting)
        return channel.readyState == "open" and unacknowledged(channel)

    def _check_room(self, waiting: int) -> None:
        if waiting > self._limit:
            raise LinkClosed(_TOO_SLOW, f"the peer left {waiting} bytes unread; the limit is {self._limit}")

    def _opened(self) -> None:
        waiting, self._waiting = self._waiting or [], []
        assert self.channel is not None
        for message in waiting:
            try:
                self._hand_over(self.channel, message)
            except LinkClosed as error:
                self._lost(error.reason)
                return

    def _hand_over(self, channel: RTCDataChannel, message: bytes) -> None:
        try:
            channel.send(message.decode())
        except ValueError as error:  # larger than the peer's a=max-message-size
            raise LinkClosed(_TOO_BIG, f"TL306 {error}") from error

    def _received(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._faulted(
                ProtocolError("TL304", f"the peer sent a binary message of {len(message)} bytes", "Realtime messages are text")
            )
            return
        raw = message.encode()
        if len(raw) > MAX_MESSAGE_BYTES:
            self._faulted(
                ProtocolError(
                    "TL306",
                    f"the peer sent a message of {len(raw)} bytes; the limit is {MAX_MESSAGE_BYTES}",
                    "send smaller pieces, or audio over the audio track",
                )
            )
            return
        self._take(raw)
