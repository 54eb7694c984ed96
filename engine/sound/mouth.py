"""The mouth: what stands between a provider's audio and words and the callers, who are paced together.

It holds back what callers need not have yet, so that a cut leaves at most the lead with them, and it keeps the ledger of what
was delivered and played. No I/O and no clock of its own: time comes in, and what is due goes out through the Outlet.
A response is known from its first media until `forget`.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from ...core import events as e
from ...core import signals as s
from ...core.core import Staged
from ...core.playing import FLUSHED
from ...core.ports import Playhead
from ...store.media import Kept
from .pieces import LONGEST_MS, pieces
from .playhead import Part, PlayClock, Response

__all__ = ["Mouth", "MouthRun", "Outlet"]

_MS = 1_000_000
_SLACK_NS = 40 * _MS  # how far what is ahead may fall below the lead before a timer is worth its wake
_FACTS = (e.ResponseStarted, e.ResponseEnded, e.PlayoutCut, e.PlayoutEnded)


class Outlet(Protocol):
    """Where the mouth speaks into."""

    def deliver(self, signal: s.OutputAudio | s.OutputText, now_ns: int, starts_ns: int, kept: Kept | None) -> bool:
        """Send to the callers; audio will sound from `starts_ns` on. False if nobody is there."""

    def started(self, response: str, now_ns: int) -> None:
        """The first audio of a response was delivered."""

    def held(self) -> None:
        """Something begins to wait for its time: see Mouth.due_ns."""

    def emptied(self) -> None:
        """All there is of a response that has ended was delivered."""


class _Held(NamedTuple):
    """What waits for its time."""

    signal: s.OutputAudio | s.OutputText
    part: Part | None  # None: words
    ns: int
    kept: Kept | None


class MouthRun:
    """The part whose audio passes at once, one piece behind the other, as long as nothing else happens in the mouth."""

    __slots__ = ("_clock", "_is_heard", "_part", "lead_ns")

    def __init__(self, clock: PlayClock, part: Part, lead_ns: int | None, *, is_heard: bool) -> None:
        self._clock = clock
        self._part = part
        self._is_heard = is_heard
        self.lead_ns = lead_ns
        """How far ahead of the playout audio is delivered; None: at once, all of it."""

    def holds_back(self, now_ns: int) -> bool:
        """Whether the next piece must wait."""
        return self.lead_ns is not None and self._clock.end_ns - now_ns > self.lead_ns

    def takes_whole(self, ms: float) -> bool:
        """Whether a piece of that length need not be cut: see LONGEST_MS."""
        return self.lead_ns is None or ms <= LONGEST_MS

    def takes(self, ns: int, now_ns: int) -> int:
        """Count a piece that came and goes to whoever is there; returns when it will sound."""
        part, clock = self._part, self._clock
        part.response.arrived_ns = now_ns
        part.received += ns
        starts_ns = clock.end_ns if clock.end_ns > now_ns else now_ns
        if self._is_heard:
            part.delivered += ns
            clock.add(part, ns, now_ns)
        elif self.lead_ns is not None:
            clock.add(None, ns, now_ns)
        return starts_ns


class Mouth:
    """Paces and counts. `lead_ms` is how far ahead of the playout audio is delivered; `paced` False: at once, all of it."""

    __slots__ = ("_clock", "_lead_ns", "_paced", "_queue", "_responses", "outlet")

    def __init__(self, lead_ms: int, *, paced: bool) -> None:
        self._lead_ns = lead_ms * _MS
        self._paced = paced
        self._clock = PlayClock()
        self._queue: deque[_Held] = deque()
        self._responses: dict[str, Response] = {}
        self.outlet: Outlet  # set by whoever drives the session

    # --- data in ---

    def take(self, signal: s.OutputAudio | s.OutputText, now_ns: int, kept: Kept | None = None) -> None:
        """Take audio or words of an audible response; `kept` says where its audio is stored, if it is."""
        if self._queue:
            self.release(now_ns)
        response = self._response(signal.response)
        response.arrived_ns = now_ns
        part = response.part(signal.item, signal.content_index)
        if isinstance(signal, s.OutputText):
            part.words += signal.text
            if response.queued:
                self._hold(response, _Held(signal, None, 0, None))
            elif not response.dead:
                self.outlet.deliver(signal, now_ns, now_ns, None)
        elif self._paced and signal.ms > LONGEST_MS:
            for piece in pieces(signal):
                self._take_audio(response, part, piece, now_ns, None)
        else:
            self._take_audio(response, part, signal, now_ns, kept)

    def _take_audio(
        self, response: Response, part: Part, audio: s.OutputAudio, now_ns: int, kept: Kept | None
    ) -> None:
        ns = round(audio.ms * _MS)
        response.received(part, ns)
        if response.dead:
            return
        if self._paced and (self._queue or self._clock.end_ns - now_ns > self._lead_ns):
            self._hold(response, _Held(audio, part, ns, kept))
        else:
            self._send(audio, part, ns, now_ns, kept)

    def _hold(self, response: Response, held: _Held) -> None:
        response.queued += 1
        self._queue.append(held)
        if len(self._queue) == 1:
            self.outlet.held()

    def _send(self, audio: s.OutputAudio, part: Part, ns: int, now_ns: int, kept: Kept | None) -> None:
        if not self.outlet.deliver(audio, now_ns, max(self._clock.end_ns, now_ns), kept):
            if self._paced:  # whoever joins hears from there on, not what is left
                self._clock.add(None, ns, now_ns)
            return
        is_first = not part.response.ends_ns
        part.delivered += ns
        self._clock.add(part, ns, now_ns)
        if is_first:
            self.outlet.started(audio.response, now_ns)

    def run_of(self, audio: s.OutputAudio, *, is_heard: bool) -> MouthRun | None:
        """How more of a part passes whose audio has just passed, is_heard: to callers. None where it must be looked at.

        It holds until something else is taken, released, cut or forgotten.
        """
        response = self._responses.get(audio.response)
        if response is None or response.dead or self._queue or is_heard != (response.ends_ns > 0):
            return None
        if self._paced and audio.ms > LONGEST_MS:
            return None
        part = response.part(audio.item, audio.content_index)
        return MouthRun(self._clock, part, self._lead_ns if self._paced else None, is_heard=is_heard)

    def observe(self, staged: Iterable[Staged]) -> None:
        """Follow the facts: what is cut is dropped, what is over is forgotten. Before they are in the log: see `cut`."""
        for one in staged:
            match one.event:
                case e.PlayoutCut(response=response, reason=reason):
                    self.cut(response, one.at_ns, flushed=reason in FLUSHED)
                case e.ResponseStarted(dead=True):
                    self.cut(one.event.response, one.at_ns)
                case e.ResponseEnded() if known := self._responses.get(one.event.response):
                    known.ended = True
                    if known.dead and not known.arrived_ns:  # from its start: no PlayoutEnded will follow
                        self.forget(one.event.response)
                case e.PlayoutEnded():
                    self.forget(one.event.response)

    def cut(self, response: str, now_ns: int, *, flushed: bool = True) -> None:
        """Drop at once what waits of a response; what still comes of it is counted and never delivered.

        flushed: the callers throw away what they have of it. Else they play it, and what comes next comes behind it.
        """
        known = self._response(response)
        if known.dead:
            return
        self._clock.settle(now_ns)
        known.dead = True
        if flushed:
            self._clock.drop(known, now_ns)
        self._drop_queued(response, known)

    def forget(self, response: str) -> None:
        """The playout of a response is over: it is asked for no more."""
        known = self._responses.pop(response, None)
        if known is not None:
            self._drop_queued(response, known)
            known.let_go()

    def let_go(self) -> None:
        """It speaks no more, and lets go of whatever refers to it."""
        for response in list(self._responses):
            self.forget(response)
        del self.outlet

    def _drop_queued(self, name: str, response: Response) -> None:
        if response.queued:
            self._queue = deque(waiting for waiting in self._queue if waiting.signal.response != name)
            response.queued = 0

    def _response(self, name: str) -> Response:
        known = self._responses.get(name)
        if known is None:
            known = self._responses[name] = Response()
        return known

    # --- data out ---

    def due_ns(self) -> int | None:
        """When something that waits must leave; None if nothing does."""
        if not self._queue:
            return None
        if self._queue[0].part is None:  # words whose audio was another response's, now cut
            return 0
        return self._clock.end_ns - self._lead_ns + min(_SLACK_NS, self._lead_ns // 2)

    def release(self, now_ns: int) -> None:
        """Deliver what is due: audio while less than the lead is unplayed, and the words behind it."""
        while self._queue:
            signal, part, ns, kept = self._queue[0]
            if part is not None and self._clock.end_ns - now_ns > self._lead_ns:
                return
            self._queue.popleft()
            response = self._responses[signal.response]
            response.queued -= 1
            if part is None or isinstance(signal, s.OutputText):
                self.outlet.deliver(signal, now_ns, now_ns, None)
            else:
                self._send(signal, part, ns, now_ns, kept)
            if response.ended and not response.queued:
                self.outlet.emptied()

    # --- the playhead ---

    def sample(self, response: str, now_ns: int) -> Playhead:
        """Where the playout of `response` stands now; an empty Playhead if nothing of it has come. See core.ports.Playheads."""
        known = self._responses.get(response)
        if known is None:
            return Playhead()
        self._clock.settle(now_ns)
        return known.playhead(self._lead_ns // _MS)

    def sounds(self, now_ns: int) -> bool:
        """Whether by the clock something is being played."""
        return self._clock.end_ns > now_ns
