"""The caller made of recordings."""

import asyncio
import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from turnlog.cli.caller import SpokenCaller
from turnlog.core.errors import MediaError
from turnlog.core.ports import Link
from turnlog.transports.links.in_process import pair
from turnlog.transports.realtime.audio import read_wav

FRAME = 960  # bytes of 20 ms


async def sent(link: Link, frames: int) -> list[bytes]:
    """The audio of the next frames that leave the microphone."""
    events = [json.loads(await link.receive()) for _ in range(frames)]
    assert {event["type"] for event in events} == {"input_audio_buffer.append"}
    return [b64decode(event["audio"]) for event in events]


def delta(pcm16: bytes) -> bytes:
    """Audio from the engine."""
    fields = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0, "event_id": "e"}
    return json.dumps({"type": "response.output_audio.delta", **fields, "delta": b64encode(pcm16).decode()}).encode()


async def test_speech_leaves_in_frames_between_silence_at_the_pace_of_speech(tmp_path: Path) -> None:
    """30 ms of speech are two frames of 20 ms, padded; 25 frames take half a second; all of it is in caller.wav."""
    mine, engine = pair()
    caller = SpokenCaller(mine, tmp_path)
    speech = b"\x01\x02" * (FRAME * 3 // 4)
    caller.speak(speech)
    began = asyncio.get_running_loop().time()
    running = asyncio.create_task(caller.run())
    frames = await sent(engine, 25)
    took_s = asyncio.get_running_loop().time() - began
    assert caller.silent and caller.quiet
    await engine.close()
    await running
    caller.close()
    assert took_s >= 0.48
    assert {len(frame) for frame in frames} == {FRAME}
    assert b"".join(frames) == speech.ljust(25 * FRAME, b"\0")
    assert read_wav(caller.recordings[0])[0].startswith(b"".join(frames))


async def test_what_comes_at_once_is_heard_at_the_pace_of_speech(tmp_path: Path) -> None:
    """Half a second of audio that came in one piece is heard for half a second, to its end though the link has closed."""
    mine, engine = pair()
    caller = SpokenCaller(mine, tmp_path)
    answer = bytes(range(1, 251)) * 96
    running = asyncio.create_task(caller.run())
    await sent(engine, 3)
    engine.send(delta(answer))
    await sent(engine, 2)
    assert not caller.quiet
    await caller.hang_up()
    await running
    caller.close()
    said, heard = (read_wav(path)[0] for path in caller.recordings)
    assert len(said) == len(heard)
    at = heard.index(answer)
    assert at % FRAME == 0 and at >= 3 * FRAME
    assert heard.strip(b"\0") == answer
    assert not any(said)


async def test_a_caller_whose_speech_interrupts_hears_no_more_of_what_had_come(tmp_path: Path) -> None:
    """At speech_started what waits is dropped; what comes later is heard."""
    mine, engine = pair()
    caller = SpokenCaller(mine, tmp_path)
    running = asyncio.create_task(caller.run())
    engine.send(delta(b"\x01\x01" * 24000))
    await sent(engine, 5)
    began = {"type": "input_audio_buffer.speech_started", "event_id": "e", "item_id": "u", "audio_start_ms": 0}
    engine.send(json.dumps(began).encode())
    await sent(engine, 3)
    engine.send(delta(b"\x02\x02" * FRAME))
    await sent(engine, 5)
    await caller.hang_up()
    await running
    caller.close()
    heard, _ = read_wav(caller.recordings[1])
    assert 0 < heard.count(b"\x01") < 8 * FRAME
    assert heard.count(b"\x02") == 2 * FRAME


async def test_a_caller_that_is_stopped_hears_nothing_more(tmp_path: Path) -> None:
    """stop() drops what was still to be said and heard."""
    mine, engine = pair()
    caller = SpokenCaller(mine, tmp_path)
    caller.speak(b"\x01\x01" * 24000)
    running = asyncio.create_task(caller.run())
    await sent(engine, 1)
    caller.stop()
    assert caller.quiet
    await engine.close()
    await running
    caller.close()


async def test_recordings_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    """A folder in the place of a file is MediaError TL604."""
    (tmp_path / "caller.wav").mkdir()
    with pytest.raises(MediaError, match="TL604"):
        SpokenCaller(pair()[0], tmp_path)
