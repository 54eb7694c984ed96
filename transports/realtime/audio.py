"""Audio as the Realtime protocol carries it: formats, the arithmetic of their bytes, base64, and WAV files.

Only the standard library; nothing here resamples or decodes. PCM is 16-bit, little-endian, one channel. The formats and
their rates are the protocol's: audio/pcm at 24000 Hz, audio/pcmu and audio/pcma (G.711) at 8000 Hz. PCM at another rate
is a value of the same type, for audio on its way from or to a speech engine, but is never accepted from the wire.
"""

import binascii
import os
import struct
import wave
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from ...core.errors import MediaError, ProtocolError

__all__ = [
    "PCM16",
    "PCMA",
    "PCMU",
    "AudioFormat",
    "WavWriter",
    "bytes_for_ms",
    "decode_base64",
    "duration_ms",
    "format_from_wire",
    "read_wav",
]

AudioType = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]


class AudioFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How a payload's bytes are to be read: `type` as on the wire, `rate` in Hz."""

    type: AudioType = "audio/pcm"
    rate: int = 24000

    def __post_init__(self) -> None:
        """Refuse what does not exist: no rate, or G.711 at another rate than 8000 Hz."""
        if self.rate <= 0 or (self.type != "audio/pcm" and self.rate != 8000):
            raise ValueError(f"{self.type} at {self.rate} Hz does not exist")

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample: 2 for PCM, 1 for G.711."""
        return 2 if self.type == "audio/pcm" else 1

    @property
    def bytes_per_ms(self) -> float:
        """Bytes of one millisecond: 48 for audio/pcm at 24000 Hz, 8 for G.711."""
        return self.rate * self.sample_bytes / 1000


PCM16: Final = AudioFormat()
PCMU: Final = AudioFormat(type="audio/pcmu", rate=8000)
PCMA: Final = AudioFormat(type="audio/pcma", rate=8000)

_ON_THE_WIRE: Final[Mapping[object, AudioFormat]] = {form.type: form for form in (PCM16, PCMU, PCMA)}


def format_from_wire(value: object) -> AudioFormat:
    """The format that a session's `audio.input.format` or `audio.output.format` names.

    A missing rate means the type's own. Raises ProtocolError TL304 for anything but the three formats of the protocol.
    """
    kind = value.get("type") if isinstance(value, dict) else None
    known = _ON_THE_WIRE.get(kind) if isinstance(kind, str) else None
    rate = value.get("rate") if isinstance(value, dict) else None
    if known is None or (rate is not None and rate != known.rate):
        raise ProtocolError(
            "TL304",
            f"the audio format {value!r} is not one of the Realtime protocol's",
            "use audio/pcm at rate 24000, audio/pcmu or audio/pcma",
        )
    return known


def duration_ms(payload_bytes: int, form: AudioFormat) -> float:
    """How long `payload_bytes` sound, in ms; a trailing half sample counts as the half that it is."""
    return payload_bytes / form.bytes_per_ms


def bytes_for_ms(ms: float, form: AudioFormat) -> int:
    """Bytes of the whole samples that `ms` milliseconds hold (rounded down, never half a sample)."""
    return int(ms * form.rate / 1000) * form.sample_bytes


def decode_base64(payload: str | bytes, where: str) -> bytes:
    """The bytes behind base64 text. `where` names the field in the error, e.g. "input_audio_buffer.append.audio".

    Strict: no line breaks, no other characters, padding required. Raises ProtocolError TL305.
    """
    try:
        return binascii.a2b_base64(payload, strict_mode=True)
    except (binascii.Error, ValueError) as error:  # ValueError: a str with non-ASCII characters
        raise ProtocolError(
            "TL305",
            f"{where}: {len(payload)} characters that are not base64 ({str(error).rstrip('.').lower()})",
            "send standard base64 (RFC 4648) with padding and without line breaks",
        ) from error


class WavWriter:
    """Writes PCM16 mono into a WAV file piece by piece; the file is a valid WAV after every write.

    The samples go in first, then the header's lengths, unbuffered: a process that dies, or a disk that fills, leaves all
    that was written before readable. (The standard library's writer ignores short writes and writes again, and fails
    again, when it is collected.) A half sample waits for its other byte. Raises MediaError TL604 when it cannot write.
    """

    def __init__(self, path: str | os.PathLike[str], rate: int) -> None:
        self.path = Path(path)
        self.rate = rate
        self._size = 0  # bytes of samples in the file
        self._odd = b""
        try:
            self._file = self.path.open("wb", buffering=0)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            self._put(0, _wav_header(rate, 0))
        except MediaError:
            self._file.close()
            raise

    def write(self, pcm16: bytes) -> None:
        """Append samples; any number of bytes."""
        data = self._odd + pcm16
        whole = len(data) & ~1
        if whole:
            self._put(_WAV_HEADER + self._size, data[:whole])
            self._size += whole
            self._put(0, _wav_header(self.rate, self._size))
        self._odd = data[whole:]

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._file.close()

    def _put(self, offset: int, data: bytes) -> None:
        try:
            self._file.seek(offset)
            while data:
                data = data[self._file.write(data) or 0 :]
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def __enter__(self) -> Self:
        """The writer itself; leaving closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close, also after an error."""
        self.close()


_WAV_HEADER: Final = 44


def _wav_header(rate: int, size: int) -> bytes:
    size = min(size, 0xFFFFFFFF - _WAV_HEADER)  # the format's own limit: a day of sound
    riff = struct.pack("<4sI4s", b"RIFF", size + _WAV_HEADER - 8, b"WAVE")
    return riff + struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", size)


def _unwritable(path: Path, error: OSError) -> MediaError:
    return MediaError("TL604", f"{path}: {error.strerror or error}", "check the folder, its permissions and the free space")


def read_wav(path: str | os.PathLike[str]) -> tuple[bytes, int]:
    """The samples (PCM16 mono) and the rate in Hz of a WAV file of exactly that kind.

    Raises MediaError TL602 for other WAVs and for files that are none: transports.speech.resample.read_audio takes those.
    """
    try:
        with wave.open(os.fspath(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            pcm16 = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "it ends too early"
        raise MediaError("TL602", f"{os.fspath(path)}: not a readable WAV file ({why})", "give a PCM WAV file") from error
    if (channels, width) != (1, 2):
        raise MediaError(
            "TL602",
            f"{os.fspath(path)}: {channels} channels of {8 * width} bits, expected one of 16",
            "convert it to 16-bit mono first, e.g. ffmpeg -i IN -ac 1 -sample_fmt s16 OUT.wav",
        )
    return pcm16[: len(pcm16) & ~1], rate
