"""Calls that go wrong, seen from their session: it ends in order or goes on, by name, and nothing of the call is left."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aioice import ice as aioice_ice

from tests.engine.living import Ledger, Living, Speaker, app_of
from tests.webrtc.lossy import Path, lossy_path
from tests.webrtc.peers import LOOPBACK, Told, level, tone
from tests.webrtc.test_webrtc_ends import nothing_is_left
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.errors import ProtocolError, TurnlogError
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay
from turnlog.transports.webrtc.data import MAX_MESSAGE_BYTES
from turnlog.transports.webrtc.peer import Peer

GREETING = "Good evening and welcome."


class Voice(Speaker):
    """A provider that can be heard: a second of a tone a say."""

    def answer(self, asked: s.AnswerRequested) -> None:
        """Speak."""
        response = self.server.start_response(asked)
        for at in range(0, 48_000, 4800):
            self.server.output_audio(response, base64.b64encode(tone(1000)[at : at + 4800]))
        self.server.output_transcript(response, GREETING)
        self.server.finish_response(response)


async def desk(session: RealtimeSession) -> None:
    """Greets, and speaks after every turn."""
    await session.say(GREETING)
    async for _ in session.turns():
        await session.say(GREETING)


@asynccontextmanager
async def session(**options: Any) -> AsyncIterator[Living]:
    """A session without a caller; afterwards it has ended, verifies and replays, and nothing is left."""
    async with nothing_is_left():
        app, store, voice = app_of(desk, **options), Ledger(), Voice()
        async with asyncio.timeout(40), Engine(app, store=store, providers={"scripted": voice}, ice=LOOPBACK) as engine:
            yield Living(engine, store, voice, await engine.start("hotel.desk"))
        (row,) = await store.sessions()
        assert row.status == "ended"
        assert (await store.verify(row.session)).ok
        assert replay(list(store.scan(row.session)), desk).complete


@asynccontextmanager
async def on_call(alive: Living, path: Path | None = None) -> AsyncIterator[tuple[Peer, Told]]:
    """A caller of the session, connected, over a path if there is one."""
    told = Told()
    peer = Peer(told, LOOPBACK)
    try:
        offer = await peer.offer()
        answered = await alive.engine.answer(alive.session.id, offer if path is None else path.offered(offer))
        await peer.accept(answered.sdp if path is None else path.answered(answered.sdp))
        await told.is_connected.wait()
        yield peer, told
    finally:
        await peer.close()


async def told_of(told: Told, type_: str) -> dict[str, Any]:
    """The next message of a type."""
    while True:
        event: dict[str, Any] = json.loads(await told.messages.get())
        if event["type"] == type_:
            return event


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consent expires within a moment, not after half a minute."""
    monkeypatch.setattr(aioice_ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice_ice, "CONSENT_FAILURES", 1)


async def test_a_caller_that_vanishes_leaves_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its network goes away without a word: the line closes when consent expires, as one that was lost."""
    impatient(monkeypatch)
    async with session() as alive, lossy_path(1, loss=0, disorder=0) as (path, network):
        async with on_call(alive, path) as (_, told):
            await told.hears_sound()
            network.cut = True
            closed = await alive.until(e.LinkClosed)
            alive.session.end("enough")
            await alive.ended()
    assert (closed.link, closed.code, closed.reason) == ("c1", 1006, "the connection failed: no packets pass")


async def test_a_caller_that_never_connects_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer reached nobody: after `connect_s` the line is closed, and what was said meanwhile is not played."""
    monkeypatch.setattr(Peer.__init__, "__kwdefaults__", {**(Peer.__init__.__kwdefaults__ or {}), "connect_s": 0.3})
    async with session() as alive:
        nobody = Peer(Told(), LOOPBACK)
        await alive.engine.answer(alive.session.id, await nobody.offer())
        await nobody.close()
        closed = await alive.until(e.LinkClosed)
        alive.session.end("enough", drain=False)
        await alive.ended()
    assert (closed.code, closed.reason) == (1006, "not connected within 0.3 s")
    assert [(said.status, said.heard_ms) for said in alive.of(e.SaySettled)] == [("cancelled", 0)]
    assert {(cut.source, sum(part.heard_ms for part in cut.heard)) for cut in alive.of(e.PlayoutCut)} <= {("rtp", 0), ("none", 0)}
    assert {(ack.source, ack.played_ms, ack.halted) for ack in alive.of(e.PlayoutAcknowledged)} <= {("rtp", 0, True)}


async def test_a_caller_that_is_slow_to_connect_hears_its_greeting_whole() -> None:
    """Its answer arrives when the greeting has lain there for longer than it lasts: it is played when it has been heard."""
    async with session() as alive:
        told = Told()
        peer = Peer(told, LOOPBACK)
        answered = await alive.engine.answer(alive.session.id, await peer.offer())
        await alive.until(e.ResponseDelivered)
        await asyncio.sleep(0.5)  # by the clock it was heard to its end
        assert not alive.of(e.PlayoutEnded)
        await peer.accept(answered.sdp)
        greeted = await alive.until(e.SaySettled)
        assert (greeted.status, greeted.source, greeted.heard_ms) == ("played", "rtp", 1000)
        await told.hears_sound(900)
        await peer.close()
        alive.session.end("enough", drain=False)


async def test_garbage_on_the_data_channel_is_answered_and_survived() -> None:
    """No JSON, no type, binary, large: an error each, by code, and the call goes on; what was text is in the log."""
    async with session() as alive, on_call(alive) as (peer, told):
        await told_of(told, "session.created")
        channel = peer._line.channel
        assert channel is not None
        for garbage in (b"no json \xc3\xa9".decode(), '{"type":7}', b"\x00\x01binary", "x" * (MAX_MESSAGE_BYTES - 100)):
            channel.send(garbage)
        errors = [(await told_of(told, "error"))["error"] for _ in range(4)]
        assert [error["code"] for error in errors] == ["invalid_json", "invalid_event", "TL304", "invalid_json"]
        await alive.until(e.SaySettled)
        peer.send(json.dumps({"type": "conversation.item.create", "item": TYPED}).encode())
        peer.send(b'{"type":"response.create"}')
        await alive.until(e.TurnEnded)
        assert [event.code for event in alive.of(e.PeerFaulted)] == ["TL304"] * 3
        alive.session.end("enough")


TYPED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}


async def test_a_second_offer_for_a_taken_session_changes_nothing() -> None:
    """It is refused by name, as is one that is no offer; the caller that is there goes on hearing."""
    async with session() as alive, on_call(alive) as (_, told):
        await told.hears_sound()
        second = Peer(Told(), LOOPBACK)
        with pytest.raises(TurnlogError, match="TL505"):
            await alive.engine.answer(alive.session.id, await second.offer())
        await second.close()
        with pytest.raises(TurnlogError) as caught:
            await alive.engine.answer(alive.session.id, "v=0\r\nno offer")
        assert caught.value.code in ("TL310", "TL505")
        before = told.pieces
        await told.heard_ms(before * 20 + 200)
        assert len(alive.of(e.LinkOpened)) == 2  # the provider's and the first caller's
        alive.session.end("enough")


async def test_an_offer_that_is_none_leaves_the_session_free() -> None:
    """TL310, and the next caller is taken."""
    async with session() as alive:
        with pytest.raises(ProtocolError, match="TL310"):
            await alive.engine.answer(alive.session.id, "hello")
        async with on_call(alive) as (_, told):
            await told.hears_sound()
            alive.session.end("enough")


@pytest.mark.realtime
async def test_a_call_over_a_bad_network_is_held_whole() -> None:
    """5 % lost, 20 % late: the greeting is heard, a typed turn answered and an answer cut, and the log knows what was heard."""
    async with session() as alive, lossy_path(4, loss=0.05, disorder=0.2) as (path, network):
        async with on_call(alive, path) as (peer, told):
            greeted = await alive.until(e.SaySettled)
            loud = [level(bytes(told.heard[at : at + 960])) > 1000 for at in range(0, len(told.heard), 960)]
            peer.send(json.dumps({"type": "conversation.item.create", "item": TYPED}).encode())
            peer.send(b'{"type":"response.create"}')
            started = await alive.until(e.AudioStarted, 2)
            await told.hears_sound(sum(loud) * 20 + 200)
            peer.send(json.dumps({"type": "output_audio_buffer.clear"}).encode())
            cut = await alive.until(e.SaySettled, 2)
            alive.session.end("enough")
    assert network.lost > 5
    assert 40 <= sum(loud) <= 52  # of 50
    assert (greeted.status, greeted.source, greeted.heard_ms) == ("played", "rtp", 1000)
    assert (cut.status, cut.source) == ("interrupted", "rtp")
    assert 60 <= cut.heard_ms < 1000
    assert started.response != ""

