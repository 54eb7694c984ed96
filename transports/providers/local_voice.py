"""From the text of an answer to deltas: words, and the audio in which a synthesiser speaks them.

Synthesis blocks: `voiced` is for a thread, `spoken` runs it in one.
"""

import asyncio
from binascii import b2a_base64
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ..realtime.audio import AudioFormat, bytes_for_ms
from ..realtime.g711 import from_pcm16
from ..speech.resample import Resampler
from ..speech.synthesise import Synthesiser, pieces_to_speak
from .model import Audio, Delta, Words

__all__ = ["audio_deltas", "spoken", "voiced"]

_DELTA_MS: Final = 200


def voiced(synthesiser: Synthesiser, text: str, form: AudioFormat) -> Generator[list[Delta], None, None]:
    """Deltas, as many at a time as the synthesiser gives: words never come after their audio, and add up to `text`."""
    words = list(pieces_to_speak(text))
    resampler = Resampler(synthesiser.rate, form.rate)
    for pcm16 in synthesiser.synthesise(text):
        yield [*(Words(text=piece) for piece in words[:1]), *audio_deltas(resampler.feed(pcm16), form)]
        del words[:1]
    yield [*(Words(text=piece) for piece in words), *audio_deltas(resampler.flush(), form)]


async def spoken(
    synthesiser: Synthesiser, text: str, form: AudioFormat, worker: ThreadPoolExecutor
) -> AsyncGenerator[Delta, None]:
    """The same, made in the worker's thread."""
    pieces = voiced(synthesiser, text, form)
    loop = asyncio.get_running_loop()
    try:
        while (deltas := await loop.run_in_executor(worker, next, pieces, None)) is not None:
            for delta in deltas:
                yield delta
    finally:
        worker.submit(pieces.close)  # in its own thread: a cancelled answer may still be speaking there


def audio_deltas(pcm16: bytes, form: AudioFormat) -> Iterator[Audio]:
    """PCM16 mono at the format's rate, as a provider sends it."""
    payload = from_pcm16(pcm16, form)
    size = bytes_for_ms(_DELTA_MS, form)
    for start in range(0, len(payload), size):
        yield Audio(base64_text=b2a_base64(payload[start : start + size], newline=False))
