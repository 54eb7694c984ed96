"""Where the session and its links stand."""

from typing import Any, NamedTuple

from .. import events as e
from ..definition import Answers, SessionDefinition
from ..states import SESSION, SessionState, step

__all__ = ["Awaited", "Lifecycle", "Links"]


class Lifecycle:
    """The session's phase, its definition, and why it is ending."""

    __slots__ = ("ending", "ending_seq", "handler_done", "phase", "started", "started_ns")

    def __init__(self) -> None:
        self.phase = SessionState.NEW
        self.started: e.SessionStarted | None = None
        self.started_ns = 0
        self.ending: e.SessionEnding | None = None
        self.ending_seq = 0  # of `ending`: it causes what is settled and ended for it
        self.handler_done = False

    @property
    def definition(self) -> SessionDefinition:
        """The declaration this session started with."""
        if self.started is None:
            raise ValueError("the log has no SessionStarted")
        return self.started.definition

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self.phase = step(SESSION, self.phase, event)
                self.started, self.started_ns = event, at_ns
            case e.SessionEnding():
                self.phase = step(SESSION, self.phase, event)
                self.ending, self.ending_seq = event, seq
            case e.SessionEnded():
                self.phase = step(SESSION, self.phase, event)
            case e.HandlerReturned() | e.HandlerFailed():
                self.handler_done = True


class Awaited(NamedTuple):
    """Somebody is to come: since when, and until when. link, reason: of the connection that dropped, if one did."""

    since_ns: int
    until_ns: int
    link: str
    reason: str


class Links:
    """Which connections stand, and what the callers asked of the session."""

    __slots__ = (
        "answer_held",
        "answer_held_seq",
        "answers",
        "awaited",
        "callers",
        "configuration_owed",
        "gone_ns",
        "had_caller",
        "provider",
        "provider_ns",
        "provider_ready",
        "settings",
        "switch",
        "unconfirmed",
        "updates",
        "voice",
    )

    def __init__(self) -> None:
        self.answers: Answers = "handler"
        self.answer_held = False  # the provider is told not to answer by itself, because a say is open
        self.answer_held_seq = 0
        self.switch: Answers | None = None  # who is to answer once the provider has confirmed it
        self.voice: str | None = None  # the line to this machine's own voice
        self.provider: str | None = None
        self.configuration_owed: int | None = None  # seq of what calls for a session.update that is not on its way yet
        self.provider_ready = False
        self.callers: dict[str, int] = {}  # since when each is there (ns)
        self.awaited: Awaited | None = None  # who is to come, while nobody is there; stays when they have not come in time
        self.had_caller = False
        self.provider_ns = 0  # when its link was opened
        self.gone_ns: int | None = None  # since when nobody is left of the callers there were
        self.settings: dict[str, Any] = {}
        self.unconfirmed = 0  # session.updates on their way
        self.updates: list[int] = []  # command indexes of the handler's updates that the provider has not confirmed

    @property
    def left(self) -> str:
        """Why nobody is there any more, as the session's end will have it."""
        if self.awaited is None:
            return "caller_gone"
        return "caller_lost" if self.had_caller else "no_caller"

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self.answers = event.definition.answers
            case e.AnswersSwitched():
                self.answers, self.switch = event.answers, None
            case e.LinkOpened(side="voice"):
                self.voice = event.link
            case e.LinkOpened(side="provider"):
                self.provider, self.configuration_owed, self.provider_ready, self.unconfirmed = event.link, seq, False, 0
                self.provider_ns = at_ns
            case e.LinkOpened():
                self.callers[event.link] = at_ns
                self.had_caller, self.gone_ns, self.awaited = True, None, None
            case e.CallerAwaited():
                self.awaited = Awaited(at_ns, at_ns + event.grace_ms * 1_000_000, event.link, event.reason)
            case e.ConfigurationDispatched():
                self.configuration_owed = None
                self.answer_held, self.answer_held_seq = event.answer_held, seq
                self.unconfirmed += 1
            case e.LinkReady():
                self.provider_ready = True
                self.unconfirmed = max(0, self.unconfirmed - 1)  # of a proxied session's updates none was ours
            case e.ConfigurationConfirmed() | e.ConfigurationRefused():
                self.unconfirmed = max(0, self.unconfirmed - 1)
            case e.UpdateRequested():
                self.updates.append(event.index)
                self.switch = event.command.answers or self.switch
            case e.UpdateApplied() | e.UpdateRefused():
                self.updates.remove(event.index)
            case e.SettingsAsked():
                self.settings = {**self.settings, **event.settings}
                self.configuration_owed = seq
            case e.LinkClosed() if event.link == self.voice:
                self.voice = None
            case e.LinkClosed() if event.link == self.provider:
                self.provider, self.configuration_owed, self.provider_ready = None, None, False
            case e.CallersGone():
                self.gone_ns = at_ns
            case e.LinkClosed() if event.link in self.callers:
                del self.callers[event.link]
