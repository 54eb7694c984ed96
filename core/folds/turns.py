"""The user's contributions on their way to becoming turns, in the order of their commits."""

from typing import Literal

from .. import events as e

__all__ = ["OpenInput", "Turns"]

Status = Literal["completed", "failed", "late", "none"]


class OpenInput:
    """Audio that was committed and whose words are awaited (or known, while an earlier one is still open)."""

    __slots__ = ("committed_ns", "end_ms", "item", "start_ms", "status", "transcript")

    def __init__(self, item: str) -> None:
        self.item = item
        self.start_ms: int | None = None
        self.end_ms: int | None = None
        self.committed_ns: int | None = None
        self.transcript = ""
        self.status: Status | None = None  # None: the words are not known yet


class Turns:
    """Open inputs by item, seeded text, and the number of turns so far."""

    __slots__ = ("_model_answers", "asks", "closed", "count", "open", "seeded")

    def __init__(self) -> None:
        self.open: dict[str, OpenInput] = {}  # Invariant: the committed ones stand in the order of their commits
        self.closed: dict[str, None] = {}  # the last items that ended: words that still come for one are late
        self.seeded: list[tuple[str, str]] = []  # (item, text) of the caller's user items since the last answer
        self.asks: dict[str, int] = {}  # caller link with a response.create no say has answered -> since when it could be
        self.count = 0
        self._model_answers = False

    def heads(self) -> list[OpenInput]:
        """The committed inputs, oldest first."""
        return [item for item in self.open.values() if item.committed_ns is not None]

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self._model_answers = event.definition.answers == "model"
            case e.AnswersSwitched():
                self._model_answers = event.answers == "model"
            case e.SpeechStarted():
                self._input(event.item).start_ms = event.audio_start_ms
            case e.SpeechStopped():
                self._input(event.item).end_ms = event.audio_end_ms
            case e.InputCommitted():
                committed = self.open.pop(event.item, None) or OpenInput(event.item)
                committed.committed_ns = at_ns
                self.open[event.item] = committed
            case e.InputTranscribed():
                known = self._input(event.item)
                known.transcript, known.status = event.transcript, event.status
            case e.TurnEnded(channel="text"):
                self.count, self.seeded = event.turn, []
            case e.TurnEnded():
                self.count = event.turn
                self._close(event.item)
            case e.TurnDiscarded():
                self._close(event.item)
            case e.ItemSeeded(role="user"):
                self.seeded.append((event.item, event.text))
            case e.ItemSeeded(role="assistant"):
                self.seeded = []
            case e.AnswerAsked():
                self.asks[event.link] = at_ns
            case e.AnswerTimedOut():
                self.asks.pop(event.link, None)
            case e.LinkClosed():
                self.asks.pop(event.link, None)
            case e.SaySettled():
                self.asks = dict.fromkeys(self.asks, at_ns)  # the handler may have waited for this before it answers
            case e.ResponseStarted() if event.say or self._model_answers:
                self.asks.clear()  # the answer is bound on every link that asked; a response nobody hears answers nobody

    def _input(self, item: str) -> OpenInput:
        return self.open.setdefault(item, OpenInput(item))

    def _close(self, item: str) -> None:
        self.open.pop(item, None)
        self.closed[item] = None
        if len(self.closed) > 64:
            del self.closed[next(iter(self.closed))]
