"""What turnlog uses of aiortc and aioice beyond their promise is there, and does what it is used for.

A test here that fails after an upgrade names the place to look at; see transports/webrtc/inside.py.
"""

import ast
import asyncio
import inspect
import threading
from importlib import metadata
from pathlib import Path

import aiortc
import pytest
from aioice import Connection
from aiortc import RTCPeerConnection, RTCRtpReceiver
from aiortc.rtcdtlstransport import RTCDtlsTransport, RtpReceiver
from aiortc.rtcrtpsender import RTCRtpSender

from tests.webrtc.peers import LOOPBACK, Told, call, tone
from turnlog.core.errors import TurnlogError
from turnlog.transports.webrtc import inside, outgoing
from turnlog.transports.webrtc.peer import Peer

FOLDER = Path(inside.__file__).parent


def test_the_installed_version_is_the_one_that_this_was_written_for() -> None:
    """aiortc 1.16: the pin of the extra."""
    assert metadata.version("aiortc").startswith("1.16.")
    assert inside.missing() == []


def test_a_version_without_a_part_that_is_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """TL601 with the part's name, where a peer is made; not an AttributeError in the middle of a call."""
    monkeypatch.delattr(RTCDtlsTransport, "_register_rtp_receiver")
    with pytest.raises(TurnlogError, match=r"TL601 aiortc .* has no RTCDtlsTransport\._register_rtp_receiver"):
        inside.check_versions()


def test_private_names_are_used_in_one_file_only() -> None:
    """No other file of the package touches an underscore of an object that is not its own."""
    for path in FOLDER.glob("*.py"):
        if path.name == "inside.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        owners = {
            node.value.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and isinstance(node.value, ast.Name)
        }
        deeper = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and isinstance(node.value, ast.Attribute)
        ]
        assert owners <= {"self"}, path.name
        assert deeper == [], path.name


def test_a_receiver_is_what_the_dtls_transport_hands_packets_to() -> None:
    """The three methods of aiortc's protocol, with the arguments that they are called with."""
    for name in ("_handle_rtp_packet", "_handle_rtcp_packet", "_handle_disconnect"):
        theirs, ours = getattr(RtpReceiver, name), getattr(inside.LeanReceiver, name)
        assert list(inspect.signature(theirs).parameters) == list(inspect.signature(ours).parameters), name
    assert {name for name in vars(RtpReceiver) if name.startswith("_handle")} == {
        "_handle_rtp_packet",
        "_handle_rtcp_packet",
        "_handle_disconnect",
    }
    assert list(inspect.signature(RTCRtpReceiver.receive).parameters) == ["self", "parameters"]


def test_addresses_are_an_argument_of_gathering() -> None:
    """limit_hosts puts its own in their place."""
    assert list(inspect.signature(Connection.get_component_candidates).parameters) == [
        "self",
        "component",
        "addresses",
        "timeout",
    ]


def test_a_connection_is_made_in_a_method_that_can_be_watched() -> None:
    """RTCPeerConnection.__connect, which Connecting stands in for, and no other of that kind."""
    made = [name for name in vars(RTCPeerConnection) if name.endswith("__connect")]
    assert made == ["_RTCPeerConnection__connect"]
    source = inspect.getsource(RTCPeerConnection)
    assert source.count("ensure_future(self.__connect())") == 2


def test_a_sender_sends_packets_as_they_are() -> None:
    """For what is no Frame it asks the encoder to pack, not to encode: no thread pool, no level of every sample."""
    source = inspect.getsource(RTCRtpSender._next_encoded_frame)
    assert "if isinstance(data, Frame):" in source
    assert "self.__encoder.pack(data)" in source


async def test_a_call_of_ours_starts_no_thread_and_a_stock_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for what is heard nor for what is said; nor does it ask for the level of what it sends."""
    before = set(threading.enumerate())
    monkeypatch.setattr(aiortc.rtp, "compute_audio_level_dbov", None)
    async with call() as (caller, near, callee, far):
        caller.speaker.put(tone(500), 1)
        callee.speaker.put(tone(500), 1)
        async with asyncio.timeout(5):
            await asyncio.gather(near.hears_sound(200), far.hears_sound(200))
        assert set(threading.enumerate()) == before


async def test_packets_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """RTP is taken where the socket gives it, and does not reach aiortc's queue and parser."""
    monkeypatch.setattr(inside.LeanReceiver, "_handle_rtp_packet", None)
    monkeypatch.setattr(RTCDtlsTransport, "_handle_rtp_data", None)
    async with call() as (caller, near, _, far):
        caller.speaker.put(tone(300), 1)
        async with asyncio.timeout(5):
            await far.hears_sound(200)
    assert near.reasons == []


async def test_a_peer_is_told_what_arrived() -> None:
    """Receiver reports go out, as the sender of the other end needs them: none is lost on loopback."""
    async with call() as (caller, near, callee, far):
        callee.speaker.put(tone(2500), 1)
        sender = callee._connection.getSenders()[0]
        async with asyncio.timeout(5):
            while not any(one.type == "remote-inbound-rtp" for one in (await sender.getStats()).values()):
                await near.heard_ms(near.pieces * 20 + 20)
        (report,) = [one for one in (await sender.getStats()).values() if one.type == "remote-inbound-rtp"]
        assert (report.packetsLost, report.fractionLost) == (0, 0)
        assert far.reasons == []
        assert isinstance(caller.speaker, outgoing.Speaker)


async def test_what_the_peer_has_not_acknowledged_is_known() -> None:
    """close() waits for it; the queues of the association hold it until then."""
    async with call() as (caller, _, _, far):
        caller.send(b"first")
        async with asyncio.timeout(5):
            await far.messages.get()
        channel = caller._line.channel
        assert channel is not None
        caller.send(b"x" * 100_000)
        assert inside.unacknowledged(channel)
        async with asyncio.timeout(5):
            await caller._line.drained(5)
        assert not inside.unacknowledged(channel)
        assert len(await far.messages.get()) == 100_000


async def test_a_lost_message_is_sent_again_as_soon_as_browsers_do() -> None:
    """0.5 s at first, then by the measured round trip, 0.4 s at least; aiortc's own figures are 3 and 1."""
    peer = Peer(Told(), LOOPBACK)
    await peer.offer()
    assert peer._connection.sctp is not None
    assert peer._connection.sctp._rto == 0.5
    await peer.close()
    async with call() as (caller, _, _, far):
        caller.send(b"{}")
        async with asyncio.timeout(5):
            await far.messages.get()
            await caller._line.drained(5)
        sctp = caller._connection.sctp
        assert sctp is not None
        assert sctp._srtt is not None
        assert sctp._rttvar is not None
        assert sctp._rto == max(0.4, sctp._srtt + 4 * sctp._rttvar)
        sctp._update_rto(3)
        assert sctp._rto > 1


async def test_consent_is_a_task_that_is_none_once_it_has_expired() -> None:
    """It tells a peer that vanished from one that closed."""
    async with call() as (caller, _, _, _):
        (ice,) = inside._transports(caller._connection)
        assert isinstance(ice._connection._query_consent_task, asyncio.Task)
        assert not inside.consent_expired(caller._connection)
    assert "self._query_consent_task = None\n" in inspect.getsource(Connection.query_consent)
