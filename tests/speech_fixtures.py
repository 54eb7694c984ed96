"""Fixtures: real speech, real engines. Models are loaded once a run."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tools import debian
from turnlog.core.errors import TurnlogError
from turnlog.transports.speech.engines import Speech, load
from turnlog.transports.speech.recognise import MoonshineRecogniser, moonshine_model
from turnlog.transports.speech.synthesise import EspeakSynthesiser, PiperSynthesiser, piper_voice
from turnlog.transports.speech.vad import SileroModel, silero_model

SPEECH_FOLDER = Path("/usr/share/pocketsphinx/test/data")


def absent(reason: str) -> NoReturn:
    """Skip the test on a developer's machine, fail it in CI, where everything must be there."""
    if debian.required():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _recordings(name: str) -> dict[Path, str]:
    folder = SPEECH_FOLDER / name
    listing = next(iter(sorted(folder.glob("*transcription"))), None)
    if listing is None:
        absent("needs the Debian package pocketsphinx-testdata (apt-get install pocketsphinx-testdata)")
    found = {}
    for line in listing.read_text().splitlines():
        words, _, identifier = line.removeprefix("<s>").partition("</s>")
        found[folder / f"{identifier.strip().strip('()')}.wav"] = " ".join(words.split())
    return found


@pytest.fixture(scope="session")
def librivox() -> dict[Path, str]:
    """Five sentences of Sense and Sensibility, read by a LibriVox volunteer: 16 kHz WAV files and their words."""
    return _recordings("librivox")


@pytest.fixture(scope="session")
def cards() -> dict[Path, str]:
    """Five short phrases ("ten of clubs") from a microphone: 16 kHz WAV files and their words."""
    return _recordings("cards")


@pytest.fixture(scope="session")
def silero() -> SileroModel:
    """The voice activity model."""
    try:
        silero_model()
    except TurnlogError as error:
        absent(str(error))
    return SileroModel()


@pytest.fixture(scope="session")
def recogniser(silero: SileroModel) -> MoonshineRecogniser:
    """The recogniser, gated by voice activity as in production."""
    try:
        moonshine_model()
    except TurnlogError as error:
        absent(str(error))
    return MoonshineRecogniser(silero)


@pytest.fixture(scope="session")
def piper() -> PiperSynthesiser:
    """The Piper voice, the same each time: what a recogniser makes of it is no matter of luck."""
    try:
        piper_voice()
    except TurnlogError as error:
        absent(str(error))
    return PiperSynthesiser(varied=False)


@pytest.fixture(scope="session")
def espeak() -> EspeakSynthesiser:
    """The espeak-ng voice."""
    if shutil.which("espeak-ng") is None:
        absent("needs the Debian package espeak-ng (apt-get install espeak-ng)")
    return EspeakSynthesiser()


@pytest.fixture(scope="session")
def speech() -> Speech:
    """All engines, as the local provider loads them."""
    loaded = load()
    if not (loaded.voice_activity and loaded.recogniser and loaded.synthesiser):
        absent(f"needs offline speech: {loaded.engines}")
    return loaded


def _plain(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "'" else " " for c in text.lower().replace("mr.", "mister")).split()


def _word_error_rate(said: str, heard: str) -> float:
    """Levenshtein distance over words, as a share of the words said; case and punctuation do not count."""
    left, right = _plain(said), _plain(heard)
    row = list(range(len(right) + 1))
    for i, word in enumerate(left, 1):
        row, before = [i], row
        for j, other in enumerate(right, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (word != other)))
    return row[-1] / len(left)


@pytest.fixture(scope="session")
def word_error_rate() -> Callable[[str, str], float]:
    """word_error_rate(said, heard): 0.0 is a perfect transcript."""
    return _word_error_rate
