"""A spoken call through the official SDK: recorded speech in, the handler's words heard, with the engines of this machine."""

import asyncio
import base64
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai.resources.realtime.realtime import AsyncRealtimeConnection

import turnlog
from tests.server.hosting import client_of, hosted
from turnlog.core import events as e
from turnlog.transports.realtime.g711 import decode_ulaw, encode_ulaw
from turnlog.transports.speech.engines import Speech
from turnlog.transports.speech.resample import Resampler
from turnlog.transports.speech.synthesise import PiperSynthesiser

pytestmark = pytest.mark.realtime

QUESTION = Path(__file__).resolve().parents[2] / "examples" / "audio" / "2-breakfast.wav"  # "What time is breakfast?"
RATE = 24_000
FRAME = RATE * 2 // 50  # 20 ms

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, answers one question, and ends."""
    await session.say("Good morning, and welcome to the Grand Hotel.")
    async for turn in session.turns():
        if "breakfast" in turn.text.lower():
            await session.say("The kitchen opens at seven.")
            return


@pytest.fixture
def speech(speech: Speech, piper: PiperSynthesiser) -> Speech:
    """This machine's engines, with a voice that says the same words the same way each time."""
    return Speech(
        engines=speech.engines, voice_activity=speech.voice_activity, recogniser=speech.recogniser, synthesiser=piper
    )


def question() -> bytes:
    """The recorded words as PCM16 mono, and a second of silence."""
    with wave.open(str(QUESTION)) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (RATE, 1, 2)
        frames: bytes = recording.readframes(recording.getnframes())
        return frames + bytes(2 * RATE)


async def speak(connection: AsyncRealtimeConnection, audio: bytes, frame: int) -> None:
    """Stream audio as a microphone does: 20 ms every 20 ms."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for n, start in enumerate(range(0, len(audio), frame)):
        await asyncio.sleep(max(0.0, begun + n * 0.02 - loop.time()))
        await connection.input_audio_buffer.append(audio=base64.b64encode(audio[start : start + frame]).decode())


@asynccontextmanager
async def speaking(connection: AsyncRealtimeConnection, audio: bytes, frame: int = FRAME) -> AsyncIterator[None]:
    """Stream audio meanwhile."""
    task = asyncio.create_task(speak(connection, audio, frame))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def response(connection: AsyncRealtimeConnection, seen: list[Any]) -> tuple[bytes, str]:
    """The next response: its audio and the transcript that came with it. All other events are put into `seen`."""
    audio, transcript = b"", ""
    async for event in connection:
        match event.type:
            case "response.output_audio.delta":
                audio += base64.b64decode(event.delta)
            case "response.output_audio_transcript.delta":
                transcript += event.delta
            case "response.done":
                return audio, transcript
            case _:
                assert event.type != "error", event
                seen.append(event)
    raise AssertionError("the connection ended before response.done")


def words(text: str) -> str:
    """Lower case, letters and blanks only."""
    return " ".join("".join(char if char.isalpha() else " " for char in text.lower()).split())


async def heard(speech: Speech, pcm: bytes) -> str:
    """The words in what the caller got."""
    assert speech.recogniser is not None
    return words(await asyncio.to_thread(speech.recogniser.recognise, pcm, RATE))


async def test_a_spoken_question_is_answered_in_speech(tmp_path: Path, speech: Speech) -> None:
    """The greeting is heard before any input; the question becomes a turn; the answer's audio holds the handler's words."""
    async with hosted(app, tmp_path, speech=speech) as server:
        async with client_of(server).realtime.connect(model="hotel.desk") as connection:
            seen: list[Any] = []
            greeting, _ = await response(connection, seen)
            async with speaking(connection, question()):
                answer, transcript = await response(connection, seen)
            assert [event.type async for event in connection] == []  # the server closes when the answer has sounded
        session = await server.only_session()
        assert (await server.ended(session)).reason == "completed"
        log = await server.events(session)
    assert await heard(speech, greeting) == "good morning and welcome to the grand hotel"
    assert await heard(speech, answer) == "the kitchen opens at seven"
    assert transcript == "The kitchen opens at seven."
    input_events = [event for event in seen if event.type.startswith(("input_audio_buffer.", "conversation.item.input"))]
    assert [event.type for event in input_events] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert words(input_events[-1].transcript) == "what time is breakfast"
    (turn,) = [one for one in log if isinstance(one, e.TurnEnded)]
    assert (words(turn.text), turn.channel, turn.transcript_status) == ("what time is breakfast", "audio", "completed")


async def test_a_caller_may_speak_and_hear_g711(tmp_path: Path, speech: Speech) -> None:
    """session.update sets the formats of both directions: the call goes on in 8 kHz mu-law."""
    microphone = Resampler(RATE, 8000)
    spoken = encode_ulaw(microphone.feed(question()) + microphone.flush())
    async with hosted(app, tmp_path, speech=speech) as server:
        async with client_of(server).realtime.connect(model="hotel.desk") as connection:
            seen: list[Any] = []
            await response(connection, seen)
            telephone: Any = {"format": {"type": "audio/pcmu"}}
            await connection.session.update(session={"type": "realtime", "audio": {"input": telephone, "output": telephone}})
            async with speaking(connection, spoken, FRAME // 6):
                answer, _ = await response(connection, seen)
            assert [event.type async for event in connection] == []
    assert speech.recogniser is not None
    assert words(await asyncio.to_thread(speech.recogniser.recognise, decode_ulaw(answer), 8000)) == "the kitchen opens at seven"
