"""What was said, as heard: the last 200 contributions of both sides."""

from collections import deque
from typing import Literal, NamedTuple

from .. import events as e

__all__ = ["Conversation", "Line"]


class Line(NamedTuple):
    """One contribution. For the assistant: the words that were heard."""

    seq: int
    role: Literal["user", "assistant"]
    text: str


class Conversation:
    """The conversation's lines, oldest first, bounded."""

    __slots__ = ("_model", "_model_answers", "lines")

    def __init__(self, most: int = 200) -> None:
        self.lines: deque[Line] = deque(maxlen=most)
        self._model: set[str] = set()  # the model's own responses whose playout has not ended
        self._model_answers = False  # else nobody hears the model's own words

    @property
    def model_speaks(self) -> bool:
        """Whether anything of the model's own is being heard, or about to be."""
        return bool(self._model)

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self._model_answers = event.definition.answers == "model"
            case e.AnswersSwitched():
                self._model_answers = event.answers == "model"
            case e.TurnEnded() if event.text:
                self.lines.append(Line(seq, "user", event.text))
            case e.ItemSeeded(role="assistant"):
                self.lines.append(Line(seq, "assistant", event.text))
            case e.SaySettled() if event.heard_text:
                self.lines.append(Line(seq, "assistant", event.heard_text))
            case e.ResponseStarted(say=None) if self._model_answers:
                self._model.add(event.response)
            case e.PlayoutEnded() if event.response in self._model:
                self._model.discard(event.response)
                if text := " ".join(part.heard_text for part in event.heard if part.heard_text):
                    self.lines.append(Line(seq, "assistant", text))
