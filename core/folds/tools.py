"""Tools: calls the handler waits for, and calls the model made that owe it an output."""

from .. import events as e
from .client_calls import ClientCalls
from .follow_up import FollowUp
from .lull import Lull
from .running import RunningTools

__all__ = ["ModelCall", "Tools"]


class ModelCall:
    """A tool call of the model, from its request until its output is on its way."""

    __slots__ = ("answered", "answered_seq", "requested")

    def __init__(self, requested: e.ToolRequested) -> None:
        self.requested = requested
        self.answered: e.ToolAnswered | None = None
        self.answered_seq = 0


class Tools:
    """Open calls of both kinds, and what follows from them."""

    __slots__ = ("calls", "client_calls", "follow_up", "lull", "model_calls", "responses", "running")

    def __init__(self) -> None:
        self.calls: dict[int, e.CallRequested | e.StepRequested] = {}  # the handler's, by command index
        self.model_calls: dict[str, ModelCall] = {}  # the model's, by call id
        self.client_calls = ClientCalls()
        self.responses: set[str] = set()  # those that have begun and not ended: they may call more
        self.running = RunningTools()
        self.follow_up = FollowUp()
        self.lull = Lull()

    @property
    def answering(self) -> set[str]:
        """The model's own responses that have begun and not ended."""
        return self.follow_up.answering

    def to_dispatch(self) -> list[ModelCall]:
        """The answered calls whose outputs may go: their response has ended, and each call of it before them was answered."""
        by_response: dict[str, list[ModelCall]] = {}
        for call in self.model_calls.values():
            by_response.setdefault(call.requested.response, []).append(call)
        due = []
        for response, calls in by_response.items():
            for call in sorted(calls, key=lambda one: one.requested.output_index):
                if response in self.responses or call.answered is None:
                    break
                due.append(call)
        return due

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event. Calls and steps of the handler concern neither the follow-up nor the lull."""
        match event:
            case e.CallRequested() | e.StepRequested():
                self.calls[event.index] = event
                self.running.apply(seq, at_ns, event)
            case e.CallCompleted() | e.CallFailed():
                self.calls.pop(event.index, None)
                self.running.apply(seq, at_ns, event)
            case _:
                self._apply_model(seq, event)
                self.running.apply(seq, at_ns, event)
                self.client_calls.apply(seq, at_ns, event)
                self.follow_up.apply(seq, at_ns, event)
                self.lull.apply(seq, at_ns, event)

    def _apply_model(self, seq: int, event: e.Event) -> None:
        match event:
            case e.ResponseStarted():
                self.responses.add(event.response)
            case e.ResponseEnded():
                self.responses.discard(event.response)
            case e.LinkClosed() if event.link.startswith("p"):
                self.responses.clear()
            case e.ToolRequested():
                self.model_calls[event.call_id] = ModelCall(event)
            case e.TurnEnded() if event.item in self.lull.unanswered:
                self.lull.unanswered.discard(event.item)
                self.follow_up.owe(seq)
            case e.ToolAnswered() if event.call_id in self.model_calls:
                self.model_calls[event.call_id].answered = event
                self.model_calls[event.call_id].answered_seq = seq
            case e.ToolOutputDispatched() if call := self.model_calls.pop(event.call_id, None):
                siblings = (one.requested.response for one in self.model_calls.values())
                if call.requested.response not in siblings:
                    self.follow_up.owe(seq)
