"""What passed through a proxied session, as events and media segments, in the order in which it passed. No I/O.

High-rate messages go into segments, all others are events of their own, and what they show follows them. A message that came and
could not be handed on has no TransportSent. Reading may fail; recording what passed may not.
"""

import logging
from typing import NamedTuple

from ...core import events as e
from ...core import signals as s
from ...core.core import SessionCore, Staged
from ...core.errors import TurnlogError
from ...core.ports import Segment
from ...core.relaying import Frame
from ...transports.realtime.relay_reader import RelayReader
from ...transports.realtime.wire import MEDIA_TYPES, Message, parse
from ..line import Track
from .heads import RelayHeads

__all__ = ["Passed", "RelayRecord"]

log = logging.getLogger("turnlog")


class Passed(NamedTuple):
    """A frame that came by line `received` and, if it `went`, left by line `sent`; "" where it was only listened to."""

    received: str
    sent: str
    frame: Frame
    at_ns: int
    went: bool


class RelayRecord:
    """Fills the core of one proxied session. `core.staged` and `segments` wait for their append."""

    def __init__(self, core: SessionCore) -> None:
        self.core = core
        self.segments: list[Segment] = []
        self._tracks: dict[str, Track] = {}
        self._heads = RelayHeads()
        self._reader: RelayReader | None = RelayReader()
        core.delivers(self._heads)

    def passed(self, one: Passed) -> None:
        """Record a frame."""
        if isinstance(one.frame, bytes):
            self._control(one, one.frame, None)
            return
        raw = one.frame.encode()
        message = _read(raw)
        if message is not None and message.type in MEDIA_TYPES:
            self._media(one, message)
        else:
            self._control(one, raw, message)

    def _media(self, one: Passed, message: Message) -> None:
        signals = self._signals(one, message)
        audio = next((signal for signal in signals if isinstance(signal, s.Audio)), None)
        kept = self._track(one.received, "in").add(message.raw, one.at_ns, audio)
        if one.went:
            self._track(one.sent, "out").add_copy(message.raw, one.at_ns, audio, kept)
        for signal in signals:
            if isinstance(signal, s.OutputAudio) and not one.sent:
                continue  # a service may send it to a sideband, too: the caller has it by another way
            if isinstance(signal, s.OutputAudio | s.OutputText) and (one.went or not one.sent):
                self._heads.passed(signal, one.at_ns)
            self._observe(one.received, signal, e.Root.WIRE, one.at_ns)

    def _control(self, one: Passed, raw: bytes, message: Message | None) -> None:
        self.close_segments(one.at_ns)  # what came before it stands before it
        came = self._track(one.received, "in")
        is_text = isinstance(one.frame, str)
        received, sent = (e.TransportReceived, e.TransportSent) if is_text else (e.BinaryReceived, e.BinarySent)
        seq = self.core.record(received(link=one.received, n=came.next(), data=raw), e.Root.WIRE, one.at_ns)
        if one.went:
            self.core.record(sent(link=one.sent, n=self._track(one.sent, "out").next(), data=raw), seq, one.at_ns)
        for signal in () if message is None else self._signals(one, message):
            if one.went or one.received.startswith("p"):
                self._observe(one.received, signal, seq, one.at_ns)

    def _track(self, link: str, direction: str) -> Track:
        name = f"{link}.{direction}"
        if name not in self._tracks:
            self._tracks[name] = Track(link, direction)
        return self._tracks[name]

    # --- what it shows ---

    def _signals(self, one: Passed, message: Message) -> list[s.Signal]:
        if self._reader is None:
            return []
        try:
            of_provider = one.received.startswith("p")
            return self._reader.from_provider(message) if of_provider else self._reader.from_caller(message)
        except Exception:
            return self._unreadable()

    def _observe(self, link: str, signal: s.Signal, cause: int, now_ns: int) -> None:
        if self._reader is None:
            return
        before = len(self.core.staged)
        try:
            self.core.observe(link, signal, cause, now_ns)
        except Exception:
            self._unreadable()
        self._forget(before)

    def _unreadable(self) -> list[s.Signal]:
        """A message that the reading is not up to: the session goes on, recorded and not read any further."""
        log.exception("a proxied session is recorded, and not read any further")
        self._reader = None
        return []

    def time_passed(self, now_ns: int) -> None:
        """Record what the clock shows."""
        if self._reader is not None:
            before = len(self.core.staged)
            self.core.observed_time(now_ns)
            self._forget(before)

    def _forget(self, before: int) -> None:
        for _, _, _, event in self.core.staged[before:]:
            if isinstance(event, e.PlayoutEnded):
                self._heads.forget(event)

    # --- data out ---

    def due_ns(self) -> int | None:
        """When segments that are open must be closed, or the clock shows something: whichever is first."""
        due = [track.due_ns for track in self._tracks.values()]
        if self._reader is not None:
            due.append(self.core.observed_deadline())
        return min((one for one in due if one is not None), default=None)

    def close_segments(self, now_ns: int) -> None:
        """Stage all that was gathered. What was received comes first: what was sent refers to it."""
        tracks = sorted(self._tracks.values(), key=lambda track: track.name.endswith("out"))
        for track in tracks:
            if track.due_ns is None:
                continue
            for packed, ms in track.pack():
                is_pcm = abs(packed.audio_ms() - ms) <= 1  # G.711 has no levels to see in its bytes
                recorded = e.MediaRecorded(
                    track=packed.track,
                    n=packed.n,
                    duration_ms=ms,
                    digest=packed.digest,
                    messages=packed.messages,
                    first=packed.first,
                    peaks=packed.peaks() if is_pcm else b"",
                )
                self.segments.append(packed.at(self.core.record(recorded, e.Root.WIRE, now_ns)))

    def take(self) -> tuple[list[Staged], list[Segment]]:
        """What waits for its append, taken."""
        segments, self.segments = self.segments, []
        return self.core.events_to_append(), segments


def _read(raw: bytes) -> Message | None:
    """The message, or None for what is no Realtime event: it passes all the same."""
    try:
        return parse(raw)
    except TurnlogError:
        return None
