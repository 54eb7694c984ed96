"""A passage: the way of one part's audio from the provider's line to the callers', found for one piece and taken by the next.

Strategy: nine of ten messages of a call are audio behind audio. For such a piece everything is as it was for the one before:
whose it is, that it is heard, who is there, what stands around it on each wire. So the way is looked up once a run, by the
router, which drops it as soon as anything else happens (see MediaRouter): a message of another kind, a decision, a caller who
comes. What remains is to store a piece, to count it and to send it on. Here alone speed comes before the division of labour.
"""

from typing import NamedTuple

from ..core.errors import LinkClosed
from ..transports.realtime.audio_run import AUDIO_END, AudioRead, AudioWritten
from .ears import Ears
from .line import Line
from .mouth import MouthRun

__all__ = ["Listener", "Passage"]

_MS = 1_000_000
_ROOM = 1024  # more than what stands around the same payload on two wires can differ by


class Listener(NamedTuple):
    """A caller's line, and how the audio of the part at hand is written for it."""

    line: Line
    written: AudioWritten


class Passage:
    """From `line`, whose pieces `read` reads, by the mouth to the listeners."""

    __slots__ = ("_ears", "_listeners", "_mouth", "_ms", "_ns", "_read", "_size", "line")

    def __init__(self, line: Line, read: AudioRead, mouth: MouthRun, listeners: list[Listener], ears: Ears) -> None:
        self.line = line
        self._read = read
        self._mouth = mouth
        self._listeners = listeners
        self._ears = ears
        self._size, self._ms, self._ns = 0, 0.0, 0  # of the last piece: nearly all have the same

    def take(self, raw: bytes, now_ns: int) -> bool:
        """Take a message that came now. False, and nothing was done, if it is no audio that may pass as the last did."""
        received, room, listeners = self.line.received, len(raw) + _ROOM, self._listeners
        if not (received.has_room(now_ns, room) and self._mouth.lets_out(now_ns)):
            return False
        for line, _ in listeners:
            if not line.sent.has_room(now_ns, room):
                return False
        found = self._read.read(raw)
        if found is None:
            return False
        start, end, payload = found
        size = len(payload)
        if size != self._size:
            self._size, self._ms = size, size / self._read.bytes_per_ms
            self._ns = round(self._ms * _MS)
        ms = self._ms
        kept = received.add_run(now_ns, raw[:start], payload, raw[end:], ms)
        starts_ns = self._mouth.takes(self._ns, now_ns)
        if listeners:
            text = raw[start:end]
            for line, written in listeners:
                before = written.before(size)
                line.sent.add_run_copy(now_ns, before, kept, AUDIO_END, ms)
                try:
                    line.link.send(b"%b%b%b" % (before, text, AUDIO_END))
                except LinkClosed:
                    continue  # its reader reports the loss
            if self._ears.listen:
                self._ears.plays(ms, starts_ns, payload)
        return True
