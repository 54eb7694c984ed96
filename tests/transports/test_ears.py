"""Turns in input audio: real speech through the real voice activity model, cut, switched and cleared in every way."""

from pathlib import Path
from typing import Any

import pytest

from turnlog.transports.providers.ears import Ears, Guess, Heard, Spoken
from turnlog.transports.realtime.session_config import default_session, merge_session
from turnlog.transports.speech.endpointer import SpeechStarted
from turnlog.transports.speech.resample import read_audio
from turnlog.transports.speech.vad import SileroModel

BASE = default_session("sess_1", "m", None)


def session(**audio_input: Any) -> dict[str, Any]:
    """A session with this input side."""
    merged = merge_session(BASE, {"type": "realtime", "audio": {"input": audio_input}}, voice_locked=False)
    assert isinstance(merged, dict)
    return merged


@pytest.fixture(scope="module")
def two_sentences(librivox: dict[Path, str]) -> bytes:
    """Two recordings with a second of silence behind each, 24 kHz."""
    return b"".join(read_audio(path, 24000) + bytes(48000) for path in list(librivox)[:2])


def hear(ears: Ears, audio: bytes, size: int) -> list[Heard]:
    """All that comes of audio sent in payloads of this size."""
    return [heard for start in range(0, len(audio), size) for heard in ears.hear(audio[start : start + size])]


@pytest.fixture
def ears(silero: SileroModel) -> Ears:
    """Ears with the default turn detection."""
    made = Ears(silero.stream())
    made.configure(session())
    return made


@pytest.mark.parametrize("size", [333, 960, 9600, 10**9])
def test_turns_do_not_depend_on_payload_sizes(size: int, silero: SileroModel, ears: Ears, two_sentences: bytes) -> None:
    """20 ms at a time or all at once, even inside a sample: the same events with the same times and, but for rounding, audio."""
    other = Ears(silero.stream())
    other.configure(session())
    expected, heard = hear(ears, two_sentences, 4800), hear(other, two_sentences, size)
    assert heard == expected
    assert len([one for one in heard if isinstance(one, Spoken)]) >= 2


def test_a_turn_holds_its_padding(ears: Ears, two_sentences: bytes) -> None:
    """A turn's audio lasts from its start (padding included) to its end (silence included), and a guess is its beginning."""
    heard = hear(ears, two_sentences, 960)
    start = next(one.start_ms for one in heard if isinstance(one, SpeechStarted))
    spoken = next(one for one in heard if isinstance(one, Spoken))
    guess = [one for one in heard[: heard.index(spoken)] if isinstance(one, Guess)][-1]
    assert len(spoken.pcm16) == (spoken.end_ms - start) * 32
    assert spoken.pcm16.startswith(guess.pcm16) and len(spoken.pcm16) - len(guess.pcm16) <= 320 * 32


def test_take_gives_what_was_appended(ears: Ears, two_sentences: bytes) -> None:
    """Without turn detection nothing is said, and a commit gets all audio since the last one, once."""
    ears.configure(session(turn_detection=None))
    assert hear(ears, two_sentences, 960) == []
    taken = ears.take()
    assert abs(len(taken) / 32 - len(two_sentences) / 48) <= 2
    assert ears.take() == b""


def test_a_clear_ends_the_turn_under_way(ears: Ears, two_sentences: bytes) -> None:
    """After a clear in the middle of speech the rest is a turn of its own, that starts no earlier."""
    first = hear(ears, two_sentences[: 2 * 48000], 960)
    assert [type(one) for one in first if isinstance(one, SpeechStarted)] == [SpeechStarted]
    ears.clear()
    after = hear(ears, two_sentences[2 * 48000 :], 960)
    assert isinstance(after[0], SpeechStarted) and after[0].start_ms >= 1950


def test_turn_detection_can_be_switched_on_late(silero: SileroModel, two_sentences: bytes) -> None:
    """Times count all audio of the session, also what came while turn detection was off."""
    ears = Ears(silero.stream())
    ears.configure(session(turn_detection=None))
    hear(ears, bytes(5 * 48000), 960)
    ears.configure(session(turn_detection={"type": "semantic_vad", "eagerness": "high"}))
    heard = hear(ears, two_sentences, 960)
    assert isinstance(heard[0], SpeechStarted) and 4600 <= heard[0].start_ms <= 6000


def test_a_longer_silence_joins_sentences(ears: Ears, two_sentences: bytes) -> None:
    """silence_duration_ms is the client's to choose, also in the middle of a session."""
    ears.configure(session(turn_detection={"type": "server_vad", "silence_duration_ms": 2500}))
    heard = hear(ears, two_sentences + bytes(3 * 48000), 960)
    assert len([one for one in heard if isinstance(one, Spoken)]) == 1
