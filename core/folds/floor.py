"""Who has the floor: the user's speech under way, and which says it cut or would cut."""

from .. import events as e

__all__ = ["Floor", "Speech"]


class Speech:
    """Speech of the user, from its first sound until its turn has ended or was discarded."""

    __slots__ = ("began_ns", "cut", "held", "over_sound", "start_ms", "stopped_ns")

    def __init__(self, started: e.SpeechStarted, at_ns: int, over_sound: bool) -> None:
        self.began_ns = at_ns
        self.start_ms = started.audio_start_ms
        self.held = started.held  # the callers do not know of it
        self.stopped_ns: int | None = None
        self.over_sound = over_sound  # it began while something sounded, or right after
        self.cut: list[str] = []  # says, or responses of the model, that it cut short


class Floor:
    """Speech by item, and the engine's own measurement that it is no echo."""

    __slots__ = ("_sounding", "_until_ns", "caller_transports", "last_began_ns", "speech", "sustained")

    def __init__(self) -> None:
        self.speech: dict[str, Speech] = {}
        self.sustained = False  # loud enough for long enough, since what sounds began to sound
        self.last_began_ns = 0
        self.caller_transports: dict[str, str] = {}
        self._sounding: set[str] = set()
        self._until_ns = 0  # until when what has sounded last may still echo

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
            case e.AudioStarted():
                if not self._sounding:
                    self.sustained = False
                self._sounding.add(event.response)
            case e.PlayoutCut() | e.PlayoutEnded():
                if isinstance(event, e.PlayoutCut) and event.item in self.speech:
                    self.speech[event.item].cut.append(event.say or event.response)
                self._sounding.discard(event.response)
                self._until_ns = at_ns + _ECHO_NS
            case _:
                self._apply_speech(at_ns, event)

    def _apply_speech(self, at_ns: int, event: e.Event) -> None:
        match event:
            case e.SpeechStarted():
                self.last_began_ns = at_ns
                self.speech[event.item] = Speech(event, at_ns, bool(self._sounding) or at_ns < self._until_ns)
            case e.SpeechSustained():
                self.sustained = True
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
