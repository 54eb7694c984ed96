"""Says that this machine speaks itself, and recordings, in whole calls on virtual time: the caller's ear reads the samples."""

import wave
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import turnlog as tl
from turnlog.core import events as e
from turnlog.core.errors import TurnlogError
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.sources import Sources
from turnlog.testing import Call, FakeModelProvider, Kit, VirtualClock, speak
from turnlog.testing.virtual_loop import running_loop
from turnlog.transports.realtime.audio import PCMU
from turnlog.transports.realtime.say_form import CLIP_KEY
from turnlog.transports.speech.synthesise import Synthesiser

MUSIC = "la " * 20  # 6 s


def wav(path: Path, words: str, *, rate: int = 24_000) -> Path:
    """A recording of fake speech."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(speak(words, rate=rate))
    return path


def app_of(handler: Callable[[RealtimeSession], Awaitable[None]], **options: Any) -> tl.App:
    """An app of one session."""
    made = tl.App("one")
    made.session("desk", provider="openai", transport="websocket", **options)(handler)
    return made


def settled(call: Call, n: int = 0) -> e.SaySettled:
    """The n-th outcome."""
    return call.of(e.SaySettled)[n]


async def test_a_tts_say_goes_to_the_callers_and_not_to_the_provider(turnlog: Kit) -> None:
    """The words are synthesised here, sound exactly, and settle as measured; the provider is asked for nothing."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("Your balance is 12.50 today", mode="tts")

    async with turnlog.call(app_of(desk), "one.desk") as call:
        await call.ended()
        assert [one.heard for one in call.caller.heard] == ["Your balance is 12.50 today"]
    outcome = settled(call)
    assert (outcome.status, outcome.heard_text, outcome.heard_ms) == ("played", "Your balance is 12.50 today", 1500)
    assert not [sent for sent in call.of(e.TransportSent) if sent.link == "p1" and b"response.create" in sent.data]
    assert [opened.link for opened in call.of(e.LinkOpened) if opened.side == "voice"] == ["v1"]
    assert [dispatched.link for dispatched in call.of(e.SayDispatched)] == ["v1"]
    assert [spoken.similarity for spoken in call.of(e.SaySpoken)] == [1.0]


async def test_says_of_both_voices_are_heard_in_order(turnlog: Kit) -> None:
    """One mouth for both lines: what was asked for first is heard first, whoever speaks it."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("one")
        await session.say("two", mode="tts")
        await session.say("three")
        await session.say("four", mode="tts")

    async with turnlog.call(app_of(desk), "one.desk") as call:
        await call.ended()
        assert [one.heard for one in call.caller.heard] == ["one", "two", "three", "four"]
        sounds = call.caller.playout.sounds
        assert all(before.end_ns <= after.start_ns for before, after in pairwise(sounds))
    assert [one.link for one in call.of(e.SayDispatched)] == ["p1", "v1", "p1", "v1"]
    assert len([one for one in call.of(e.LinkOpened) if one.side == "voice"]) == 1


async def test_a_session_can_be_declared_to_speak_here(turnlog: Kit) -> None:
    """With say_mode="tts" the line stands from the start, and a say may ask for the provider's voice all the same."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("mine")
        await session.say("theirs", mode="out_of_band")

    async with turnlog.call(app_of(desk, say_mode="tts"), "one.desk") as call:
        await call.ended()
        assert [one.heard for one in call.caller.heard] == ["mine", "theirs"]
    assert [one.link for one in call.of(e.SayDispatched)] == ["v1", "p1"]


async def test_a_recording_is_played_as_it_is(turnlog: Kit, tmp_path: Path) -> None:
    """Its samples are the caller's; it has no words; the wire names it by its digest, and holds no instructions."""
    hold = tl.clip(wav(tmp_path / "hold.wav", MUSIC))

    async def desk(session: RealtimeSession) -> None:
        await session.say(hold)

    async with turnlog.call(app_of(desk), "one.desk") as call:
        await call.ended()
        assert b"".join(sound.pcm16 for sound in call.caller.playout.sounds) == hold.pcm16
    outcome = settled(call)
    assert (outcome.status, outcome.heard_text) == ("played", "")
    assert (outcome.requested_ms, outcome.generated_ms, outcome.heard_ms) == (6000, 6000, 6000)
    assert not call.of(e.SaySpoken)
    (asked,) = [sent.data for sent in call.of(e.TransportSent) if sent.link == "v1"]
    assert f'"{CLIP_KEY}":"{hold.asked().digest}"'.encode() in asked and b"instructions" not in asked


async def test_speech_cuts_a_recording(turnlog: Kit, tmp_path: Path) -> None:
    """As it cuts words: little is heard after it, the line that plays is told, and a part of the file only has been logged."""
    hold = tl.clip(wav(tmp_path / "hold.wav", MUSIC * 10))

    async def desk(session: RealtimeSession) -> None:
        playing = await session.say(hold)
        turn = await session.input()
        assert turn.metadata["interrupted"] == [playing.id]
        assert (await playing.settled()).status == "interrupted"
        await session.say(f"You said {turn.text}")

    async with turnlog.call(app_of(desk), "one.desk") as call:
        await call.caller.interrupts("stop it", after_ms=1000)
        await call.caller.hears("you said stop it")
        await call.ended()
    outcome = settled(call)
    assert outcome.code == "speech" and 1000 <= outcome.heard_ms < 1600
    assert [one.link for one in call.of(e.CancelDispatched)] == ["v1"]
    (ended,) = [one for one in call.of(e.ResponseEnded) if one.status == "cancelled"]
    assert ended.generated_ms < 5000


async def test_music_that_is_not_interruptible_goes_on(turnlog: Kit, tmp_path: Path) -> None:
    """Speech over it is a turn and cuts nothing; a say that interrupts takes its place."""
    hold = tl.clip(wav(tmp_path / "hold.wav", MUSIC))

    async def desk(session: RealtimeSession) -> None:
        playing = await session.say(hold, interruptible=False)
        await session.input()
        assert playing.status == "open"
        await session.say("Here I am", when="interrupt")
        assert (await playing.settled()).code == "replaced"

    async with turnlog.call(app_of(desk), "one.desk") as call:
        await call.caller.interrupts("hello there", after_ms=500)
        await call.caller.hears("here i am")
        await call.ended()
    assert [one.code for one in call.of(e.SaySettled)] == ["replaced", ""]


async def test_a_telephone_hears_recordings_and_words(turnlog: Kit, tmp_path: Path) -> None:
    """A caller that asks for G.711 gets it by both lines, at its rate, also of a recording at another."""
    pytest.importorskip("av", reason="PyAV is not installed")
    hold = tl.clip(wav(tmp_path / "hold.wav", "please hold", rate=16_000))

    async def desk(session: RealtimeSession) -> None:
        await session.input()
        await session.say(hold)
        await session.say("I am back", mode="tts")

    async with turnlog.call(app_of(desk), "one.desk") as call:
        form = {"type": PCMU.type}
        audio = {"input": {"format": form}, "output": {"format": form}}
        call.caller.sends({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
        await call.caller.gets("session.updated")
        call.caller.types("Hold me")
        await call.ended()
        assert [one.heard for one in call.caller.heard] == ["please hold", "I am back"]
        assert {sound.rate for sound in call.caller.playout.sounds} == {8000}


async def test_words_come_as_text_where_the_session_is_typed(turnlog: Kit, tmp_path: Path) -> None:
    """No voice is needed for a say of the mode tts there; a recording fails with a code, and the log has the reason."""
    hold = tl.clip(wav(tmp_path / "hold.wav", MUSIC))
    outcomes: list[tuple[str, str]] = []

    async def desk(session: RealtimeSession) -> None:
        for spoken in ("Read me", hold):
            outcome = await (await session.say(spoken, mode="tts")).settled()
            outcomes.append((outcome.status, outcome.code))

    async with turnlog.call(app_of(desk, modalities=["text"]), "one.desk") as call:
        await call.ended()
        assert call.caller.heard[0].text == "Read me"
    assert outcomes[:2] == [("played", ""), ("failed", "not_playable")]
    assert "session of text" in call.of(e.ResponseEnded)[-1].message


async def test_without_a_voice_the_say_fails_by_name(turnlog: Kit) -> None:
    """Code no_voice, the reason in the log; what the provider speaks is heard all the same."""

    def none() -> Synthesiser:
        raise TurnlogError("TL603", "there is no engine for synthesis", "pip install one")

    async def desk(session: RealtimeSession) -> None:
        outcome = await (await session.say("Unspoken", mode="tts")).settled()
        await session.say(f"{outcome.status} {outcome.code}")

    loop = running_loop()
    sources = Sources(clock=lambda: VirtualClock(loop), voice=none)
    async with turnlog.call(app_of(desk), "one.desk", engine={"sources": sources}) as call:
        await call.caller.hears("failed no_voice")
        await call.ended()
    assert call.of(e.ResponseEnded)[0].message == "there is no engine for synthesis (pip install one)"


async def test_a_caller_that_leaves_ends_the_music(turnlog: Kit, tmp_path: Path) -> None:
    """What was heard of it is known; the line closes with the session."""
    hold = tl.clip(wav(tmp_path / "hold.wav", MUSIC))

    async def desk(session: RealtimeSession) -> None:
        await session.say(hold)
        await session.input()

    async with turnlog.call(app_of(desk), "one.desk") as call:
        await call.caller.sounding()
        await call.caller.is_silent(1.0)
        await call.caller.hangs_up()
        await call.ended()
    outcome = settled(call)
    assert (outcome.status, outcome.code) == ("interrupted", "caller_gone")
    assert 900 <= outcome.heard_ms <= 1400


async def test_words_are_streamed_by_this_machines_voice(turnlog: Kit) -> None:
    """Sentence by sentence as they come."""

    async def tokens() -> Any:
        for piece in ("First one. ", "And the", " second. "):
            yield piece

    async def desk(session: RealtimeSession) -> None:
        await session.say(session.stream(tokens), mode="tts")

    async with turnlog.call(app_of(desk), "one.desk") as call:
        await call.ended()
        assert [one.heard for one in call.caller.heard] == ["First one.", "And the second."]
    assert settled(call).heard_text == "First one. And the second."


async def test_a_machine_that_hears_and_speaks_as_a_model_does_so_beside_it(turnlog: Kit, tmp_path: Path) -> None:
    """On the model server that the local provider runs on: its own line is not the provider's, their responses are two."""
    hold = tl.clip(wav(tmp_path / "hold.wav", "la la"))

    async def desk(session: RealtimeSession) -> None:
        await session.say("Welcome")
        await session.say(hold)

    async with turnlog.call(app_of(desk), "one.desk", provider=FakeModelProvider()) as call:
        await call.ended()
        assert [one.heard for one in call.caller.heard] == ["Welcome", "la la"]
    assert [one.link for one in call.of(e.ResponseStarted)] == ["p1", "v1"]
