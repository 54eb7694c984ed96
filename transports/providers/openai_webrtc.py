"""A provider's line over WebRTC: we make the offer, the provider answers it, and what passes looks like a WebSocket's messages.

So a session whose provider is reached by WebRTC serves callers of any kind, with one log, leg and mouth for all. What is said
here goes out as RTP and what is spoken comes in as RTP; everything else goes over the data channel as it is.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from ...core.errors import LinkClosed, LinkError, TurnlogError
from ..links.received import Received
from ..realtime.rtp_output import RtpOutput
from ..webrtc.ice import IceSettings
from ..webrtc.peer import LIMIT_BYTES, Peer
from ..webrtc.sdp import check_answer, has_data_channel
from .openai_calls import Calls
from .rtp_input import RtpInput

__all__ = ["OpenAIWebRtcLink", "call"]

_log: Final = logging.getLogger("turnlog.links")

_LOST: Final = 1006
_NO_TEXT: Final = 1003
_TOO_SLOW: Final = 1008
_TOO_BIG: Final = 1009


async def call(calls: Calls, session: dict[str, Any], ice: IceSettings, *, safety: str = "") -> "OpenAIWebRtcLink":
    """Call a provider: `session` is what it needs to know with the offer, `safety` its OpenAI-Safety-Identifier.

    Raises LinkError TL301 or TL303, ProtocolError TL310 for an answer that is none.
    """
    link = OpenAIWebRtcLink(ice)
    try:
        await link.dial(calls, session, safety)
    except BaseException:
        await link.close()
        raise
    return link


class OpenAIWebRtcLink:
    """Our end of a call that we make; see core.ports.DirectLink. `call` opens one."""

    def __init__(self, ice: IceSettings) -> None:
        self._incoming = _Incoming(self._leave)
        self._peer = Peer(self._incoming, ice)
        self._input = RtpInput(self._peer.speaker, self._peer.send)
        self._leaving: asyncio.Task[None] | None = None

    async def dial(self, calls: Calls, session: dict[str, Any], safety: str) -> None:
        """Make the offer, send it, and wait until audio can flow. Raises as `call` does; close() is then still to be called."""
        opened = await calls.open(await self._peer.offer(), session, safety=safety)
        try:
            await self._connect(opened.sdp)
        except BaseException:
            if opened.call_id:  # nobody would tell the provider that there is nobody on its call
                with suppress(TurnlogError):
                    await calls.hang_up(opened.call_id)
            raise

    async def _connect(self, answer: str) -> None:
        if not has_data_channel(check_answer(answer)):
            raise LinkError("TL301", "the provider's answer takes no data channel", "is it a Realtime service that answered?")
        await self._peer.accept(answer)
        await self._incoming.settled.wait()
        if (closed := self._incoming.received.closed) is not None:
            raise LinkError(
                "TL301",
                f"the provider answered the call, but no connection came of it: {closed.reason}",
                "UDP must pass to the provider; TURNLOG_ICE_SERVERS names STUN and TURN servers that help",
            )

    async def receive(self) -> bytes:
        """The next message. Raises LinkClosed after the last one: 1006 for a peer that has gone, 1003 or 1009 as a WebSocket."""
        try:
            return await self._incoming.received.get()
        except LinkClosed as closed:
            await self.close(closed.close_code, closed.reason)  # whoever is told that it has ended has no task of it left
            raise

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Hand messages on as they arrive; see core.ports.DirectLink."""
        self._incoming.received.listen(take)

    def send(self, message: bytes) -> None:
        """Say audio, or send a message. Raises LinkClosed, also (1008) when minutes of audio wait to be said."""
        if self._incoming.received.closed is not None:
            raise self._incoming.received.closed
        try:
            self._input.send(message)
        except LinkClosed as closed:
            self._leave(closed.close_code, closed.reason)
            raise

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Hang up, after what was sent over the data channel has arrived. Closing twice does nothing."""
        await asyncio.wait((self._leave(code, reason),))

    def _leave(self, code: int, reason: str) -> asyncio.Task[None]:
        self._incoming.received.end(LinkClosed(code, reason))
        self._incoming.settled.set()
        if self._leaving is None:  # kept: nobody has to close a link that has ended by itself
            self._leaving = asyncio.get_running_loop().create_task(self._peer.close(), name="turnlog call ends")
        return self._leaving


class _Incoming:
    """What the peer tells: PeerEvents. `leave` ends the link."""

    def __init__(self, leave: Callable[[int, str], object]) -> None:
        self.received = Received()
        self.settled = asyncio.Event()  # connected, or never to be
        self._output = RtpOutput()
        self._leave = leave

    def connected(self) -> None:
        """Audio can flow."""
        self.settled.set()

    def message(self, raw: bytes) -> None:
        """A text came over the data channel."""
        self._hand_on(self._output.receive(raw))

    def audio(self, pcm16: bytes) -> None:
        """20 ms of what the provider plays."""
        self._hand_on(self._output.audio(pcm16))

    def faulted(self, error: TurnlogError) -> None:
        """A provider that sends what is no message is left, as over a WebSocket."""
        _log.warning("a provider's data channel: %s", error)
        self._leave(_TOO_BIG if error.code == "TL306" else _NO_TEXT, f"{error.code} {error.message}")

    def gone(self, reason: str) -> None:
        """The peer is there no more, or never was."""
        self._leave(_LOST, reason)

    def _hand_on(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            self.received.put(message)
        if (unread := self.received.waiting_bytes) > LIMIT_BYTES:
            self._leave(_TOO_SLOW, f"the session left {unread} bytes unread; the limit is {LIMIT_BYTES}")
