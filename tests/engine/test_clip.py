"""Recorded sound that handlers play: what is read, what is refused, and what a replay needs of it."""

import hashlib
import logging
import struct
import sys
import wave
from pathlib import Path

import pytest

import turnlog
from turnlog.core.commands import Clip
from turnlog.core.errors import MediaError

SOUND = struct.pack("<2400h", *(n % 400 - 200 for n in range(2400)))


def wav(path: Path, samples: bytes = SOUND, *, rate: int = 24_000, channels: int = 1) -> Path:
    """A 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)
    return path


def problem_of(path: Path) -> MediaError:
    """Why a file cannot be played."""
    with pytest.raises(MediaError) as refused:
        turnlog.clip(path).asked()
    assert refused.value.code == "TL602"
    assert refused.value.hint
    return refused.value


def test_a_clip_is_known_by_its_samples(tmp_path: Path) -> None:
    """Name without folders, digest of the samples, rate and duration; the samples themselves are not in the command."""
    hold = turnlog.clip(wav(tmp_path / "hold.wav"))
    assert hold.asked() == Clip(name="hold.wav", digest=hashlib.sha256(SOUND).hexdigest(), rate=24_000, ms=100)
    assert hold.samples(24_000) == SOUND
    assert "\\x" not in repr(hold)
    assert turnlog.clip(str(wav(tmp_path / "other.wav"))).asked().digest == hold.asked().digest


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_a_clip_is_played_at_the_sessions_rate(tmp_path: Path, rate: int) -> None:
    """Resampled, as long as it was."""
    pytest.importorskip("av", reason="PyAV is not installed")
    hold = turnlog.clip(wav(tmp_path / "hold.wav"))
    assert abs(len(hold.samples(rate)) // 2 - rate // 10) <= rate // 1000


def test_other_files_are_read_where_pyav_is(tmp_path: Path) -> None:
    """Stereo is mixed; the rate is the protocol's."""
    pytest.importorskip("av", reason="PyAV is not installed")
    stereo = b"".join(SOUND[n : n + 2] * 2 for n in range(0, len(SOUND), 2))
    told = turnlog.clip(wav(tmp_path / "hold.wav", stereo, channels=2)).asked()
    assert (told.rate, told.ms) == (24_000, 100)


def test_without_pyav_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert the file, or install what reads it."""
    monkeypatch.setitem(sys.modules, "av", None)
    refused = problem_of(wav(tmp_path / "hold.wav", channels=2))
    assert "ffmpeg" in refused.hint and "pip install" in refused.hint
    assert turnlog.clip(wav(tmp_path / "mono.wav")).asked().ms == 100


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the folder at which a relative path begins."""
    assert "no such file" in problem_of(tmp_path / "hold.wav").message
    assert str(Path.cwd()) in problem_of(Path("no/hold.wav")).hint
    assert "no such file" in problem_of(tmp_path).message


def test_a_file_without_sound_is_refused(tmp_path: Path) -> None:
    """Neither text nor an empty WAV can be played."""
    text = tmp_path / "hold.wav"
    text.write_text("hold the line")
    assert str(text) in problem_of(text).message
    assert "no sound" in problem_of(wav(tmp_path / "empty.wav", b"")).message


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """Ten minutes may be played, a sample more may not; a huge file is not even read."""
    assert turnlog.clip(wav(tmp_path / "ten.wav", bytes(2 * 600 * 100), rate=100)).asked().ms == 600_000
    assert "10 minutes" in problem_of(wav(tmp_path / "more.wav", bytes(2 * 600 * 100 + 2), rate=100)).message
    huge = tmp_path / "huge.wav"
    with huge.open("wb") as file:
        file.truncate(10**9)  # a hole: takes no space
    assert "10 minutes" in problem_of(huge).message


def test_what_cannot_be_played_is_said_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Making the clip does not raise, so that a module can be imported for a replay; a warning names the file."""
    with caplog.at_level(logging.WARNING, "turnlog"):
        lost = turnlog.clip(tmp_path / "lost.wav")
    assert "lost.wav cannot be played" in caplog.text
    assert lost.problem is not None and lost.pcm16 == b""


def test_a_replay_takes_the_recorded_clip(tmp_path: Path) -> None:
    """Whether the file has changed or gone; another clip than the recorded one is its own."""
    recorded = Clip(name="hold.wav", digest="ab" * 32, rate=8_000, ms=5)
    lost, changed = turnlog.clip(tmp_path / "hold.wav"), turnlog.clip(wav(tmp_path / "hold.wav"))
    assert lost.asked_again(recorded) == changed.asked_again(recorded) == recorded
    assert changed.asked_again(None) == changed.asked()
    other = turnlog.clip(tmp_path / "other.wav")
    assert other.asked_again(recorded).name == "other.wav"
