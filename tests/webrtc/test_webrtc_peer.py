"""A peer connection of ours, against another of ours and against a stock aiortc one, over strict loopback."""

import asyncio
from fractions import Fraction

import av
import numpy
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from tests.webrtc.peers import LOOPBACK, Played, Told, call, level, tone
from turnlog.transports.webrtc.peer import Peer


async def test_two_peers_talk_and_write_to_each_other() -> None:
    """Audio and messages go both ways; what was sent before the channel opened arrives first."""
    near, far = Told(), Told()
    caller, callee = Peer(near, LOOPBACK), Peer(far, LOOPBACK)
    played = Played()
    callee.speaker.listener = played
    caller.send(b'{"type":"first"}')
    await caller.accept(await callee.answer(await caller.offer()))
    async with asyncio.timeout(10):
        assert await far.messages.get() == b'{"type":"first"}'
        callee.send('{"type":"grüße"}'.encode())
        assert await near.messages.get() == '{"type":"grüße"}'.encode()
        callee.speaker.put(tone(300), "greeting")
        callee.speaker.finish("greeting")
        await played.tells(2)
        await near.hears_sound(200)
    assert played.told == [("started", "greeting", 0), ("ended", "greeting", 300)]
    assert callee.speaker.played_ms("greeting") == 300
    await caller.close()
    async with asyncio.timeout(5):
        await far.has_gone.wait()
    await callee.close()
    assert (near.reasons, far.reasons) == ([], ["the peer closed the data channel"])


class Tone(MediaStreamTrack):
    """48 kHz stereo, as a browser may send it."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._n = 0

    async def recv(self) -> av.AudioFrame:
        """20 ms."""
        await asyncio.sleep(0.02)
        at = numpy.arange(self._n * 960, (self._n + 1) * 960)
        wave = (8000 * numpy.sin(2 * numpy.pi * 440 * at / 48_000)).astype(numpy.int16)
        frame = av.AudioFrame.from_ndarray(numpy.repeat(wave, 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._n * 960, Fraction(1, 48_000)
        self._n += 1
        return frame


@pytest.mark.parametrize("we_call", [False, True])
async def test_a_stock_peer_is_heard_and_hears(we_call: bool) -> None:
    """aiortc's own media path on the other end, as caller and as callee; stereo becomes mono."""
    told = Told()
    ours = Peer(told, LOOPBACK)
    stock = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    stock.addTrack(Tone())
    heard: list[float] = []
    loud = asyncio.Event()
    texts: asyncio.Queue[object] = asyncio.Queue()
    listening: list[asyncio.Task[None]] = []

    async def listen(track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            heard.append(level(bytes(frame.planes[0])[: frame.samples * 4]))
            if sum(one > 2000 for one in heard) > 10:
                loud.set()

    stock.on("track", lambda track: listening.append(asyncio.ensure_future(listen(track))))
    if we_call:
        stock.on("datachannel", lambda channel: channel.on("message", texts.put_nowait))
        await stock.setRemoteDescription(RTCSessionDescription(await ours.offer(), "offer"))
        await stock.setLocalDescription(await stock.createAnswer())
        await ours.accept(stock.localDescription.sdp)
    else:
        stock.createDataChannel("oai-events").on("message", texts.put_nowait)
        await stock.setLocalDescription(await stock.createOffer())
        await stock.setRemoteDescription(RTCSessionDescription(await ours.answer(stock.localDescription.sdp), "answer"))
    ours.send(b"{}")
    ours.speaker.put(tone(1000), 1)
    async with asyncio.timeout(10):
        await told.hears_sound(200)
        await loud.wait()
        assert await texts.get() == "{}"
    for task in listening:
        task.cancel()
    await asyncio.wait(listening)
    await ours.close()
    await stock.close()
    assert told.reasons == []


async def test_a_call_between_peers_can_be_had_in_one_line() -> None:
    """The context manager of these tests connects and closes both."""
    async with call() as (_, near, _, far):
        async with asyncio.timeout(5):
            await asyncio.gather(near.heard_ms(100), far.heard_ms(100))
    assert level(bytes(near.heard)) == level(bytes(far.heard)) == 0
