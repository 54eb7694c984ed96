"""What the handler stands at, as its journal tells: what it asked for and has not got, turns that it has not taken.

A fold beside the core's, for explanations only. It mirrors how the engine hands out turns and signals: one to each who
waits, in order; the rest lie in a queue.
"""

from collections import deque

from .. import events as e
from ..commands import Site
from .trail import AnyEvent, Entry, Trail

__all__ = ["DELIVERED", "Queue", "Waits", "Work", "site_of", "work_name"]

Work = e.CallRequested | e.StepRequested | e.StreamRequested
DELIVERED: tuple[type[e.Event], ...] = (
    e.SessionStarted,
    e.SayRequested,
    e.SayRepeated,
    e.SayCancelRequested,
    e.PlayoutEnded,
    e.CallCompleted,
    e.CallFailed,
    e.EndRequested,
    e.StreamItem,
    e.StreamEnded,
    e.SignalReceived,
    e.UpdateApplied,
    e.UpdateRefused,
    e.TurnEnded,
    e.SaySettled,
    e.TimerFired,
    e.CallersGone,
    e.SessionEnding,
    e.SessionEnded,
)
"""What a handler is given, as engine.handler_run has it, and its start."""


def site_of(event: AnyEvent) -> Site | None:
    """The line of the handler that issued this; None for what is no command."""
    site = getattr(event, "site", None)
    return site if isinstance(site, Site) and site.line else None


def work_name(work: Work) -> str:
    """The tool or function that was started."""
    return work.command.target if isinstance(work, e.CallRequested) else work.command.name


class Queue:
    """Those who wait for a thing, and things that nobody has taken: never both, once the queue has come to rest."""

    __slots__ = ("lying", "over", "taken", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[int, Entry[e.InputRequested | e.SignalAwaited]] = {}  # by command index
        self.lying: deque[Entry[e.TurnEnded | e.SignalReceived]] = deque()
        self.taken: list[tuple[int, Entry[e.TurnEnded | e.SignalReceived]]] = []
        self.over = False  # who waits for nothing that lies there is turned away

    def want(self, index: int, entry: Entry[e.InputRequested | e.SignalAwaited]) -> None:
        """Someone waits."""
        self.waiting[index] = entry
        self._hand_out()

    def bring(self, entry: Entry[e.TurnEnded | e.SignalReceived]) -> None:
        """A thing has come."""
        self.lying.append(entry)
        self._hand_out()

    def give_up(self, index: int) -> None:
        """Someone waits no more; what was meant for it goes to the next one."""
        self.waiting.pop(index, None)
        for n, (taker, entry) in enumerate(self.taken):
            if taker == index:
                del self.taken[n]
                self.lying.appendleft(entry)
                break
        self._hand_out()

    def end(self) -> None:
        """Nothing more will be waited for."""
        self.over = True
        self._hand_out()

    def _hand_out(self) -> None:
        while self.lying and self.waiting:
            index = next(iter(self.waiting))
            del self.waiting[index]
            self.taken.append((index, self.lying.popleft()))
        if self.over:
            self.waiting.clear()


class Waits:
    """Open work, updates and queues by command index, and the last thing asked for and seen."""

    __slots__ = ("failed", "issued", "seen", "signals", "turns", "updates", "work")

    def __init__(self) -> None:
        self.work: dict[int, Entry[Work]] = {}  # calls, steps and streams that run
        self.failed: dict[int, int] = {}  # attempts that failed, of open work
        self.updates: dict[int, Entry[e.UpdateRequested]] = {}
        self.turns = Queue()
        self.signals: dict[str, Queue] = {}
        self.issued: Entry[AnyEvent] | None = None  # the last command
        self.seen: Entry[AnyEvent] | None = None  # the last event that the handler was given

    @classmethod
    def at(cls, trail: Trail, seq: int) -> "Waits":
        """After the entry of that number."""
        waits = cls()
        for entry in trail.between(0, seq):
            waits.apply(entry)
        return waits

    def apply(self, entry: Entry[AnyEvent]) -> None:
        """Fold one entry."""
        place, event = entry[:3], entry.event
        if isinstance(event, DELIVERED):
            self.seen = entry
        if site_of(event):
            self.issued = entry
        match event:
            case e.CallRequested() | e.StepRequested() | e.StreamRequested():
                self.work[event.index] = Entry(*place, event)
            case e.AttemptFailed():
                self.failed[event.index] = event.attempt
            case e.CallCompleted() | e.CallFailed() | e.StreamEnded():
                self.work.pop(event.index, None)
                self.failed.pop(event.index, None)
            case e.UpdateRequested():
                self.updates[event.index] = Entry(*place, event)
            case e.UpdateApplied() | e.UpdateRefused():
                self.updates.pop(event.index, None)
            case e.InputRequested():
                self.turns.want(event.index, Entry(*place, event))
            case e.TurnEnded():
                self.turns.bring(Entry(*place, event))
            case e.SignalAwaited():
                self._signal(event.command.name).want(event.index, Entry(*place, event))
            case e.SignalReceived():
                self._signal(event.name).bring(Entry(*place, event))
            case e.CommandAbandoned():
                self._abandon(event.command)
            case e.SessionEnding() | e.CallersGone():
                for queue in (self.turns, *self.signals.values()):
                    queue.end()

    def _signal(self, name: str) -> Queue:
        if name not in self.signals:
            self.signals[name] = Queue()
            self.signals[name].over = self.turns.over
        return self.signals[name]

    def _abandon(self, index: int) -> None:
        """What was started runs on, and nobody waits for it."""
        for queue in (self.turns, *self.signals.values()):
            queue.give_up(index)
        for waits in (self.work, self.updates):
            waits.pop(index, None)
