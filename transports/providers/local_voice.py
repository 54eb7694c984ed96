"""From the text of an answer to deltas: words, and the audio in which a synthesiser speaks them. Blocking: for a thread."""

from binascii import b2a_base64
from collections.abc import Generator, Iterator
from typing import Final

from ..realtime.audio import AudioFormat, bytes_for_ms
from ..realtime.g711 import from_pcm16
from ..speech.resample import Resampler
from ..speech.sentences import split_for_speech
from ..speech.synthesise import Synthesiser
from .model import Audio, Delta, Words

__all__ = ["voiced", "words_by_piece"]

_DELTA_MS: Final = 200


def voiced(synthesiser: Synthesiser, text: str, form: AudioFormat) -> Generator[list[Delta], None, None]:
    """Deltas, as many at a time as the synthesiser gives: words never come after their audio, and add up to `text`."""
    words = words_by_piece(text)
    resampler = Resampler(synthesiser.rate, form.rate)
    for pcm16 in synthesiser.synthesise(text):
        yield [*(Words(text=piece) for piece in words[:1]), *_audio(resampler.feed(pcm16), form)]
        del words[:1]
    yield [*(Words(text=piece) for piece in words), *_audio(resampler.flush(), form)]


def _audio(pcm16: bytes, form: AudioFormat) -> Iterator[Audio]:
    payload = from_pcm16(pcm16, form)
    size = bytes_for_ms(_DELTA_MS, form)
    for start in range(0, len(payload), size):
        yield Audio(base64_text=b2a_base64(payload[start : start + size], newline=False))


def words_by_piece(text: str) -> list[str]:
    """The text in the pieces that are spoken one after another, every character of it kept.

    The synthesiser normalises white space and leaves out pieces without a letter or digit: those belong to the one before.
    """
    cut: list[str] = []
    for piece in split_for_speech(text):
        length = _length_of(text, sum(not char.isspace() for char in piece))
        head, text = text[:length], text[length:]
        if cut and not any(char.isalnum() for char in piece):
            cut[-1] += head
        else:
            cut.append(head)
    return [*cut[:-1], cut[-1] + text] if cut else [text] if text else []


def _length_of(text: str, marks: int) -> int:
    """How much of the text holds so many characters that are no white space."""
    for place, char in enumerate(text):
        marks -= not char.isspace()
        if not marks:
            return place + 1
    return len(text)
