"""Sample rates: a streaming resampler for live PCM16 mono, and reading any audio file to PCM16 mono.

Strategy: FFmpeg's swresample through PyAV, because it holds back only 0.7 to 2 ms of a live stream (measured; soxr
streams hold back up to 66 ms, linear interpolation aliases). No numpy. PyAV is imported when first needed.
"""

import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...core.errors import MediaError, MissingExtra

if TYPE_CHECKING:
    import av

__all__ = ["Resampler", "read_audio"]


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise MissingExtra("local", "resampling and reading audio files (PyAV)") from error
    return av


def _check_rate(rate: int) -> None:
    if rate <= 0:
        raise MediaError("TL602", f"a sample rate of {rate} Hz", "give a positive rate in Hz")


def _swr(rate: int) -> "av.AudioResampler":
    resampler: av.AudioResampler = _pyav().AudioResampler(format="s16", layout="mono", rate=rate)
    return resampler


def _samples(frames: "list[av.AudioFrame]") -> bytes:
    # A plane may be longer than its samples (alignment), hence the cut.
    return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)


class Resampler:
    """A stream of PCM16 mono from one rate to another; equal rates pass through untouched and need no PyAV.

    The output does not depend on how the input is cut, not even inside a sample.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        _check_rate(from_rate)
        _check_rate(to_rate)
        self.from_rate = from_rate
        self.to_rate = to_rate
        self._odd = b""
        self._swr: Any = None if from_rate == to_rate else _swr(to_rate)

    def feed(self, pcm16: bytes) -> bytes:
        """Take any number of bytes; give what can be given already (up to 2 ms are held back)."""
        data = self._odd + pcm16
        whole = len(data) & ~1
        self._odd = data[whole:]
        if self._swr is None or not whole:
            return data[:whole]
        frame = _pyav().AudioFrame(format="s16", layout="mono", samples=whole // 2)
        frame.sample_rate = self.from_rate
        frame.planes[0].update(data[:whole])
        return _samples(self._swr.resample(frame))

    def flush(self) -> bytes:
        """Give what was held back and start anew (a half sample is dropped); also the thing to call at a barge-in."""
        self._odd = b""
        if self._swr is None:
            return b""
        rest = _samples(self._swr.resample(None))
        self._swr = _swr(self.to_rate)
        return rest


def read_audio(path: str | os.PathLike[str], rate: int) -> bytes:
    """All sound of a file (any container, codec, rate and channel count that FFmpeg reads) as PCM16 mono at `rate` Hz.

    Raises MediaError TL602 if it cannot be read or holds no sound, MissingExtra without PyAV.
    """
    _check_rate(rate)
    pyav = _pyav()
    name = os.fspath(path)
    frames: list[av.AudioFrame] = []
    try:
        with pyav.open(name) as container:
            if container.streams.audio:
                swr = _swr(rate)
                for frame in container.decode(container.streams.audio[0]):
                    frame.pts = None  # files with gaps in their time stamps: the samples follow each other all the same
                    frames += swr.resample(frame)
                frames += swr.resample(None) if frames else []
    except (pyav.FFmpegError, OSError, ValueError) as error:  # ValueError: the format changes inside the file
        why = getattr(error, "strerror", None) or str(error)
        raise MediaError(
            "TL602", f"{name}: cannot be read as audio ({why})", "give a sound file, e.g. WAV, FLAC, MP3 or Ogg"
        ) from error
    if not frames:
        raise MediaError("TL602", f"{name}: holds no sound", "give a file with an audio stream that is not empty")
    return _samples(frames)
