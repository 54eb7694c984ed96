"""What the provider must get of what happened without it, in order.

Commits and clears of callers always; while the model answers, what callers typed and asked, and what was heard of says that
were spoken beside the conversation. While a handler answers the model needs none of it: it is kept, and told when the model
takes over, each contribution behind the item after which it came.
"""

from collections import deque
from typing import NamedTuple

from .. import events as e

__all__ = ["Owed", "Relay"]

_KEPT = 200  # contributions, as the conversation keeps


class Owed(NamedTuple):
    """One message owed to the provider, and the event that owes it. item: of a contribution, and the one it stands behind."""

    seq: int
    event: e.Event
    item: str = ""
    previous: str = ""


class Relay:
    """The queue towards the provider; each dispatch event takes its head off."""

    __slots__ = ("_in_band", "_last", "_missing", "_model_answers", "owed")

    def __init__(self) -> None:
        self.owed: deque[Owed] = deque()
        self._model_answers = False
        self._missing: deque[Owed] = deque(maxlen=_KEPT)
        self._last = ""  # the last item that the provider's conversation has, or will have
        self._in_band: set[str] = set()  # open says that the conversation holds

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self._model_answers = event.definition.answers == "model"
            case e.AnswersSwitched():
                self._model_answers = event.answers == "model"
                if self._model_answers:
                    self.owed += self._missing
                    self._missing.clear()
            case e.InputCommitAsked() | e.InputClearAsked():
                self.owed.append(Owed(seq, event))
            case e.AnswerAsked(held=False) if self._model_answers:
                self.owed.append(Owed(seq, event))
            case e.InputCommitDispatched() | e.InputClearDispatched() | e.ItemForwarded():
                self.owed.popleft()
            case e.AnswerDispatched() if self.owed and isinstance(self.owed[0].event, e.AnswerAsked):
                self.owed.popleft()
            case _:
                self._contribute(seq, event)

    def _contribute(self, seq: int, event: e.Event) -> None:
        match event:
            case e.InputCommitted():
                self._last = event.item
            case e.ResponseStarted(say=str(say), in_band=True):
                self._in_band.add(say)
            case e.SaySettled() if event.say in self._in_band:
                self._in_band.discard(event.say)
            case e.SaySettled() if event.heard_text:
                self._owe(seq, event, f"said_{seq}")
            case e.TurnEnded(channel="dtmf"):
                self._owe(seq, event, f"pressed_{seq}")
            case e.ItemSeeded() if event.link.startswith("p"):
                self._last = event.item  # it was told there
            case e.ItemSeeded():
                self._owe(seq, event, event.item)

    def _owe(self, seq: int, event: e.Event, item: str) -> None:
        if self._model_answers:
            self.owed.append(Owed(seq, event, item))
        else:
            self._missing.append(Owed(seq, event, item, self._last))
        self._last = item
