"""Synthesis, read back by the recogniser."""

import shutil
import threading
import time
from collections.abc import Callable

import pytest

from turnlog.core.errors import MediaError, MissingExtra, TurnlogError
from turnlog.transports.speech import synthesise
from turnlog.transports.speech.recognise import MoonshineRecogniser
from turnlog.transports.speech.synthesise import EspeakSynthesiser, PiperSynthesiser, Synthesiser, find_espeak, piper_voice

Rate = Callable[[str, str], float]
TEXT = "Good evening, this is the front desk. Your room is on the second floor. Breakfast begins at seven in the morning."


@pytest.fixture(params=["piper", "espeak"])
def voice(request: pytest.FixtureRequest) -> Synthesiser:
    """Each of the two voices."""
    found: Synthesiser = request.getfixturevalue(request.param)
    return found


def test_what_is_said_is_understood(voice: Synthesiser, recogniser: MoonshineRecogniser, word_error_rate: Rate) -> None:
    """The recogniser reads three sentences back with at most 15 % of the words wrong."""
    sound = b"".join(voice.synthesise(TEXT))
    assert word_error_rate(TEXT, recogniser.recognise(sound, voice.rate)) <= 0.15


def test_an_unvaried_voice_gives_equal_samples_for_equal_texts(piper: PiperSynthesiser) -> None:
    """And a varied one does not: the difference is the voice's own noise."""
    assert list(piper.synthesise(TEXT)) == list(piper.synthesise(TEXT))
    varied = PiperSynthesiser()
    assert b"".join(varied.synthesise(TEXT)) != b"".join(varied.synthesise(TEXT))


def test_a_minute_has_a_human_pace(voice: Synthesiser) -> None:
    """20 words take between 4 and 12 seconds at the rate that the voice names."""
    assert 4 < len(b"".join(voice.synthesise(TEXT))) / 2 / voice.rate < 12


def test_the_first_sentence_comes_first(voice: Synthesiser, recogniser: MoonshineRecogniser) -> None:
    """The first chunk is the first sentence alone, and chunks hold whole samples."""
    chunks = list(voice.synthesise(TEXT))
    assert len(chunks) >= 3
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    first = recogniser.recognise(chunks[0], voice.rate).lower()
    assert "evening" in first and "room" not in first


@pytest.mark.parametrize("text", ["", "  \n", "...", "?! —", "\0", "\ud800"])
def test_nothing_to_say_is_silent(voice: Synthesiser, text: str) -> None:
    """A text without words gives no chunk."""
    assert list(voice.synthesise(text)) == []


@pytest.mark.parametrize("text", ["-v de --help", "<speak>hello</speak>", "[[h]] hello", "hello \ud800 \0 there", "héllo ✓ 你好"])
def test_odd_texts_are_spoken(voice: Synthesiser, text: str) -> None:
    """Options, markup, phoneme brackets and stray characters are text like any other."""
    assert len(b"".join(voice.synthesise(text))) / 2 / voice.rate > 0.2


@pytest.mark.realtime
def test_the_first_sound_does_not_wait_for_the_rest(piper: PiperSynthesiser) -> None:
    """With ten sentences the first is there in less than a third of the time of all."""
    begun = time.perf_counter()
    chunks = piper.synthesise("Sure. " + TEXT * 3)
    next(chunks)
    first = time.perf_counter() - begun
    for _ in chunks:
        pass
    assert first < (time.perf_counter() - begun) / 3


def test_closing_the_iterator_frees_the_voice(piper: PiperSynthesiser) -> None:
    """A listener who leaves after the first sentence does not keep the lock from the next."""
    chunks = piper.synthesise(TEXT)
    next(chunks)
    heard: list[bytes] = []
    other = threading.Thread(target=lambda: heard.extend(piper.synthesise("Sure.")))
    other.start()  # the first iterator is still open
    other.join(30)
    chunks.close()  # type: ignore[attr-defined]  # a generator
    assert heard


def test_the_program_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without espeak-ng on the PATH: TL603 with the package to install."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TurnlogError, match="espeak-ng is not on the PATH") as caught:
        find_espeak()
    assert (caught.value.code, "apt-get install espeak-ng" in caught.value.hint) == ("TL603", True)


def test_a_voice_it_does_not_have_is_refused(espeak: EspeakSynthesiser) -> None:
    """espeak-ng's own words are in the error."""
    with pytest.raises(TurnlogError, match="espeak-ng ended with 1") as caught:
        EspeakSynthesiser(voice="xx-nowhere")
    assert (caught.value.code, espeak.rate) == ("TL603", 22050)


def test_a_program_that_vanishes_is_an_error(espeak: EspeakSynthesiser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A voice whose program is gone raises TL603, not OSError."""
    monkeypatch.setattr(espeak, "_command", ["/nonexistent/espeak-ng"])
    with pytest.raises(TurnlogError, match="could not speak"):
        list(espeak.synthesise("Hello."))


def test_output_that_is_no_wav_is_an_error(espeak: EspeakSynthesiser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that answers something else is found out: TL602."""
    monkeypatch.setattr(espeak, "_command", [shutil.which("cat")])
    with pytest.raises(MediaError, match="did not give a WAV"):
        list(espeak.synthesise("Hello."))


def test_without_the_extra_piper_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An absent package is MissingExtra; a package without its voice is TL603."""
    monkeypatch.setattr(synthesise, "package_file", lambda *parts: None)
    with pytest.raises(TurnlogError, match="does not hold") as caught:
        piper_voice()
    assert caught.value.code == "TL603"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="local"):
        PiperSynthesiser()
