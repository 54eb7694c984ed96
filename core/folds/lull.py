"""The lull: whether the user is speaking, whether the provider is about to answer by itself, since when it is quiet."""

from typing import Any

from .. import events as e

__all__ = ["VAD_ANSWER_S", "Lull"]

VAD_ANSWER_S = 3  # a provider that answers by itself begins right after the commit: then it does not
_S = 1_000_000_000


class Lull:
    """Who is to be heard now. Times are ns."""

    __slots__ = ("_detection", "_held", "_model_answers", "answer_by_ns", "quiet_ns", "speaking", "unanswered")

    def __init__(self) -> None:
        self.speaking = False
        self.answer_by_ns = 0  # until then the provider may begin an answer of its own to what the user said
        self.quiet_ns = 0  # since when nothing of a say or a response has sounded, and the user has said nothing
        self._detection: dict[str, Any] | None = None
        self._model_answers = False
        self._held = (False, False)  # the provider was told not to answer by itself: as confirmed, as told last
        self.unanswered: set[str] = set()  # what the user said meanwhile, and no answer has followed

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self._model_answers = event.definition.answers == "model"
                self._detection = event.definition.turn_detection
            case e.AnswersSwitched():
                self._model_answers = event.answers == "model"
            case e.SettingsAsked() if "turn_detection" in event.settings:
                self._detection = event.settings["turn_detection"]
            case e.SpeechStarted():
                self.speaking = True
            case e.SpeechStopped():
                self.speaking, self.quiet_ns = False, at_ns
                self.answer_by_ns = self._answer_by_ns(at_ns)
            case e.InputCommitted():
                self.speaking, self.quiet_ns = False, at_ns
                self.answer_by_ns = self._answer_by_ns(at_ns)
                if self.answer_by_ns and any(self._held):
                    self.unanswered.add(event.item)
                    self.answer_by_ns = 0 if all(self._held) else self.answer_by_ns
            case e.ConfigurationDispatched():
                self._held = (self._held[0], event.answer_held)
            case e.ConfigurationConfirmed():
                self._held = (self._held[1], self._held[1])
            case e.TurnDiscarded():
                self.unanswered.discard(event.item)
            case e.InputClearDispatched():
                self.speaking, self.answer_by_ns = False, 0
            case e.LinkClosed() if event.link.startswith("p"):
                self.speaking, self.answer_by_ns = False, 0
            case e.ResponseStarted(say=None):
                self.answer_by_ns = 0
                self.unanswered.clear()
            case e.PlayoutEnded() | e.SaySettled():
                self.quiet_ns = at_ns

    def _answer_by_ns(self, at_ns: int) -> int:
        """Strategy: what is declared decides; a caller that commits by itself asks for its answers itself, too."""
        detection = self._detection
        by_itself = self._model_answers and detection is not None and detection.get("create_response", True)
        return at_ns + VAD_ANSWER_S * _S if by_itself else 0
