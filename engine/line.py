"""A line: one link with the protocol machine on our end of it and the recorders of what passes.

The machine is a Leg: wire messages in, signals out; events in, wire messages out. It does no I/O.
"""

from typing import NamedTuple, Protocol

from ..core import events as e
from ..core import signals as s
from ..core.core import Staged
from ..core.errors import TurnlogError
from ..core.ports import Link
from ..core.state import State
from ..store.media import MAX_SEGMENT_BYTES, MAX_SEGMENT_MS, PackedSegment, SegmentBuilder
from ..transports.realtime.wire import Message

__all__ = ["TICK_NS", "Leg", "Line", "Track"]

_SEGMENT_NS = MAX_SEGMENT_MS * 1_000_000
_NOT_YET = 2**63
TICK_NS = 25_000_000  # what can wait goes to the log at the next multiple of it


class Leg(Protocol):
    """Our end of a line."""

    def receive(self, message: Message) -> list[s.Signal]:
        """What a message means."""

    def refuse(self, raw: bytes, error: TurnlogError) -> list[bytes]:
        """What answers bytes that are no message."""

    def owed(self) -> list[bytes]:
        """What the protocol itself makes us answer to what was received."""

    def present(self, staged: Staged, state: State) -> list[bytes]:
        """The messages by which this peer learns of an event."""

    def media(self, signal: s.Signal) -> list[bytes]:
        """A media signal of the other side as messages for this peer; none if it is not for it."""


class _Gathered(NamedTuple):
    """A high-rate message that waits for its segment. `audio`: the base64 text that stands in it."""

    ordinal: int
    at_ns: int
    raw: bytes
    audio: bytes | None
    ms: float


class Track:
    """One direction of a line: numbers its messages and gathers the high-rate ones into segments.

    Strategy: a message is only put on a list while it passes; it is looked into when its segment is closed, with some ten
    others, when code and data are in the processor's caches. That is less than half of the price of doing it one by one.
    """

    __slots__ = ("_builder", "_gathered", "_packed", "_size", "name", "ordinal")

    def __init__(self, link: str, direction: str) -> None:
        self.name = f"{link}.{direction}"
        self.ordinal = 0
        self._builder = SegmentBuilder(self.name)
        self._gathered: list[_Gathered] = []
        self._size = 0  # bytes of what was gathered
        self._packed: list[tuple[PackedSegment, int]] = []  # full before they were due, with their ms of audio

    def next(self) -> int:
        """The ordinal of the next message."""
        self.ordinal += 1
        return self.ordinal

    def add(self, raw: bytes, at_ns: int, audio: bytes | None = None, ms: float = 0.0) -> None:
        """Gather a high-rate message; `audio` is the base64 text that stands in it, `ms` its duration."""
        gathered = self._gathered
        if gathered and (at_ns - gathered[0].at_ns >= _SEGMENT_NS or self._size + len(raw) > MAX_SEGMENT_BYTES):
            self._close({})
            gathered = self._gathered
        self.ordinal += 1
        self._size += len(raw)
        gathered.append(_Gathered(self.ordinal, at_ns, raw, audio, ms))

    @property
    def full(self) -> bool:
        """Whether there is a segment that waits for its append only."""
        return bool(self._packed)

    @property
    def due_ns(self) -> int | None:
        """When what was gathered goes to the log: 200 ms after its first message at the latest."""
        if self._packed:
            return self._packed[0][0].t0_ns
        if not self._gathered:
            return None
        # Strategy: whole ticks, so that the segments of many sessions fall due together and share one commit.
        due_ns = self._gathered[0].at_ns + _SEGMENT_NS
        return due_ns - due_ns % TICK_NS

    def pack(
        self, now_ns: int, *, everything: bool, decoded: dict[int, bytes] | None = None
    ) -> list[tuple[PackedSegment, int]]:
        """The segments that are due, or all, each with its ms of audio.

        `decoded` holds payloads by the identity of their base64 text, for tracks whose messages carry the same one. Use one
        for all tracks that are packed together: their texts are alive at the same time, so no identity means two.
        """
        due = self.due_ns
        if due is None or (now_ns < due and not everything):
            return []
        self._close({} if decoded is None else decoded)
        packed, self._packed = self._packed, []
        return packed

    def _close(self, decoded: dict[int, bytes]) -> None:
        builder, gathered = self._builder, self._gathered
        self._gathered, self._size = [], 0
        total_ms = 0.0
        for ordinal, at_ns, raw, audio, ms in gathered:
            start = _start_of(audio, raw) if audio else 0
            if audio and start > 0:
                payload = builder.add(ordinal, at_ns, raw, (start, start + len(audio)), decoded.get(id(audio)))
                total_ms += ms
                if payload is not None:
                    decoded[id(audio)] = payload
            else:
                builder.add(ordinal, at_ns, raw)
        if packed := builder.pack():
            self._packed.append((packed, round(total_ms)))


class Line:
    """One link of a session. `name`: "p1" for the provider's first, "c1" for the first caller."""

    __slots__ = ("leg", "link", "name", "of_provider", "received", "sent", "since")

    def __init__(self, name: str, link: Link, leg: Leg) -> None:
        self.name = name
        self.of_provider = name.startswith("p")
        self.link = link
        self.leg = leg
        self.received = Track(name, "in")
        self.sent = Track(name, "out")
        self.since = _NOT_YET  # the seq of its LinkOpened

    def opened(self, transport: str, peer: str) -> e.LinkOpened:
        """The fact that this line stands."""
        side = "provider" if self.of_provider else "caller"
        return e.LinkOpened(link=self.name, side=side, transport=transport, peer=peer)  # type: ignore[arg-type] # one of the two


def _start_of(audio: bytes, raw: bytes) -> int:
    """Where the audio stands in a message; -1 if nowhere."""
    # Strategy: nearly every message ends with its audio, and comparing costs a twentieth of searching for so long a text.
    end = len(raw) - 2
    return end - len(audio) if raw.endswith(audio, 0, end) else raw.find(audio)
