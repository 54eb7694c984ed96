"""The scripted caller on a real session: what it does, when, and what it knows to have heard."""

import asyncio
from binascii import b2a_base64
from itertools import pairwise
from pathlib import Path

import pytest

from tests.testing.desk import GREETING, app
from turnlog import App, RealtimeSession
from turnlog.core import events as e
from turnlog.core.ports import Link
from turnlog.testing import FakeModelProvider, Kit, Pace, ScriptedCaller, SpeakingProvider, speak, virtual_time
from turnlog.transports.links.in_process import pair
from turnlog.transports.realtime.audio import WavWriter
from turnlog.transports.realtime.server import ServerProtocol


async def test_speech_takes_its_time(turnlog: Kit) -> None:
    """Three words are 900 ms of audio, then the silence that ends the turn, and the protocol's events come in its order."""
    async with turnlog.call(app, "hotel.desk") as call:
        caller = call.caller
        await caller.hears(GREETING)
        began_ms = caller.now_ms
        await caller.says("book a table")
        assert 900 + 400 < caller.now_ms - began_ms < 900 + 700
        await caller.gets("conversation.item.input_audio_transcription.completed")
    names = ("speech_started", "speech_stopped", "committed", "completed")
    types = [received.event["type"] for received in caller.received]
    assert [type_.rpartition(".")[2] for type_ in types if type_.startswith(("input_", "conversation.item.input_"))] == [*names]
    assert [turn.text for turn in call.of(e.TurnEnded)] == ["book a table"]


async def test_it_stops_playing_when_speech_starts(turnlog: Kit) -> None:
    """From the moment of speech_started on nothing of what was queued is audible any more."""
    async with turnlog.call(app, "hotel.desk") as call:
        caller = call.caller
        interrupting = asyncio.create_task(caller.interrupts("wait", after_ms=800))
        flushed = await caller.gets("input_audio_buffer.speech_started")
        assert flushed["audio_start_ms"] == 0
        [(at_ms, left_ms)] = caller.flushes
        first = caller.heard[0]
        assert first.started_ms is not None and first.started_ms + 800 < at_ms < first.started_ms + 1000
        assert 0 < left_ms <= 400  # the lead, no more
        await interrupting
        assert caller.audible_ms(at_ms, response=first.response) == 0
        assert caller.heard[0].heard == "Front desk, how"


@virtual_time
async def test_it_acknowledges_what_it_played() -> None:
    """With acknowledges=True a flush tells the server how many ms of the item were played."""
    near, far = pair()
    caller = ScriptedCaller(near, acknowledges=True)
    reading = asyncio.create_task(caller.run())
    server = ServerProtocol(ids=lambda kind: f"{kind}_1", model="m")
    sent = await played_by(server, far, 310)
    await asyncio.wait_for(far.receive(), 1)
    await caller.hangs_up()
    await reading
    assert sent == "item_1"
    assert caller.flushes == [(310.0, 890.0)]
    assert caller.playout.item_ms("item_1", caller.now_ns) == 310


async def played_by(server: ServerProtocol, link: Link, ms: int) -> str | None:
    """Send 1.2 s of speech at once, and start a turn after `ms`."""
    server.start()
    response = server.start_response()
    server.output_audio(response, base64_of("one two three four"))
    item = server.output_item(response)
    flush(server, link)
    await asyncio.sleep(ms / 1000)
    server.speech_started("user_1", 0)
    flush(server, link)
    return item


def flush(server: ServerProtocol, link: Link) -> None:
    """Send what the machine owes."""
    for raw in server.messages_to_send():
        link.send(raw)


def base64_of(text: str) -> bytes:
    """Fake speech as the wire carries it."""
    return b2a_base64(speak(text), newline=False)


async def test_it_types_and_reads(turnlog: Kit) -> None:
    """A typed turn reaches the handler, and words that come as text are heard as what was read."""
    chat = App("chat")

    @chat.session("desk", provider="openai", transport="websocket", modalities=["text"])
    async def desk(session: RealtimeSession) -> None:
        turn = await session.input()
        await session.say(f"Read: {turn.text}")

    async with turnlog.call(chat, "chat.desk") as call:
        call.caller.types("a letter")
        utterance = await call.caller.hears("read a letter")
        assert (utterance.text, utterance.heard_ms) == ("Read: a letter", 0)


async def test_it_plays_a_wav(turnlog: Kit, tmp_path: Path) -> None:
    """The sound of a WAV file becomes a turn."""
    with WavWriter(tmp_path / "hello.wav", 24000) as wav:
        wav.write(speak("a recorded question"))
    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.hears(GREETING)
        await call.caller.plays(tmp_path / "hello.wav")
        await call.caller.hears("you said a recorded question")


async def test_it_hangs_up(turnlog: Kit) -> None:
    """After it has hung up the session ends, and hearing fails at once and says what was heard."""
    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.hears("front desk")
        await call.caller.hangs_up()
        await call.ended()
        with pytest.raises(AssertionError, match=r"did not hear 'anything else' before its link closed.*heard: 'Front desk,"):
            await call.caller.hears("anything else")


async def test_what_it_does_not_hear_is_named(turnlog: Kit) -> None:
    """Hearing fails when its time is over, in virtual time, with what was heard instead."""
    async with turnlog.call(app, "hotel.desk") as call:
        with pytest.raises(
            AssertionError, match=r"did not hear 'good night' within 60 s; it heard: 'Front desk, how can I help\?'"
        ):
            await call.caller.hears("good night", within_s=60)
        assert call.caller.now_ms == 60_000


async def test_each_hears_finds_what_is_new(turnlog: Kit) -> None:
    """Words that were heard once are not found again: a repeated sentence must be said again."""
    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.hears("front desk")
        with pytest.raises(AssertionError, match="did not hear 'front desk'"):
            await call.caller.hears("front desk", within_s=5)


@pytest.mark.parametrize("form", ["audio/pcmu", "audio/pcma"])
async def test_it_speaks_the_telephone(turnlog: Kit, form: str) -> None:
    """A caller that asks for G.711 is understood, and understands."""
    async with turnlog.call(app, "hotel.desk", calls_in=False) as call:
        caller = await call.calls_in()
        audio = {side: {"format": {"type": form}} for side in ("input", "output")}
        caller.sends({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
        await caller.gets("session.updated")
        await caller.hears(GREETING)
        await caller.says("can you hear me")
        await caller.hears("you said can you hear me")


@pytest.mark.parametrize("provider", [SpeakingProvider(pace=Pace(speed=1.0)), SpeakingProvider(pace=Pace(speed=None))])
async def test_audio_plays_in_real_time(turnlog: Kit, provider: SpeakingProvider) -> None:
    """However fast the provider sends, three words are heard 300 ms apart."""
    async with turnlog.call(app, "hotel.desk", provider=provider) as call:
        times = []
        for word in GREETING.split()[:3]:
            await call.caller.hears(word)
            times.append(call.caller.now_ms)
    assert [round(later - earlier) for earlier, later in pairwise(times)] == [300, 300]


async def test_the_whole_model_path(turnlog: Kit) -> None:
    """A call on the server that hosts models, from the caller's samples to its ears, without an engine."""
    pytest.importorskip("av")
    async with turnlog.call(app, "hotel.desk", provider=FakeModelProvider()) as call:
        await call.caller.hears(GREETING)
        await call.caller.says("good bye")
        await call.caller.hears("you said good bye")
        assert (await call.ended()).reason == "completed"


async def test_the_model_path_in_text_and_with_replies(turnlog: Kit) -> None:
    """A fake model answers a typed turn with its reply, in text where the session is in text."""
    chat = App("chat")

    @chat.session("desk", provider="openai", transport="websocket", modalities=["text"], answers="model")
    async def desk(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    provider = FakeModelProvider(reply=lambda text: f"the answer to {text}")
    async with turnlog.call(chat, "chat.desk", provider=provider) as call:
        call.caller.types("everything")
        assert (await call.caller.hears("the answer to everything")).text
