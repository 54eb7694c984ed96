"""A passage: the way of one part's audio from the provider's line to the callers', found for one piece and taken by the next.

Strategy: nine of ten messages of a call are audio behind audio. For such a piece everything is as it was for the one before:
whose it is, that it is heard, who is there, what stands around it on each wire. So the way is looked up once a run, by the
router, which drops it as soon as anything else happens (see MediaRouter): a message of another kind, a decision, a caller who
comes. What remains is to store a piece, to count it and to send it on. Here alone speed comes before the division of labour.
"""

from typing import NamedTuple

from ...core.errors import LinkClosed
from ...core.ports import AudioPart, PlayingLink
from ...transports.realtime.audio_run import AUDIO_END, AudioRead, AudioWritten
from ..line import Line
from .ears import Ears
from .mouth import MouthRun

__all__ = ["Hearers", "Listener", "Passage"]

_MS = 1_000_000
_ROOM = 1024  # more than what stands around the same payload on two wires can differ by


class Listener(NamedTuple):
    """A caller's line, and how the audio of the part at hand is written for it."""

    line: Line
    written: AudioWritten


class Hearers(NamedTuple):
    """Who hears the part at hand: callers by their wires, `players` who take it as it is, and the engine's own ears."""

    listeners: list[Listener]
    players: list[PlayingLink]
    part: AudioPart
    ears: Ears


class Passage:
    """From `line`, whose pieces `read` reads, by the mouth to the hearers."""

    __slots__ = ("_hearers", "_mouth", "_ms", "_ns", "_read", "_size", "line")

    def __init__(self, line: Line, read: AudioRead, mouth: MouthRun, hearers: Hearers) -> None:
        self.line = line
        self._read = read
        self._mouth = mouth
        self._hearers = hearers
        self._size, self._ms, self._ns = 0, 0.0, 0  # of the last piece: nearly all have the same

    def take(self, raw: bytes, now_ns: int) -> bool:
        """Take a message that came now. False, and nothing was done, if it is no audio that may pass as the last did."""
        received, mouth, (listeners, players, part, ears) = self.line.received, self._mouth, self._hearers
        builder, size = received.builder, len(raw) + _ROOM
        if now_ns >= builder.full_ns or size > builder.room or mouth.holds_back(now_ns):
            return False
        for line, _ in listeners:  # whether the piece belongs into the segments that are being gathered
            if now_ns >= line.sent.builder.full_ns or size > line.sent.builder.room:
                return False
        found = self._read.split(raw)
        if found is None:
            return False
        start, end, payload = found
        if len(payload) != self._size:
            ms = len(payload) / self._read.bytes_per_ms
            if not mouth.takes_whole(ms):
                return False
            self._size, self._ms, self._ns = len(payload), ms, round(ms * _MS)
        self._read.count(self._size)
        received.ordinal += 1
        received.ms += self._ms
        builder.add_audio(received.ordinal, now_ns, raw[:start], payload, raw[end:])
        starts_ns = mouth.takes(self._ns, now_ns)
        if listeners:
            text, kept = raw[start:end], builder.kept(payload)
            for line, written in listeners:
                before, sent = written.before(self._size), line.sent
                sent.ordinal += 1
                sent.ms += self._ms
                sent.builder.add_audio_copy(sent.ordinal, now_ns, before, kept, AUDIO_END)
                try:
                    line.link.send(before + text + AUDIO_END)
                except LinkClosed:
                    continue  # its reader reports the loss
        for player in players:
            try:
                player.play(payload, part)
            except LinkClosed:
                continue
        if ears.listen and (listeners or players):
            ears.plays(self._ms, starts_ns, payload)
        return True
