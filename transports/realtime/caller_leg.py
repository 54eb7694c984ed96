"""Our end of a caller's line: the session as a standard Realtime client sees it.

Whoever answers (handler or model), the caller meets the full item sequences of the protocol. A say answers the caller's
open response.create if there is one; else it looks like a response that voice activity detection began.
"""

from collections import deque
from collections.abc import Callable

from ...core import events as e
from ...core import signals as s
from ...core.core import Staged
from ...core.errors import TurnlogError
from ...core.state import State
from .server import ServerProtocol
from .server_output import Outcome
from .session_wire import caller_session
from .wire import InvalidMessage, Message

__all__ = ["CallerLeg"]


class CallerLeg:
    """One connection of a caller. `link` is its name in the log; `ids` makes the ids the caller sees."""

    def __init__(self, link: str, model: str, ids: Callable[[str], str]) -> None:
        self._link = link
        self._server = ServerProtocol(ids=ids, model=model)
        self._asked: s.AnswerRequested | None = None  # accepted, not answered yet
        self._responses: dict[str, str] = {}  # the provider's response -> the caller's
        self._items: dict[str, str] = {}  # the provider's user item -> the caller's, where the caller committed itself
        self._spoken: dict[str, tuple[int, int]] = {}  # the provider's user item -> where its speech began and ended, ms
        self._committed: deque[str] = deque()  # items of the caller's own commits that the provider has not confirmed

    # --- from the caller ---

    def receive(self, message: Message) -> list[s.Signal]:
        """What a message means; what the protocol itself answers is owed afterwards."""
        kept = []
        for signal in self._server.receive(message):
            match signal:
                case s.AnswerRequested(out_of_band=True):
                    self._refuse_out_of_band(signal)
                    continue
                case s.AnswerRequested():
                    self._asked = signal
                case s.CommitRequested():
                    self._committed.append(signal.item)
            kept.append(signal)
        return kept

    def receive_audio(self, raw: bytes) -> list[s.Signal] | None:
        """What a message means that is audio like the last one; None for any other."""
        return self._server.receive_audio(raw)

    def _refuse_out_of_band(self, asked: s.AnswerRequested) -> None:
        response = self._server.start_response(asked)
        message = "Out-of-band responses are not supported while a handler answers."
        self._server.finish_response(response, Outcome(status="failed", code="not_supported", message=message))

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
        server = self._server
        match staged.event:
            case e.LinkOpened(link=self._link):
                server.start(caller_session(state.life.definition))
            case e.SpeechStarted() | e.SpeechStopped() | e.InputCommitted() | e.InputTranscribed() | e.TranscriptArrivedLate():
                self._present_input(staged.event)
            case e.ResponseStarted() as started if started.say or state.life.definition.answers == "model":
                self._responses[started.response] = server.start_response(self._asked)
                self._asked = None
            case e.ResponseEnded() as ended if ended.response in self._responses:
                server.finish_response(self._responses.pop(ended.response), _outcome(ended))
            case e.AnswerTimedOut(link=self._link) if self._asked:
                server.finish_response(server.start_response(self._asked))
                self._asked = None
            case e.SessionEnded():
                server.close()
        return server.messages_to_send()

    def _present_input(self, event: e.Event) -> None:
        server = self._server
        match event:
            case e.SpeechStarted():
                self._spoken[event.item] = (event.audio_start_ms, event.audio_start_ms)
                server.speech_started(event.item, event.audio_start_ms)
            case e.SpeechStopped():
                self._spoken[event.item] = (self._spoken.get(event.item, (0, 0))[0], event.audio_end_ms)
                server.speech_stopped(event.item, event.audio_end_ms)
            case e.InputCommitted() if self._committed:
                self._items[event.item] = self._committed.popleft()
            case e.InputCommitted():
                server.commit_audio(event.item)
            case e.InputTranscribed(status="completed") | e.TranscriptArrivedLate():
                began, ended = self._spoken.pop(event.item, (0, 0))
                usage = {"type": "duration", "seconds": (ended - began) / 1000}
                server.transcription_completed(self._items.pop(event.item, event.item), event.transcript, usage)
            case e.InputTranscribed(status="failed" | "late"):
                item = self._items.get(event.item, event.item)
                server.transcription_failed(item, event.status, "The words of this audio are not known.")

    def media(self, signal: s.Signal) -> list[bytes]:
        """Audio and words of a response as deltas, in the modality of that response; the first one opens its item."""
        if not isinstance(signal, (s.OutputAudio, s.OutputText)) or (mine := self._responses.get(signal.response)) is None:
            return []
        match signal:
            case s.OutputAudio(audio=audio):
                if self._in_text(mine):
                    return []
                self._server.output_audio(mine, audio)
            case s.OutputText(text=text, spoken=spoken):
                if spoken and not self._in_text(mine):
                    self._server.output_transcript(mine, text)
                else:
                    self._server.output_text(mine, text)
        return self._server.messages_to_send()

    def _in_text(self, response: str) -> bool:
        return self._server.settings(response).output_modalities == ["text"]


def _outcome(ended: e.ResponseEnded) -> Outcome:
    status = ended.status if ended.status in ("completed", "cancelled", "failed", "incomplete") else "failed"
    return Outcome(status=status, reason=ended.code, code=ended.code, message=ended.message, usage=ended.usage)  # type: ignore[arg-type] # one of the four
