"""The streaming resampler and the reading of audio files."""

import itertools
import math
import struct
import wave
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnlog.core.errors import MediaError
from turnlog.transports.speech.resample import Resampler, read_audio

RATES = st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000])


def tone(hertz: float, rate: int, ms: int, amplitude: int = 12000) -> bytes:
    """A sine in PCM16 mono."""
    count = rate * ms // 1000
    return struct.pack(f"<{count}h", *(round(amplitude * math.sin(2 * math.pi * hertz * i / rate)) for i in range(count)))


def strength(pcm16: bytes, hertz: float, rate: int) -> float:
    """The amplitude of one frequency (a single bin of a Fourier transform)."""
    samples = struct.unpack(f"<{len(pcm16) // 2}h", pcm16)
    turn = 2 * math.pi * hertz / rate
    real = sum(value * math.cos(turn * i) for i, value in enumerate(samples))
    imaginary = sum(value * math.sin(turn * i) for i, value in enumerate(samples))
    return 2 * math.hypot(real, imaginary) / len(samples)


def resample(pieces: Iterable[bytes], from_rate: int, to_rate: int) -> bytes:
    """All of a stream."""
    resampler = Resampler(from_rate, to_rate)
    return b"".join(map(resampler.feed, pieces)) + resampler.flush()


@settings(deadline=None, max_examples=30)
@given(RATES, RATES, st.integers(0, 1000))
def test_the_length_is_kept(from_rate: int, to_rate: int, ms: int) -> None:
    """A stream is as long afterwards as before, within 3 ms."""
    pcm16 = bytes(from_rate * ms // 1000 * 2)
    assert abs(len(resample([pcm16], from_rate, to_rate)) / 2 / to_rate * 1000 - ms) <= 3


@settings(deadline=None, max_examples=20)
@given(RATES, RATES, st.integers(200, 3000))
def test_a_tone_stays_where_it_is(from_rate: int, to_rate: int, hertz: int) -> None:
    """A tone below both band edges keeps its frequency and its level (within 5 %), at every pair of rates."""
    heard = resample([tone(hertz, from_rate, 300)], from_rate, to_rate)
    assert strength(heard, hertz, to_rate) == pytest.approx(12000, rel=0.05)
    assert strength(heard, hertz * 1.1, to_rate) < 1200


def test_what_the_lower_rate_cannot_carry_is_removed() -> None:
    """10 kHz does not come back as an alias at 6 kHz when 24 kHz goes down to 16 kHz."""
    heard = resample([tone(10000, 24000, 300)], 24000, 16000)
    assert strength(heard, 6000, 16000) < 12


@settings(deadline=None, max_examples=30)
@given(RATES, RATES, st.lists(st.integers(1, 2999), max_size=12))
def test_cutting_the_input_changes_nothing(from_rate: int, to_rate: int, cuts: list[int]) -> None:
    """The output is the same for every way to cut the input, odd byte counts included."""
    pcm16 = tone(440, from_rate, 50)
    edges = [0, *sorted(cuts), len(pcm16)]
    pieces = [pcm16[start:end] for start, end in itertools.pairwise(edges)]
    assert resample(pieces, from_rate, to_rate) == resample([pcm16[: len(b"".join(pieces))]], from_rate, to_rate)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(24000, 16000), (48000, 24000), (22050, 24000), (16000, 24000)])
def test_a_live_stream_is_held_back_by_at_most_3_ms(from_rate: int, to_rate: int) -> None:
    """After each 20 ms fed, all but 3 ms have come out."""
    resampler = Resampler(from_rate, to_rate)
    given_ms = 0.0
    for frame in range(1, 26):
        given_ms += len(resampler.feed(bytes(from_rate // 50 * 2))) / 2 / to_rate * 1000
        assert frame * 20 - given_ms <= 3


@given(st.binary(max_size=99))
def test_equal_rates_pass_through(sound: bytes) -> None:
    """At the same rate the whole samples come out at once and untouched."""
    resampler = Resampler(24000, 24000)
    assert (resampler.feed(sound), resampler.flush()) == (sound[: len(sound) & ~1], b"")


def test_a_flushed_resampler_starts_anew() -> None:
    """After flush() (a barge-in) nothing of the old stream is left in the next one, not even half a sample."""
    resampler = Resampler(24000, 16000)
    resampler.feed(tone(440, 24000, 100) + b"\x7f")
    resampler.flush()
    again = resampler.feed(tone(700, 24000, 100)) + resampler.flush()
    assert again == resample([tone(700, 24000, 100)], 24000, 16000)


@pytest.mark.parametrize("rate", [0, -8000])
def test_a_rate_that_is_not_positive_is_refused(rate: int) -> None:
    """Both rates must be positive: TL602."""
    for pair in ((rate, 16000), (16000, rate)):
        with pytest.raises(MediaError, match=f"{rate} Hz") as caught:
            Resampler(*pair)
        assert caught.value.code == "TL602"


def write_wav(path: Path, pcm: bytes, *, rate: int, channels: int = 1, width: int = 2) -> Path:
    """A WAV of any kind."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


def test_any_wav_becomes_mono_at_the_rate_asked_for(tmp_path: Path) -> None:
    """A 44.1 kHz stereo file with the tone on both sides gives that tone, mono, at 16 kHz, as long as it was."""
    mono = struct.unpack("<22050h", tone(440, 44100, 500))
    stereo = struct.pack("<44100h", *(value for sample in mono for value in (sample, sample)))
    heard = read_audio(write_wav(tmp_path / "stereo.wav", stereo, rate=44100, channels=2), 16000)
    assert len(heard) == 2 * 8000  # its last samples, too
    assert strength(heard, 440, 16000) == pytest.approx(12000, rel=0.05)


def test_another_codec_and_container_are_read(tmp_path: Path) -> None:
    """An Ogg file with Opus at 48 kHz is decoded."""
    av = pytest.importorskip("av", reason="PyAV writes the file")
    path = tmp_path / "a.ogg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=48000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=48000)
        frame.sample_rate = 48000
        frame.planes[0].update(tone(440, 48000, 1000))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    heard = read_audio(path, 24000)
    assert len(heard) / 2 / 24000 == pytest.approx(1, abs=0.03)
    assert strength(heard, 440, 24000) == pytest.approx(12000, rel=0.1)


def test_a_wav_at_the_right_rate_is_read_exactly(tmp_path: Path) -> None:
    """PCM16 mono at the rate asked for comes out sample for sample."""
    pcm16 = tone(440, 16000, 100)
    assert read_audio(write_wav(tmp_path / "a.wav", pcm16, rate=16000), 16000) == pcm16


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"", "cannot be read"),
        (b"no sound in this text " * 50, "cannot be read"),
        (b"RIFF\0\0\0\0WAVE", "cannot be read|holds no sound"),
    ],
)
def test_a_file_without_audio_is_refused(tmp_path: Path, content: bytes | None, why: str) -> None:
    """Missing, empty, textual and cut files are TL602 with path, reason and hint."""
    path = tmp_path / "broken.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=why) as caught:
        read_audio(path, 16000)
    assert (caught.value.code, str(path) in caught.value.message, bool(caught.value.hint)) == ("TL602", True, True)


def test_a_wav_without_samples_is_refused(tmp_path: Path) -> None:
    """A valid header with nothing behind it holds no sound: TL602."""
    with pytest.raises(MediaError, match="holds no sound"):
        read_audio(write_wav(tmp_path / "empty.wav", b"", rate=16000), 16000)
