"""This machine's own voice beside a provider that could not have made the sound: what the caller got is recognised."""

import asyncio
import base64
from collections.abc import Callable

import pytest

from tests.engine.living import Speaker, living
from turnlog.core import events as e
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.transports.realtime.audio import PCMA
from turnlog.transports.realtime.g711 import to_pcm16
from turnlog.transports.speech.engines import Speech

WORDS = "The train to London leaves at nine in the morning. Please be there early."


@pytest.mark.parametrize("form", [{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcma"}], ids=["pcm", "pcma"])
async def test_what_it_says_is_understood(
    form: dict[str, object],
    speech: Speech,
    word_error_rate: Callable[[str, str], float],
) -> None:
    """By PCM and on the telephone; heard whole; the provider is not asked."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()
        await session.say(WORDS, mode="tts")

    provider = Speaker()
    async with living(desk, provider=provider) as alive:
        changes = {"type": "realtime", "audio": {"output": {"format": form}}}
        alive.caller.send({"type": "session.update", "session": changes})
        await alive.caller.until("session.updated")
        alive.caller.type("When does it leave?")
        async with asyncio.timeout(60):
            await alive.session.ended()
    (settled,) = alive.of(e.SaySettled)
    assert (settled.status, settled.heard_text) == ("played", WORDS)
    audio = b"".join(base64.b64decode(one["delta"]) for one in alive.caller.events("response.output_audio.delta"))
    pcm16, rate = (to_pcm16(audio, PCMA), 8000) if form["type"] == PCMA.type else (audio, 24000)
    assert abs(len(pcm16) * 500 // rate - settled.heard_ms) < 100
    assert speech.recogniser is not None
    heard = await asyncio.to_thread(speech.recogniser.recognise, pcm16, rate)
    assert word_error_rate(WORDS, heard) <= 0.25, heard
    assert provider.spoken == []
