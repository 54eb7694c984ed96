"""What is still to come in an offline run: events at times of their own, and the ends of says. Pure.

Nothing here looks at a record or at a handler; whoever runs one takes the events when their time has come.
"""

import heapq
from itertools import count

from ...core import events as e
from ...core.commands import Say
from .answers import say_ms

__all__ = ["Agenda", "Mouth"]


class Agenda:
    """Events to come. Those of one time come in the order in which they were planned."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, e.Event]] = []
        self._numbers = count()

    def plan(self, at_ns: int, event: e.Event) -> None:
        """Let an event come at this time."""
        heapq.heappush(self._heap, (at_ns, next(self._numbers), event))

    @property
    def due_ns(self) -> int | None:
        """When the next one comes; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def take(self) -> tuple[int, e.Event]:
        """The next one, and its time."""
        at_ns, _, event = heapq.heappop(self._heap)
        return at_ns, event


class Mouth:
    """The says that have not ended. One mouth: each is spoken behind the others. `gone`: nobody hears any more."""

    def __init__(self) -> None:
        self.gone = False
        self.keys: dict[str, str] = {}  # the handler's key -> its say
        self.fillers: set[str] = set()  # the engine's own of the record that were spoken here too
        self._ends: dict[str, int] = {}  # ns; 0 where a record tells the end

    @property
    def open(self) -> list[str]:
        """The says that have not ended, in the order in which they were asked for."""
        return list(self._ends)

    @property
    def spoken_here(self) -> list[str]:
        """Those of them whose end no record tells."""
        return [say for say, end_ns in self._ends.items() if end_ns]

    def ask(self, say: str) -> None:
        """A say whose end a record tells."""
        self._ends[say] = 0

    def speak(self, say: str, command: Say, at_ns: int) -> tuple[int, e.SaySettled]:
        """A say that no record knows: its end, and when that comes."""
        if self.gone:
            self._ends[say] = 0
            return at_ns, e.SaySettled(say=say, status="failed", code="caller_gone")
        length_ms = say_ms(command)
        end_ns = max(at_ns, *self._ends.values(), 0) + length_ms * 1_000_000
        self._ends[say] = end_ns
        return end_ns, e.SaySettled(
            say=say, status="played", generated_ms=length_ms, heard_ms=length_ms, source="clock", heard_text=command.text
        )

    def settle(self, say: str) -> bool:
        """End a say. False if it had ended before."""
        return self._ends.pop(say, None) is not None
