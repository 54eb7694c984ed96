"""Audio that is put together in files without a name: they are gone with whoever holds them, and with the process."""

import os
import struct
import sys
import tempfile
import weakref
from array import array
from collections.abc import Sequence
from typing import Final

from ..core.errors import MediaError

__all__ = ["Mono", "Scratch", "at_rate", "wav"]

_HEADER: Final = 44
_BLOCK: Final = 1 << 18  # samples that are put together at once


class Scratch:
    """A file for reading and writing at any place. Where nothing was written it holds zeros."""

    def __init__(self) -> None:
        try:
            self._fd, path = tempfile.mkstemp(prefix="turnlog-")
            os.unlink(path)
        except OSError as error:
            raise _unwritable(error) from error
        self.size = 0  # bytes
        weakref.finalize(self, os.close, self._fd)

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from there on."""
        return os.pread(self._fd, size, offset)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes there. Raises MediaError TL604."""
        try:
            at = offset
            while data:
                done = os.pwrite(self._fd, data, at)
                at, data = at + done, data[done:]
        except OSError as error:
            raise _unwritable(error) from error
        self.size = max(self.size, at)


class Mono:
    """One channel of PCM16; what is put over other audio is mixed with it."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.samples = 0
        self._file = Scratch()

    def place(self, ns: int) -> int:
        """The sample at this time."""
        return max(0, ns) * self.rate // 1_000_000_000

    def put(self, start: int, pcm: bytes) -> None:
        """Put samples there."""
        if over := min(len(pcm) // 2, self.samples - start):
            if over > 0:
                pcm = _mixed(self.read(start, over), pcm[: over * 2]) + pcm[over * 2 :]
        if pcm:
            self._file.write(start * 2, pcm)
            self.samples = max(self.samples, start + len(pcm) // 2)

    def read(self, start: int, samples: int) -> bytes:
        """Exactly so many samples; silence behind the end."""
        return self._file.read(start * 2, samples * 2).ljust(samples * 2, b"\0")


def wav(channels: Sequence[Mono]) -> Scratch:
    """The channels side by side, as a WAV file. Raises MediaError TL604."""
    file, rate = Scratch(), channels[0].rate
    samples = max(channel.samples for channel in channels)
    file.write(0, _header(rate, len(channels), samples))
    for start in range(0, samples, _BLOCK):
        count = min(_BLOCK, samples - start)
        block = array("h", bytes(count * 2 * len(channels)))
        for n, channel in enumerate(channels):
            block[n :: len(channels)] = array("h", channel.read(start, count))  # bytes are moved, whatever their order
        file.write(_HEADER + start * 2 * len(channels), block.tobytes())
    return file


def at_rate(pcm: bytes, rate: int, wanted: int) -> bytes:
    """PCM16 at 8 or 24 kHz at the other of the two: a line between samples one way, every third one the other."""
    if rate == wanted:
        return pcm
    samples = _samples(pcm)
    if rate > wanted:
        return _bytes(samples[:: rate // wanted])
    times = wanted // rate
    made = array("h", bytes(len(samples) * 2 * times))
    following = samples[1:] + samples[-1:]
    for n in range(times):
        made[n::times] = array("h", [one + (next_ - one) * n // times for one, next_ in zip(samples, following, strict=True)])
    return _bytes(made)


def _mixed(under: bytes, over: bytes) -> bytes:
    both = zip(_samples(under), _samples(over), strict=True)
    return _bytes(array("h", [max(-32768, min(32767, one + two)) for one, two in both]))


def _samples(pcm: bytes) -> "array[int]":
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _bytes(samples: "array[int]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _header(rate: int, channels: int, samples: int) -> bytes:
    width = 2 * channels
    size = min(samples * width, 0xFFFFFFFF - _HEADER)  # the format's own limit
    riff = struct.pack("<4sI4s", b"RIFF", size + _HEADER - 8, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * width, width, 16)
    return riff + form + struct.pack("<4sI", b"data", size)


def _unwritable(error: OSError) -> MediaError:
    hint = "check the folder for temporary files ($TMPDIR), its permissions and the free space"
    return MediaError("TL604", f"a recording could not be put together: {error.strerror or error}", hint)
