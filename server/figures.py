"""What the sessions of a server add up to, counted as their events are written. Sums and counts only; metrics.py tells them.

Invariant: nothing here grows with what callers send. Labels are targets, types and outcomes that are declared; what is known of a
session goes when it ends.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from ..core import events as e
from ..core.core import Staged
from ..core.errors import TurnlogError
from ..engine.projections.says import ALIKE
from ..engine.projections.usage import token_counts

__all__ = ["Buckets", "Figures"]

_REASONS: Final = frozenset(
    {
        *("completed", "caller_gone", "caller_lost", "no_caller", "provider_lost", "handler_failed", "engine_fault"),
        *("engine_stopped", "client_update", "node_lost"),
    }
)
_APPEND_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_TURN_S: Final = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_WIRE: Final = frozenset({e.TransportReceived, e.TransportSent})  # most of all events, of which nothing more is counted
_TRACKS: Final = {("c", "in"): "caller", ("p", "in"): "provider", ("v", "in"): "voice", ("c", "out"): "delivered"}


class Buckets:
    """A histogram: how many values were at most as large as each bound, their number and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class _Session:
    """What must be remembered of a session until its next events. since_ns: somebody waits for an answer since then."""

    __slots__ = ("own", "since_ns", "spoke", "started", "target")

    def __init__(self, started: e.SessionStarted) -> None:
        self.started = started.definition
        self.target = started.target
        self.since_ns: int | None = None
        self.spoke: tuple[str, int] | None = None  # the item whose speech has stopped, and when
        self.own = ""  # the model's own response that has begun


class Figures:
    """An observer that counts. `counts` is by metric and labels, in the order in which metrics.py names them."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.append_s = Buckets(_APPEND_S)
        self.turn_s: dict[str, Buckets] = {}
        self._sessions: dict[str, _Session] = {}

    def appended(self, session: str, staged: Sequence[Staged], seconds: float) -> None:
        """Count what was written."""
        self.append_s.add(seconds)
        for _, at_ns, _, event in staged:
            self.events[type(event).__name__] += 1
            if isinstance(event, e.SessionStarted):
                self._sessions[session] = _Session(event)
                self.counts["sessions_started", event.target] += 1
            elif type(event) not in _WIRE and (known := self._sessions.get(session)):
                self._count(known, at_ns, event)
                self._wait(known, at_ns, event)

    def around(self, session: str, seq: int) -> AbstractContextManager[None]:
        """Nothing surrounds."""
        return nullcontext()

    def closed(self, session: str, failure: BaseException | None) -> None:
        """Forget the session."""
        known = self._sessions.pop(session, None)
        if known and failure is not None:
            left = isinstance(failure, TurnlogError) and failure.code == "TL508"
            self.counts["sessions_ended", known.target, "left" if left else "failed"] += 1

    def _count(self, known: _Session, at_ns: int, event: e.Event) -> None:
        counts, target = self.counts, known.target
        match event:
            case e.SessionEnded():
                counts["sessions_ended", target, event.reason if event.reason in _REASONS else "other"] += 1
            case e.TurnEnded():
                counts["turns", target, event.channel] += 1
            case e.PlayoutCut(reason="speech"):
                counts["barge_ins", target] += 1
            case e.SaySettled():
                counts["says", target, event.status] += 1
            case e.SaySpoken() if event.similarity < ALIKE:
                counts["say_mismatches", target] += 1
            case e.CallCompleted():
                counts["calls", target, "completed"] += 1
            case e.CallFailed():
                counts["calls", target, "failed"] += 1
            case e.ToolRequested(allowed=False):
                counts["calls", target, "refused"] += 1
            case e.ToolAnswered():
                counts["calls", target, "completed" if event.ok else "failed"] += 1
            case e.ResponseEnded(usage=usage) if usage:
                where = (target, known.started.provider, known.started.model or "")
                for name, tokens in token_counts(usage).items():
                    counts["tokens", *where, name.removesuffix("_tokens")] += tokens
            case e.MediaRecorded():
                link, _, direction = event.track.partition(".")
                if track := _TRACKS.get((link[:1], direction)):
                    counts["audio_ms", target, track] += event.duration_ms

    def _wait(self, known: _Session, at_ns: int, event: e.Event) -> None:
        """How long somebody who has spoken, or typed, waits for the first of the answer.

        The model may answer speech before its words are known, so before the turn has ended; a handler only behind it.
        """
        match event:
            case e.SpeechStopped():
                known.spoke = (event.item, at_ns)
            case e.InputCommitted() if known.spoke is None or known.spoke[0] != event.item:
                known.spoke = (event.item, at_ns)  # nobody listened for the end of the speech: a button was let go
            case e.TurnDiscarded() if known.spoke and known.spoke[0] == event.item:
                known.spoke = None
            case e.TurnEnded(channel="audio"):
                known.since_ns = known.spoke[1] if known.spoke and known.spoke[0] == event.item else None  # None: is answered
                known.spoke = None
            case e.TurnEnded():
                known.since_ns = at_ns
            case e.ResponseStarted(say=None):
                known.own = event.response
            case e.AudioStarted() if known.spoke and event.response == known.own:
                self._answered(known, at_ns - known.spoke[1])
                known.spoke = None
            case e.AudioStarted():
                self._end_wait(known, at_ns)
            case e.ResponseEnded(generated_ms=0) if event.transcript:
                self._end_wait(known, at_ns)

    def _end_wait(self, known: _Session, at_ns: int) -> None:
        if known.since_ns is not None:
            self._answered(known, at_ns - known.since_ns)
            known.since_ns = None

    def _answered(self, known: _Session, ns: int) -> None:
        self.turn_s.setdefault(known.target, Buckets(_TURN_S)).add(max(0, ns) / 1e9)
