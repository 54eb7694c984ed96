"""From the text of an answer to deltas: words, and the audio in which a synthesiser speaks them. Blocking: for a thread."""

from binascii import b2a_base64
from collections.abc import Generator, Iterator
from typing import Final

from ..realtime.audio import AudioFormat, bytes_for_ms
from ..realtime.g711 import from_pcm16
from ..speech.resample import Resampler
from ..speech.synthesise import Synthesiser, pieces_to_speak
from .model import Audio, Delta, Words

__all__ = ["voiced"]

_DELTA_MS: Final = 200


def voiced(synthesiser: Synthesiser, text: str, form: AudioFormat) -> Generator[list[Delta], None, None]:
    """Deltas, as many at a time as the synthesiser gives: words never come after their audio, and add up to `text`."""
    words = list(pieces_to_speak(text))
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
