"""Our end of a caller's line: the session as a standard Realtime client sees it.

Whoever answers (handler or model), the caller meets the full item sequences of the protocol. A say answers the caller's
open response.create if there is one; else it looks like a response that voice activity detection began. What was cut is over
for the caller at once, whatever the provider still tells of it.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from ...core import events as e
from ...core import signals as s
from ...core.core import Staged
from ...core.errors import TurnlogError
from ...core.folds.conversation import Contribution, Line
from ...core.playing import FLUSHED
from ...core.state import State
from .audio_run import AudioRead, AudioWritten
from .caller_history import history
from .caller_input import CallerInput, InputEvent
from .caller_output import CallerOutput
from .caller_watch import CallerWatch, WatchedEvent
from .client_messages import SessionUpdate
from .server import ServerProtocol
from .server_output import Outcome
from .session_wire import caller_session
from .wire import InvalidMessage, Message

__all__ = ["CallerLeg"]


class CallerLeg:
    """One connection of a caller. `link` is its name in the log; `ids` makes the ids the caller sees.

    plays: the link plays to the caller what it is sent, as over WebRTC: see ServerProtocol. pcm_only: nobody behind us takes or
    gives another audio, so a caller that asks for it is refused; asked when it does.
    """

    def __init__(
        self,
        link: str,
        model: str,
        ids: Callable[[str], str],
        *,
        plays: bool = False,
        pcm_only: Callable[[], bool] | None = None,
    ) -> None:
        self._link = link
        self._pcm_only = None if plays else pcm_only
        self._ids = ids
        self._server = ServerProtocol(ids=ids, model=model, plays=plays)
        self._input = CallerInput(self._server)
        self._output = CallerOutput(self._server)
        self._watch = CallerWatch(self._server)

    # --- from the caller ---

    def receive(self, message: Message) -> list[s.Signal]:
        """What a message means, in the provider's ids; what the protocol itself answers is owed afterwards."""
        if isinstance(message.view, SessionUpdate) and self._pcm_only is not None and self._pcm_only():
            refusal = _other_audio(message.view)
            if refusal is not None:
                self._server.tell("error", error=refusal)
                return []
        message = _without_model(message)
        return [meant for signal in self._server.receive(message) if (meant := self._meaning(signal)) is not None]

    def _meaning(self, signal: s.Signal) -> s.Signal | None:
        match signal:
            case s.AnswerRequested(out_of_band=True):
                self._refuse_out_of_band(signal)
                return None
            case s.AnswerRequested():
                self._output.asked = signal
            case s.CommitRequested():
                self._input.committed_by_caller(signal.item)
            case s.CancelRequested():
                return self._output.cancelled(signal)
            case s.PlayoutReported():
                return self._output.played(signal)
            case s.WatchAsked():
                self._watch.on = True
                return None
        return signal

    def receive_audio(self, raw: bytes) -> list[s.Signal] | None:
        """What a message means that is audio like the last one; None for any other."""
        return self._server.receive_audio(raw)

    def _refuse_out_of_band(self, asked: s.AnswerRequested) -> None:
        response = self._server.start_response(asked)
        message = "Out-of-band responses are not supported while a handler answers."
        self._server.finish_response(response, Outcome(status="failed", code="not_supported", message=message))

    def audio_read(self) -> AudioRead | None:
        """None: a caller speaks in no parts."""
        return None

    def audio_written(self, audio: s.OutputAudio) -> AudioWritten | None:
        """How more audio of the part of `audio` is written, as long as nothing else is received or presented."""
        return self._output.audio_run(audio)

    def refuse(self, raw: bytes, error: TurnlogError) -> list[bytes]:
        """The error event that answers an unreadable message."""
        if isinstance(error, InvalidMessage):
            self._server.receive_invalid(error)
        return self.owed()

    def owed(self) -> list[bytes]:
        """What the protocol owes the caller."""
        return self._server.messages_to_send()

    # --- to the caller ---

    def present(self, staged: Staged, state: State) -> list[bytes]:
        """The messages by which the caller learns of an event."""
        event = staged.event
        match event:
            case e.LinkOpened(link=self._link):
                self._server.start(caller_session(state.life.definition, state.links.settings))
                self._recall([one for one in state.conversation.contributions if one.line.seq < staged.seq])
                self._watch.begin(state)
            case e.ResponseStarted(dead=False) if event.say or state.model_answers:
                self._output.begin(event.response)
            case e.ClientToolCalled():
                self._output.called(event)
            case e.ResponseEnded():
                self._output.end(event.response, _outcome(event))
            case e.ResponseDelivered():
                self._output.finish(event.response)
            case e.PlayoutCut():
                self._output.cut(event.response, "turn_detected" if event.reason == "speech" else "client_cancelled")
                if event.reason in FLUSHED:
                    self._server.clear_output()
            case e.TurnEnded(channel="audio") if event.text and not self._server.knows(self._input.item(event.item)):
                line = Line(staged.seq, "user", event.text)
                self._recall([Contribution(line, event.item, True)])  # it was said before this caller came
            case e.AnswerTimedOut(link=self._link):
                self._output.give_up()
            case e.SessionEnded():
                self._server.close()
            case _ if isinstance(event, InputEvent):
                self._input.present(event, staged.at_ns)
        if isinstance(event, WatchedEvent):
            self._tell_watch(event, (staged.at_ns - state.life.started_ns) // 1_000_000)
        return self._server.messages_to_send()

    def _recall(self, said: list[Contribution]) -> None:
        for item in history(said, self._ids):
            self._server.recall(item)

    def _tell_watch(self, event: WatchedEvent, at_ms: int) -> None:
        match event:
            case e.TurnEnded():
                self._watch.turn(event, self._input.item(event.item), at_ms)
            case e.SaySettled():
                self._watch.settled(event, self._output.shown(self._watch.responses(event.say)), at_ms)
            case _:
                self._watch.note(event)

    def media(self, signal: s.Signal) -> list[bytes]:
        """Audio and words of a response as deltas."""
        if not isinstance(signal, s.OutputAudio | s.OutputText):
            return []
        self._output.media(signal)
        return self._server.messages_to_send()


def _outcome(ended: e.ResponseEnded) -> Outcome:
    status = ended.status if ended.status in ("completed", "cancelled", "failed", "incomplete") else "failed"
    return Outcome(status=status, reason=ended.code, code=ended.code, message=ended.message, usage=ended.usage)  # type: ignore[arg-type] # one of the four


def _without_model(message: Message) -> Message:
    """The same without the model that an update names.

    Strategy: who answers was decided when the session was started, and clients name theirs in every update, even one that they
    have by default (openai-agents): refusing it would refuse all else of the update.
    """
    view = message.view
    if not isinstance(view, SessionUpdate) or not isinstance(view.session.get("model"), str):
        return message
    session = {key: value for key, value in view.session.items() if key != "model"}
    return msgspec.structs.replace(message, view=msgspec.structs.replace(view, session=session))


def _other_audio(update: SessionUpdate) -> dict[str, Any] | None:
    """The error for an update that asks for G.711; what is no format is the protocol's to refuse."""
    audio = update.session.get("audio")
    for side in ("input", "output"):
        part = audio.get(side) if isinstance(audio, dict) else None
        form = part.get("format") if isinstance(part, dict) else None
        if isinstance(form, dict) and form.get("type") in ("audio/pcmu", "audio/pcma"):
            param = f"session.audio.{side}.format"
            message = f"Invalid value for '{param}': this session's audio is audio/pcm, as somebody else in it takes no other."
            error = {"type": "invalid_request_error", "code": "invalid_value", "param": param, "message": message}
            return {**error, "event_id": update.event_id}
    return None
