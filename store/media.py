"""High-rate messages of one track to segments; rebuild.py gives them back, byte for byte. Codecs "tlm1" and "tlm2".

A segment's data is msgpack: [1, first ordinal, t0_ns, [message…]], a message being [ordinal - first ordinal, at_ns - t0_ns, raw],
or, where a base64 payload was found, [ordinal - first ordinal, at_ns - t0_ns, bytes before it, payload decoded, bytes after it].
A payload is stored decoded only if encoding it again gives the very bytes that came; so rebuilding needs no exceptions.
Ordinals count messages per link and direction, across tracks; times are ns since the Unix epoch.

"tlm2" is for what was handed on from another line: its audio is in the log already, in the segments of the track that it came in
on. Its data is [2, first ordinal, t0_ns, [message…], [source…]], a source being [track, n, digest of that segment's data], and a
message may also be [ordinal - first ordinal, at_ns - t0_ns, bytes before the payload, number of the source, place of the message
in that segment, bytes after the payload]. A source is the same session's, stands in the log before what refers to it, and has
whole payloads itself. So a segment's digest covers all that its messages are rebuilt from.
"""

from typing import Any, NamedTuple

import msgspec

from ..core.chain import digest
from ..core.payload import decoded
from ..core.ports import Segment
from .peaks import peaks_of

__all__ = [
    "CODEC",
    "CODEC_BY_REFERENCE",
    "MAX_SEGMENT_BYTES",
    "MAX_SEGMENT_MS",
    "ClosedSegment",
    "Kept",
    "PackedSegment",
    "SegmentBuilder",
]

CODEC = "tlm1"
CODEC_BY_REFERENCE = "tlm2"
MAX_SEGMENT_MS = 200
MAX_SEGMENT_BYTES = 1 << 20  # a provider that sends faster than it speaks fills this sooner than the time
_NEVER = 1 << 63

_encode = msgspec.msgpack.Encoder().encode


class _Place:
    """A segment that others may refer to: its digest is known once it is packed."""

    __slots__ = ("digest", "n", "track")

    def __init__(self, track: str, n: int) -> None:
        self.track = track
        self.n = n
        self.digest = b""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A payload that a segment holds, and where: what carries the same payload on refers to it."""

    place: _Place
    message: int  # its message's place in the segment
    payload: bytes


class PackedSegment(NamedTuple):
    """A segment that waits for its MediaRecorded event's seq, and the facts that the event states about it."""

    track: str
    n: int
    t0_ns: int
    dur_ns: int
    codec: str
    digest: bytes
    data: bytes
    messages: int
    first: int  # ordinal of the first message
    payloads: list[bytes]  # its messages' audio, decoded

    def at(self, first_seq: int) -> Segment:
        """The segment, placed at the event that names it."""
        return Segment(self.track, self.n, first_seq, self.t0_ns, self.dur_ns, self.codec, self.digest, self.data)

    @property
    def audio(self) -> bytes:
        """The decoded payloads, joined."""
        return b"".join(self.payloads)

    def audio_ms(self, rate: int = 24_000) -> int:
        """Duration of the payload if it is mono PCM16 at `rate` Hz, in whole ms."""
        return sum(map(len, self.payloads)) * 500 // rate

    def peaks(self, rate: int = 24_000) -> bytes:
        """Base peaks of the payload if it is mono PCM16 at `rate` Hz: see peaks_of."""
        return peaks_of(self.audio, rate)


class ClosedSegment(NamedTuple):
    """A segment that takes no more messages, and is not encoded yet: what it refers to may still be open."""

    place: _Place
    first: tuple[int, int]  # ordinal and at_ns of its first message
    last_ns: int
    entries: list[tuple[Any, ...]]
    payloads: list[bytes]
    sources: list[_Place]

    @property
    def t0_ns(self) -> int:
        """When its first message came."""
        return self.first[1]

    def pack(self) -> PackedSegment:
        """Encode it. Raises ValueError if a segment that it refers to has not been packed before."""
        (ordinal, t0_ns), place, entries = self.first, self.place, self.entries
        if self.sources:
            if unpacked := [source for source in self.sources if not source.digest]:
                where = f"{unpacked[0].track} {unpacked[0].n}"
                raise ValueError(f"segment {place.track} {place.n} is packed before {where}, which it refers to")
            sources = [(source.track, source.n, source.digest) for source in self.sources]
            codec, data = CODEC_BY_REFERENCE, _encode((2, ordinal, t0_ns, entries, sources))
        else:
            codec, data = CODEC, _encode((1, ordinal, t0_ns, entries))
        place.digest = digest(data)
        took_ns = self.last_ns - t0_ns
        return PackedSegment(
            place.track, place.n, t0_ns, took_ns, codec, place.digest, data, len(entries), ordinal, self.payloads
        )  # fmt: skip


class SegmentBuilder:
    """Collects the messages of one track; close() ends a segment and starts the next. Numbers run from `n`."""

    __slots__ = ("_entries", "_first", "_last_ns", "_payloads", "_place", "_sources", "full_ns", "room")

    def __init__(self, track: str, *, n: int = 1) -> None:
        self._place = _Place(track, n)  # of the segment that is being collected
        self._first: tuple[int, int] = (0, 0)  # ordinal and at_ns of its first message
        self._last_ns = 0
        self._entries: list[tuple[Any, ...]] = []
        self._payloads: list[bytes] = []
        self._sources: list[_Place] = []
        # Strategy: plain attributes, because they are compared for every message.
        self.full_ns = _NEVER  # from then on a message belongs into the next segment
        self.room = _NEVER  # so many bytes a message may have; an empty segment takes anything

    @property
    def n(self) -> int:
        """The number of the segment that is being collected."""
        return self._place.n

    def __len__(self) -> int:
        """Messages collected since the last pack()."""
        return len(self._entries)

    @property
    def began_ns(self) -> int | None:
        """When its first message came; None while it is empty. It may stay open for MAX_SEGMENT_MS from then."""
        return self._first[1] if self._entries else None

    def fits(self, at_ns: int, size: int) -> bool:
        """Whether a message of `size` bytes that arrives at `at_ns` belongs into this segment. An empty one takes anything."""
        return at_ns < self.full_ns and size <= self.room

    def add(
        self, ordinal: int, at_ns: int, raw: bytes, text: tuple[int, int] | None = None, payload: bytes | None = None
    ) -> Kept | None:
        """Collect a message. `text` says where base64 stands in `raw` (start, end; the quotes excluded).

        `payload` is that text decoded, where that was done before and encoding it gives the text again. Returns where the
        payload is kept: a message that carries the same text is collected by add_copy().
        """
        if text is not None and payload is None:
            payload = decoded(raw, *text)
        if text is not None and payload is not None:
            self.add_audio(ordinal, at_ns, raw[: text[0]], payload, raw[text[1] :])
            return self.kept(payload)
        entries = self._entries
        if not entries:
            self._begin(ordinal, at_ns)
        first = self._first
        if at_ns > self._last_ns:
            self._last_ns = at_ns
        self.room -= len(raw)
        entries.append((ordinal - first[0], at_ns - first[1], raw))
        return None

    def add_audio(self, ordinal: int, at_ns: int, before: bytes, payload: bytes, after: bytes) -> None:
        """Collect a message that is `before`, `payload` as base64, `after`: see kept()."""
        entries = self._entries
        if not entries:
            self._begin(ordinal, at_ns)
        first = self._first
        if at_ns > self._last_ns:
            self._last_ns = at_ns
        self.room -= len(before) + (len(payload) + 2) // 3 * 4 + len(after)
        entries.append((ordinal - first[0], at_ns - first[1], before, payload, after))
        self._payloads.append(payload)

    def kept(self, payload: bytes) -> Kept:
        """Where the payload of the last message is kept, which is `payload`."""
        return Kept(self._place, len(self._entries) - 1, payload)

    def add_copy(self, ordinal: int, at_ns: int, raw: bytes, text: tuple[int, int], kept: Kept) -> None:
        """Collect a message whose base64 text stands in another one's segment, which is packed before this one is."""
        self.add_audio_copy(ordinal, at_ns, raw[: text[0]], kept, raw[text[1] :])

    def add_audio_copy(self, ordinal: int, at_ns: int, before: bytes, kept: Kept, after: bytes) -> None:
        """Collect a message that is `before`, the payload that is kept elsewhere as base64, `after`."""
        place, payload, sources, entries = kept.place, kept.payload, self._sources, self._entries
        if not entries:
            self._begin(ordinal, at_ns)
        first = self._first
        if at_ns > self._last_ns:
            self._last_ns = at_ns
        self.room -= len(before) + (len(payload) + 2) // 3 * 4 + len(after)
        if not sources or sources[-1] is not place:
            sources.append(place)
        entries.append((ordinal - first[0], at_ns - first[1], before, len(sources) - 1, kept.message, after))
        self._payloads.append(payload)

    def _begin(self, ordinal: int, at_ns: int) -> None:
        """Start a segment with a message."""
        self._first = (ordinal, at_ns)
        self._last_ns = at_ns
        self.full_ns = at_ns + MAX_SEGMENT_MS * 1_000_000
        self.room = MAX_SEGMENT_BYTES

    def close(self) -> ClosedSegment | None:
        """What was collected, and start anew; None if that is nothing."""
        if not self._entries:
            return None
        place = self._place
        closed = ClosedSegment(place, self._first, self._last_ns, self._entries, self._payloads, self._sources)
        self._place = _Place(place.track, place.n + 1)
        self._entries, self._payloads, self._sources = [], [], []
        self.full_ns = self.room = _NEVER
        return closed

    def pack(self) -> PackedSegment | None:
        """Close and encode at once: see ClosedSegment.pack."""
        closed = self.close()
        return None if closed is None else closed.pack()
