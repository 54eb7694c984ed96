"""What one round of the live loop brings, what of it need not be written at once, and what must not wait for it.

Nothing acts before its cause is durable. Only what makes it quieter does: a cancel, and what makes callers stop playing, leaves
at once, and is in the log next. A record on which nobody acts (a message that only says that an item or a part has
opened) may wait for the next append, at most until its tick is over; it keeps its place in the log.
"""

from typing import NamedTuple

from ..core import events as e
from ..core.core import Staged
from ..core.ports import Segment
from .inbox import Arrived
from .line import Line, written_by

__all__ = ["REDUCING", "Behind", "Send", "Step"]

_RECORDS = frozenset({e.TransportReceived, e.MediaRecorded})
REDUCING = frozenset({e.SpeechStarted, e.SpeechConfirmed, e.PlayoutCut, e.CancelDispatched, e.OutputClearDispatched})
"""Facts that are told at once: by them somebody falls silent."""


class Send(NamedTuple):
    """A message for a peer. reduces: it makes it quieter, and waits for no append."""

    line: Line
    raw: bytes
    reduces: bool


class Step:
    """What one round brings: events and segments for the log, then messages and held media for the lines.

    `types`: of the events. lets_media_pass: whether media may leave while this is being written, as no message waits for the
    append that it could overtake.
    """

    __slots__ = ("lets_media_pass", "media", "segments", "sends", "staged", "types")

    def __init__(
        self, staged: list[Staged], segments: list[Segment], sends: list[Send], media: list[Arrived]
    ) -> None:
        self.staged = staged
        self.segments = segments
        self.sends = sends
        self.media = media
        self.types = {type(one.event) for one in staged}
        self.lets_media_pass = not (sends or media) and e.LinkReady not in self.types

    def take_reducing(self) -> list[Send]:
        """The messages that wait for no append, taken. A line's messages keep their order: none overtakes one that waits."""
        if not any(send.reduces for send in self.sends):
            return []
        waits: set[str] = set()
        now: list[Send] = []
        later: list[Send] = []
        for send in self.sends:
            at_once = send.reduces and send.line.name not in waits
            (now if at_once else later).append(send)
            if not at_once:
                waits.add(send.line.name)
        self.sends = later
        return now

    def can_wait(self) -> bool:
        """Whether nothing follows from it: what was received is recorded, and nobody acts on it."""
        return not (self.sends or self.media) and self.types <= _RECORDS


class Behind:
    """Records of which nothing follows: they go with the next append, or alone when their tick is over.

    Strategy: two of three control messages change nothing (items and parts that open and close). An append of its own for
    each would be half of what a call costs.
    """

    __slots__ = ("_segments", "_staged", "due_ns")

    def __init__(self) -> None:
        self._staged: list[Staged] = []
        self._segments: list[Segment] = []
        self.due_ns: int | None = None

    def add(self, step: Step, now_ns: int) -> None:
        """Let a step wait that can."""
        self._staged += step.staged
        self._segments += step.segments
        if self.due_ns is None:
            # What a segment holds has waited already.
            self.due_ns = written_by(min([now_ns, *(segment.t0_ns for segment in step.segments)]))

    def is_due(self, now_ns: int) -> bool:
        """Whether what waits must go now, also where more comes that could wait with it."""
        return self.due_ns is not None and now_ns >= self.due_ns

    def take(self) -> tuple[list[Staged], list[Segment]]:
        """What waited."""
        taken = self._staged, self._segments
        self._staged, self._segments, self.due_ns = [], [], None
        return taken
