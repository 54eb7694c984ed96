"""A spoken call over WebRTC by a stock client: recorded speech in, the handler's words out, by the engines of this machine."""

import asyncio
import wave
from pathlib import Path

import pytest

import turnlog
from tests.server.browser_call import RATE, browser
from tests.server.hosting import hosted
from turnlog.core import events as e
from turnlog.transports.speech.engines import Speech

pytestmark = pytest.mark.realtime

QUESTION = Path(__file__).resolve().parents[2] / "examples" / "audio" / "2-breakfast.wav"  # "What time is breakfast?"

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, answers one question, and ends."""
    await session.say("Good morning, and welcome.")
    async for turn in session.turns():
        if "breakfast" in turn.text.lower():
            await session.say("The kitchen opens early.")
            return


def words(text: str) -> str:
    """Lower case, letters and blanks only."""
    return " ".join("".join(char if char.isalpha() else " " for char in text.lower()).split())


async def test_a_spoken_question_over_webrtc_is_answered_in_speech(tmp_path: Path, speech: Speech) -> None:
    """The greeting is heard, the question becomes a turn, the answer is heard, and the server hangs up behind its last word."""
    with wave.open(str(QUESTION)) as recording:
        question = recording.readframes(recording.getnframes())
    async with hosted(app, tmp_path, speech=speech) as server:
        async with browser(server.url) as call:
            opened = await call.call()
            await call.gets("output_audio_buffer.stopped", within_s=20)
            call.microphone.put(question)
            await call.gets("output_audio_buffer.stopped", n=2, within_s=20)
            await call.closes()
            heard = call.pcm16()
        session = opened.headers["turnlog-session"]
        assert (await server.ended(session)).reason == "completed"
        log = await server.events(session)
    assert speech.recogniser is not None
    read = words(await asyncio.to_thread(speech.recogniser.recognise, heard, RATE))
    assert read == "good morning and welcome the kitchen opens early"
    assert call.types(of="error") == []
    (turn,) = [one for one in log if isinstance(one, e.TurnEnded)]
    assert (words(turn.text), turn.channel, turn.transcript_status) == ("what time is breakfast", "audio", "completed")
    ended = [one for one in log if isinstance(one, e.PlayoutEnded)]
    assert [(one.source, one.interrupted) for one in ended] == [("rtp", False)] * 2
    assert all(part.heard_ms == part.generated_ms > 500 for one in ended for part in one.heard)
