"""A session on provider=openrouter, whole: a spoken turn, a handler's say, an interruption, the log, and its replay."""

import asyncio
from base64 import b64decode, b64encode
from typing import Any

import msgspec
import pytest

from tests.transports.openrouter_emulator import KEY, emulator
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.engine.app import App
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay
from turnlog.store.memory import MemoryStore
from turnlog.testing.fake_speech import FakeVoiceActivity, listen, speak
from turnlog.transports.links.in_process import InProcessLink, pair
from turnlog.transports.providers.openrouter import OpenRouterProvider

LONG = " ".join(f"word{number}" for number in range(40))


async def desk(session: RealtimeSession) -> None:
    """Repeats the first turn, then says much until it is interrupted, and says what was heard of it."""
    turn = await session.input()
    await session.say(f"you said {turn.text}")
    outcome = await (await session.say(LONG)).settled()
    await (await session.say(f"cut {outcome.status}")).settled()


def talk(caller: InProcessLink, words: str) -> None:
    """The caller says this and pauses."""
    payload = speak(words) + bytes(48_000)
    for start in range(0, len(payload), 4800):
        audio = b64encode(payload[start : start + 4800]).decode()
        caller.send(msgspec.json.encode({"type": "input_audio_buffer.append", "audio": audio}))


async def hear(caller: InProcessLink, *, until: str) -> bytes:
    """The audio that comes, up to where these words are in it."""
    audio = b""
    async with asyncio.timeout(20):
        while until not in listen(audio):
            event = msgspec.json.decode(await caller.receive())
            if event["type"] == "response.output_audio.delta":
                audio += b64decode(event["delta"])
    return audio


@pytest.mark.realtime
async def test_a_handler_speaks_over_openrouter_and_is_interrupted() -> None:
    """Its says come word for word by the speech model, speech cuts one, no chat was asked for, and the log replays the same."""
    app = App("hotel")
    options: dict[str, Any] = {"provider": "openrouter", "transport": "audio_turns", "echo": "client_aec", "voice": "verse"}
    app.session("desk", turn_detection={"type": "server_vad", "silence_duration_ms": 200}, **options)(desk)
    store = MemoryStore()
    async with emulator() as (router, url):
        providers = {"openrouter": OpenRouterProvider(base_url=url, api_key=KEY, hear=FakeVoiceActivity)}
        async with Engine(app, store=store, providers=providers) as engine:
            live = await engine.start("hotel.desk")
            near, caller = pair()
            await engine.attach(live.id, near)
            talk(caller, "good morning")
            assert "you said good morning" in listen(await hear(caller, until="word2"))
            talk(caller, "stop")
            await hear(caller, until="cut interrupted")
            await live.ended()
            await caller.close()
        assert router.bodies("/chat/completions") == []
        assert {body["voice"] for body in router.bodies("/audio/speech")} == {"verse"}
    log = list(store.scan(live.id))
    settled = [event for event in map(decode, log) if isinstance(event, e.SaySettled)]
    assert [say.status for say in settled] == ["played", "interrupted", "played"]
    assert 0 < settled[1].heard_ms < 12_000 and settled[1].heard_text.startswith("word0")
    assert (await asyncio.to_thread(replay, log, desk)).complete
