"""Recognition of real voices by the bundled model."""

import os
import random
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from turnlog.core.errors import MissingExtra, TurnlogError
from turnlog.transports.speech import recognise
from turnlog.transports.speech.endpointer import Endpointer, Speculate, SpeechStarted, SpeechStopped
from turnlog.transports.speech.recognise import MoonshineRecogniser, moonshine_model, pieces
from turnlog.transports.speech.resample import Resampler, read_audio
from turnlog.transports.speech.vad import SileroModel

Rate = Callable[[str, str], float]
Recordings = dict[Path, str]  # a 16 kHz WAV file and what is said in it
SECOND = bytes(32000)


def test_a_reading_voice_is_understood(recogniser: MoonshineRecogniser, librivox: Recordings, word_error_rate: Rate) -> None:
    """At most 8 % of the words of five LibriVox sentences are wrong (2.8 % measured), none more than 20 %."""
    heard = {path: recogniser.recognise(read_audio(path, 16000)) for path in librivox}
    assert word_error_rate(" ".join(librivox.values()), " ".join(heard.values())) <= 0.08
    for path, text in heard.items():
        assert word_error_rate(librivox[path], text) <= 0.2, text


def test_short_phrases_are_understood(recogniser: MoonshineRecogniser, cards: Recordings, word_error_rate: Rate) -> None:
    """At most a fifth of the words of five spoken cards are wrong (2 of 21 measured: "gloves" and "cloves" for clubs)."""
    heard = [recogniser.recognise(read_audio(path, 16000)) for path in cards]
    assert word_error_rate(" ".join(cards.values()), " ".join(heard)) <= 0.2


@pytest.mark.parametrize("rate", [8000, 24000, 48000])
def test_other_rates_are_resampled(
    recogniser: MoonshineRecogniser, librivox: Recordings, word_error_rate: Rate, rate: int
) -> None:
    """The caller's own rate may be given, a telephone's too."""
    path, words = list(librivox.items())[4]
    assert word_error_rate(words, recogniser.recognise(read_audio(path, rate), rate)) <= 0.15


def test_no_speech_has_no_words(recogniser: MoonshineRecogniser) -> None:
    """Nothing, half a sample, a click, silence, noise: "" (the model alone says "You")."""
    noise = struct.pack("<32000h", *(random.Random(1).choices(range(-2000, 2001), k=32000)))
    assert [recogniser.recognise(sound) for sound in (b"", b"\1", b"\xff\x7f" * 50, SECOND, 5 * SECOND, noise)] == [""] * 6


def test_turns_are_found_and_understood(
    recogniser: MoonshineRecogniser, silero: SileroModel, librivox: Recordings, word_error_rate: Rate
) -> None:
    """Five recordings with pauses between are five turns; what is recognised at the last guess holds at the end."""
    sound = SECOND + b"".join(read_audio(path, 16000) + SECOND for path in librivox)
    endpointer, turns, guess = Endpointer(), [], ""
    start_ms = 0
    for probability in silero.stream().feed(sound):
        for decision in endpointer.feed(probability):
            match decision:
                case SpeechStarted():
                    start_ms = decision.start_ms
                case Speculate():
                    guess = recogniser.recognise(sound[start_ms * 32 : decision.end_ms * 32])
                case SpeechStopped():
                    turns.append((recogniser.recognise(sound[start_ms * 32 : decision.end_ms * 32]), guess))
    assert len(turns) == 5
    for (final, early), words in zip(turns, librivox.values(), strict=True):
        assert word_error_rate(words, early) <= 0.2, early
        assert word_error_rate(final, early) <= 0.1, (final, early)


def test_odd_bytes_do_no_harm(recogniser: MoonshineRecogniser, cards: Recordings) -> None:
    """A trailing half sample is dropped."""
    sound = read_audio(next(iter(cards)), 16000)
    assert recogniser.recognise(sound + b"\x7f") == recogniser.recognise(sound) == "Ten of clubs."


def test_two_callers_get_their_own_words(recogniser: MoonshineRecogniser, cards: Recordings) -> None:
    """Two threads on one model do not mix."""
    sounds = [read_audio(next(iter(cards)), 16000), read_audio(list(cards)[2], 16000)] * 3
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(recogniser.recognise, sounds)) == ["Ten of clubs.", "Seven of clubs."] * 3


def test_a_long_speech_is_understood_to_its_end(
    recogniser: MoonshineRecogniser, librivox: Recordings, word_error_rate: Rate
) -> None:
    """50 s in one stretch lose or repeat no sentence, which the model alone does."""
    sound = b"".join(read_audio(path, 16000) for path in librivox) * 2
    words = " ".join([*librivox.values()] * 2)
    assert word_error_rate(words, recogniser.recognise(sound)) <= 0.08


def test_long_audio_is_cut_where_it_is_quiet() -> None:
    """No byte is lost, no piece is longer than allowed, and the cut lies in the pause."""
    loud = struct.pack("<8000h", *([9000, -9000] * 4000))
    sound = loud * 5 + bytes(3200) + loud * 4  # a pause of 0.1 s from 2.5 s on
    cut = list(pieces(sound, max_s=3))
    assert b"".join(cut) == sound
    assert 2.5 <= len(cut[0]) / 32000 <= 2.6
    assert all(len(piece) <= 3 * 32000 for piece in cut)
    assert list(pieces(SECOND)) == [SECOND]
    assert list(pieces(b"")) == [b""]


def test_the_model_is_in_the_wheel(recogniser: MoonshineRecogniser) -> None:
    """The pinned version holds encoder, decoder and tokenizer, and the variable that asks for one thread is gone again."""
    names = {path.name for path in moonshine_model().iterdir()}
    assert names >= {"encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"}
    assert "MOONSHINE_ORT_SINGLE_THREAD" not in os.environ


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads by /proc")
def test_the_model_runs_on_the_callers_thread(recogniser: MoonshineRecogniser, cards: Recordings) -> None:
    """Loading and running a second one adds no thread to the process."""
    before = len(list(Path("/proc/self/task").iterdir()))
    other = MoonshineRecogniser()
    assert other.recognise(read_audio(next(iter(cards)), 16000)) == "Ten of clubs."
    assert len(list(Path("/proc/self/task").iterdir())) <= before


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, cards: Recordings) -> None:
    """Loading and recognising open no socket."""
    moonshine_model()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert MoonshineRecogniser().recognise(read_audio(next(iter(cards)), 16000)) == "Ten of clubs."


def test_a_version_without_its_model_says_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """moonshine-voice 0.1.5 has only the tokenizer: TL603 with the pin."""
    monkeypatch.setattr(recognise, "require", lambda *args: None)
    monkeypatch.setattr(recognise, "package_file", lambda *parts: None)
    with pytest.raises(TurnlogError, match="does not hold its model") as caught:
        MoonshineRecogniser()
    assert (caught.value.code, "moonshine-voice==0.1.0" in caught.value.hint) == ("TL603", True)


def test_without_the_extra_the_hint_is_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """An absent package is MissingExtra."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as caught:
        moonshine_model()
    assert caught.value.hint == 'pip install "turnlog[local]"'


def test_recognition_leaves_other_threads_running(recogniser: MoonshineRecogniser, librivox: Recordings) -> None:
    """While it works in a thread, this one gets to run: the library gives up the interpreter's lock."""
    sound = Resampler(16000, 16000).feed(read_audio(next(iter(librivox)), 16000))
    thread = threading.Thread(target=recogniser.recognise, args=(sound,))
    thread.start()
    turns = 0
    while thread.is_alive():
        thread.join(0.001)
        turns += 1
    assert turns > 10
