"""The server's side of the Realtime protocol, towards a caller or as the body of a provider.

Sans-I/O: no socket, no clock; ids come from the callable it is given. What the client sends goes into receive(), what
the model does goes into the driver methods, and messages_to_send() gives the bytes that are owed. Everything that the
protocol alone decides (merging, order, echoes, errors) is done here; the signals leave the rest to whoever drives it.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from ...core.errors import ProtocolError
from ...core.signals import (
    AnswerRequested,
    AudioCleared,
    CallerConfigured,
    CancelRequested,
    OutputCleared,
    Signal,
    WatchAsked,
)
from . import refusals
from .audio import AudioFormat
from .audio_run import AudioWritten
from .checks import Refusal
from .client_messages import (
    AudioAppend,
    AudioClear,
    AudioCommit,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    LineFault,
    OutputBufferClear,
    PlayoutReport,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
    Watch,
)
from .durations import session_format
from .outbox import Outbox
from .server_input import ServerInput
from .server_items import ServerItems
from .server_output import WHOLE, Outcome, PartKey
from .server_responses import ServerResponses
from .session_config import ResponseSettings, default_session, merge_session, without_formats
from .wire import InvalidMessage, Message, event_id_of

__all__ = ["ServerProtocol"]

_Json = dict[str, Any]


class ServerProtocol:
    """One connection of a client. Driver methods raise ProtocolError TL307 where a call would break the protocol.

    plays: our end of the line plays to the client what it is sent, as over WebRTC, and reports of it: see server_buffer. The
    audio is PCM16 at 24 kHz then, whatever formats the client asks for.
    """

    def __init__(self, *, ids: Callable[[str], str], model: str, expires_at: int | None = None, plays: bool = False) -> None:
        self._outbox = Outbox(ids)
        self._session = default_session(ids("sess"), model, expires_at)
        self._items = ServerItems(self._outbox, plays=plays)
        self._responses = ServerResponses(self._outbox, self._items)
        self._input = ServerInput(self._outbox, self._items)

    @property
    def session(self) -> _Json:
        """The session object as it is now; never changed in place."""
        return self._session

    @property
    def items(self) -> list[_Json]:
        """The conversation's items, first to last, as a client knows them."""
        return self._items.conversation.items

    @property
    def history(self) -> list[_Json]:
        """The same as a model is to read them: a truncated item has the words that were heard of it."""
        return self._items.history()

    @property
    def active_response(self) -> str | None:
        """The in-band response that holds the conversation, requested or open."""
        return self._responses.holder

    # Public methods for opening, sending and closing.

    def start(self, overrides: _Json | None = None) -> None:
        """Greet with session.created. `overrides` are merged into the session first; TL307 if they are not valid."""
        if overrides:
            changes, plays = {"type": "realtime", **overrides}, self._items.buffer.plays
            merged = merge_session(self._session, changes, voice_locked=False, formats_fixed=plays)
            if isinstance(merged, Refusal):
                raise ProtocolError("TL307", f"the session's defaults are not valid: {merged.message}")
            self._session = merged
        self._outbox.send("session.created", session=self._session)

    def messages_to_send(self) -> list[bytes]:
        """Take the messages that are owed to the client, in order."""
        return self._outbox.drain()

    def close(self) -> None:
        """Owe nothing from now on and hear nothing; what was owed before can still be taken."""
        self._outbox.closed = True

    def expire(self) -> None:
        """The session has reached its maximum duration: say so, then close (the link closes with 1001)."""
        self._refuse(refusals.session_expired(), None)
        self.close()

    # Public methods for receiving messages.

    def receive(self, message: Message) -> list[Signal]:
        """What the client's message means. Never raises for a client's fault: that is answered with an `error` event."""
        if self._outbox.closed:
            return []
        try:
            if isinstance(message.view, AudioAppend):
                return [self._input.append(message, message.view, self._input_format)]
            return self._receive_view(message)
        except InvalidMessage as error:
            self.receive_invalid(error)
            return []

    def receive_audio(self, raw: bytes) -> list[Signal] | None:
        """What a message means that is like the last piece of audio; None for any other, which is to be parsed."""
        if self._outbox.closed or (heard := self._input.append_like_before(raw, self._input_format)) is None:
            return None
        return [heard]

    def receive_invalid(self, error: InvalidMessage) -> None:
        """The client sent what parse() refused: answer with an `error` event; the session stays open."""
        self._refuse(refusals.invalid_message(error), error.event_id)

    def _receive_view(self, message: Message) -> list[Signal]:
        match message.view:
            case SessionUpdate() as view:
                return self._receive_update(view)
            case AudioCommit() as view:
                committed = self._input.commit_asked()
                return self._refuse(committed, view.event_id) if isinstance(committed, Refusal) else [committed]
            case AudioClear():
                self._input.clear()
                return [AudioCleared()]
            case OutputBufferClear(event_id=event_id):
                if not self._items.buffer.clear() and (latest := self._items.sent.latest) is not None:
                    self._outbox.send("output_audio_buffer.cleared", response_id=latest)
                return [OutputCleared(event_id=event_id)]
            case ResponseCreate(event_id=event_id, response=request):
                accepted = self._responses.accept(event_id, request or {}, self._session)
                return self._refuse(accepted, event_id) if isinstance(accepted, Refusal) else [accepted]
            case ResponseCancel(event_id=event_id, response_id=response):
                if self._responses.named(response) is None:
                    return self._refuse(refusals.no_active_response(), event_id)
                return [CancelRequested(event_id=event_id, response=response or "")]
            case Watch():
                return [WatchAsked()]
            case LineFault(code=code, message=text) if self._items.buffer.plays:
                return self._refuse(Refusal(code=code, message=text), None)
            case (ItemCreate() | ItemDelete() | ItemRetrieve() | ItemTruncate() | PlayoutReport()) as view:
                speaking = self._responses.speaking is not None
                signals = self._items.receive(view, speaking=speaking, promised=self._input.promised)
                return self._refuse(signals, view.event_id) if isinstance(signals, Refusal) else signals
            case _:
                return self._refuse(refusals.unsupported_type(message.type), event_id_of(message))

    @property
    def _input_format(self) -> AudioFormat:
        return session_format(self._session, "input")

    def _receive_update(self, view: SessionUpdate) -> list[Signal]:
        locked, plays = self._responses.audio_produced, self._items.buffer.plays
        merged = merge_session(self._session, view.session, voice_locked=locked, formats_fixed=plays)
        if isinstance(merged, Refusal):
            return self._refuse(merged, view.event_id)
        self._session = merged
        self._outbox.send("session.updated", session=merged)
        return [CallerConfigured(changes=without_formats(view.session) if plays else view.session, session=merged)]

    def tell(self, type_: str, **fields: Any) -> None:
        """Owe a message of turnlog's own."""
        self._outbox.send(type_, **fields)

    def recall(self, item: _Json) -> None:
        """Put an item of the time before this connection into the conversation and say so."""
        self._items.add(item)

    def knows(self, item_id: str) -> bool:
        """Whether an item stands in the conversation."""
        return item_id in self._items.conversation

    # Public methods for driving: what the input side heard.

    def speech_started(self, item_id: str, audio_start_ms: int) -> None:
        """Speech began; `item_id` is the item that its commit will make."""
        self._input.speech_started(item_id, audio_start_ms)

    def speech_stopped(self, item_id: str, audio_end_ms: int) -> None:
        """Speech ended."""
        self._outbox.send("input_audio_buffer.speech_stopped", audio_end_ms=audio_end_ms, item_id=item_id)

    def digit(self, digit: str, received_at: int) -> None:
        """A key of the caller's telephone, at this Unix time in seconds."""
        self._outbox.send_bare("input_audio_buffer.dtmf_event_received", event=digit, received_at=received_at)

    def commit_audio(self, item_id: str) -> None:
        """Make a user item of the buffered audio; its words are not known yet."""
        self._input.commit(item_id)

    def transcription_delta(self, item_id: str, delta: str) -> None:
        """A piece of the user's words; may come before the item exists."""
        self._input.transcribed("delta", item_id, delta=delta)

    def transcription_completed(self, item_id: str, transcript: str, usage: _Json) -> None:
        """The user's words. `usage`: {"type": "duration", "seconds": …} or {"type": "tokens", …}."""
        self._input.transcribed("completed", item_id, transcript=transcript, usage=usage)

    def transcription_failed(self, item_id: str, code: str, message: str) -> None:
        """The user's words will not be known."""
        error = {"type": "transcription_error", "code": code, "message": message, "param": None}
        self._input.transcribed("failed", item_id, error=error)

    # Public methods for driving: what the model says.

    def start_response(
        self, request: AnswerRequested | None = None, *, in_band: bool = True, metadata: dict[str, str] | None = None
    ) -> str:
        """response.created for a request (which brings its own band and metadata), or unasked for; returns the id."""
        if request is not None:
            return self._responses.start_requested(request.response)
        return self._responses.start(self._session, in_band=in_band, metadata=metadata)

    def settings(self, response_id: str) -> ResponseSettings:
        """What a requested or open response was created with."""
        return self._responses.settings(response_id)

    def output_item(self, response_id: str, part: PartKey = WHOLE) -> str | None:
        """The message item that an open response is writing for this part."""
        stream = self._responses.open(response_id)
        return None if stream is None else stream.item_id(part)

    def output_audio(self, response_id: str, base64_text: bytes, part: PartKey = WHOLE) -> None:
        """A piece of audio as checked base64 text. Like all output, dropped if the response is over."""
        if (stream := self._responses.open(response_id)) is not None:
            self._responses.audio_produced = True
            stream.audio(base64_text, part)

    def audio_run(self, response_id: str, part: PartKey) -> AudioWritten | None:
        """How more audio of this part is written, as long as nothing else is received or sent; None if that cannot be said."""
        stream = self._responses.open(response_id)
        return None if stream is None or self._outbox.closed else stream.audio_run(part)

    def output_transcript(self, response_id: str, delta: str, part: PartKey = WHOLE) -> None:
        """Words of the audio."""
        if (stream := self._responses.open(response_id)) is not None:
            stream.transcript(delta, part)

    def output_text(self, response_id: str, delta: str, part: PartKey = WHOLE) -> None:
        """Text of a text response."""
        if (stream := self._responses.open(response_id)) is not None:
            stream.text(delta, part)

    def function_call(self, response_id: str, call_id: str, name: str, arguments: str) -> None:
        """A whole call; `arguments` is JSON text."""
        if (stream := self._responses.open(response_id)) is not None:
            stream.function_call(call_id, name, arguments)

    def finish_response(self, response_id: str, outcome: Outcome | None = None) -> None:
        """Close what is open and say response.done; completed unless told otherwise. A second time does nothing."""
        outcome = Outcome() if outcome is None else outcome
        if self._responses.finish(response_id, outcome) and self._responses.speaking is None:
            self._items.release()

    def interrupt(self, reason: str = "turn_detected") -> str | None:
        """Cancel the open in-band response (barge-in); returns its id. Say speech_started first.

        Where we play, what is in the buffer of the conversation's responses, open or not, is thrown away too.
        """
        speaking = self._responses.speaking
        if speaking is not None:
            self.finish_response(speaking, Outcome(status="cancelled", reason=reason))
        self._items.buffer.interrupt()
        return speaking

    def clear_output(self) -> None:
        """Throw away what is in the buffer, where we play: output_audio_buffer.cleared for each of its responses."""
        self._items.buffer.clear()

    def cancel_response(self, response_id: str = "") -> str | None:
        """Do what a CancelRequested wants, also of a response that has not been started; returns the id, None if it is over."""
        which = self._responses.named(response_id or None)
        if which is not None:
            if self._responses.is_requested(which):
                self._responses.start_requested(which)
            self.finish_response(which, Outcome(status="cancelled", reason="client_cancelled"))
        return which

    # Private methods.

    def _refuse(self, refusal: Refusal, event_id: str | None) -> list[Signal]:
        error = {"type": "invalid_request_error", **msgspec.to_builtins(refusal), "event_id": event_id}
        self._outbox.send("error", error=error)
        return []
