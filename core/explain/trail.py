"""A session's events with their causes, to be walked both ways: up to what came from outside, down to what followed.

A deadline that passed is a cause without a seq (Root.TIMER). `Trail.chain` goes on behind it, to the event that set the
deadline, and marks that step as `inferred`: the log does not name it, the rules of the core do. So it is with the end that
a handler brings about: the log names what woke the handler, the rules put its command right before. And so with what is
decided on one message: the log names the message for all of it, the rules what follows from what.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

from .. import events as e
from ..codec import decode
from ..errors import StoreError
from ..ports import Recorded
from ..state import State

__all__ = ["AnyEvent", "Entry", "Link", "Trail"]

AnyEvent = e.Event | e.Unknown | e.Erased
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=e.Event)
_ENDS = (e.EndRequested, e.HandlerReturned, e.HandlerFailed)
_GONE = ("caller_gone", "caller_lost", "no_caller")


class Entry(NamedTuple, Generic[T_co]):
    """An event with its place in the log; `cause` is a seq or a Root."""

    seq: int
    at_ns: int
    cause: int
    event: T_co


class Link(NamedTuple):
    """One step of a chain of causes. inferred: the log names a deadline only, and this is the event that set it."""

    entry: Entry[AnyEvent]
    inferred: bool


class Trail:
    """The events of one session in seq order, with an index by cause. A log cut anywhere is a trail, too."""

    def __init__(self, entries: Iterable[tuple[int, int, int, AnyEvent]]) -> None:
        self.entries = [Entry(*entry) for entry in entries]
        self._effects: dict[int, list[int]] = {}
        for n, entry in enumerate(self.entries):
            self._effects.setdefault(entry.cause, []).append(n)
        if not self.entries:
            raise StoreError("TL418", "this session has no events yet", "ask again when it has started")

    @classmethod
    def of(cls, events: Iterable[Recorded]) -> "Trail":
        """From log entries. Raises StoreError TL407 for data that does not decode, TL418 if there are none."""
        return cls((one.seq, one.at_ns, one.cause, decode(one)) for one in events)

    # --- places ---

    @property
    def first(self) -> Entry[AnyEvent]:
        """The first entry."""
        return self.entries[0]

    @property
    def last(self) -> Entry[AnyEvent]:
        """The last entry."""
        return self.entries[-1]

    def get(self, seq: int) -> Entry[AnyEvent] | None:
        """The entry of that number, or None (also for a Root)."""
        n = bisect_left(self.entries, seq, key=attrgetter("seq"))
        return self.entries[n] if n < len(self.entries) and self.entries[n].seq == seq else None

    def at(self, seq: int) -> Entry[AnyEvent]:
        """The entry of that number. Raises StoreError TL418."""
        if (entry := self.get(seq)) is None:
            held = f"it holds {self.first.seq} to {self.last.seq}"
            raise StoreError("TL418", f"no event {seq} in this log: {held}", "`turnlog show SESSION` lists them")
        return entry

    def at_time(self, at_ns: int) -> Entry[AnyEvent]:
        """The last entry at or before a time; times do not go back. Raises StoreError TL418 for a time before the first."""
        n = bisect_right(self.entries, at_ns, key=attrgetter("at_ns"))
        if n == 0:
            raise StoreError("TL418", "that time is before the session's first event", "give a later one")
        return self.entries[n - 1]

    def between(self, after: int, until: int) -> Iterator[Entry[AnyEvent]]:
        """The entries with after < seq <= until."""
        n = bisect_right(self.entries, after, key=attrgetter("seq"))
        while n < len(self.entries) and self.entries[n].seq <= until:
            yield self.entries[n]
            n += 1

    def latest(self, until: int, kind: type[E], match: Callable[[E], bool] = lambda _: True) -> Entry[E] | None:
        """The last entry of a type with seq <= until that matches."""
        for n in range(bisect_right(self.entries, until, key=attrgetter("seq")) - 1, -1, -1):
            if isinstance(event := self.entries[n].event, kind) and match(event):
                return Entry(*self.entries[n][:3], event)
        return None

    def next(self, after: int, kind: type[E], match: Callable[[E], bool] = lambda _: True) -> Entry[E] | None:
        """The first entry of a type with seq > after that matches."""
        for entry in self.between(after, self.last.seq):
            if isinstance(entry.event, kind) and match(entry.event):
                return Entry(*entry[:3], entry.event)
        return None

    # --- causes and effects ---

    def effects(self, seq: int) -> list[Entry[AnyEvent]]:
        """The entries that this one caused, in order."""
        return [self.entries[n] for n in self._effects.get(seq, ())]

    def chain(self, seq: int) -> list[Link]:
        """From this entry back to its outside cause, step by step, behind deadlines too. Raises StoreError TL418."""
        links = [Link(self.at(seq), False)]
        while (step := self._cause(links[-1].entry)) is not None:
            links.append(step)
        return links

    def _cause(self, entry: Entry[AnyEvent]) -> Link | None:
        before = self.get(entry.seq - 1)
        ending = isinstance(entry.event, e.SessionEnding)
        if ending and before and before.cause == entry.cause and isinstance(before.event, _ENDS):
            return Link(before, True)
        if (decided := self._decided_by(entry)) is not None:
            return Link(decided, decided.seq != entry.cause)
        if entry.cause > 0:
            found = self.get(entry.cause) if entry.cause < entry.seq else None
            return Link(found, False) if found else None
        setter = self._setter(entry) if entry.cause == e.Root.TIMER else None
        return Link(setter, True) if setter else None

    def _decided_by(self, entry: Entry[AnyEvent]) -> Entry[AnyEvent] | None:
        """The fact from which this one follows, where the log may name only the message, or the command, behind both."""
        before = self.get(entry.seq - 1)
        match entry.event:
            case e.PlayoutCut(reason="speech", item=item):
                confirmed = self.latest(entry.seq, e.SpeechConfirmed, lambda one: one.item == item)
                return confirmed or self.latest(entry.seq, e.SpeechStarted, lambda one: one.item == item)
            case e.SpeechConfirmed() if before and isinstance(before.event, e.SpeechSustained):
                return before
            case e.SpeechConfirmed(item=item):
                return self.latest(entry.seq, e.SpeechStarted, lambda one: one.item == item)
            case e.SpeechSustained():
                return self.latest(entry.seq, e.SpeechStarted, lambda one: one.held)
            case e.PlayoutCut(reason="caller", response=response):
                told = self.latest(entry.seq, e.PlayoutAcknowledged, lambda one: one.response == response)
                asked = self.latest(entry.seq, e.CallerCancelled)
                return max((one for one in (told, asked) if one), key=lambda one: one.seq, default=None)
            case e.PlayoutCut(reason="mismatch", say=say):
                return self.latest(entry.seq, e.SaySpoken, lambda one: one.say == say)
            case e.PlayoutEnded(response=response, interrupted=True):
                return self.latest(entry.seq, e.PlayoutCut, lambda one: one.response == response)
            case e.SaySettled(code="speech" | "caller" | "mismatch" | "stalled", say=say):
                return self.latest(entry.seq, e.PlayoutEnded, lambda one: one.say == say)
            case e.TurnDiscarded(item=item):
                return self.latest(entry.seq, e.InputTranscribed, lambda one: one.item == item)
            case e.SaySettled(code="stale"):
                spoke = (self.latest(entry.seq, e.SpeechStarted), self.latest(entry.seq, e.TurnEnded))
                return max((one for one in spoke if one), key=lambda one: one.seq, default=None)
            case e.SaySettled(status="failed", say=say) if before and isinstance(before.event, e.SayRefused):
                return before if before.event.say == say else None
        return None

    def _setter(self, entry: Entry[AnyEvent]) -> Entry[AnyEvent] | None:
        """The event that set the deadline by which this one came."""
        before = entry.seq - 1
        match entry.event:
            case e.PlayoutCut(reason="caller_gone"):
                return self.latest(before, e.CallersGone)
            case e.PlayoutCut(reason="caller_lost") | e.CallersGone():
                return self.latest(before, e.CallerAwaited)
            case e.PlayoutCut(reason="stalled", response=response):
                return self.latest(before, e.ResponseStarted, lambda one: one.response == response)
            case e.PlayoutEnded(response=response):
                return self.latest(before, e.ResponseDelivered, lambda one: one.response == response)
            case e.ResponseDelivered(response=response):
                return self.latest(before, e.ResponseEnded, lambda one: one.response == response)
            case e.SaySettled(code=reason) | e.SessionEnding(reason=reason) if reason in _GONE:
                return self.latest(before, e.CallersGone)
            case e.InputTranscribed(status="late", item=item):
                return self.latest(before, e.InputCommitted, lambda one: one.item == item)
            case e.SayRefused(code="no_answer", say=say):
                return self.latest(before, e.SayDispatched, lambda one: one.say == say)
            case e.AnswerTimedOut(link=link):
                return self.latest(before, e.AnswerAsked, lambda one: one.link == link)
        return None

    # --- state ---

    def state_at(self, seq: int) -> State:
        """The state after the entry of that number. Raises StoreError TL418, TL411 where erased or unknown events break it."""
        self.at(seq)
        state = State()
        lost = 0
        for entry in self.between(0, seq):
            if isinstance(entry.event, e.Unknown | e.Erased):
                lost = lost or entry.seq
            try:
                state.apply(entry.seq, entry.at_ns, entry.event)
            except (KeyError, ValueError) as error:
                if not lost:
                    raise
                why = f"event {entry.seq} needs event {lost}, which was erased or is of a newer turnlog"
                raise StoreError("TL411", why, f"ask about what stands before it: {lost - 1} or less") from error
        if state.life.started is None:
            raise StoreError("TL407", "this log has no SessionStarted", "the session was never started, or its log is cut")
        return state
