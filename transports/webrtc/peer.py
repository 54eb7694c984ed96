"""One peer connection: an audio track each way and the data channel, told of by callbacks. No knowledge of what they carry."""

import asyncio
from typing import Final, Protocol

from aiortc import (
    InvalidStateError,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from ...core.errors import LinkClosed, LinkError, ProtocolError, TurnlogError
from .data import LABEL, DataLine
from .ice import IceSettings
from .incoming import Microphone
from .inside import (
    Connecting,
    LeanReceiver,
    check_versions,
    consent_expired,
    guard_data,
    guard_packets,
    hurry_data,
    limit_hosts,
    settle,
)
from .outgoing import Speaker, SpeakerTrack
from .sdp import check_answer, check_offer, has_data_channel, keep_call, put_back

__all__ = ["CONNECT_S", "LIMIT_BYTES", "Peer", "PeerEvents"]

CONNECT_S: Final = 15.0
"""How long a peer may take from the answer until audio could flow."""
LIMIT_BYTES: Final = 16 * 1024 * 1024
"""What may wait for a peer that does not read its data channel."""
_GONE: Final = 1006
_DRAIN_S: Final = 1.0
_VANISHED: Final = "the connection failed: no packets pass"
_NO_SERVERS: Final = IceSettings()


class PeerEvents(Protocol):
    """Told of everything the peer does, on the event loop. None may block."""

    def connected(self) -> None:
        """Audio can flow both ways. Once."""

    def message(self, raw: bytes) -> None:
        """A text came over the data channel, as UTF-8."""

    def faulted(self, error: TurnlogError) -> None:
        """The peer sent a binary message (TL304), one that is no text (TL304), or one that is too large (TL306). It stays."""

    def audio(self, pcm16: bytes) -> None:
        """20 ms of what the peer says: mono PCM16 at 24 kHz, without a gap from connected() on; silence where nothing came."""

    def gone(self, reason: str) -> None:
        """The peer closed, vanished, or never connected. Once; close() is still to be called. Not told of our own close()."""


class Peer:
    """One call. Make it, answer() an offer or offer() and accept() an answer, and close() it. For one running event loop."""

    def __init__(
        self,
        events: PeerEvents,
        ice: IceSettings = _NO_SERVERS,
        *,
        limit_bytes: int = LIMIT_BYTES,
        connect_s: float = CONNECT_S,
    ) -> None:
        check_versions()
        self.speaker = Speaker()
        self._events = events
        self._ice = ice
        self._connect_s = connect_s
        self._state = "new"  # then "connecting", "connected", "gone", "closed"
        self._timer: asyncio.TimerHandle | None = None
        self._line = DataLine(self._told, self._faulted, self._lost, limit_bytes)
        self._microphone = Microphone(self._heard)
        self._connection = RTCPeerConnection(_configuration(ice))
        self._connecting = Connecting(self._connection, lambda error: self._lost(f"the connection failed: {error!r}"))
        self._connection.on("connectionstatechange", self._changed)
        self._connection.on("datachannel", self._line.use)
        transceiver = self._connection.addTransceiver(SpeakerTrack(self.speaker), "sendrecv")
        opus = [codec for codec in RTCRtpSender.getCapabilities("audio").codecs if codec.mimeType.lower() == "audio/opus"]
        transceiver.setCodecPreferences(opus)
        self._receiver = LeanReceiver(transceiver.receiver, transceiver.sender, self._microphone.packet)

    async def answer(self, offer: str) -> str:
        """We are called: the answer to give.

        Raises ProtocolError TL310 (the offer), LinkError TL301 (no address of ours), LinkClosed (close() came between).
        """
        kept, refused = keep_call(check_offer(offer))
        if not has_data_channel(kept):
            self._line.absent()
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(kept, "offer"))
            self._prepare()
            answer = await self._connection.createAnswer()
        except Exception as error:  # aiortc parses with asserts, indexes and regular expressions: anything can come
            raise await self._refused("offer", error) from error
        await self._describe(answer)
        self._wait()
        return put_back(await self._described(), refused)

    async def offer(self) -> str:
        """We call: the offer to send. Raises LinkError TL301 (no address of ours), LinkClosed (close() came between)."""
        self._line.use(self._connection.createDataChannel(LABEL))
        self._prepare()
        await self._describe(await self._connection.createOffer())
        return await self._described()

    async def accept(self, answer: str) -> None:
        """The answer to our offer has come. Raises ProtocolError TL310, LinkClosed (close() came before)."""
        checked = check_answer(answer)
        if not has_data_channel(checked):
            self._line.absent()
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(checked, "answer"))
        except Exception as error:
            raise await self._refused("answer", error) from error
        self._wait()

    def send(self, message: bytes) -> None:
        """A text for the peer, queued until the data channel opens; dropped where the peer wants none.

        Raises LinkClosed; a peer that leaves more than the limit unread (1008), or that does not take so large a message
        (1009), is given up: gone() follows.
        """
        if self._state in ("gone", "closed"):
            raise LinkClosed(_GONE, "the peer connection is closed")
        try:
            self._line.send(message)
        except LinkClosed as error:
            asyncio.get_running_loop().call_soon(self._lost, error.reason)
            raise

    async def close(self) -> None:
        """Close, after what was sent over the data channel has arrived or a second has passed. Twice does nothing.

        A peer that has just been sent the end of something is given the time to play it.
        """
        if self._state == "connected":
            self._state = "closed"
            await self._line.drained(_DRAIN_S)
            await asyncio.sleep(max(0.0, self.speaker.sounds_until - asyncio.get_running_loop().time()))
        self._state = "closed"
        self._stop_timer()
        self._microphone.stop()
        await self._connecting.stop()
        await self._receiver.stop()
        await self._connection.close()
        await settle(self._connection)

    def _prepare(self) -> None:
        limit_hosts(self._connection, self._ice.hosts)
        guard_packets(self._connection)
        if self._connection.sctp is not None:
            guard_data(self._connection.sctp, self._broken)
            hurry_data(self._connection.sctp)

    async def _describe(self, description: RTCSessionDescription) -> None:
        """Gather our addresses, which takes a while where servers are asked."""
        try:
            await self._connection.setLocalDescription(description)
        except InvalidStateError:
            raise LinkClosed(_GONE, "closed while the call was made") from None

    async def _refused(self, what: str, error: Exception) -> TurnlogError:
        if self._state == "closed":
            return LinkClosed(_GONE, "closed while the call was made")
        await self.close()
        problem = f"the {what} cannot be used: {str(error) or type(error).__name__}"
        return ProtocolError("TL310", problem, "send it as the browser made it")

    async def _described(self) -> str:
        sdp = self._connection.localDescription.sdp
        if "\na=candidate:" not in sdp:
            await self.close()
            hosts = ", ".join(self._ice.hosts) or "the interfaces'"
            hint = "name addresses of this machine in IceSettings(hosts=)"
            raise LinkError("TL301", f"no address to be reached at: {hosts}", hint)
        return sdp

    def _wait(self) -> None:
        if self._state == "new":
            self._state = "connecting"
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._connect_s, self._lost, f"not connected within {self._connect_s:g} s")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _changed(self) -> None:
        match self._connection.connectionState:
            case "connected" if self._state in ("new", "connecting"):
                self._state = "connected"
                self._stop_timer()
                self._microphone.start()
                self._events.connected()
            case "failed":
                self._lost(_VANISHED)
            case "closed":
                self._lost(_VANISHED if consent_expired(self._connection) else "the peer closed the connection")

    def _lost(self, reason: str) -> None:
        if self._state not in ("gone", "closed"):
            self._state = "gone"
            self._stop_timer()
            self._microphone.stop()
            self._events.gone(reason)

    def _told(self, raw: bytes) -> None:
        if self._state not in ("gone", "closed"):
            self._events.message(raw)

    def _heard(self, pcm16: bytes) -> None:
        self._events.audio(pcm16)

    def _faulted(self, error: TurnlogError) -> None:
        if self._state not in ("gone", "closed"):
            self._events.faulted(error)

    def _broken(self, error: Exception) -> None:
        if isinstance(error, BufferError):
            self._lost(str(error))
            return
        self._faulted(ProtocolError("TL304", f"the data channel brought what cannot be read: {error}", "send UTF-8 text"))


def _configuration(ice: IceSettings) -> RTCConfiguration:
    """Invariant: a list, never None, which would mean aiortc's public STUN server."""
    servers = [RTCIceServer(one.url, one.username or None, one.credential or None) for one in ice.servers]
    return RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
