"""Speech that holds its own words: text to PCM16 and back without an engine, also from a part of it, also through G.711.

A word of up to 27 bytes lasts `word_ms`, so its place is known; a longer one takes as long as it needs. It is a row of blocks
of 5 ms of one level each: a loud one that starts it, two for each byte of its UTF-8, a soft hum to its end, 20 ms of silence.
"""

from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from ..transports.realtime.audio import AudioFormat, bytes_for_ms
from ..transports.realtime.g711 import from_pcm16
from ..transports.speech.synthesise import pieces_to_speak
from ..transports.speech.vad import FRAME_MS, VAD_RATE

__all__ = [
    "CHUNK_MS",
    "TAIL_MS",
    "WORD_MS",
    "FakeSynthesiser",
    "FakeVoiceActivity",
    "SpokenWord",
    "listen",
    "pieces",
    "speak",
    "words_in",
]

WORD_MS: Final = 300
CHUNK_MS: Final = 100
"""How much audio a provider sends at once."""
_BLOCK_MS: Final = 5
_GAP_BLOCKS: Final = 4
TAIL_MS: Final = (_GAP_BLOCKS - 1) * _BLOCK_MS
"""How much of a word's end need not be heard: it is silence, and its first block tells that the word is over."""
_START, _HUM, _LOWEST, _STEP = 30000, 500, 1000, 1500  # levels; a nibble n is _LOWEST + n * _STEP
_IS_START, _IS_NIBBLE, _IS_VOICE = 26800, 750, 250  # thresholds between them, wide enough for G.711 and a resampler


class SpokenWord(NamedTuple):
    """A word found in audio, and where, in ms from the audio's beginning. `whole`: it was heard to its end."""

    text: str
    start_ms: float
    end_ms: float
    whole: bool


def speak(text: str, *, word_ms: int = WORD_MS, rate: int = 24000) -> bytes:
    """The text as PCM16 mono at `rate` Hz (a multiple of 200)."""
    return b"".join(_word(word, word_ms, rate) for word in text.split())


def pieces(text: str, *, word_ms: int, form: AudioFormat) -> Iterator[tuple[str, bytes]]:
    """The text as a provider streams it: the words that begin in a piece ("" if none does), and 100 ms of audio."""
    size = bytes_for_ms(CHUNK_MS, form)
    words, audio = "", b""
    for number, word in enumerate(text.split()):
        words += word if number == 0 else f" {word}"
        audio += from_pcm16(speak(word, word_ms=word_ms, rate=form.rate), form)
        while len(audio) >= size:
            yield words, audio[:size]
            words, audio = "", audio[size:]
    if audio:
        yield words, audio


def listen(pcm16: bytes, *, rate: int = 24000) -> str:
    """The words that are whole in this audio, joined by spaces."""
    return " ".join(word.text for word in words_in(pcm16, rate=rate) if word.whole)


def words_in(pcm16: bytes, *, rate: int = 24000) -> list[SpokenWord]:
    """Each word of which at least the beginning is there."""
    samples = array("h", pcm16[: len(pcm16) // 2 * 2])
    block = rate * _BLOCK_MS // 1000
    found: list[SpokenWord] = []
    at = _next_start(samples, 0, block)
    while at < len(samples):
        word, at = _read(samples, at, block)
        found.append(word)
        at = _next_start(samples, at, block)
    return found


def _word(word: str, word_ms: int, rate: int) -> bytes:
    nibbles = [half for byte in word.encode(errors="replace") for half in (byte >> 4, byte & 15)]
    levels = [_START, *(_LOWEST + nibble * _STEP for nibble in nibbles)]
    levels += [_HUM] * max(1, word_ms // _BLOCK_MS - len(levels) - _GAP_BLOCKS)
    voice = b"".join(_block(level if n % 2 == 0 else -level, rate) for n, level in enumerate(levels))
    return voice + _block(0, rate) * _GAP_BLOCKS


@lru_cache(maxsize=256)
def _block(level: int, rate: int) -> bytes:
    return array("h", [level]).tobytes() * (rate * _BLOCK_MS // 1000)


def _next_start(samples: "array[int]", at: int, block: int) -> int:
    """The first sample of the next start block; the end of the audio if there is none."""
    step = block // 4
    for place in range(at, len(samples), step):
        if abs(samples[place]) > _IS_START:
            while place > at and abs(samples[place - 1]) > _IS_START // 2:
                place -= 1
            return place
    return len(samples)


def _read(samples: "array[int]", start: int, block: int) -> tuple[SpokenWord, int]:
    nibbles: list[int] = []
    at = start + block
    middle = block // 2
    while at + middle < len(samples) and (level := abs(samples[at + middle])) > _IS_NIBBLE and level < _IS_START:
        nibbles.append(min(15, max(0, round((level - _LOWEST) / _STEP))))
        at += block
    while at + middle < len(samples) and _IS_VOICE < abs(samples[at + middle]) <= _IS_NIBBLE:
        at += block
    whole = at + block <= len(samples)  # the silence behind it was heard too
    text = bytes(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=False)).decode(errors="replace")
    end = min(at + _GAP_BLOCKS * block, len(samples))
    per_ms = block / _BLOCK_MS
    return SpokenWord(text, start / per_ms, end / per_ms, whole), at


class FakeSynthesiser:
    """transports.speech.synthesise.Synthesiser in fake speech."""

    def __init__(self, *, word_ms: int = WORD_MS) -> None:
        self.rate = 24000
        self._word_ms = word_ms

    def synthesise(self, text: str) -> Iterator[bytes]:
        """PCM16 mono, piece by piece."""
        for piece in pieces_to_speak(text):
            if spoken := speak(piece, word_ms=self._word_ms):
                yield spoken


class FakeVoiceActivity:
    """transports.speech.vad.VoiceActivity by loudness alone. `rate`: of what it is fed."""

    def __init__(self, rate: int = VAD_RATE) -> None:
        self._frame = rate * FRAME_MS // 1000 * 2
        self._rest = b""

    def feed(self, pcm16: bytes) -> list[float]:
        """1.0 for each whole frame of FRAME_MS that is not silent, else 0.0."""
        data = self._rest + pcm16
        whole = len(data) - len(data) % self._frame
        self._rest = data[whole:]
        return [float(_loud(data[start : start + self._frame])) for start in range(0, whole, self._frame)]

    def reset(self) -> None:
        """Start a new stream."""
        self._rest = b""


def _loud(frame: bytes) -> bool:
    samples = array("h", frame)
    return max(max(samples), -min(samples)) > _IS_VOICE
