"""High-rate messages of one track to segments and back, byte for byte. Codec "tlm1".

A segment's data is msgpack: [1, first ordinal, t0_ns, [message…]], a message being [ordinal - first ordinal, at_ns - t0_ns, raw],
or, where a base64 payload was found, [ordinal - first ordinal, at_ns - t0_ns, bytes before it, payload decoded, bytes after it].
A payload is stored decoded only if encoding it again gives the very bytes that came; so rebuilding needs no exceptions.
Ordinals count messages per link and direction, across tracks; times are ns since the Unix epoch.
"""

from binascii import b2a_base64
from typing import Any, NamedTuple

import msgspec

from ..core.chain import digest
from ..core.errors import StoreError
from ..core.payload import decoded as decoded_of
from ..core.ports import Segment

__all__ = ["CODEC", "MAX_SEGMENT_BYTES", "MAX_SEGMENT_MS", "Message", "PackedSegment", "SegmentBuilder", "peaks_of", "rebuild"]

CODEC = "tlm1"
MAX_SEGMENT_MS = 200
MAX_SEGMENT_BYTES = 1 << 20  # a provider that sends faster than it speaks fills this sooner than the time
PEAK_MS = 10

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

# The level of a sample's high byte, in steps of 256, counted as level / 128: even numbers from 0 to 254.
_LEVEL = bytes(2 * high if high < 128 else 2 * (255 - high) for high in range(256))
_LOUD_TO_QUIET = range(254, 0, -2)


class Message(NamedTuple):
    """One message as it was on the wire."""

    ordinal: int
    at_ns: int
    raw: bytes


class PackedSegment(NamedTuple):
    """A segment that waits for its MediaRecorded event's seq, and the facts that the event states about it."""

    track: str
    n: int
    t0_ns: int
    dur_ns: int
    digest: bytes
    data: bytes
    messages: int
    first: int  # ordinal of the first message
    audio: bytes  # the decoded payloads, joined

    def at(self, first_seq: int) -> Segment:
        """The segment, placed at the event that names it."""
        return Segment(self.track, self.n, first_seq, self.t0_ns, self.dur_ns, CODEC, self.digest, self.data)

    def audio_ms(self, rate: int = 24_000) -> int:
        """Duration of the payload if it is mono PCM16 at `rate` Hz, in whole ms."""
        return len(self.audio) * 500 // rate

    def peaks(self, rate: int = 24_000) -> bytes:
        """Base peaks of the payload if it is mono PCM16 at `rate` Hz: see peaks_of."""
        return peaks_of(self.audio, rate)


class SegmentBuilder:
    """Collects the messages of one track; pack() closes a segment and starts the next. Numbers run from `n`."""

    def __init__(self, track: str, *, n: int = 1) -> None:
        self.track = track
        self.n = n  # of the segment that is being collected
        self._first: tuple[int, int] = (0, 0)  # ordinal and at_ns of its first message
        self._last_ns = 0
        self._entries: list[tuple[Any, ...]] = []
        self._size = 0

    def __len__(self) -> int:
        """Messages collected since the last pack()."""
        return len(self._entries)

    @property
    def due_ns(self) -> int | None:
        """When the segment must be packed at the latest; None while it is empty."""
        return self._first[1] + MAX_SEGMENT_MS * 1_000_000 if self._entries else None

    def fits(self, at_ns: int, size: int) -> bool:
        """Whether a message of `size` bytes that arrives at `at_ns` belongs into this segment. An empty one takes anything."""
        return not self._entries or (
            at_ns - self._first[1] < MAX_SEGMENT_MS * 1_000_000 and self._size + size <= MAX_SEGMENT_BYTES
        )

    def add(
        self, ordinal: int, at_ns: int, raw: bytes, payload: tuple[int, int] | None = None, decoded: bytes | None = None
    ) -> bytes | None:
        """Collect a message. `payload` says where the base64 text stands in `raw` (start, end; the quotes excluded).

        Returns the decoded payload if it was stored so: a message that carries the same text takes it as `decoded`.
        """
        if not self._entries:
            self._first = (ordinal, at_ns)
            self._last_ns = at_ns
        elif at_ns > self._last_ns:
            self._last_ns = at_ns
        first_ordinal, t0_ns = self._first
        if payload is not None and decoded is None:
            decoded = decoded_of(raw, *payload)
        if payload is None or decoded is None:
            self._entries.append((ordinal - first_ordinal, at_ns - t0_ns, raw))
        else:
            self._entries.append((ordinal - first_ordinal, at_ns - t0_ns, raw[: payload[0]], decoded, raw[payload[1] :]))
        self._size += len(raw)
        return decoded

    def pack(self) -> PackedSegment | None:
        """What was collected, and start anew; None if that is nothing."""
        if not self._entries:
            return None
        entries = self._entries
        ordinal, t0_ns = self._first
        data = _encode((1, ordinal, t0_ns, entries))
        audio = b"".join([entry[3] for entry in entries if len(entry) == 5])
        packed = PackedSegment(self.track, self.n, t0_ns, self._last_ns - t0_ns, digest(data), data, len(entries), ordinal, audio)
        self.n += 1
        self._entries = []
        self._size = 0
        return packed


def rebuild(data: bytes) -> list[Message]:
    """The messages of a segment's data, exactly as they were. Raises StoreError TL407 if it is no "tlm1"."""
    try:
        layout, ordinal, t0_ns, entries = _decode(data)
        if layout != 1:
            raise ValueError(f"layout {layout}")
        return [Message(ordinal + entry[0], t0_ns + entry[1], _raw(*entry[2:])) for entry in entries]
    except (msgspec.MsgspecError, ValueError, TypeError, IndexError) as error:
        raise StoreError(
            "TL407", f"a media segment is no {CODEC}: {error}", "verify the session to see which; restore it"
        ) from error


def peaks_of(pcm: bytes, rate: int) -> bytes:
    """The loudest level of every 10 ms of mono PCM16 (little-endian) at `rate` Hz: one byte each, level / 128, even, 0 to 254.

    Strategy: only the samples' high bytes are looked at, and only by bytes methods, which run in C: 3 us for 20 ms where
    max() and min() over samples take 20.
    """
    step = max(rate * PEAK_MS // 1000, 1)
    levels = pcm[1::2].translate(_LEVEL)
    return bytes([_loudest(levels[at : at + step]) for at in range(0, len(levels), step)])


def _loudest(levels: bytes) -> int:
    for level in _LOUD_TO_QUIET:
        if level in levels:
            return level
    return 0


def _raw(before: bytes, payload: bytes | None = None, after: bytes = b"") -> bytes:
    return before if payload is None else before + b2a_base64(payload, newline=False) + after
