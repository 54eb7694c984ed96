"""Sessions whose provider is called over WebRTC: callers of any kind are served, and the log is as of any session."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.engine.living import Caller, Ledger, Living, Speaker, app_of
from tests.webrtc.peers import LOOPBACK, Told, tone
from tests.webrtc.scripted_calls import WORD_MS, ScriptedCalls, scripted_calls
from turnlog.core import events as e
from turnlog.core.ports import Provider
from turnlog.engine.app import Handler
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay
from turnlog.store.messages import scan_messages
from turnlog.transports.providers.openai import OpenAIProvider
from turnlog.transports.webrtc.peer import Peer

pytestmark = pytest.mark.realtime
RATE_MS = 48


@asynccontextmanager
async def called(handler: Handler, service: ScriptedCalls, *, callers: int = 1, **options: Any) -> AsyncIterator[Living]:
    """A session of this handler whose provider is the scripted one; afterwards it replays, and no task is left."""
    before = asyncio.all_tasks()
    app, store = app_of(handler, provider="openai", transport="webrtc", **options), Ledger()
    providers: dict[str, Provider] = {"openai": OpenAIProvider(base_url=service.url, ice=LOOPBACK)}
    async with asyncio.timeout(30):
        async with Engine(app, store=store, providers=providers, ice=LOOPBACK) as engine:
            alive = Living(engine, store, Speaker(), await engine.start("hotel.desk"))
            for _ in range(callers):
                await alive.call_in()
            yield alive
        for caller in alive.callers:
            await caller.until_closed()
    for call in service.calls:
        await call.close()
    assert asyncio.all_tasks() == before
    assert replay(list(alive.store.scan(alive.session.id)), handler).complete


async def says(caller: Caller, pcm16: bytes) -> None:
    """A microphone's time: 20 ms go out every 20 ms."""
    for at in range(0, len(pcm16), 20 * RATE_MS):
        audio = base64.b64encode(pcm16[at : at + 20 * RATE_MS]).decode()
        caller.send({"type": "input_audio_buffer.append", "audio": audio})
        await asyncio.sleep(0.02)


def heard(caller: Caller) -> list[tuple[str, float]]:
    """What the caller has of each response: its id, and ms of audio."""
    found: dict[str, float] = {}
    for event in caller.events("response.output_audio.delta"):
        size = len(base64.b64decode(event["delta"]))
        found[event["response_id"]] = found.get(event["response_id"], 0.0) + size / RATE_MS
    return list(found.items())


async def test_a_call_is_held_and_interrupted() -> None:
    """Greeting, spoken turn, answer, barge-in: as by WebSocket, and the provider is told to stop generating and playing."""
    turns: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Good evening.")).settled()
        turns.append((await session.input()).text)
        await session.say("You will hear all about it. " * 10)
        turn = await session.input()
        turns.append((turn.text, turn.metadata["interrupted"]))
        await (await session.say("Goodbye.")).settled()

    async with scripted_calls("A room please", "Stop") as service, called(desk, service, min_words=0) as alive:
        caller = alive.caller
        greeted = await alive.until(e.SaySettled)
        await says(caller, tone(300) + bytes(48 * 400))
        await alive.until(e.AudioStarted, 2)
        await caller.until("response.output_audio.delta", 40)
        await says(caller, tone(300) + bytes(48 * 400))
        assert (await alive.ended()).reason == "completed"
        (call,) = service.calls
    assert turns[:2] == ["A room please", ("Stop", ["say_3"])]  # the replay adds the same
    assert turns[2:] == turns[:2]
    assert (greeted.status, greeted.heard_text) == ("played", "Good evening.")
    assert abs(greeted.heard_ms - 2 * WORD_MS) <= 100
    assert {event.source for event in alive.of(e.SaySettled)} == {"clock"}  # what a caller heard, and not what was sent to us
    assert alive.of(e.PlayoutBuffered) == []

    _, cut_say, last = alive.of(e.SaySettled)
    (cut,) = alive.of(e.PlayoutCut)
    assert (cut.reason, cut.say, cut_say.status, last.status) == ("speech", "say_3", "interrupted", "played")
    assert 0 < cut_say.heard_ms <= cut_say.generated_ms < 60 * WORD_MS / 2
    assert ("You will hear all about it. " * 10).startswith(cut_say.heard_text)
    asked = [event["type"] for event in call.got]
    assert asked[asked.index("response.cancel") + 1] == "output_audio_buffer.clear"
    told = [event["type"] for event in call.sent]
    assert "output_audio_buffer.cleared" in told
    late = [one for one in heard(caller) if one[1] > cut_say.generated_ms + 40]
    assert late == []  # what still came of it was recorded and not delivered


async def test_what_left_and_what_came_is_in_the_log() -> None:
    """The line's track is gapless: every message of the data channel verbatim, and all audio that belongs to a response."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Good evening.")).settled()

    async with scripted_calls() as service, called(desk, service) as alive:
        await alive.ended()
        (call,) = service.calls
    messages = {event.n: event.data for event in alive.of(e.TransportReceived) if event.link == "p1"}
    messages |= {message.ordinal: message.raw for message in scan_messages(alive.store, alive.session.id, "p1.in")}
    received = [messages[n] for n in range(1, len(messages) + 1)]
    assert sum(b"response.output_audio.delta" in raw for raw in received) * 20 == alive.of(e.SaySettled)[0].generated_ms
    texts = [json.loads(raw) for raw in received if b"response.output_audio.delta" not in raw]
    assert sorted(texts, key=repr) == sorted(call.sent, key=repr)


async def test_the_provider_is_called_for_a_caller() -> None:
    """Before anybody is there it is left alone; a second caller joins the same call."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Good evening.")).settled()

    async with scripted_calls() as service, called(desk, service, callers=0) as alive:
        await alive.until(e.SayRequested)
        assert service.requests == []
        first, second = await alive.call_in(), await alive.call_in()
        await alive.ended()
        assert len(service.requests) == 1
        await second.until_closed()
    assert heard(first)[0][1] == alive.of(e.SaySettled)[0].generated_ms
    assert [event.transport for event in alive.of(e.LinkOpened)] == ["in_process", "in_process", "webrtc"]


async def test_a_browser_joins_a_call_that_stands() -> None:
    """The provider's call serves whoever was there first, and a WebRTC caller beside; what it heard is told by its own clock."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()
        await (await session.say("Good evening to both of you.")).settled()

    async with scripted_calls() as service, called(desk, service) as alive:
        await alive.until(e.LinkReady)
        told = Told()
        browser = Peer(told, LOOPBACK)
        answered = await alive.engine.answer(alive.session.id, await browser.offer())
        await browser.accept(answered.sdp)
        await told.is_connected.wait()
        alive.caller.type("Hello")
        await told.hears_sound(300)
        settled = await alive.until(e.SaySettled)
        await alive.ended()
        await browser.close()
    assert len(service.requests) == 1
    assert heard(alive.caller)[0][1] == settled.generated_ms
    assert (settled.status, settled.source) == ("played", "rtp")
    opened = [(event.link, event.transport) for event in alive.of(e.LinkOpened)]
    assert opened == [("c1", "in_process"), ("p1", "webrtc"), ("c2", "webrtc")]


async def test_a_provider_that_hangs_up_is_lost() -> None:
    """The session ends as it does when a WebSocket breaks."""

    async def desk(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    async with scripted_calls() as service, called(desk, service) as alive:
        await alive.until(e.LinkReady)
        await service.calls[0].close()
        assert (await alive.ended()).reason == "provider_lost"


async def test_a_provider_that_cannot_be_called_ends_the_session(unused_tcp_port: int) -> None:
    """Nobody at the address: the link's failure says so, by code."""

    async def desk(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    async with scripted_calls() as service:
        service.url = f"http://127.0.0.1:{unused_tcp_port}/v1"
        async with called(desk, service) as alive:
            assert (await alive.ended()).reason == "provider_lost"
    (failed,) = alive.of(e.LinkFailed)
    assert failed.code == "TL301"
