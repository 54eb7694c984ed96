"""What is owed to the caller: every say from its request to its one terminal state, in order."""

from .. import events as e
from ..states import SAY, SayState, step

__all__ = ["Delivery", "OpenSay"]


class OpenSay:
    """A say that is not settled."""

    __slots__ = ("attempt", "dispatched_ns", "requested", "response", "seq", "state")

    def __init__(self, seq: int, requested: e.SayRequested) -> None:
        self.seq = seq
        self.dispatched_ns = 0  # when the latest attempt was asked for
        self.requested = requested
        self.state = SayState.PENDING
        self.attempt = 0
        self.response: str | None = None


class Delivery:
    """Open says in the order of their requests; settled ones are forgotten here (the log has them)."""

    __slots__ = ("refused_ns", "says", "settled")

    def __init__(self) -> None:
        self.says: dict[str, OpenSay] = {}
        self.settled = 0
        self.refused_ns: int | None = None  # when the head was last refused; it waits for a response to end, or a second

    def by_response(self, response: str) -> OpenSay | None:
        """The say that this response speaks."""
        return next((say for say in self.says.values() if say.response == response), None)

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SayRequested():
                self.says[event.say] = OpenSay(seq, event)
            case e.SayDispatched():
                self._move(event.say, event)
                self.says[event.say].attempt, self.says[event.say].dispatched_ns = event.attempt, at_ns
                self.refused_ns = None
            case e.SayRefused():
                self._move(event.say, event)
                self.refused_ns = at_ns
            case e.ResponseStarted(say=str()) if event.say in self.says:
                self._move(event.say, event)
                self.says[event.say].response = event.response
            case e.ResponseEnded():
                self.refused_ns = None
                if say := self.by_response(event.response):
                    say.state = step(SAY, say.state, event)
            case e.SaySettled():
                self._move(event.say, event)
                del self.says[event.say]
                self.settled += 1

    def _move(self, say: str, event: e.Event) -> None:
        self.says[say].state = step(SAY, self.says[say].state, event)
