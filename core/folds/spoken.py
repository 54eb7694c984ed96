"""The words of both sides with the time in which they were said, from a session's events: what a transcript is made of.

Rules: a turn's words are what its handler was given; of a say, and of an answer of the model's where it is the model that
answers, the words that were heard. Logs from before
it was recorded what is heard of each part have the whole answer as its words.
"""

from typing import Literal, NamedTuple

from .. import events as e

__all__ = ["Spoken", "Words"]


class Words(NamedTuple):
    """One contribution. at_ns to ended_ns is when it was heard; typed words have one moment. cut: it was not heard to its end."""

    seq: int
    at_ns: int
    ended_ns: int
    who: Literal["user", "handler", "model"]
    text: str
    cut: bool = False


class _Span:
    """When something was heard."""

    __slots__ = ("began_ns", "ended_ns")

    def __init__(self) -> None:
        self.began_ns = 0
        self.ended_ns = 0


class Spoken:
    """Fold the events of a session in order; `lines` has what was said, by when it began."""

    __slots__ = ("_model_answers", "_of_says", "_responses", "_says", "_speech", "_words", "_written")

    def __init__(self) -> None:
        self._words: list[Words] = []
        self._model_answers = False
        self._speech: dict[str, _Span] = {}  # item -> the user's speech
        self._responses: dict[str, _Span] = {}  # response -> its sound
        self._of_says: dict[str, str] = {}  # response -> its say
        self._says: dict[str, _Span] = {}
        self._written: dict[str, str] = {}  # response -> all that the model would have said

    @property
    def lines(self) -> list[Words]:
        """What was said so far, by when it began."""
        return sorted(self._words, key=lambda one: (one.at_ns, one.seq))

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self._model_answers = event.definition.answers == "model"
            case e.AnswersSwitched():
                self._model_answers = event.answers == "model"
            case e.SpeechStarted():
                self._speech.setdefault(event.item, _Span()).began_ns = at_ns
            case e.SpeechStopped():
                self._speech.setdefault(event.item, _Span()).ended_ns = at_ns
            case e.TurnEnded(text=text) | e.TranscriptArrivedLate(transcript=text):
                self._add(seq, at_ns, "user", text, self._speech.get(event.item))
            case _:
                self._apply_answer(seq, at_ns, event)

    def _apply_answer(self, seq: int, at_ns: int, event: e.Event) -> None:
        match event:
            case e.ResponseStarted(say=str(say)):
                self._of_says[event.response] = say
            case e.AudioStarted():
                self._responses.setdefault(event.response, _Span()).began_ns = at_ns
            case e.ResponseEnded() if event.transcript and self._model_answers:
                self._written[event.response] = event.transcript
            case e.PlayoutEnded():
                self._played(seq, at_ns, event)
            case e.SaySettled():
                cut = event.status == "interrupted"
                self._add(seq, at_ns, "handler", event.heard_text, self._says.pop(event.say, None), cut=cut)

    def _played(self, seq: int, at_ns: int, event: e.PlayoutEnded) -> None:
        span = self._responses.pop(event.response, _Span())
        heard_ns = sum(part.heard_ms for part in event.heard) * 1_000_000
        span.began_ns = span.began_ns or at_ns - heard_ns
        span.ended_ns = span.began_ns + heard_ns if heard_ns else at_ns
        written, say = self._written.pop(event.response, ""), self._of_says.pop(event.response, event.say)
        if say is not None:
            of_say = self._says.setdefault(say, _Span())
            of_say.began_ns, of_say.ended_ns = of_say.began_ns or span.began_ns, span.ended_ns
        elif self._model_answers:
            heard = " ".join(part.heard_text for part in event.heard if part.heard_text)
            self._add(seq, at_ns, "model", heard if event.heard else written, span, cut=event.interrupted)

    def _add(
        self, seq: int, at_ns: int, who: Literal["user", "handler", "model"], text: str, span: _Span | None, *, cut: bool = False
    ) -> None:
        if text := text.strip():
            began_ns = (span.began_ns if span else 0) or at_ns
            ended_ns = max(began_ns, (span.ended_ns if span else 0) or at_ns)
            self._words.append(Words(seq, began_ns, ended_ns, who, text, cut))
