"""The client's side of the Realtime protocol: what a provider says becomes signals, what we want becomes wire bytes.

Sans-I/O: no socket, no clock, no ids of its own. One instance serves one connection. Whoever holds it sends the bytes it
builds, in the order built. A peer without session.created (a sideband, a gateway) is as good as one with it.
"""

from collections.abc import Sequence
from typing import Any

from ...core.errors import ProtocolError
from ...core.signals import (
    AudioCleared,
    AudioCommitted,
    DigitDialled,
    ItemAdded,
    ProviderBuffer,
    ProviderConfigured,
    ProviderError,
    ProviderGreeted,
    ProviderTruncated,
    ResponseRefused,
    Signal,
    SpeechBegan,
    SpeechCeased,
    TranscriptCompleted,
    TranscriptFailed,
)
from .audio import PCM16
from .audio_form import AudioReader
from .audio_run import AudioRead
from .client_parts import item_text
from .client_responses import Create, Creates, ResponseTracker
from .durations import session_format
from .message_objects import ErrorBody, Item
from .messages import (
    BufferCleared,
    BufferCommitted,
    DigitReceived,
    ErrorEvent,
    FunctionCallDone,
    ItemStored,
    ItemTruncated,
    OutputAudioDelta,
    OutputBufferCleared,
    OutputBufferStarted,
    OutputBufferStopped,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    OutputTranscriptDelta,
    OutputTranscriptDone,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
    TranscriptionFailed,
    View,
)
from .recent import Recent
from .say_form import CLIP_KEY, SAY_KEY, compose
from .wire import Message, audio_text, encode_event

__all__ = ["ClientProtocol"]

_AUDIO_PARTS = frozenset({"input_audio", "output_audio", "audio"})


class ClientProtocol:
    """One connection to a provider. Builders raise ProtocolError TL307 where a call would break the protocol."""

    def __init__(self) -> None:
        self._closed = False
        self._output = PCM16
        self._creates = Creates()
        self._responses = ResponseTracker()
        self._audio: AudioReader[OutputAudioDelta] = AudioReader()
        self._items = Recent()  # announced: a dialect may announce an item under two names

    # Public methods for receiving messages.

    def receive(self, message: Message) -> list[Signal]:
        """What this message means. Raises InvalidMessage TL305 for audio that is not base64."""
        if self._closed or message.view is None:
            return []
        if isinstance(message.view, OutputAudioDelta):
            audio = audio_text(message)
            self._audio.learn(message.raw, message.view, bytes(message.view.delta))
            return self._responses.receive_audio(message.view, audio, self._output)
        return self._receive_response(message.view)

    def receive_audio(self, raw: bytes) -> list[Signal] | None:
        """What a message means that is like the last piece of audio; None for any other, which is to be parsed."""
        if (heard := self._audio.read(raw)) is None or self._closed:
            return None
        view, text, payload = heard
        return self._responses.receive_audio(view, text, self._output, payload)

    def audio_run(self) -> AudioRead | None:
        """How the audio that follows the last piece is read, as long as nothing else comes; None if that cannot be said."""
        return None if self._closed else self._responses.audio_run(self._audio)

    def receive_close(self) -> None:
        """The connection is gone: what still arrives means nothing, and nothing more may be sent."""
        self._closed = True

    def _receive_response(self, view: View) -> list[Signal]:
        match view:
            case OutputTranscriptDelta() | OutputTextDelta():
                return self._responses.receive_text(view, self._output)
            case OutputTranscriptDone() | OutputTextDone():
                return self._responses.receive_text_done(view)
            case OutputItemAdded() | OutputItemDone():
                return self._responses.receive_item(view, self._output)
            case FunctionCallDone():
                return self._responses.receive_arguments(view, self._output)
            case ResponseCreated(response=response):
                create = self._creates.begun(response.metadata)
                return self._responses.receive_created(response, create, self._output)
            case ResponseDone(response=response):
                create = self._creates.begun(response.metadata)  # pending only if its created was missed
                return self._responses.receive_done(view, create, self._output)
            case OutputBufferStarted(response_id=response_id):
                return [ProviderBuffer(response=response_id, state="started")]
            case OutputBufferStopped(response_id=response_id):
                return [ProviderBuffer(response=response_id, state="stopped")]
            case OutputBufferCleared(response_id=response_id):
                return [ProviderBuffer(response=response_id, state="cleared")]
            case ErrorEvent(error=error):
                return self._receive_error(error)
            case _:
                return self._receive_session(view)

    def _receive_session(self, view: View) -> list[Signal]:
        match view:
            case SessionCreated(session=session):
                self._output = session_format(session, "output")
                return [ProviderGreeted(provider_session=str(session.get("id") or ""), session=session)]
            case SessionUpdated(session=session):
                self._output = session_format(session, "output")
                return [ProviderConfigured(session=session)]
            case SpeechStarted(item_id=item, audio_start_ms=start):
                return [SpeechBegan(item=item, audio_start_ms=start)]
            case SpeechStopped(item_id=item, audio_end_ms=end):
                return [SpeechCeased(item=item, audio_end_ms=end)]
            case BufferCommitted(item_id=item, previous_item_id=previous):
                return [AudioCommitted(item=item, previous_item=previous)]
            case BufferCleared():
                return [AudioCleared()]
            case DigitReceived(event=digit):
                return [DigitDialled(digit=digit)]
            case ItemTruncated(item_id=item, content_index=index, audio_end_ms=end):
                return [ProviderTruncated(item=item, content_index=index, audio_end_ms=end)]
            case ItemStored(item=stored, previous_item_id=previous):
                return self._receive_item(stored, previous)
            case TranscriptionCompleted(item_id=item, transcript=transcript, status=status):
                return [TranscriptCompleted(item=item, transcript=transcript or "")] if status in (None, "completed") else []
            case TranscriptionFailed(item_id=item, error=error):
                error = error or ErrorBody()
                return [TranscriptFailed(item=item, code=error.code or error.type or "", message=error.message or "")]
            case _:
                return []  # a client's own type, come back: nothing for us

    def _receive_item(self, item: Item, previous: str | None) -> list[Signal]:
        if item.id is None or item.id in self._items:
            return []
        self._items.add(item.id)
        has_audio = any(part.type in _AUDIO_PARTS for part in item.content or ())
        return [
            ItemAdded(
                item=item.id, previous_item=previous, kind=item.type, role=item.role, text=item_text(item), has_audio=has_audio
            )
        ]

    def _receive_error(self, error: ErrorBody) -> list[Signal]:
        code, text = error.code or error.type or "", error.message or ""
        if code == "response_cancel_not_active":
            return []  # what we cancelled was over already: cancelled or done, it is what we wanted
        create = self._creates.refused(error.event_id, code)
        if create is not None:
            return [
                ResponseRefused(
                    say=create.say, attempt=create.attempt, code=code, message=text, event_id=create.event_id
                )
            ]
        return [ProviderError(code=code, message=text, param=error.param, event_id=error.event_id)]

    # Public methods for building messages to send: the session and its input.

    def configure(self, session: dict[str, Any], *, event_id: str | None = None) -> bytes:
        """session.update with these changes; `type` is added, as the protocol wants it every time."""
        return self._build("session.update", event_id, session={"type": "realtime", **session})

    def append_audio(self, base64_text: bytes) -> bytes:
        """input_audio_buffer.append of base64 text that has been checked (audio_text, check_base64)."""
        if self._closed:
            raise _closed("input_audio_buffer.append")
        return b'{"type":"input_audio_buffer.append","audio":"' + base64_text + b'"}'

    def commit(self, *, event_id: str | None = None) -> bytes:
        """input_audio_buffer.commit: the turn is over (turn_detection null)."""
        return self._build("input_audio_buffer.commit", event_id)

    def clear(self, *, event_id: str | None = None) -> bytes:
        """input_audio_buffer.clear: forget what was appended and not committed."""
        return self._build("input_audio_buffer.clear", event_id)

    def clear_output(self, *, event_id: str | None = None) -> bytes:
        """output_audio_buffer.clear: a peer that plays to its caller itself is to drop what it has not played."""
        return self._build("output_audio_buffer.clear", event_id)

    def create_item(self, item: dict[str, Any], *, previous: str | None = None, event_id: str | None = None) -> bytes:
        """conversation.item.create behind `previous` (None: at the end; "root": first)."""
        place = {} if previous is None else {"previous_item_id": previous}
        return self._build("conversation.item.create", event_id, **place, item=item)

    def function_output(self, call_id: str, output: str, *, event_id: str | None = None) -> bytes:
        """conversation.item.create with the result of a call."""
        return self.create_item({"type": "function_call_output", "call_id": call_id, "output": output}, event_id=event_id)

    # Public methods for building messages to send: responses.

    def speak(
        self,
        say: str,
        attempt: int,
        text: str,
        *,
        conversation: str = "none",
        output: dict[str, Any] | None = None,
        modalities: Sequence[str] = ("audio",),
    ) -> bytes:
        """response.create that speaks exactly `text`. `output` is its audio.output (voice, format); event_id is say:attempt."""
        if conversation not in ("none", "auto"):
            raise ProtocolError("TL307", f"a say goes to the conversation 'none' or 'auto', not {conversation!r}")
        request: dict[str, Any] = {
            "conversation": conversation,
            "input": [],
            "instructions": compose(text),
            "output_modalities": list(modalities),
            "tools": [],
            "tool_choice": "none",
            "metadata": {SAY_KEY: say},
        }
        if output is not None:
            request["audio"] = {"output": output}
        create = Create(event_id=f"{say}:{attempt}", say=say, attempt=attempt, in_band=conversation == "auto")
        return self._create(create, request)

    def play(self, say: str, attempt: int, digest: str, *, output: dict[str, Any], modalities: Sequence[str]) -> bytes:
        """response.create that plays the recording of this digest, on a line whose other end has it."""
        request = {
            "conversation": "none",
            "input": [],
            "output_modalities": list(modalities),
            "metadata": {SAY_KEY: say, CLIP_KEY: digest},
            "audio": {"output": output},
        }
        return self._create(Create(event_id=f"{say}:{attempt}", say=say, attempt=attempt, in_band=False), request)

    def create_response(self, request: dict[str, Any] | None, event_id: str) -> bytes:
        """response.create as given (None: from the session alone)."""
        in_band = (request or {}).get("conversation") != "none"
        return self._create(Create(event_id=event_id, say=None, attempt=0, in_band=in_band), request)

    def cancel(self, response: str | None = None, *, event_id: str | None = None) -> bytes:
        """response.cancel; without an id it means the response in the conversation."""
        which = {} if response is None else {"response_id": response}
        return self._build("response.cancel", event_id, **which)

    def truncate(self, item: str, content_index: int, audio_end_ms: int, *, event_id: str | None = None) -> bytes:
        """conversation.item.truncate: only so much of the item's audio was heard."""
        if audio_end_ms < 0 or content_index < 0:
            raise ProtocolError("TL307", f"item {item} cannot be truncated at part {content_index}, {audio_end_ms} ms")
        fields = {"item_id": item, "content_index": content_index, "audio_end_ms": audio_end_ms}
        return self._build("conversation.item.truncate", event_id, **fields)

    def delete_item(self, item: str, *, event_id: str | None = None) -> bytes:
        """conversation.item.delete."""
        return self._build("conversation.item.delete", event_id, item_id=item)

    # Private methods.

    def _create(self, create: Create, request: dict[str, Any] | None) -> bytes:
        if create.event_id in self._creates:
            raise ProtocolError(
                "TL307", f"response.create {create.event_id} is still unanswered", "use another event_id or attempt"
            )
        fields = {} if request is None else {"response": request}
        built = self._build("response.create", create.event_id, **fields)
        self._creates.add(create)
        return built

    def _build(self, type_: str, event_id: str | None, /, **fields: Any) -> bytes:
        if self._closed:
            raise _closed(type_)
        return encode_event(type_, event_id, **fields)


def _closed(type_: str) -> ProtocolError:
    return ProtocolError("TL307", f"{type_} cannot be sent: the connection is closed", "open a new link first")
