"""Who has the floor: the user's speech under way, and which says it cut or would cut."""

from .. import events as e

__all__ = ["Floor", "Speech"]


class Speech:
    """Speech of the user, from its first sound until its turn has ended or was discarded."""

    __slots__ = ("began_ns", "cut", "during_sound", "held", "over_sound", "proved_ns", "start_ms", "stopped_ns")

    def __init__(self, started: e.SpeechStarted, at_ns: int, floor: "Floor") -> None:
        self.began_ns = at_ns
        self.start_ms = started.audio_start_ms
        self.held = started.held  # the callers do not know of it
        self.stopped_ns: int | None = None
        self.during_sound = floor.is_sounding  # it began while something sounded
        self.over_sound = floor.is_sounding or at_ns < floor.echoes_until_ns  # or right after
        self.proved_ns = at_ns if floor.sustained else None  # when the engine's ears had heard a voice, which no echo explains
        self.cut: list[str] = []  # says, or responses of the model, that it cut short


class Floor:
    """Speech by item, and the engine's own measurement that it is no echo."""

    __slots__ = ("_sounding", "caller_transports", "last_began_ns", "silent_ns", "speech", "sustained")

    def __init__(self) -> None:
        self.speech: dict[str, Speech] = {}
        self.sustained = False  # loud enough for long enough, since what sounds began to sound
        self.last_began_ns = 0
        self.caller_transports: dict[str, str] = {}
        self._sounding: set[str] = set()
        self.silent_ns = -_ECHO_NS  # when what sounded last has ended

    @property
    def is_sounding(self) -> bool:
        """Whether callers are being played anything."""
        return bool(self._sounding)

    @property
    def echoes_until_ns(self) -> int:
        """Until when what has sounded last may still be heard."""
        return self.silent_ns + _ECHO_NS

    def talking(self) -> list[tuple[str, Speech]]:
        """Speech that has not stopped."""
        return [(item, one) for item, one in self.speech.items() if one.stopped_ns is None]

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.LinkOpened(side="caller"):
                self.caller_transports[event.link] = event.transport
            case e.LinkClosed():
                self.caller_transports.pop(event.link, None)
                if event.link.startswith("p"):  # nobody will tell us how it goes on
                    self.speech.clear()
            case e.AudioStarted():
                if not self._sounding:
                    self.sustained = False
                self._sounding.add(event.response)
            case e.PlayoutCut() | e.PlayoutEnded():
                if isinstance(event, e.PlayoutCut) and event.item in self.speech:
                    self.speech[event.item].cut.append(event.say or event.response)
                self._sounding.discard(event.response)
                self.silent_ns = at_ns
            case _:
                self._apply_speech(at_ns, event)

    def _apply_speech(self, at_ns: int, event: e.Event) -> None:
        match event:
            case e.SpeechStarted():
                self.last_began_ns = at_ns
                self.speech[event.item] = Speech(event, at_ns, self)
            case e.SpeechSustained():
                self.sustained = True
                for _, one in self.talking():
                    one.proved_ns = one.proved_ns or at_ns
            case e.SpeechConfirmed() if event.item in self.speech:
                self.speech[event.item].held = False
            case e.SpeechStopped() | e.InputCommitted() if event.item in self.speech:
                known = self.speech[event.item]
                known.stopped_ns = known.stopped_ns or at_ns
            case e.InputClearDispatched():  # what was not committed is forgotten
                self.speech = {item: one for item, one in self.speech.items() if one.stopped_ns is not None}
            case e.TurnEnded() | e.TurnDiscarded():
                self.speech.pop(event.item, None)


_ECHO_NS = 1_000_000_000
