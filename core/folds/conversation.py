"""What was said, as heard: the last 200 contributions of both sides."""

from collections import deque
from typing import Literal, NamedTuple

from .. import events as e

__all__ = ["Contribution", "Conversation", "Line"]


class Line(NamedTuple):
    """One contribution. For the assistant: the words that were heard."""

    seq: int
    role: Literal["user", "assistant"]
    text: str


class Contribution(NamedTuple):
    """A line, and how it came: the item of the conversation, where it is one that callers know, and whether it was spoken."""

    line: Line
    item: str
    spoken: bool


class Conversation:
    """The conversation's contributions, oldest first, bounded."""

    __slots__ = ("_model", "_model_answers", "contributions")

    def __init__(self, most: int = 200) -> None:
        self.contributions: deque[Contribution] = deque(maxlen=most)
        self._model: set[str] = set()  # the model's own responses whose playout has not ended
        self._model_answers = False  # else nobody hears the model's own words

    @property
    def model_speaks(self) -> bool:
        """Whether anything of the model's own is being heard, or about to be."""
        return bool(self._model)

    @property
    def lines(self) -> list[Line]:
        """What was said, oldest first."""
        return [one.line for one in self.contributions]

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self._model_answers = event.definition.answers == "model"
            case e.AnswersSwitched():
                self._model_answers = event.answers == "model"
            case e.TurnEnded() if event.text:
                self._add(Line(seq, "user", event.text), event.item, event.channel == "audio")
            case e.ItemSeeded(role="assistant"):
                self._add(Line(seq, "assistant", event.text), event.item)
            case e.SaySettled() if event.heard_text:
                self._add(Line(seq, "assistant", event.heard_text), spoken=event.heard_ms > 0)
            case e.ResponseStarted(say=None) if self._model_answers:
                self._model.add(event.response)
            case e.PlayoutEnded() if event.response in self._model:
                self._model.discard(event.response)
                if text := " ".join(part.heard_text for part in event.heard if part.heard_text):
                    self._add(Line(seq, "assistant", text), spoken=any(part.heard_ms for part in event.heard))

    def _add(self, line: Line, item: str = "", spoken: bool = False) -> None:
        self.contributions.append(Contribution(line, item, spoken))
