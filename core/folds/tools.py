"""Tools: calls the handler waits for, and calls the model made that owe it an output."""

from .. import events as e

__all__ = ["ModelCall", "Tools"]


class ModelCall:
    """A tool call of the model, from its request to the answer that follows its output."""

    __slots__ = ("answered", "answered_seq", "dispatched", "requested")

    def __init__(self, requested: e.ToolRequested) -> None:
        self.requested = requested
        self.answered: e.ToolAnswered | None = None
        self.answered_seq = 0
        self.dispatched = False


class Tools:
    """Open calls of both kinds."""

    __slots__ = ("answering", "calls", "model_calls")

    def __init__(self) -> None:
        self.calls: dict[int, e.CallRequested | e.StepRequested] = {}  # the handler's, by command index
        self.model_calls: dict[str, ModelCall] = {}  # the model's, by call id
        self.answering: set[str] = set()  # responses the provider has begun and not finished

    def follow_up_due(self) -> bool:
        """True when every output is with the model and no response is running: it may be asked to go on."""
        return bool(self.model_calls) and not self.answering and all(c.dispatched for c in self.model_calls.values())

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.CallRequested() | e.StepRequested():
                self.calls[event.index] = event
            case e.CallCompleted() | e.CallFailed():
                self.calls.pop(event.index, None)
            case e.ResponseStarted(say=None):
                self.answering.add(event.response)
            case e.ResponseEnded():
                self.answering.discard(event.response)
            case e.ToolRequested():
                self.model_calls[event.call_id] = ModelCall(event)
            case e.ToolAnswered() if event.call_id in self.model_calls:
                self.model_calls[event.call_id].answered = event
                self.model_calls[event.call_id].answered_seq = seq
            case e.ToolOutputDispatched() if event.call_id in self.model_calls:
                self.model_calls[event.call_id].dispatched = True
            case e.AnswerDispatched():
                self.model_calls = {key: call for key, call in self.model_calls.items() if not call.dispatched}
