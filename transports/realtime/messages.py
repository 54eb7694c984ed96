"""What turnlog reads out of a server's messages: one struct per wire type that it uses. client_messages has the others.

A view holds only the fields that are used; every other key stays in the raw text. Views are never encoded again.
A field without a default is one that no machine can go on without. Dialect names of the beta protocol are subclasses.
"""

from typing import Any

import msgspec
from msgspec import Raw

from .message_objects import ErrorBody, Item, ResponseView

__all__ = [
    "BufferCleared",
    "BufferCommitted",
    "DigitReceived",
    "ErrorEvent",
    "FunctionCallDone",
    "ItemStored",
    "ItemTruncated",
    "OutputAudioDelta",
    "OutputBufferCleared",
    "OutputBufferStarted",
    "OutputBufferStopped",
    "OutputItemAdded",
    "OutputItemDone",
    "OutputTextDelta",
    "OutputTextDone",
    "OutputTranscriptDelta",
    "OutputTranscriptDone",
    "PartView",
    "ResponseCreated",
    "ResponseDone",
    "SessionCreated",
    "SessionUpdated",
    "SpeechStarted",
    "SpeechStopped",
    "TranscriptionCompleted",
    "TranscriptionFailed",
    "View",
]


class View(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all views. `event_id` is the sender's; one server event of the specification has none."""

    event_id: str | None = None


class SessionCreated(View, frozen=True, kw_only=True, tag="session.created"):
    """The server's greeting."""

    session: dict[str, Any]


class SessionUpdated(View, frozen=True, kw_only=True, tag="session.updated"):
    """The full merged session."""

    session: dict[str, Any]


class SpeechStarted(View, frozen=True, kw_only=True, tag="input_audio_buffer.speech_started"):
    """`audio_start_ms` includes the prefix padding."""

    item_id: str
    audio_start_ms: int


class SpeechStopped(View, frozen=True, kw_only=True, tag="input_audio_buffer.speech_stopped"):
    """`audio_end_ms` counts from the start of the input audio."""

    item_id: str
    audio_end_ms: int


class BufferCommitted(View, frozen=True, kw_only=True, tag="input_audio_buffer.committed"):
    """The buffered audio became an item."""

    item_id: str
    previous_item_id: str | None = None


class BufferCleared(View, frozen=True, kw_only=True, tag="input_audio_buffer.cleared"):
    """The buffered audio was thrown away."""


class DigitReceived(View, frozen=True, kw_only=True, tag="input_audio_buffer.dtmf_event_received"):
    """A key of a telephone; the one event of the specification without an event_id."""

    event: str


class ItemStored(View, frozen=True, kw_only=True, tag="conversation.item.added"):
    """An item took its place in the conversation."""

    item: Item
    previous_item_id: str | None = None


class BetaItemStored(ItemStored, frozen=True, kw_only=True, tag="conversation.item.created"):
    """The beta protocol's name of it."""


class ItemTruncated(View, frozen=True, kw_only=True, tag="conversation.item.truncated"):
    """The server holds only so much of an item's audio, and no words of that part."""

    item_id: str
    audio_end_ms: int
    content_index: int = 0


class TranscriptionCompleted(View, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.completed"):
    """`status` is a dialect's: with "in_progress" the transcript is not final."""

    item_id: str
    transcript: str | None = None
    status: str | None = None


class TranscriptionFailed(View, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.failed"):
    """No transcript will come for this item."""

    item_id: str
    error: ErrorBody | None = None


class ResponseCreated(View, frozen=True, kw_only=True, tag="response.created"):
    """A response began."""

    response: ResponseView


class _OutputBuffer(View, frozen=True, kw_only=True):
    """What the server's own media path (WebRTC, SIP) does with a response's audio."""

    response_id: str


class OutputBufferStarted(_OutputBuffer, frozen=True, kw_only=True, tag="output_audio_buffer.started"):
    """It plays."""


class OutputBufferStopped(_OutputBuffer, frozen=True, kw_only=True, tag="output_audio_buffer.stopped"):
    """It has played all of it."""


class OutputBufferCleared(_OutputBuffer, frozen=True, kw_only=True, tag="output_audio_buffer.cleared"):
    """It threw away what it had not played."""


class ResponseDone(View, frozen=True, kw_only=True, tag="response.done"):
    """A response ended: nothing of it may follow."""

    response: ResponseView


class OutputItemAdded(View, frozen=True, kw_only=True, tag="response.output_item.added"):
    """A response opened an item."""

    response_id: str
    item: Item
    output_index: int = 0


class OutputItemDone(View, frozen=True, kw_only=True, tag="response.output_item.done"):
    """A response closed an item; its `status` says whether it is whole."""

    response_id: str
    item: Item
    output_index: int = 0


class _OfPart(View, frozen=True, kw_only=True):
    """What all events of one output part name."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class OutputAudioDelta(_OfPart, frozen=True, kw_only=True, tag="response.output_audio.delta"):
    """`delta` is the JSON string of the base64 text, undecoded."""

    delta: Raw


class BetaOutputAudioDelta(OutputAudioDelta, frozen=True, kw_only=True, tag="response.audio.delta"):
    """The beta protocol's name of it."""


class OutputTranscriptDelta(_OfPart, frozen=True, kw_only=True, tag="response.output_audio_transcript.delta"):
    """Words of the audio."""

    delta: str


class BetaOutputTranscriptDelta(OutputTranscriptDelta, frozen=True, kw_only=True, tag="response.audio_transcript.delta"):
    """The beta protocol's name of it."""


class OutputTranscriptDone(_OfPart, frozen=True, kw_only=True, tag="response.output_audio_transcript.done"):
    """All words of the audio part."""

    transcript: str


class BetaOutputTranscriptDone(OutputTranscriptDone, frozen=True, kw_only=True, tag="response.audio_transcript.done"):
    """The beta protocol's name of it."""


class OutputTextDelta(_OfPart, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """Text of a text response."""

    delta: str


class BetaOutputTextDelta(OutputTextDelta, frozen=True, kw_only=True, tag="response.text.delta"):
    """The beta protocol's name of it."""


class OutputTextDone(_OfPart, frozen=True, kw_only=True, tag="response.output_text.done"):
    """All text of the part."""

    text: str


class BetaOutputTextDone(OutputTextDone, frozen=True, kw_only=True, tag="response.text.done"):
    """The beta protocol's name of it."""


class FunctionCallDone(View, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    """All arguments of a call. `name` is missing in some dialects: it stands in the item."""

    response_id: str
    item_id: str
    arguments: str
    call_id: str | None = None
    name: str | None = None
    output_index: int = 0


class ErrorEvent(View, frozen=True, kw_only=True, tag="error"):
    """The inner `event_id` names the client event that caused it."""

    error: ErrorBody


PartView = OutputAudioDelta | OutputTranscriptDelta | OutputTranscriptDone | OutputTextDelta | OutputTextDone
"""What tells of an output part; the beta protocol's are subclasses."""
