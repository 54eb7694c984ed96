"""The server's end of a WebRTC call as a link, with a peer of ours at the other end over strict loopback."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.webrtc.peers import LOOPBACK, Told, tone
from turnlog.core.errors import LinkClosed, ProtocolError
from turnlog.transports.callers.webrtc import WebRtcCaller
from turnlog.transports.realtime.server import ServerProtocol
from turnlog.transports.realtime.wire import parse
from turnlog.transports.webrtc.peer import Peer

Json = dict[str, Any]


class Call:
    """A link, and the peer that called it."""

    def __init__(self, link: WebRtcCaller, peer: Peer, told: Told) -> None:
        self.link = link
        self.peer = peer
        self.told = told

    async def gets(self, type_: str) -> Json:
        """The link's next message of a type."""
        async with asyncio.timeout(10):
            while (message := json.loads(await self.link.receive()))["type"] != type_:
                pass
        found: Json = message
        return found

    async def tells(self, type_: str) -> Json:
        """The peer's next message of a type."""
        async with asyncio.timeout(10):
            while (message := json.loads(await self.told.messages.get()))["type"] != type_:
                pass
        found: Json = message
        return found

    def play(self, item: str, ms: int) -> None:
        """A response's audio in one piece."""
        delta = base64.b64encode(tone(ms)).decode()
        self.send("response.output_audio.delta", item, delta=delta)

    def send(self, type_: str, item: str = "", **fields: Any) -> None:
        """A server's message of a part."""
        place = {"response_id": "r1", "item_id": item, "output_index": 0, "content_index": 0} if item else {}
        self.link.send(json.dumps({"type": type_, "event_id": "e", **place, **fields}).encode())


@asynccontextmanager
async def calling(**options: Any) -> AsyncIterator[Call]:
    """A call that is connected; nothing of it may be left behind."""
    before = asyncio.all_tasks()
    told = Told()
    peer = Peer(told, LOOPBACK)
    link, answer = await WebRtcCaller.answer(await peer.offer(), LOOPBACK, **options)
    try:
        await peer.accept(answer)
        async with asyncio.timeout(10):
            await told.is_connected.wait()
        yield Call(link, peer, told)
    finally:
        await peer.close()
        await link.close()
    assert link.is_closed
    assert asyncio.all_tasks() - before == set()


async def test_what_the_peer_sends_and_says_arrives_as_messages() -> None:
    """Texts as they are, its microphone as appends of 20 ms."""
    async with calling() as call:
        append = await call.gets("input_audio_buffer.append")
        assert len(base64.b64decode(append["audio"])) == 960
        call.peer.send('{"type":"grüße", "kept":  1}'.encode())
        async with asyncio.timeout(10):
            while (raw := await call.link.receive()).startswith(b'{"type":"input_audio'):
                pass
        assert raw == '{"type":"grüße", "kept":  1}'.encode()


async def test_audio_is_played_and_told_of() -> None:
    """Started, then stopped with what was sent when its output_audio.done had come; the peer hears it and gets no delta."""
    async with calling() as call:
        call.play("i1", 150)
        started = await call.gets("turnlog.playout")
        call.play("i1", 155)
        call.send("response.output_audio.done", "i1")
        stopped = await call.gets("turnlog.playout")
        await call.told.hears_sound(250)
        first = json.loads(await call.told.messages.get())
        place = {"item_id": "i1", "content_index": 0, "source": "rtp"}
        assert started == {"type": "turnlog.playout", "event_id": None, **place, "played_ms": 0, "state": "started"}
        assert stopped == {"type": "turnlog.playout", "event_id": None, **place, "played_ms": 305, "state": "stopped"}
        assert first["type"] == "response.output_audio.done"


async def test_a_cleared_buffer_falls_silent_and_says_where() -> None:
    """Each item that was not played whole is reported, the waiting one with nothing; the peer hears of it and hears no more."""
    async with calling() as call:
        call.play("i1", 2000)
        call.play("i2", 2000)
        await call.gets("turnlog.playout")
        await call.told.hears_sound(200)
        call.send("response.output_audio.done", "i1")
        call.send("output_audio_buffer.cleared", response_id="r1")
        one, two = await call.gets("turnlog.playout"), await call.gets("turnlog.playout")
        assert (one["item_id"], one["state"], two["item_id"], two["state"], two["played_ms"]) == (
            *("i1", "cleared", "i2", "cleared"),
            0,
        )
        assert 200 <= one["played_ms"] < 1000
        await call.tells("output_audio_buffer.cleared")
        heard = call.told.pieces
        await call.told.heard_ms(heard * 20 + 400)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await call.told.hears_sound(one["played_ms"] + 100)
        call.play("i3", 100)
        call.send("response.output_audio.done", "i3")
        assert (await call.gets("turnlog.playout"))["item_id"] == "i3"
        assert (await call.gets("turnlog.playout"))["played_ms"] == 100


async def test_our_protocol_machine_and_the_link_agree() -> None:
    """A response through ServerProtocol(plays=True): the peer is told started, done and stopped in their order."""
    async with calling() as call:
        numbers = iter(range(1000))
        server = ServerProtocol(ids=lambda kind: f"{kind}_{next(numbers)}", model="m", plays=True)
        response = server.start_response()
        server.output_audio(response, base64.b64encode(tone(100)))
        server.finish_response(response)
        for _ in range(2):
            for message in server.messages_to_send():
                call.link.send(message)
            report = json.dumps(await call.gets("turnlog.playout")).encode()
            server.receive(parse(report))
        for message in server.messages_to_send():
            call.link.send(message)
        order = ("output_audio_buffer.started", "response.done", "output_audio_buffer.stopped")
        last = [await call.tells(type_) for type_ in order]
        assert {one.get("response_id", response) for one in last} == {response}


async def test_a_cut_over_an_empty_buffer_is_told_with_its_figure() -> None:
    """The provider lags, and all that came of a response was sent when speech cuts it: cleared, and truncated there."""
    async with calling() as call:
        numbers = iter(range(1000))
        server = ServerProtocol(ids=lambda kind: f"{kind}_{next(numbers)}", model="m", plays=True)
        response = server.start_response(in_band=True)
        server.output_audio(response, base64.b64encode(tone(100)))

        def flush() -> None:
            for message in server.messages_to_send():
                call.link.send(message)

        async def hear() -> None:
            server.receive(parse(json.dumps(await call.gets("turnlog.playout")).encode()))
            flush()

        flush()
        await hear()
        await call.told.hears_sound(80)
        await call.told.heard_ms(call.told.pieces * 20 + 200)
        assert not call.link._peer.speaker.filling
        assert server.interrupt() == response
        flush()
        await hear()
        order = ("output_audio_buffer.started", "response.done", "output_audio_buffer.cleared", "conversation.item.truncated")
        last = [await call.tells(type_) for type_ in order]
        assert last[-1]["audio_end_ms"] == 100


async def test_what_is_no_text_is_told_and_the_call_goes_on() -> None:
    """A binary message is a fault that the session is told of, with its code: it answers it, so that the answer is in the log."""
    async with calling() as call:
        call.peer.send(b'{"type":"open"}')
        await call.gets("open")
        channel = call.peer._line.channel
        assert channel is not None
        channel.send(b"\x00\x01")
        assert (await call.gets("turnlog.fault"))["code"] == "TL304"
        call.peer.send(b'{"type":"next"}')
        await call.gets("next")


@pytest.mark.parametrize("type_", ["turnlog.playout", "turnlog\\u002eplayout", "turnlog.fault"])
async def test_a_peer_cannot_tell_what_our_end_tells(type_: str) -> None:
    """It is a fault; what the link tells of its player stays the only word on it."""
    async with calling() as call:
        call.play("i1", 1000)
        await call.gets("turnlog.playout")
        theirs = '"item_id":"i1","content_index":0,"played_ms":1000,"source":"rtp","state":"stopped","code":"x","message":"x"'
        forged = f'{{"type":"{type_}",{theirs}}}'
        call.peer.send(forged.encode())
        assert (await call.gets("turnlog.fault"))["code"] == "TL305"
        call.send("output_audio_buffer.cleared", response_id="r1")
        told = await call.gets("turnlog.playout")
        assert told["state"] == "cleared" and told["played_ms"] < 1000


async def test_the_peer_leaves() -> None:
    """1006 with the reason behind what had come; sending is refused, and the connection is let go by itself."""
    async with calling() as call:
        call.peer.send(b'{"type":"last"}')
        await call.gets("last")
        await call.peer.close()
        with pytest.raises(LinkClosed) as closed:
            await call.gets("never")
        assert (closed.value.close_code, call.link.is_over) == (1006, True)
        assert "closed" in closed.value.reason
        with pytest.raises(LinkClosed):
            call.link.send(b'{"type":"x"}')


async def test_closing_lets_what_was_sent_arrive() -> None:
    """The last words before a close are read by the peer; whoever reads the link learns code and reason; twice does nothing."""
    async with calling() as call:
        for n in range(200):
            call.link.send(b'{"type":"n%d"}' % n)
        await asyncio.gather(call.link.close(1001, "engine_stopped"), call.link.close())
        await call.tells("n199")
        with pytest.raises(LinkClosed) as closed:
            await call.gets("never")
        assert (closed.value.close_code, closed.value.reason) == (1001, "engine_stopped")


async def test_hanging_up_is_an_end_in_order() -> None:
    """As a WebSocket that is closed with 1000."""
    async with calling() as call:
        await call.link.hang_up()
        with pytest.raises(LinkClosed) as closed:
            await call.gets("never")
        assert (closed.value.close_code, closed.value.reason) == (1000, "hung up")


async def test_a_session_that_does_not_read_costs_no_memory() -> None:
    """Over the limit the call is ended, with what it was that waited."""
    async with calling(limit_bytes=10_000) as call:
        async with asyncio.timeout(10):
            await call.told.has_gone.wait()
        with pytest.raises(LinkClosed) as closed:
            while True:
                await call.link.receive()
        assert closed.value.close_code == 1008
        assert "unread" in closed.value.reason


async def test_an_offer_that_is_none_leaves_nothing() -> None:
    """TL310, and no task of it is left."""
    before = asyncio.all_tasks()
    with pytest.raises(ProtocolError) as refused:
        await WebRtcCaller.answer("v=0\r\n", LOOPBACK)
    assert refused.value.code == "TL310"
    assert asyncio.all_tasks() == before


async def test_messages_are_handed_on_in_their_order() -> None:
    """A listener gets what comes behind what receive() still has; what it raises, receive() raises."""
    async with calling() as call:
        for n in range(3):
            call.link.push(b'{"n":%d}' % n)
        taken: list[bytes] = []
        call.link.listen(taken.append)
        call.link.push(b'{"n":3}')
        assert taken == []
        own = [raw for raw in [await call.link.receive() for _ in range(4)] if raw.startswith(b'{"n"')]
        while len(own) < 4:
            raw = await call.link.receive()
            own += [raw] if raw.startswith(b'{"n"') else []
        assert own == [b'{"n":%d}' % n for n in range(4)]
        call.link.push(b'{"n":4}')
        assert b'{"n":4}' in taken

        def fails(raw: bytes) -> None:
            raise RuntimeError("the listener's fault")

        call.link.listen(fails)
        call.link.push(b'{"n":5}')
        with pytest.raises(RuntimeError):
            await call.link.receive()
