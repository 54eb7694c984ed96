"""The handler of today in a what-if: what it is given, what it asks for then, and the timers that only it has."""

from collections import deque

from ...core import commands as c
from ...core import events as e
from ..app import Handler
from ..handlers.handler_run import DELIVERED, Asked, HandlerRun
from .answers import Decoded
from .divergence import command_of
from .replay import REPLAY_LIMITS
from .side_by_side import Issue
from .standing import own_frames

__all__ = ["Today"]

_MOST = 100_000  # firings of timers that the record does not fire: they never end
_Timer = tuple[int, int]  # number, deadline_ns


class Today:
    """A run of the handler. Invariant: `asked` came of events at `asked_ns`, and nothing later was delivered since."""

    def __init__(self, handler: Handler, log: list[Decoded]) -> None:
        started = log[0].event
        assert isinstance(started, e.SessionStarted)  # what_if looked
        self.live = HandlerRun(handler, started, log[0].at_ns, limits=REPLAY_LIMITS)
        self.asked: deque[Asked] = deque()
        self.asked_ns = log[0].at_ns
        self.issued: list[Issue] = []  # what it asked for, as far as that was entered
        self._fires = {(one.event.timer, one.event.deadline_ns): one.seq for one in log if isinstance(one.event, e.TimerFired)}
        self._fired = 0  # timers that the record does not fire

    def start(self) -> None:
        """Let it run to its first await."""
        self.asked.extend(self.live.start(1))

    def deliver(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Give it an event, where the record stands at `seq`."""
        self.live.observe(seq, at_ns, event)
        if isinstance(event, DELIVERED):
            self.asked.extend(self.live.deliver(seq, at_ns, event))
            self.asked_ns = at_ns

    def asks_for(self, event: e.Event) -> bool:
        """Whether the command that this event records is among what it has asked for."""
        sought = c.compared(command_of(event)[1])
        return any(c.compared(one.issued.command) == sought for one in self.asked)

    def next_timer(self, seq: int) -> _Timer | None:
        """Its earliest timer, if the record behind `seq` does not fire it."""
        timer = self.live.next_timer()
        return None if timer and self._fires.get(timer, 0) > seq else timer

    def fire(self, seq: int, timer: _Timer, at_ns: int) -> bool:
        """Fire such a timer. False, and nothing done, if there were too many."""
        self._fired += 1
        if self._fired > _MOST:
            return False
        self.deliver(seq, at_ns, e.TimerFired(timer=timer[0], deadline_ns=timer[1]))
        return True

    def place(self) -> str:
        """Where it stands, in words."""
        file, line, _ = (own_frames(self.live.waits_at()) or [("", 0, "")])[-1]
        return f"it waits at {file.rpartition('/')[2]}:{line}" if line else "it waits"
