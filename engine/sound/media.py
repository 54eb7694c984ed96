"""The media path: audio and deltas from one line to the others; written to the log behind by at most 200 ms.

Media changes no state and waits for no append; what goes to callers passes the mouth. What the log gets are segments and, per
response, AudioStarted.
"""

from binascii import a2b_base64
from collections import deque

from ...core import events as e
from ...core import signals as s
from ...core.errors import LinkClosed
from ...core.ports import AudioPart, PlayingLink, Segment
from ...core.state import State
from ...store.media import Kept, PackedSegment
from ...transports.realtime.wire import Message
from ..line import Line, Track
from .ears import Ears
from .mouth import Mouth
from .passage import Hearers, Listener, Passage

__all__ = ["MediaRouter"]

_OUTPUT = (s.OutputAudio, s.OutputText)
_EARLY_MESSAGES = 500  # caller audio kept until the provider is ready: 10 s of 20 ms frames


class MediaRouter:
    """Routes media signals between the lines of one session and records every media message."""

    __slots__ = ("_early", "_ears", "_lines", "_mouth", "_state", "begins", "due_ns", "passage")

    def __init__(self, state: State, lines: dict[str, Line], mouth: Mouth, ears: Ears) -> None:
        self._state = state
        self._lines = lines
        self._mouth = mouth
        self._ears = ears
        self._early: deque[s.Signal] = deque(maxlen=_EARLY_MESSAGES)
        # Plain attributes, as they are looked at for every message.
        self.due_ns: int | None = None
        """When the oldest open segment must be in the log."""
        self.begins = False
        """Something has been gathered of which nobody has been told yet when it is due."""
        self.passage: Passage | None = None
        """The way that audio took last, while nothing has happened since: what passes by it must be followed by added_to()."""

    # --- data in ---

    def receive(self, line: Line, message: Message, at_ns: int, now_ns: int = 0) -> None:
        """Record a media message and hand on what it carries. Raises ProtocolError for audio that is not base64.

        at_ns: when it came; now_ns: the time now, for one that had to wait.
        """
        try:
            signals = line.leg.receive(message)
        except BaseException:
            self.pass_on(line, message.raw, [], at_ns)
            raise
        self.pass_on(line, message.raw, signals, at_ns, now_ns)

    def look_again(self) -> None:
        """Something has happened that may change which way audio takes: a decision, a caller who comes."""
        self.passage = None

    def pass_on(self, line: Line, raw: bytes, signals: list[s.Signal], at_ns: int, now_ns: int = 0) -> None:
        """Record a media message that means `signals`, and hand on what it carries."""
        audio = None
        for signal in signals:
            if isinstance(signal, s.Audio):
                audio = signal
        kept = line.received.add(raw, at_ns, audio)
        self.added_to(line.received)
        if line.of_provider:
            self.passage = None
        for signal in signals:
            self._route(line, signal, max(at_ns, now_ns), kept)
        if isinstance(audio, s.OutputAudio) and len(signals) == 1:
            self.passage = self._way_of(line, audio)

    def _way_of(self, line: Line, audio: s.OutputAudio) -> Passage | None:
        """The way that more audio of this part takes, if it is one that need not be looked at."""
        if not self._audible(audio.response):
            return None
        listeners: list[Listener] = []
        players: list[PlayingLink] = []
        for caller in self._lines.values():
            if caller.player is not None:
                players.append(caller.player)
            elif not caller.of_provider:
                written = caller.leg.audio_written(audio)
                if written is None:
                    return None
                listeners.append(Listener(caller, written))
        mouth, read = self._mouth.run_of(audio, is_heard=bool(listeners or players)), line.leg.audio_read()
        if mouth is None or read is None:
            return None
        return Passage(line, read, mouth, Hearers(listeners, players, _part(audio), self._ears))

    def _route(self, line: Line, signal: s.Signal, now_ns: int, kept: Kept | None) -> None:
        """Hand a media signal on: a caller's to the provider, a provider's to the mouth. `kept`: where its audio is stored."""
        if not line.of_provider:
            heard = self._ears.hear(line.name, signal, now_ns) if isinstance(signal, s.AudioAppended) else signal
            self._to_provider(heard, now_ns, kept if heard is signal else None)
        elif isinstance(signal, _OUTPUT) and self._audible(signal.response):
            self._mouth.take(signal, now_ns, kept)

    def provider_ready(self, at_ns: int) -> None:
        """Send what callers said before the provider could hear it."""
        while self._early:
            self._to_provider(self._early.popleft(), at_ns, None)

    def _audible(self, response: str) -> bool:
        """What is in the mouth and was not cut: says, and the model's own words only where the model answers."""
        one = self._state.playout.responses.get(response)
        return one is not None and one.cut is None

    def _to_provider(self, signal: s.Signal, at_ns: int, kept: Kept | None) -> None:
        provider = self._lines.get(self._state.links.provider or "")
        if provider is None or not self._state.links.provider_ready:
            self._early.append(signal)
            return
        self._send(provider, signal, at_ns, kept)

    def deliver(self, signal: s.OutputAudio | s.OutputText, now_ns: int, starts_ns: int, kept: Kept | None) -> bool:
        """Send what the mouth lets out to every caller: see Outlet."""
        callers = [line for line in self._lines.values() if not line.of_provider]
        for line in callers:
            if line.player is None:
                self._send(line, signal, now_ns, kept)
            else:
                _hand(line.player, signal, kept)
        if callers and isinstance(signal, s.OutputAudio) and self._ears.listen:
            self._ears.plays(signal.ms, starts_ns, _payload(signal, kept))
        return bool(callers)

    def _send(self, line: Line, signal: s.Signal, at_ns: int, kept: Kept | None) -> None:
        """Record and send what `signal` is for this peer; by reference where its audio is stored already."""
        audio = signal if isinstance(signal, s.Audio) else None
        for raw in line.leg.media(signal):
            line.sent.add_copy(raw, at_ns, audio, kept)
            self.added_to(line.sent)
            try:
                line.link.send(raw)
            except LinkClosed:
                return  # its reader reports the loss

    # --- data out: to the log ---

    def added_to(self, track: Track) -> None:
        """Something has been gathered there: when must it be in the log?"""
        # Invariant: all tracks are packed together, so the one that something was added to first is due first.
        if self.due_ns is None or track.full:
            self.begins = self.begins or self.due_ns is None
            self.due_ns = track.due_ns

    def segments_to_append(self, now_ns: int, next_seq: int, *, everything: bool) -> list[tuple[e.MediaRecorded, Segment]]:
        """All segments if one is due (or an event is to follow that refers to them), numbered from `next_seq`.

        What was received comes first: what was sent refers to it.
        """
        closed: list[tuple[e.MediaRecorded, Segment]] = []
        if self.due_ns is None or (now_ns < self.due_ns and not everything):
            return closed
        self.due_ns = None
        peaks = _Peaks()
        lines = self._lines.values()
        for track in (*(line.received for line in lines), *(line.sent for line in lines)):
            for packed, ms in track.pack():
                closed.append((_recorded(packed, ms, peaks), packed.at(next_seq + len(closed))))
        return closed


def _hand(player: PlayingLink, signal: s.OutputAudio | s.OutputText, kept: Kept | None) -> None:
    """Hand over what has no wire to go by, so nothing to record: the provider's track has the audio, and how much of each part
    was delivered stands in the facts of its playout."""
    try:
        if isinstance(signal, s.OutputText):
            player.show(signal.text, _part(signal))
        else:
            player.play(_payload(signal, kept), _part(signal))
    except LinkClosed:
        return  # its reader reports the loss


def _part(signal: s.OutputAudio | s.OutputText) -> AudioPart:
    return AudioPart(signal.response, signal.item, signal.content_index)


def _payload(audio: s.OutputAudio, kept: Kept | None) -> bytes:
    return (kept.payload if kept else audio.payload) or a2b_base64(audio.audio)


class _Peaks:
    """The peaks of the audio at hand: what came in on one line has often gone out on another."""

    def __init__(self) -> None:
        self._known: list[tuple[list[bytes], bytes]] = []

    def of(self, packed: PackedSegment) -> bytes:
        for payloads, peaks in self._known:
            if payloads == packed.payloads:  # the same objects, mostly
                return peaks
        peaks = packed.peaks()
        self._known.append((packed.payloads, peaks))
        return peaks


def _recorded(packed: PackedSegment, ms: int, peaks: _Peaks) -> e.MediaRecorded:
    is_pcm = abs(packed.audio_ms() - ms) <= 1  # G.711 has no levels to see in its bytes
    return e.MediaRecorded(
        track=packed.track,
        n=packed.n,
        duration_ms=ms,
        digest=packed.digest,
        messages=packed.messages,
        first=packed.first,
        peaks=peaks.of(packed) if is_pcm else b"",
    )
