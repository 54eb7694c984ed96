"""A provider and a caller by dice, on a SessionCore: responses begin, sound, end and are refused; the user speaks over them.

What they do is said to the core as signals, so that it decides what is cut, held, settled and resumed as it does live.
"""

from random import Random

from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.core import SessionCore
from turnlog.core.states import SayState

__all__ = ["Voice"]


class Voice:
    """One provider, ready from the first moment, and what the caller says and hears."""

    def __init__(self, core: SessionCore, dice: Random) -> None:
        self.core = core
        self.dice = dice
        self.began = self.spoken = 0
        self.item = ""  # speech that goes on

    def open(self, now_ns: int) -> None:
        """The provider's link opens, and is confirmed."""
        self.core.record(e.LinkOpened(link="p1", side="provider", transport="in_process"), e.Root.HOST, now_ns)
        self._decide(s.ProviderConfigured(session={}), now_ns)

    def act(self, now_ns: int) -> None:
        """One thing that may happen at the provider, or at the caller's end."""
        getattr(self, f"_{self.dice.choice(['answers'] * 3 + ['sounds'] * 3 + ['ends'] * 4 + ['speaks'] * 2 + ['rare'])}")(now_ns)

    def _decide(self, signal: s.Signal, now_ns: int, link: str = "p1") -> None:
        self.core.decide(link, signal, e.Root.WIRE, now_ns)

    def _answers(self, now_ns: int) -> None:
        """What was asked for begins or is refused; a model that answers speaks by itself."""
        waiting = [one for one in self.core.state.delivery.says.values() if one.state is SayState.DISPATCHED]
        if not waiting and not self.core.state.model_answers:
            return
        say, attempt = (waiting[0].requested.say, waiting[0].attempt) if waiting else (None, 0)
        if say and self.dice.random() < 0.15:
            self._decide(s.ResponseRefused(say=say, attempt=attempt, code="busy", message="busy"), now_ns)
            return
        self.began += 1
        self._decide(s.ResponseBegan(response=f"resp_{self.began}", say=say, attempt=attempt, in_band=say is None), now_ns)

    def _sounds(self, now_ns: int) -> None:
        """First audio of the oldest response that is silent."""
        silent = [key for key, one in self.core.state.playout.sounding().items() if one.started_ns is None]
        if silent:
            self.core.record(e.AudioStarted(response=silent[0]), e.Root.WIRE, now_ns)

    def _ends(self, now_ns: int) -> None:
        """The oldest response is finished, in one of its ways."""
        for response, one in self.core.state.playout.responses.items():
            if one.ended is None and (one.started_ns is not None or self.dice.random() < 0.1):
                say = self.core.state.delivery.by_response(response)
                words = say.text_of(response) if say and self.dice.random() < 0.9 else "Something else."
                status = self.dice.choice(["completed"] * 6 + ["failed", "incomplete"])
                self._decide(
                    s.ResponseFinished(
                        response=response,
                        status=status,
                        code="" if status == "completed" else "odd",
                        message="",
                        generated_ms=self.dice.choice([0, 20, 700]),
                        transcript=words,
                        usage=None,
                    ),
                    now_ns,
                )
                return

    def _speaks(self, now_ns: int) -> None:
        """The user begins to speak, or has spoken: words, or a noise."""
        if not self.item:
            self.spoken += 1
            self.item = f"speech_{self.spoken}"
            self._decide(s.SpeechBegan(item=self.item, audio_start_ms=self.spoken * 1000), now_ns)
            return
        item, self.item = self.item, ""
        self._decide(s.SpeechCeased(item=item, audio_end_ms=self.spoken * 1000 + 600), now_ns)
        self._decide(s.AudioCommitted(item=item, previous_item=None), now_ns)
        words = self.dice.choice(["", f"spoken {self.spoken}", "Good evening."])
        self._decide(s.TranscriptCompleted(item=item, transcript=words), now_ns)

    def _rare(self, now_ns: int) -> None:
        """The caller cancels, presses a key, tells what it played; the provider confirms its settings, or is lost."""
        match self.dice.choice(["cancel", "digit", "ack", "lost"] + ["confirm"] * 4):
            case "cancel":
                self._decide(s.CancelRequested(event_id=None), now_ns, "c1")
            case "digit":
                self._decide(s.DigitDialled(digit="5"), now_ns, "c1")
            case "ack":
                for response in list(self.core.state.playout.responses)[:1]:
                    final = self.dice.random() < 0.5
                    told = s.PlayoutReported(response=response, item="", content_index=0, played_ms=10, final=final)
                    self._decide(told, now_ns, "c1")
            case "lost" if self.dice.random() < 0.1:
                self.core.link_closed(e.LinkClosed(link="p1", code=1006), now_ns)
            case _:
                self._decide(s.ProviderConfigured(session={}), now_ns)
