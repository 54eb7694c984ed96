"""Fake speech: text to sound and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnlog.testing import SpokenWord, listen, speak
from turnlog.testing.fake_speech import FakeVoiceActivity, pieces, words_in
from turnlog.transports.realtime.audio import PCM16, PCMA, PCMU, AudioFormat
from turnlog.transports.realtime.g711 import from_pcm16, to_pcm16

WORDS = st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=40), max_size=6)


@given(WORDS)
@settings(max_examples=50, deadline=None)
def test_what_is_spoken_is_understood(words: list[str]) -> None:
    """Any words come back from the samples alone."""
    text = " ".join(words)
    assert listen(speak(text)) == " ".join(text.split())


@pytest.mark.parametrize("form", [PCMU, PCMA])
def test_it_survives_the_telephone(form: AudioFormat) -> None:
    """Through G.711 at 8 kHz every word is still there."""
    text = "Straße 42, ありがとう, okay?"
    assert listen(to_pcm16(from_pcm16(speak(text, rate=8000), form), form), rate=8000) == text


def test_it_survives_resampling() -> None:
    """Brought from 24 to 16 kHz, as a recogniser wants it, every word is still there."""
    pytest.importorskip("av")
    from turnlog.transports.speech.resample import Resampler

    resampler = Resampler(24000, 16000)
    assert listen(resampler.feed(speak("book a table for two")) + resampler.flush(), rate=16000) == "book a table for two"


def test_a_word_has_a_known_place() -> None:
    """Words of up to 27 bytes last 300 ms each, so the third begins at 600 ms."""
    assert words_in(speak("one two three"))[2] == SpokenWord("three", 600.0, 900.0, True)


@pytest.mark.parametrize(("ms", "heard"), [(0, ""), (284, ""), (286, "one"), (599, "one two"), (700, "one two")])
def test_a_part_holds_the_words_that_were_whole(ms: int, heard: str) -> None:
    """Cut anywhere, the words before the cut are understood; the one that is cut is not."""
    assert listen(speak("one two three")[: 48 * ms]) == heard


def test_pieces_tell_words_where_they_begin() -> None:
    """A provider's pieces are 100 ms each, and a word is told with the piece that its audio begins in."""
    found = list(pieces("one two", word_ms=150, form=PCM16))
    assert [words for words, _ in found] == ["one two", "", ""] or [words for words, _ in found] == ["one", " two", ""]
    assert [len(audio) for _, audio in found] == [4800, 4800, 4800]
    assert listen(b"".join(audio for _, audio in found)) == "one two"


def test_voice_activity_sees_voice_only() -> None:
    """Frames of silence are 0, frames of words are 1, however the audio is cut."""
    voice, pcm16 = FakeVoiceActivity(24000), bytes(768 * 2 * 3) + speak("word")
    frames = [frame for at in range(0, len(pcm16), 1000) for frame in voice.feed(pcm16[at : at + 1000])]
    assert frames[:3] == [0.0, 0.0, 0.0]
    assert frames[3:] == [1.0] * len(frames[3:]) and len(frames) == 3 + 300 // 32
