"""However a call ends, it is told once and nothing of it is left: no task, no thread, no socket."""

import asyncio
import os
import random
import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aioice import ice as aioice_ice
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from tests.webrtc.peers import LOOPBACK, Told, call, tone
from turnlog.core.errors import LinkClosed, ProtocolError
from turnlog.transports.webrtc import inside
from turnlog.transports.webrtc.data import MAX_MESSAGE_BYTES
from turnlog.transports.webrtc.peer import Peer


def sockets() -> set[str]:
    """The open sockets of this process, by inode."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the folder's own
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@asynccontextmanager
async def nothing_is_left() -> AsyncIterator[None]:
    """What runs and is open afterwards ran and was open before; asyncio_: the loop's own pool."""
    await asyncio.sleep(0)
    tasks, threads, open_before = asyncio.all_tasks(), set(threading.enumerate()), sockets()
    yield
    assert asyncio.all_tasks() - tasks == set()
    assert {thread for thread in set(threading.enumerate()) - threads if not thread.name.startswith("asyncio_")} == set()
    assert sockets() - open_before == set()


@asynccontextmanager
async def stock_caller(told: Told, **settings: float) -> AsyncIterator[tuple[Peer, RTCPeerConnection, RTCDataChannel]]:
    """A stock aiortc connection calls a peer of ours; the data channel is open."""
    ours = Peer(told, LOOPBACK, **settings)  # type: ignore[arg-type]  # limit_bytes is an int
    stock = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    stock.addTransceiver("audio")
    channel = stock.createDataChannel("oai-events")
    opened = asyncio.Event()
    channel.on("open", opened.set)
    await stock.setLocalDescription(await stock.createOffer())
    await stock.setRemoteDescription(RTCSessionDescription(await ours.answer(stock.localDescription.sdp), "answer"))
    async with asyncio.timeout(10):
        await opened.wait()
        await told.is_connected.wait()
    try:
        yield ours, stock, channel
    finally:
        await ours.close()
        await stock.close()


async def test_a_closed_call_leaves_nothing() -> None:
    """Closed while both talk; closing twice does nothing."""
    async with nothing_is_left():
        async with call() as (caller, near, callee, far):
            caller.speaker.put(tone(2000), 1)
            callee.speaker.put(tone(2000), 1)
            async with asyncio.timeout(5):
                await asyncio.gather(near.hears_sound(), far.hears_sound())
            await caller.close()
            async with asyncio.timeout(5):
                await far.has_gone.wait()
            await caller.close()
    assert near.reasons == []
    assert len(far.reasons) == 1


async def test_a_call_that_never_connects_is_given_up() -> None:
    """The answer reached nobody: gone() follows after connect_s."""
    told = Told()
    async with nothing_is_left():
        other = Peer(Told(), LOOPBACK)
        ours = Peer(told, LOOPBACK, connect_s=0.3)
        await ours.answer(await other.offer())
        await other.close()
        async with asyncio.timeout(5):
            await told.has_gone.wait()
        await ours.close()
    assert told.reasons == ["not connected within 0.3 s"]
    assert not told.is_connected.is_set()
    assert told.pieces == 0


async def test_an_offer_that_is_never_answered_leaves_nothing() -> None:
    """Closing is all that is needed."""
    async with nothing_is_left():
        ours = Peer(Told(), LOOPBACK)
        await ours.offer()
        await ours.close()
        await Peer(Told(), LOOPBACK).close()


async def test_closing_while_the_connection_is_made_leaves_nothing() -> None:
    """At whatever point between answer and connection."""
    for turns in (0, 2, 5, 10, 20, 30, 40, 60):
        async with nothing_is_left():
            caller, callee = Peer(Told(), LOOPBACK), Peer(Told(), LOOPBACK)
            await caller.accept(await callee.answer(await caller.offer()))
            for _ in range(turns):
                await asyncio.sleep(0.001)
            await callee.close()
            await caller.close()


async def test_a_peer_that_vanishes_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No packet of it comes any more, and no word: consent to send expires (RFC 7675; 30 s there, less here)."""
    monkeypatch.setattr(aioice_ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice_ice, "CONSENT_FAILURES", 1)
    async with nothing_is_left(), call() as (caller, _, _, far):
        for transceiver in caller._connection.getTransceivers():
            for protocol in transceiver.receiver.transport.transport._connection._protocols:
                monkeypatch.setattr(protocol, "datagram_received", lambda *_: None)
                monkeypatch.setattr(protocol.transport, "sendto", lambda *_: None)
        async with asyncio.timeout(10):
            await far.has_gone.wait()
    assert far.reasons == ["the connection failed: no packets pass"]


async def test_noise_from_anywhere_does_no_harm() -> None:
    """Empty datagrams, and random ones of every kind, from an address that has nothing to do with the call."""
    chance = random.Random(5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        async with call() as (caller, near, callee, far):
            (ice,) = inside._transports(callee._connection)
            address = ice._connection.local_candidates[0]
            for kind in (0, 1, 20, 22, 23, 63, 128, 129, 191, 255):
                for size in (0, 1, 2, 7, 8, 12, 20, 100, 1400):
                    stranger.sendto((bytes([kind]) + chance.randbytes(size))[:size], (address.host, address.port))
            caller.speaker.put(tone(300), 1)
            caller.send(b"{}")
            async with asyncio.timeout(5):
                await far.hears_sound(200)
                assert await far.messages.get() == b"{}"
        assert (near.reasons, len(far.reasons), far.faults.qsize()) == ([], 1, 0)


async def test_a_peer_with_another_certificate_than_it_named_is_refused() -> None:
    """Its fingerprint is in the offer; the call fails at once, and no audio of it is heard."""
    told = Told()
    async with nothing_is_left():
        ours, other = Peer(told, LOOPBACK), Peer(Told(), LOOPBACK)
        offer = await other.offer()
        forged = re.sub("(a=fingerprint:sha-256 )..", r"\g<1>00", offer)
        forged = re.sub("(a=fingerprint:sha-(384|512) )..", r"\g<1>00", forged)
        await other.accept(await ours.answer(forged))
        async with asyncio.timeout(10):
            await told.has_gone.wait()
        await ours.close()
        await other.close()
    assert told.reasons == ["the connection failed: no packets pass"]
    assert told.pieces == 0


async def test_closing_while_addresses_are_gathered_ends_the_call() -> None:
    """LinkClosed for who waits for the answer; nothing is left."""
    async with nothing_is_left():
        other, ours = Peer(Told(), LOOPBACK), Peer(Told(), LOOPBACK)
        offer = await other.offer()
        answering = asyncio.create_task(ours.answer(offer))
        await asyncio.sleep(0)
        await ours.close()
        with pytest.raises(LinkClosed):
            await answering
        await ours.close()
        with pytest.raises(LinkClosed):
            await ours.accept(offer.replace("actpass", "active"))
        await other.close()


async def test_a_closed_data_channel_ends_the_call() -> None:
    """Without it nothing can be said about the audio."""
    told = Told()
    async with nothing_is_left(), stock_caller(told) as (ours, _, channel):
        channel.close()
        async with asyncio.timeout(5):
            await told.has_gone.wait()
        with pytest.raises(LinkClosed):
            ours.send(b"{}")
    assert told.reasons == ["the peer closed the data channel"]


async def test_a_peer_that_closes_is_gone_at_once() -> None:
    """The end of its DTLS is the end of the call; no time-out is waited for."""
    told = Told()
    async with nothing_is_left(), stock_caller(told) as (_, stock, _):
        began = asyncio.get_running_loop().time()
        await stock.close()
        async with asyncio.timeout(5):
            await told.has_gone.wait()
        assert asyncio.get_running_loop().time() - began < 1
    assert len(told.reasons) == 1


async def test_binary_and_overlong_messages_are_faults_and_the_peer_stays() -> None:
    """TL304 and TL306; what follows is received."""
    told = Told()
    async with stock_caller(told) as (_, stock, channel):
        channel.send(b"\x00\x01")
        assert stock.sctp is not None
        stock.sctp._remote_max_message_size = 0  # a peer that does not keep to our limit
        channel.send("x" * (MAX_MESSAGE_BYTES + 1))
        channel.send("{}")
        async with asyncio.timeout(10):
            assert [(await told.faults.get()).code, (await told.faults.get()).code] == ["TL304", "TL306"]
            assert await told.messages.get() == b"{}"
    assert told.reasons == []


async def test_a_message_without_an_end_ends_the_call() -> None:
    """What is gathered of a message is bounded, whatever the peer thinks of our window; the call is given up."""
    told = Told()
    async with nothing_is_left(), stock_caller(told) as (ours, stock, channel):
        assert stock.sctp is not None and ours._connection.sctp is not None
        stock.sctp._remote_max_message_size = 0
        channel.send("x" * 4 * 1024 * 1024)
        async with asyncio.timeout(20):
            await told.has_gone.wait()
        assert ours._connection.sctp._advertised_rwnd > -128 * 1024
    assert told.reasons == ["the peer sent more of a message than it may"]
    assert told.messages.empty() and told.faults.empty()


async def test_text_that_is_no_utf8_is_a_fault_and_the_peer_stays() -> None:
    """TL304; aiortc alone would lose the connection over it."""
    told = Told()
    async with stock_caller(told) as (_, stock, channel):
        assert stock.sctp is not None
        stock.sctp._data_channel_queue.append((channel, 51, b"\xff\xfe{"))
        channel.send("{}")
        async with asyncio.timeout(5):
            assert (await told.faults.get()).code == "TL304"
            assert await told.messages.get() == b"{}"


async def test_a_message_that_the_peer_does_not_take_ends_the_call() -> None:
    """Larger than its a=max-message-size: LinkClosed 1009, and gone()."""
    told = Told()
    async with nothing_is_left(), stock_caller(told) as (ours, _, _):
        with pytest.raises(LinkClosed) as closed:
            ours.send(b"x" * (MAX_MESSAGE_BYTES + 1))
        await told.has_gone.wait()
    assert closed.value.close_code == 1009
    assert re.match("TL306 .*262145 bytes", told.reasons[0])


async def test_what_a_peer_leaves_unread_is_bounded() -> None:
    """Beyond limit_bytes: LinkClosed 1008, and gone(), before and after the channel is open."""
    told = Told()
    unconnected = Peer(Told(), LOOPBACK, limit_bytes=1000)
    unconnected.send(b"x" * 1001)
    with pytest.raises(LinkClosed, match="1008"):
        unconnected.send(b"x")
    await unconnected.close()
    async with nothing_is_left(), stock_caller(told, limit_bytes=100_000) as (ours, _, _):
        with pytest.raises(LinkClosed) as closed:
            for _ in range(10):
                ours.send(b"x" * 60_000)
        await told.has_gone.wait()
    assert closed.value.close_code == 1008


async def test_what_was_sent_arrives_before_the_call_is_closed() -> None:
    """close() waits for the peer's acknowledgement: the last words are not cut off."""
    async with call() as (caller, _, _, far):
        for number in range(50):
            caller.send(b"%d" % number * 1000)
        await caller.close()
        async with asyncio.timeout(5):
            await far.has_gone.wait()
        assert far.messages.qsize() == 50


async def test_an_offer_that_breaks_aiortc_is_named_and_leaves_nothing() -> None:
    """A description that passes our checks and not aiortc's is TL310, and the peer is closed."""
    async with nothing_is_left():
        other = Peer(Told(), LOOPBACK)
        offer = await other.offer()
        for broken in (
            offer.replace("a=candidate:", "a=candidate:x\r\na=candidate:"),
            re.sub("a=rtpmap:.*", "a=rtpmap:96 opus/48000/two", offer),
            re.sub("a=fingerprint:.*", "a=fingerprint:sha-256", offer),
            re.sub("a=ice-pwd:.*", "a=ice-pwd:x", offer),
            re.sub("m=application.*", "m=application 9 UDP/DTLS/SCTP\r\n", offer),
        ):
            ours = Peer(Told(), LOOPBACK, connect_s=0.05)
            try:
                await ours.answer(broken)
            except ProtocolError as error:
                assert error.code == "TL310"
            await ours.close()
        await other.close()
