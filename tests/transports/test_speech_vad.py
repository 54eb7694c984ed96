"""Voice activity on real speech, silence, noise and tones."""

import math
import random
import struct
import time
from pathlib import Path

import pytest

from turnlog.transports.speech.resample import read_audio
from turnlog.transports.speech.vad import FRAME_MS, VAD_RATE, SileroModel, contains_speech

Recordings = dict[Path, str]
SECOND = bytes(2 * VAD_RATE)


def noise(seconds: int, level: float = 1000, seed: int = 1) -> bytes:
    """White noise as PCM16 mono."""
    chance = random.Random(seed)
    count = seconds * VAD_RATE
    return struct.pack(f"<{count}h", *(max(-32768, min(32767, round(chance.gauss(0, level)))) for _ in range(count)))


def hum(seconds: int) -> bytes:
    """Mains hum, 50 Hz with its third harmonic."""
    turn = 2 * math.pi * 50 / VAD_RATE
    count = seconds * VAD_RATE
    return struct.pack(f"<{count}h", *(round(3000 * math.sin(turn * i) + 1000 * math.sin(3 * turn * i)) for i in range(count)))


def test_speech_is_found(silero: SileroModel, librivox: Recordings) -> None:
    """In each recording of a reading voice at least 80 % of the frames are speech."""
    for path in librivox:
        found = silero.stream().feed(read_audio(path, VAD_RATE))
        assert sum(probability >= 0.5 for probability in found) / len(found) > 0.8, path.name


def test_silence_noise_and_hum_are_not_speech(silero: SileroModel) -> None:
    """None of their frames comes near the threshold."""
    for sound in (3 * SECOND, noise(3), hum(3)):
        assert max(silero.stream().feed(sound)) < 0.35


def test_speech_is_found_in_noise(silero: SileroModel, librivox: Recordings) -> None:
    """With white noise 10 dB below the voice three quarters of the frames are still speech."""
    speech = read_audio(next(iter(librivox)), VAD_RATE)
    samples = struct.unpack(f"<{len(speech) // 2}h", speech)
    level = math.sqrt(sum(value * value for value in samples) / len(samples)) / math.sqrt(10)
    hiss = struct.unpack(f"<{len(samples)}h", noise(len(samples) // VAD_RATE + 1, level)[: len(speech)])
    mixed = (max(-32768, min(32767, voice + other)) for voice, other in zip(samples, hiss, strict=True))
    found = silero.stream().feed(struct.pack(f"<{len(samples)}h", *mixed))
    assert sum(probability >= 0.5 for probability in found) / len(found) > 0.75


def test_cutting_the_stream_changes_nothing(silero: SileroModel, cards: Recordings) -> None:
    """Pieces of any size, odd ones too, give the same probabilities as the whole, one a full frame."""
    sound = read_audio(next(iter(cards)), VAD_RATE)
    stream, chance = silero.stream(), random.Random(2)
    found: list[float] = []
    start = 0
    while start < len(sound):
        size = chance.randint(0, 3001)
        found += stream.feed(sound[start : start + size])
        start += size
    assert found == silero.stream().feed(sound)
    assert len(found) == len(sound) // (VAD_RATE * FRAME_MS // 1000 * 2)


def test_streams_do_not_disturb_each_other(silero: SileroModel, cards: Recordings) -> None:
    """Two sessions on one model, fed in turn, each get what they would get alone; reset() starts anew."""
    sound = read_audio(list(cards)[1], VAD_RATE)
    alone = silero.stream().feed(sound)
    one, other = silero.stream(), silero.stream()
    found: list[float] = []
    for start in range(0, len(sound), 1024):
        other.feed(noise(1)[:1024])
        found += one.feed(sound[start : start + 1024])
    assert found == alone
    one.reset()
    assert one.feed(sound) == alone


def test_contains_speech_tells_speech_from_none(silero: SileroModel, cards: Recordings) -> None:
    """A spoken card has speech, behind two seconds of silence too; silence, noise and nothing have none."""
    assert contains_speech(2 * SECOND + read_audio(next(iter(cards)), VAD_RATE), silero.stream())
    assert not any(contains_speech(sound, silero.stream()) for sound in (b"", b"\0", 2 * SECOND, noise(2)))


@pytest.mark.realtime
def test_a_frame_costs_little(silero: SileroModel) -> None:
    """Less than 5 % of a core on any machine that runs the tests (0.4 % measured): it may run on the event loop."""
    stream = silero.stream()
    stream.feed(SECOND)
    begun = time.thread_time()
    found = stream.feed(3 * SECOND)
    assert (time.thread_time() - begun) / len(found) * 1000 < FRAME_MS * 0.05


def test_odd_bytes_wait_for_the_frame(silero: SileroModel) -> None:
    """Fewer bytes than a frame give nothing, and are not lost."""
    stream = silero.stream()
    assert (stream.feed(b""), stream.feed(b"\0" * 1023), len(stream.feed(b"\0"))) == ([], [], 1)
