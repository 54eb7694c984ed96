"""How loud audio is, frame by frame. Pure, standard library: a frame of 20 ms costs some microseconds.

A level is the mean magnitude of a frame's samples, 0 to 32768; it scales with the audio, as an echo does.
"""

import sys
from array import array

from ...transports.realtime.audio import AudioFormat
from ...transports.realtime.g711 import to_pcm16

__all__ = ["FRAME_MS", "Meter"]

FRAME_MS = 20
_ENOUGH_HZ = 8000  # samples looked at a second: leaving out the others changes the mean of speech by less than the bounds' margin


class Meter:
    """Turns a stream of payloads into levels, one a frame; what is less than a frame waits for the next payload."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def read(self, payload: bytes, form: AudioFormat) -> list[int]:
        """The levels of the frames that are whole now."""
        pcm16 = self._rest + to_pcm16(payload, form) if self._rest else to_pcm16(payload, form)
        size = form.rate * FRAME_MS // 1000 * 2
        whole = len(pcm16) - len(pcm16) % size
        self._rest = pcm16[whole:]
        samples = array("h", pcm16[:whole])
        if sys.byteorder == "big":
            samples.byteswap()
        step = max(1, form.rate // _ENOUGH_HZ)
        size //= 2
        return [_mean(samples[at : at + size : step]) for at in range(0, len(samples), size)]


def _mean(samples: "array[int]") -> int:
    return sum(map(abs, samples)) // len(samples)
