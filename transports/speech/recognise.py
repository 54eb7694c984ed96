"""Speech recognition: one finished stretch of speech in, its words out. Blocking: call it in an executor.

Moonshine tiny-en (English) from the wheel of moonshine-voice 0.1.0, which bundles the model; nothing is ever fetched.
What was measured on 10 human clips and is set below:
- vad_threshold=0 turns off its own segmentation, which cut clips in two and invented a word ("I", "You") for the first
  part; we have our own endpointer.
- MOONSHINE_ORT_SINGLE_THREAD=1 (read when the model loads): the same latency (30 to 40 ms per second of speech) for half
  the CPU, since its second thread only spins.
- Silence and noise come back as "You": the gate (voice activity) answers "" for audio without speech.
- Beyond about 25 s it gets slower than linearly and repeats or loses sentences: longer audio is cut at its quietest place.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from ...core.errors import TurnlogError
from .installed import installed_version, package_file, require
from .resample import Resampler
from .vad import VAD_RATE, SileroModel, contains_speech

__all__ = ["MoonshineRecogniser", "Recogniser", "moonshine_model", "pieces"]

_PIN: Final = 'pip install "moonshine-voice==0.1.0" (later versions do not bundle the model)'
_FILES: Final = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
_SINGLE_THREAD: Final = "MOONSHINE_ORT_SINGLE_THREAD"
_MIN_BYTES: Final = 2 * VAD_RATE // 10  # under 0.1 s the model's convolutions have no input
_MAX_S: Final = 24
_BLOCK: Final = 2 * VAD_RATE // 50  # 20 ms


class Recogniser(Protocol):
    """Words of a stretch of speech."""

    def recognise(self, pcm16: bytes, rate: int = VAD_RATE) -> str:
        """The words in PCM16 mono at `rate` Hz, "" if there are none. Blocks; safe to call from several threads."""


def moonshine_model() -> Path:
    """The folder of the tiny-en model. Raises MissingExtra, or TurnlogError TL603 if this version has no model in it."""
    require("speech recognition", "moonshine_voice", "numpy", "av")
    found = [package_file("moonshine_voice", "assets", "tiny-en", name) for name in _FILES]
    for name, path in zip(_FILES, found, strict=True):
        if path is None:
            version = installed_version("moonshine-voice")
            raise TurnlogError("TL603", f"moonshine-voice {version} does not hold its model (assets/tiny-en/{name})", _PIN)
    return next(path.parent for path in found if path)


@contextmanager
def _single_thread() -> Iterator[None]:
    """Ask for one thread while a model loads, unless the user has set the variable."""
    if _SINGLE_THREAD in os.environ:
        yield
        return
    os.environ[_SINGLE_THREAD] = "1"
    try:
        yield
    finally:
        del os.environ[_SINGLE_THREAD]


def _does_not_load(error: Exception) -> TurnlogError:
    return TurnlogError("TL603", f"moonshine-voice does not load: {error}", "`turnlog doctor` says what it needs")


class MoonshineRecogniser:
    """Recogniser by Moonshine tiny-en; about 40 ms of one core per second of speech. One model, one caller at a time."""

    def __init__(self, gate: SileroModel | None = None) -> None:
        """Load and warm the model; `gate` decides whether there is speech at all (without one, silence becomes words).

        Raises MissingExtra, or TurnlogError TL603 (no model, or a machine that its library does not run on).
        """
        folder = moonshine_model()
        try:
            from moonshine_voice import ModelArch, MoonshineError
            from moonshine_voice.transcriber import Transcriber
        except (ImportError, OSError) as error:
            raise _does_not_load(error) from error
        options = {"vad_threshold": "0", "return_audio_data": "false"}
        try:
            with _single_thread():
                self._model: Any = Transcriber(model_path=str(folder), model_arch=ModelArch.TINY, options=options)
        except MoonshineError as error:
            raise _does_not_load(error) from error
        self._gate = gate
        self._lock = threading.Lock()
        self._transcribe(bytes(2 * VAD_RATE))

    def recognise(self, pcm16: bytes, rate: int = VAD_RATE) -> str:
        """The words in PCM16 mono at `rate` Hz, "" if there are none. Blocks; safe to call from several threads."""
        resampler = Resampler(rate, VAD_RATE)
        audio = resampler.feed(pcm16) + resampler.flush()
        if len(audio) < _MIN_BYTES or not self._may_hold_speech(audio):
            return ""
        return " ".join(filter(None, (self._transcribe(piece) for piece in pieces(audio))))

    def _may_hold_speech(self, audio: bytes) -> bool:
        # Laxer than any sensible turn detection: what that lets through must not be lost here. Noise stays below 0.15.
        return self._gate is None or contains_speech(audio, self._gate.stream(), threshold=0.3, frames=2)

    def _transcribe(self, pcm16: bytes) -> str:
        import numpy as np
        from moonshine_voice.errors import MoonshineError

        samples = (np.frombuffer(pcm16, "<i2").astype(np.float32) / 32768).tolist()
        try:
            with self._lock:
                lines = self._model.transcribe_without_streaming(samples, VAD_RATE).lines
        except MoonshineError as error:
            seconds = len(pcm16) / 2 / VAD_RATE
            hint = "`turnlog doctor` says what works"
            raise TurnlogError("TL603", f"recognition of {seconds:.1f} s failed: {error}", hint) from error
        return " ".join(filter(None, (line.text.strip() for line in lines)))


def pieces(pcm16: bytes, *, max_s: float = _MAX_S) -> Iterator[bytes]:
    """Cut PCM16 mono at VAD_RATE into pieces of at most `max_s`, each cut at the quietest 20 ms of its last third."""
    import numpy as np

    limit = max(1, int(max_s * 50)) * _BLOCK
    start = 0
    while len(pcm16) - start > limit:
        window_start = start + limit - limit // 3 // _BLOCK * _BLOCK
        blocks = np.frombuffer(pcm16[window_start : start + limit], "<i2").astype(np.float64).reshape(-1, _BLOCK // 2)
        end = start + limit if not len(blocks) else window_start + (int((blocks**2).sum(axis=1).argmin()) + 1) * _BLOCK
        yield pcm16[start:end]
        start = end
    yield pcm16[start:]
