"""SessionCore: one session's facts and what follows from them.

Data in: signals, commands and the clock (as arguments). Data out: staged events for the log, in order, with their causes.
A staged event is applied at once; nobody may act on it before its append has come back.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from . import commands as c
from . import events as e
from . import signals as s
from .asked import decide_said, decide_signal
from .calling import decide_call
from .decide import begin_ending, decide, decide_command
from .due import Looked, closing, next_deadline, sends_due, timeouts
from .heads import BufferedPlayheads, ClockPlayheads
from .linking import decide_link_closed, decide_link_failed
from .onlooking import observe, observed_deadline, observed_time
from .playing import Heads
from .ports import Playheads
from .state import NOT_FOLDED, State
from .states import SessionState

__all__ = ["SessionCore", "Staged"]


class Staged(NamedTuple):
    """An event with its place in the log."""

    seq: int
    at_ns: int
    cause: int
    event: e.Event


class SessionCore:
    """Decides, applies and says what is due. `seq` is the last assigned one.

    Where a playout stands when something is decided on it follows from the log, unless somebody `delivers` audio.
    """

    __slots__ = ("_buffered", "_deadline", "_looked", "has_changed", "seq", "staged", "state")

    def __init__(self) -> None:
        self.state = State()
        self.seq = 0
        self.staged: list[Staged] = []
        self._buffered = BufferedPlayheads(self.state, ClockPlayheads(self.state))
        self._looked: Looked = {}
        self._deadline: int | Literal["unknown"] | None = "unknown"
        self.has_changed = True
        """Whether time_passed and sends_due may have something to say before next_deadline()."""

    def delivers(self, playheads: Playheads) -> None:
        """From now on these are asked where a playout stands: they deliver the audio."""
        self._buffered.under = playheads

    def look_again(self) -> None:
        """Something has happened: in the log, or to the audio that is being delivered."""
        self._deadline, self.has_changed = "unknown", True

    # --- facts from the log ---

    def apply(self, seq: int, at_ns: int, event: e.Event | e.Unknown | e.Erased) -> None:
        """Fold an event that the log already holds."""
        self.seq = seq
        self.look_again()
        self.state.apply(seq, at_ns, event)

    # --- decisions, each staged and applied ---

    def record(self, event: e.Event, cause: int, now_ns: int) -> int:
        """Stage a fact; returns its seq."""
        self.seq += 1
        if type(event) not in NOT_FOLDED:
            self.look_again()
            self.state.apply(self.seq, now_ns, event)
        self.staged.append(Staged(self.seq, now_ns, cause, event))
        return self.seq

    # Invariant: SessionEnded is the last decision. What comes after it decides nothing, whatever it is.

    def decide(self, link: str, signal: s.Signal, cause: int, now_ns: int) -> None:
        """Decide what a message means. cause: the seq of its TransportReceived."""
        if not self.ended:
            self._record_all(decide(self.state, self._heads(now_ns), link, signal, now_ns), cause, now_ns)

    def command(self, index: int, command: c.Command, site: c.Site, cause: int, now_ns: int) -> None:
        """Enter what the handler asked for. cause: the seq of the event that woke it."""
        if not self.ended:
            self._record_all(decide_command(self.state, self._heads(now_ns), index, command, site), cause, now_ns, chained=True)

    def signal(self, received: e.SignalReceived, now_ns: int) -> None:
        """Enter a signal from outside, once for each key."""
        if not self.ended:
            self._record_all(decide_signal(self.state, received), e.Root.API, now_ns)

    def said(self, asked: e.SayRequested, now_ns: int) -> None:
        """Enter a say that the embedding program asks for, once for each key."""
        if not self.ended:
            self._record_all(decide_said(self.state, self._heads(now_ns), asked), e.Root.API, now_ns)

    def link_closed(self, closed: e.LinkClosed, now_ns: int) -> None:
        """Enter the loss of a link and what it means."""
        if not self.ended:
            self._record_all(decide_link_closed(self.state, self._heads(now_ns), closed), e.Root.HOST, now_ns)

    def link_failed(self, failed: e.LinkFailed, now_ns: int) -> None:
        """Enter that a link could not be opened, and what it means."""
        if not self.ended:
            self._record_all(decide_link_failed(self.state, self._heads(now_ns), failed), e.Root.HOST, now_ns)

    def call(
        self, event: e.CallOpened | e.CallRefused | e.CallEnded, now_ns: int, settings: dict[str, Any] | None = None
    ) -> None:
        """Enter what became of a direct call. settings: what its caller asked of the session with the offer."""
        if not self.ended:
            self._record_all(decide_call(self.state, event, settings or {}), e.Root.HOST, now_ns)

    def ending(self, ending: e.SessionEnding, now_ns: int, cause: int = e.Root.API) -> None:
        """Enter that the session is to end."""
        if self.state.life.phase in (SessionState.ACTIVE, SessionState.ENDING):
            self._record_all(begin_ending(self.state, ending), cause, now_ns)

    def time_passed(self, now_ns: int) -> None:
        """Decide what the clock brings."""
        self._deadline, self.has_changed = "unknown", False  # what was looked at is a part of the one
        for fact in timeouts(self.state, self._heads(now_ns), now_ns, self._looked):
            self._record_all(fact, e.Root.TIMER, now_ns)

    def sends_due(self, now_ns: int) -> None:
        """Stage the dispatches that the state calls for."""
        for event, cause in sends_due(self.state, now_ns):
            self.record(event, cause, now_ns)

    def close_when_done(self, now_ns: int) -> None:
        """Bring an ending session nearer to its end: settle what will not be spoken, or, where nothing is owed, end.

        Only when the handler has seen every event; called again once it has seen what this decided.
        """
        self._record_all(closing(self.state, self._heads(now_ns)), self.state.life.ending_seq, now_ns)

    # --- what was seen of a proxied session, which nothing is decided in ---

    def observe(self, link: str, signal: s.Signal, cause: int, now_ns: int) -> None:
        """Enter what a message has shown that passed between a caller and a provider. cause: the seq of its TransportReceived."""
        self._record_all(observe(self.state, self._heads(now_ns), link, signal, now_ns), cause, now_ns)

    def observed_time(self, now_ns: int) -> None:
        """Enter what the clock shows of it."""
        for fact in observed_time(self.state, self._heads(now_ns), now_ns):
            self._record_all(fact, e.Root.TIMER, now_ns)

    def observed_deadline(self) -> int | None:
        """When observed_time next has something to enter (ns), or None."""
        return observed_deadline(self.state)

    # --- data out ---

    def staged_types(self) -> set[type]:
        """The types of the staged events."""
        return {type(staged.event) for staged in self.staged}

    def events_to_append(self) -> list[Staged]:
        """The staged events, taken."""
        staged, self.staged = self.staged, []
        return staged

    def next_deadline(self) -> int | None:
        """When time_passed next has something to decide (ns), or None."""
        if self._deadline == "unknown":
            self._deadline = next_deadline(self.state, self._looked)
        return self._deadline

    @property
    def ended(self) -> bool:
        """True after SessionEnded."""
        return self.state.life.phase is SessionState.ENDED

    def _heads(self, now_ns: int) -> Heads:
        return Heads(self._buffered, now_ns)

    def _record_all(self, events: Iterable[e.Event], cause: int, now_ns: int, *, chained: bool = False) -> None:
        # Strategy: what a wire message means is caused by the message; else the first fact causes the ones behind it.
        for event in events:
            seq = self.record(event, cause, now_ns)
            if cause < 0 or chained:
                cause, chained = seq, False
