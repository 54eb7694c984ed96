"""A line: one link with the protocol machine on our end of it and the recorders of what passes.

The machine is a Leg: wire messages in, signals out; events in, wire messages out. It does no I/O.
"""

from typing import Literal, Protocol

from ..core import events as e
from ..core import signals as s
from ..core.core import Staged
from ..core.errors import TurnlogError
from ..core.ports import Link, PlayingLink
from ..core.state import State
from ..store.media import MAX_SEGMENT_MS, ClosedSegment, Kept, PackedSegment, SegmentBuilder
from ..transports.realtime.audio_run import AudioRead, AudioWritten
from ..transports.realtime.wire import Message

__all__ = ["Leg", "Line", "Track", "written_by"]

_NOT_YET = 2**63
_SIDES: dict[str, Literal["provider", "voice", "caller"]] = {"p": "provider", "v": "voice", "c": "caller"}
_WAITS_NS = MAX_SEGMENT_MS * 1_000_000


def written_by(began_ns: int) -> int:
    """When what began to wait then goes to the log: within 200 ms.

    Strategy: at a moment that is the same for all sessions, so that what waits in any of them shares one commit.
    """
    return began_ns - began_ns % _WAITS_NS + _WAITS_NS


class Leg(Protocol):
    """Our end of a line."""

    def receive(self, message: Message) -> list[s.Signal]:
        """What a message means."""

    def receive_audio(self, raw: bytes) -> list[s.Signal] | None:
        """What a message means that is audio like the last one, found without parsing it; None for any other."""

    def audio_read(self) -> AudioRead | None:
        """How the audio that follows the last piece is read, as long as nothing else comes; None if that cannot be said."""

    def audio_written(self, audio: s.OutputAudio) -> AudioWritten | None:
        """How more audio of the part of `audio` is written for this peer, as long as nothing else does; None likewise."""

    def refuse(self, raw: bytes, error: TurnlogError) -> list[bytes]:
        """What answers bytes that are no message."""

    def owed(self) -> list[bytes]:
        """What the protocol itself makes us answer to what was received."""

    def present(self, staged: Staged, state: State) -> list[bytes]:
        """The messages by which this peer learns of an event."""

    def media(self, signal: s.Signal) -> list[bytes]:
        """A media signal of the other side as messages for this peer; none if it is not for it."""


class Track:
    """One direction of a line: numbers its messages and gathers the high-rate ones into segments."""

    __slots__ = ("builder", "full", "ms", "name", "ordinal")

    def __init__(self, link: str, direction: str) -> None:
        self.name = f"{link}.{direction}"
        self.ordinal = 0
        self.builder = SegmentBuilder(self.name)  # what is being gathered
        self.full: list[tuple[ClosedSegment, int]] = []  # segments that wait for their append only, with their ms of audio
        self.ms = 0.0  # of audio that is being gathered

    def next(self) -> int:
        """The ordinal of the next message."""
        self.ordinal += 1
        return self.ordinal

    def add(self, raw: bytes, at_ns: int, audio: s.Audio | None = None) -> Kept | None:
        """Gather a high-rate message that was received, and the audio that it carries. Returns where that is kept, if it is."""
        start = self._begin(raw, at_ns, audio)
        if audio is None or start < 0:
            return self.builder.add(self.ordinal, at_ns, raw)
        return self.builder.add(self.ordinal, at_ns, raw, (start, start + len(audio.audio)), audio.payload)

    def add_copy(self, raw: bytes, at_ns: int, audio: s.Audio | None, kept: Kept | None) -> None:
        """Gather a message that is sent; if the audio that it carries on is kept already, it is stored by reference."""
        start = self._begin(raw, at_ns, audio)
        if audio is None or start < 0:
            self.builder.add(self.ordinal, at_ns, raw)
        elif kept is None:
            self.builder.add(self.ordinal, at_ns, raw, (start, start + len(audio.audio)), audio.payload)
        else:
            self.builder.add_copy(self.ordinal, at_ns, raw, (start, start + len(audio.audio)), kept)

    def _begin(self, raw: bytes, at_ns: int, audio: s.Audio | None) -> int:
        """Number a message, in a segment that has room for it. Returns where its audio stands, -1 if nowhere."""
        builder = self.builder
        if at_ns >= builder.full_ns or len(raw) > builder.room:
            self._close()
        self.ordinal += 1
        if audio is None:
            return -1
        # Strategy: nearly every message ends with its audio, and comparing costs a twentieth of searching for so long a text.
        text, end = audio.audio, len(raw) - 2
        start = end - len(text) if raw.endswith(text, 0, end) else raw.find(text)
        if start > 0:
            self.ms += audio.ms
        return start

    @property
    def due_ns(self) -> int | None:
        """When what was gathered goes to the log."""
        if self.full:
            return self.full[0][0].t0_ns
        began_ns = self.builder.began_ns
        return None if began_ns is None else written_by(began_ns)

    def pack(self) -> list[tuple[PackedSegment, int]]:
        """What was gathered, in segments, each with its ms of audio.

        Invariant: what was received is packed before what was sent, which refers to it by digest. So a segment that is full
        is only closed: one of what was sent may be full while the one that it refers to is still open.
        """
        self._close()
        closed, self.full = self.full, []
        return [(one.pack(), ms) for one, ms in closed]

    def _close(self) -> None:
        if closed := self.builder.close():
            self.full.append((closed, round(self.ms)))
        self.ms = 0.0


class Line:
    """One link of a session. `name`: "p1" for the provider's first, "v1" for its voice's, "c1" for the first caller."""

    __slots__ = ("leg", "link", "name", "of_provider", "player", "received", "seat", "sent", "since", "transport")

    def __init__(self, name: str, link: Link, leg: Leg, transport: str) -> None:
        self.name = name
        self.transport = transport
        self.of_provider = name.startswith(("p", "v"))
        self.link = link
        self.player = link if isinstance(link, PlayingLink) else None
        self.leg = leg
        self.received = Track(name, "in")
        self.sent = Track(name, "out")
        self.since = _NOT_YET  # the seq of its LinkOpened
        self.seat = ""  # whose place it is: who comes with the same one takes it over

    def opened(self, peer: str) -> e.LinkOpened:
        """The fact that this line stands."""
        side = _SIDES[self.name[0]]
        return e.LinkOpened(link=self.name, side=side, transport=self.transport, peer=peer)
