"""Real human speech through the whole loop: a recording goes in at a caller's link, an answer in audio comes out."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path

from turnlog import App, Engine, RealtimeSession, SessionTurn, replay
from turnlog.core.ports import Link
from turnlog.transports.links.in_process import pair
from turnlog.transports.speech.recognise import MoonshineRecogniser
from turnlog.transports.speech.resample import Resampler, read_audio
from turnlog.transports.speech.synthesise import PiperSynthesiser

RATE = 24_000


async def speak(link: Link, pcm: bytes) -> None:
    """Send audio in frames of 20 ms, as fast as it goes, with a second of silence behind it."""
    frame = RATE // 50 * 2
    sound = pcm + bytes(RATE * 2)
    for at in range(0, len(sound), frame):
        audio = base64.b64encode(sound[at : at + frame]).decode()
        link.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}).encode())
        await asyncio.sleep(0)


async def hear_answer(link: Link) -> bytes:
    """The audio of the next response."""
    pcm = b""
    while True:
        event = json.loads(await link.receive())
        if event["type"] == "response.output_audio.delta":
            pcm += base64.b64decode(event["delta"])
        elif event["type"] == "response.done":
            return pcm


async def test_people_are_heard_and_answered(
    librivox: dict[Path, str],
    recogniser: MoonshineRecogniser,
    piper: PiperSynthesiser,
    word_error_rate: Callable[[str, str], float],
    tmp_path: Path,
) -> None:
    """Five sentences of a LibriVox reader become five turns with their words, and each gets a spoken answer."""
    app = App("reader")
    turns: list[SessionTurn] = []

    @app.session("listener", provider="local", transport="in_process")
    async def listen(session: RealtimeSession) -> None:
        async for turn in session.turns():
            turns.append(turn)
            await session.say(f"That was sentence number {turn.metadata['turn']}.")

    heard: list[str] = []
    async with Engine(app, store=f"sqlite:///{tmp_path / 'calls.db'}") as engine:
        session = await engine.start("reader.listener")
        mine, theirs = pair()
        await engine.attach(session.id, theirs)
        for path in librivox:
            await speak(mine, read_audio(path, RATE))
            answer = await asyncio.wait_for(hear_answer(mine), 30)
            to_16k = Resampler(RATE, 16_000)
            heard.append(recogniser.recognise(to_16k.feed(answer) + to_16k.flush()))
        await mine.close()
        assert (await session.ended()).reason == "caller_gone"
        assert (await engine.store.verify(session.id)).ok
        log = list(engine.store.scan(session.id))

    said = " ".join(librivox.values())
    assert word_error_rate(said, " ".join(turn.text for turn in turns)) <= 0.10
    assert len(turns) == len(librivox)
    numbers = [("1", "one"), ("2", "two"), ("3", "three"), ("4", "four"), ("5", "five")]
    assert all(any(n in words.lower() for n in number) for words, number in zip(heard, numbers, strict=True)), heard
    assert replay(log, app.sessions["listener"].handler).complete
