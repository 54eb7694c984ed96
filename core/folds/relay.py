"""What callers gave that the provider must get, in order: items and asks while the model answers, commits and clears always."""

from collections import deque
from typing import NamedTuple

from .. import events as e

__all__ = ["Owed", "Relay"]


class Owed(NamedTuple):
    """One message owed to the provider, and the event that owes it."""

    seq: int
    event: e.Event


class Relay:
    """The queue towards the provider; each dispatch event takes its head off."""

    __slots__ = ("_model_answers", "owed")

    def __init__(self) -> None:
        self.owed: deque[Owed] = deque()
        self._model_answers = False

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self._model_answers = event.definition.answers == "model"
            case e.AnswersSwitched():
                self._model_answers = event.answers == "model"
            case e.InputCommitAsked() | e.InputClearAsked():
                self.owed.append(Owed(seq, event))
            case e.ItemSeeded() | e.AnswerAsked() if self._model_answers:
                self.owed.append(Owed(seq, event))
            case e.InputCommitDispatched() | e.InputClearDispatched() | e.ItemForwarded():
                self.owed.popleft()
            case e.AnswerDispatched() if self.owed and isinstance(self.owed[0].event, e.AnswerAsked):
                self.owed.popleft()
