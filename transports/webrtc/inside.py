"""Every place where turnlog uses what aiortc and aioice do not promise to keep. Nothing else in the package may.

The pin (aiortc==1.16.*) holds these still; a test per place fails if a version moves it, and missing() names what is gone.
None of it changes a module or a class: all is done to the objects of one connection.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import aiortc
import pylibsrtp
from aioice import Connection
from aiortc import InvalidStateError, RTCDataChannel, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcsctptransport import RTCSctpTransport
from aiortc.rtp import AnyRtcpPacket, RtcpRrPacket, RtcpSrPacket, RtpPacket

from ...core.errors import TurnlogError
from .reports import Source
from .rtp import Rtp, is_rtp, parse_rtp

__all__ = [
    *("Connecting", "LeanReceiver", "check_versions", "consent_expired", "guard_data", "guard_packets"),
    *("hurry_data", "limit_hosts", "missing", "settle", "unacknowledged"),
]

_GATHER_S: Final = 2  # aioice waits 5 s for a STUN or TURN server; a caller that waits for its answer has gone by then
_LOOPBACK: Final = "127.0.0.1"
_RESEND_FIRST_S: Final = 0.5
_RESEND_MIN_S: Final = 0.4
_SHORTEST: Final = 8  # bytes: an RTCP packet without a report

Packets: TypeAlias = Callable[[int, int, int, bytes], None]
"""Takes what matters of an RTP packet: source (SSRC), sequence number, RTP time, payload."""


def missing() -> list[str]:
    """What this module needs and the installed versions do not have."""
    needed: list[tuple[type, Iterable[str]]] = [
        (RTCRtpReceiver, ("receive", "transport")),
        (RTCDtlsTransport, ("_register_rtp_receiver", "_unregister_rtp_receiver", "_send_rtp")),
        (RTCSctpTransport, ("_handle_data", "_update_rto")),
        (RTCPeerConnection, ("_RTCPeerConnection__connect",)),
        (Connection, ("get_component_candidates", "data_received")),
    ]
    return [f"{owner.__name__}.{name}" for owner, names in needed for name in names if not hasattr(owner, name)]


def check_versions() -> None:
    """Raises TurnlogError TL601 where aiortc is another one than this was written for."""
    if gone := missing():
        hint = 'pip install "turnlog[webrtc]" installs one that has'
        raise TurnlogError("TL601", f"aiortc {aiortc.__version__} has no {', '.join(gone)}", hint)


class LeanReceiver:
    """Stands in for aiortc's receiver: packets are decrypted, read and handed on where the socket gives them.

    Reason: aiortc takes each through a queue, two tasks and its own parser, and decodes each track in a thread, which costs two
    switches of threads a packet; all that is several times the decoding. Place: `receiver.receive` is called when the connection
    stands. This registers itself at the DTLS transport instead, as its protocol RtpReceiver (three methods), and takes RTP out
    of `Connection.data_received` with `RTCDtlsTransport._rx_srtp`. Receiver reports are sent from here then.
    """

    def __init__(self, receiver: RTCRtpReceiver, sender: RTCRtpSender, take: Packets) -> None:
        self._receiver = receiver
        self._ssrc = int(sender._ssrc)
        self._take = take
        self._types: frozenset[int] = frozenset()
        self._sources: dict[int, Source] = {}
        self._reports: asyncio.Task[None] | None = None
        receiver.receive = self._receive  # type: ignore[method-assign]  # the place named above

    async def stop(self) -> None:
        """No packet is handed on any more, no report sent."""
        self._types = frozenset()
        if self._reports is not None:
            self._receiver.transport._unregister_rtp_receiver(self)
            self._reports.cancel()
            await asyncio.wait((self._reports,))
            self._reports = None

    async def _receive(self, parameters: RTCRtpReceiveParameters) -> None:
        if self._reports is None:
            opus = (codec.payloadType for codec in parameters.codecs if codec.mimeType.lower() == "audio/opus")
            self._types = frozenset(number for number in opus if number is not None)
            dtls: Any = self._receiver.transport
            dtls._register_rtp_receiver(self, parameters)
            ice: Any = dtls.transport._connection
            ice.data_received = self._rtp_first(dtls._rx_srtp.unprotect, ice.data_received)
            self._reports = asyncio.get_running_loop().create_task(self._report(), name="turnlog receiver reports")

    def _rtp_first(
        self, decrypt: Callable[[bytes], bytes], others: Callable[[bytes, int], None]
    ) -> Callable[[bytes, int], None]:
        def received(data: bytes, component: int) -> None:
            if not is_rtp(data):
                others(data, component)
                return
            try:
                packet = parse_rtp(decrypt(data))
            except pylibsrtp.Error:
                return  # forged, or doubled
            if packet is not None:
                self._received(packet)

        return received

    def _received(self, packet: Rtp) -> None:
        if packet.payload_type not in self._types:
            return
        source = self._sources.get(packet.ssrc)
        if source is None:
            self._sources.clear()  # one track has one source at a time; a peer must not make us keep any number
            source = self._sources[packet.ssrc] = Source()
        source.count(packet)
        self._take(packet.ssrc, packet.sequence_number, packet.timestamp, packet.payload)

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        """A packet that was in the queue already when the connection came to stand."""
        self._received(Rtp(packet.payload_type, packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload))

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket) and packet.ssrc in self._sources:
            self._sources[packet.ssrc].sender_report = (packet.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF, time.time())

    def _handle_disconnect(self) -> None:
        """The connection state tells it."""

    async def _report(self) -> None:
        """Tell the peer what arrived (RFC 3550); its sender adapts to that."""
        while True:
            await asyncio.sleep(0.5 + random.random())
            reports = [source.report(ssrc) for ssrc, source in self._sources.items()]
            if not reports:
                continue
            try:
                await self._receiver.transport._send_rtp(bytes(RtcpRrPacket(ssrc=self._ssrc, reports=reports)))
            except ConnectionError:
                return


def limit_hosts(connection: RTCPeerConnection, hosts: Sequence[str]) -> None:
    """Offer these own addresses only; with none named those of the interfaces, and loopback where there is no other.

    Reason: aioice has no setting for it, and leaves 127.0.0.1 out. Place: `Connection.get_component_candidates`, which gets
    the addresses as an argument. Call it when all transports exist and before candidates are gathered.
    """
    for ice in _transports(connection):
        ice_connection: Any = ice._connection
        gather: Callable[..., Awaitable[Any]] = ice_connection.get_component_candidates

        ice_connection.get_component_candidates = _with_hosts(gather, list(hosts))


def _with_hosts(gather: Callable[..., Awaitable[Any]], hosts: list[str]) -> Callable[..., Awaitable[Any]]:
    async def chosen(component: int, addresses: list[str], **_: object) -> Any:
        return await gather(component=component, addresses=hosts or addresses or [_LOOPBACK], timeout=_GATHER_S)

    return chosen


def guard_data(transport: RTCSctpTransport, broken: Callable[[Exception], None]) -> None:
    """Tell of what the data channel's layers raise over what the peer sent, instead of losing the whole connection.

    Reason: text that is no UTF-8, or a second channel of one number, ends aiortc's task that reads the socket, with nothing but a
    line in a log; and a message without an end is gathered without bound. Place: `RTCSctpTransport._handle_data`, which the DTLS
    transport calls, and `_advertised_rwnd`, its window of 1 MiB. BufferError: the peer does not keep to it, and is not read.
    """
    sctp: Any = transport
    handle: Callable[[bytes], Awaitable[None]] = sctp._handle_data

    async def guarded(data: bytes) -> None:
        if sctp._advertised_rwnd < -64 * 1024:  # a sender may probe a window that is closed
            return broken(BufferError("the peer sent more of a message than it may"))
        try:
            await handle(data)
        except ConnectionError:
            raise
        except Exception as error:
            broken(error)

    sctp._handle_data = guarded


def hurry_data(transport: RTCSctpTransport) -> None:
    """Send a lost message of the data channel again as soon as browsers do.

    Reason: aiortc waits 3 s at first and never less than 1 s, during which everything behind a lost message waits too; Chromium's
    dcSCTP waits 0.5 and 0.4 s. Place: `RTCSctpTransport._rto`, and `_update_rto`, which sets it for each measured round trip.
    """
    sctp: Any = transport
    update: Callable[[float], None] = sctp._update_rto

    def updated(round_trip_s: float) -> None:
        update(round_trip_s)
        sctp._rto = min(sctp._rto, max(_RESEND_MIN_S, sctp._srtt + 4 * sctp._rttvar))

    sctp._update_rto = updated
    sctp._rto = _RESEND_FIRST_S


def guard_packets(connection: RTCPeerConnection) -> None:
    """Leave out datagrams that are too short to be anything.

    Reason: the task that reads the socket looks at the first byte of each datagram, whoever sent it, and an empty one ends it
    and the call. Place: `Connection.data_received`, which aioice calls with each datagram that is not its own.
    """
    for ice in _transports(connection):
        ice_connection: Any = ice._connection
        ice_connection.data_received = _long_enough(ice_connection.data_received)


def _long_enough(receive: Callable[[bytes, int], None]) -> Callable[[bytes, int], None]:
    def received(data: bytes, component: int) -> None:
        if len(data) >= _SHORTEST:
            receive(data, component)

    return received


def unacknowledged(channel: RTCDataChannel) -> bool:
    """Whether the peer has not acknowledged all that was sent over the channel.

    Reason: closing aborts the association, and `bufferedAmount` does not count what is on its way. Place: the two queues of
    RTCSctpTransport.
    """
    sctp: Any = channel.transport
    return bool(channel.bufferedAmount or sctp._outbound_queue or sctp._sent_queue)


def consent_expired(connection: RTCPeerConnection) -> bool:
    """Whether a connection that closed was given up by ICE, as the peer answered no more (RFC 7675), not closed by the peer.

    Reason: aiortc tells both as "closed". Place: `Connection._query_consent_task`, which is None once consent has expired.
    """
    return any(ice._connection._query_consent_task is None for ice in _transports(connection))


class Connecting:
    """The tasks in which a connection is being made.

    Reason: close() does not wait for them, and one that goes on then starts senders and checks of consent that nobody stops;
    what they raise is told to nobody. Place: `RTCPeerConnection.__connect`, started as a task for each description.
    """

    def __init__(self, connection: RTCPeerConnection, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._stopped = False
        self._tasks: set[asyncio.Task[Any]] = set()
        owner: Any = connection
        self._connect: Callable[[], Awaitable[None]] = owner._RTCPeerConnection__connect
        owner._RTCPeerConnection__connect = self._tracked

    async def stop(self) -> None:
        """Before close(): the connection is not made any further."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _tracked(self) -> None:
        if self._stopped:
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connect()
        except InvalidStateError:
            pass  # the peer closed meanwhile
        except Exception as error:
            self._failed(error)
        finally:
            self._tasks.discard(task)


async def settle(connection: RTCPeerConnection) -> None:
    """After close(): return when what it has only cancelled is over.

    Reason: aiortc closes by itself when the peer does, also while senders are just being started. Place: stopping a sender
    twice is no error.
    """
    for transceiver in connection.getTransceivers():
        await transceiver.sender.stop()
    for _ in range(10):  # turns of the event loop, for tasks that were cancelled and not waited for
        await asyncio.sleep(0)


def _transports(connection: RTCPeerConnection) -> list[RTCIceTransport]:
    found = [transceiver.receiver.transport.transport for transceiver in connection.getTransceivers()]
    if connection.sctp is not None:
        found.append(connection.sctp.transport.transport)
    return list({id(transport): transport for transport in found}.values())
