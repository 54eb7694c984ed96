"""A gapless line of audio out of packets that are lost, doubled, late, out of order, or not sent at all. Reads no clock.

Time is measured in samples of 24 kHz since the line began. Invariant: what was given out never lags the clock by more than
HOLD and never runs ahead of it by more than LEAD, however long the call and whatever the sender's clock does.

Strategy: audio is given out as it arrives, as nobody listens to it: it is recorded and judged. So the line only waits where a
packet is missing, and only as long as HOLD allows; then silence takes its place. Packets that come later than that move the
line instead of being thrown away, up to LEAD: one stall then makes room for the next.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from .opus import FRAME_BYTES, RATE, RTP_RATE

__all__ = ["HOLD", "LEAD", "Timeline"]

HOLD: Final = RATE * 80 // 1000
LEAD: Final = RATE * 240 // 1000
_KEPT: Final = 4  # packets that wait behind a missing one: 80 ms of speech
_FAR: Final = 100  # packets: a larger step is another stream, not disorder
_SILENCE: Final = bytes(FRAME_BYTES)
_RTP_STEP: Final = RTP_RATE // RATE


class _Held(NamedTuple):
    rtp_time: int
    payload: bytes


class Timeline:
    """Packets and the passing of time in, FRAME_BYTES pieces out through `give`. `decode` gives mono PCM16 at 24 kHz."""

    def __init__(self, decode: Callable[[bytes], bytes], give: Callable[[bytes], None]) -> None:
        self._decode = decode
        self._give = give
        self._audio = bytearray()  # given out as soon as it is a whole frame
        self._end = 0  # samples of the line so far, those in _audio included
        self._stream: tuple[int, int] | None = None  # source and next sequence number
        self._zero: int | None = None  # RTP time, in samples, of the line's sample 0; modulo 2**31, as RTP time wraps
        self._held: dict[int, _Held] = {}

    @property
    def due(self) -> int:
        """When pass_time() has something to do at the earliest."""
        return self._end + HOLD

    def pass_time(self, now: int) -> None:
        """It is `now`: where the line lags, go on behind a missing packet, or with silence."""
        while now >= self._end + HOLD:
            if self._held:
                self._skip(now)
            else:
                self._silence(FRAME_BYTES // 2)

    def receive(self, source: int, sequence: int, rtp_time: int, payload: bytes, now: int) -> None:
        """A packet of `source` (its SSRC) has come."""
        if not payload:
            return
        step = 0 if self._stream is None else _signed16(sequence - self._stream[1])
        if self._stream is None or self._stream[0] != source or abs(step) > _FAR:
            self._drain(now)
            self._stream = (source, sequence)
            self._zero = None
            step = 0
        if step < 0 or sequence in self._held:
            return  # too late, or doubled
        self._held[sequence] = _Held(rtp_time, payload)
        self._follow(now)
        while len(self._held) >= _KEPT:
            self._skip(now)

    def _follow(self, now: int) -> None:
        """Take the held packets that are next in order."""
        while self._stream is not None and (held := self._held.pop(self._stream[1], None)) is not None:
            self._stream = (self._stream[0], (self._stream[1] + 1) & 0xFFFF)
            self._place(held, now)

    def _skip(self, now: int) -> None:
        """Give up the packets before the first that is held."""
        assert self._stream is not None
        source, wanted = self._stream
        self._stream = (source, min(self._held, key=lambda sequence: (sequence - wanted) & 0xFFFF))
        self._follow(now)

    def _drain(self, now: int) -> None:
        while self._held:
            self._skip(now)

    def _place(self, held: _Held, now: int) -> None:
        audio = self._decode(held.payload)
        samples = len(audio) // 2
        if not samples:
            return
        position = held.rtp_time // _RTP_STEP
        start = self._end if self._zero is None else self._end + _signed31(position - self._zero - self._end)
        if self._zero is None or start + samples > now + LEAD:
            start = max(self._end, now - samples)  # what has just come was just spoken
        start = max(start, self._end)
        self._zero = position - start
        if start + samples > now + LEAD:
            self._zero += samples  # the sender's clock is faster than ours: this packet makes good for it
            return
        self._silence(start - self._end)
        self._append(audio)

    def _silence(self, samples: int) -> None:
        whole, rest = divmod(samples * 2, FRAME_BYTES)
        for _ in range(whole):
            self._append(_SILENCE)
        self._append(_SILENCE[:rest])

    def _append(self, pcm16: bytes) -> None:
        self._end += len(pcm16) // 2
        self._audio += pcm16
        while len(self._audio) >= FRAME_BYTES:
            piece = bytes(self._audio[:FRAME_BYTES])
            del self._audio[:FRAME_BYTES]
            self._give(piece)


def _signed16(difference: int) -> int:
    return (difference + 0x8000 & 0xFFFF) - 0x8000


def _signed31(difference: int) -> int:
    """RTP time has 32 bits at 48 kHz, so 31 at 24 kHz."""
    return (difference + 0x4000_0000 & 0x7FFF_FFFF) - 0x4000_0000
