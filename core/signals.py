"""What a Realtime message means, once read: the input of SessionCore.decide.

transports/realtime turns wire messages into signals; the core never sees JSON. Signals are not stored (the verbatim
message is), so they may change freely. Durations are milliseconds on the named timeline.
"""

from typing import Any, Literal

import msgspec

from .events.playout import PartGenerated, PlayoutSource

__all__ = [
    "AnswerRequested",
    "Audio",
    "AudioAppended",
    "AudioCleared",
    "AudioCommitted",
    "CallerConfigured",
    "CancelRequested",
    "CommitRequested",
    "DigitDialled",
    "FunctionCalled",
    "ItemAdded",
    "ItemCreated",
    "OutputAudio",
    "OutputCleared",
    "OutputText",
    "PlayoutReported",
    "ProviderBuffer",
    "ProviderConfigured",
    "ProviderError",
    "ProviderGreeted",
    "ProviderTruncated",
    "ResponseBegan",
    "ResponseFinished",
    "ResponseRefused",
    "Signal",
    "SpeechBegan",
    "SpeechCeased",
    "SpeechLasted",
    "TranscriptCompleted",
    "TranscriptFailed",
    "WatchAsked",
]


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all signals."""


# --- from the provider ---


class ProviderGreeted(Signal, frozen=True, kw_only=True):
    """session.created: the link speaks Realtime. A sideband never greets."""

    provider_session: str
    session: dict[str, Any]


class ProviderConfigured(Signal, frozen=True, kw_only=True):
    """session.updated: the full, merged, effective session."""

    session: dict[str, Any]


class SpeechBegan(Signal, frozen=True, kw_only=True):
    """input_audio_buffer.speech_started. `audio_start_ms` includes the prefix padding."""

    item: str
    audio_start_ms: int


class SpeechCeased(Signal, frozen=True, kw_only=True):
    """input_audio_buffer.speech_stopped."""

    item: str
    audio_end_ms: int


class AudioCommitted(Signal, frozen=True, kw_only=True):
    """input_audio_buffer.committed: this user item now holds the audio."""

    item: str
    previous_item: str | None


class AudioCleared(Signal, frozen=True, kw_only=True):
    """input_audio_buffer.cleared (from the provider) or a clear asked for by the caller."""


class ItemAdded(Signal, frozen=True, kw_only=True):
    """conversation.item.added: the order of the conversation is the order of these."""

    item: str
    previous_item: str | None
    kind: str  # message | function_call | function_call_output | …
    role: str | None
    text: str  # input_text / output_text / known transcript, joined; "" for audio whose words are not known yet
    has_audio: bool


class TranscriptCompleted(Signal, frozen=True, kw_only=True):
    """…input_audio_transcription.completed, final (xAI's status "in_progress" ones are not)."""

    item: str
    transcript: str


class TranscriptFailed(Signal, frozen=True, kw_only=True):
    """…input_audio_transcription.failed."""

    item: str
    code: str
    message: str


class ResponseBegan(Signal, frozen=True, kw_only=True):
    """response.created. `say` and `attempt` when its metadata names one of ours; `in_band` if it writes the conversation."""

    response: str
    say: str | None
    attempt: int
    in_band: bool


class ResponseFinished(Signal, frozen=True, kw_only=True):
    """response.done. generated_ms and transcript are summed by the machine over all audio it saw of this response."""

    response: str
    status: str  # completed | cancelled | failed | incomplete
    code: str  # status_details: reason or error code, else ""
    message: str
    generated_ms: int
    transcript: str  # the spoken words, or the text of a text response
    usage: dict[str, Any] | None
    parts: list[PartGenerated] = []  # per (item, content index), in the order they began


class ResponseRefused(Signal, frozen=True, kw_only=True):
    """An error that answers one of our response.create (by error.event_id): nothing will come of that attempt."""

    say: str | None
    attempt: int
    code: str
    message: str
    event_id: str = ""  # of the response.create


class FunctionCalled(Signal, frozen=True, kw_only=True):
    """response.function_call_arguments.done joined with its item: the model calls a tool."""

    response: str
    item: str
    call_id: str
    name: str
    arguments: str  # JSON text, verbatim
    output_index: int = 0  # its place in the response


class ProviderError(Signal, frozen=True, kw_only=True):
    """Any other error event. The session stays open unless the code says otherwise (session_expired)."""

    code: str
    message: str
    param: str | None
    event_id: str | None


class ProviderTruncated(Signal, frozen=True, kw_only=True):
    """conversation.item.truncated: the provider cut an item, as we asked or (over WebRTC) by itself."""

    item: str
    content_index: int
    audio_end_ms: int


class ProviderBuffer(Signal, frozen=True, kw_only=True):
    """output_audio_buffer.started, .stopped or .cleared: what the provider's own media path plays of a response."""

    response: str
    state: Literal["started", "stopped", "cleared"]


class DigitDialled(Signal, frozen=True, kw_only=True):
    """input_audio_buffer.dtmf_event_received: a key of the caller's telephone."""

    digit: str


# --- media, both directions; delivered at once, logged in segments ---


class Audio(Signal, frozen=True, kw_only=True):
    """A piece of audio, either way. `audio` is the base64 text exactly as it stood on the wire."""

    audio: bytes
    ms: float  # duration of the payload in the configured format
    payload: bytes | None = None  # decoded, where that was done on the way and encoding it gives `audio` again


class OutputAudio(Audio, frozen=True, kw_only=True):
    """response.output_audio.delta."""

    response: str
    item: str
    content_index: int


class OutputText(Signal, frozen=True, kw_only=True):
    """A transcript or text delta of a response."""

    response: str
    item: str
    content_index: int
    text: str
    spoken: bool  # True: words of the audio (output_audio_transcript); False: a text response (output_text)


class AudioAppended(Audio, frozen=True, kw_only=True):
    """input_audio_buffer.append from the caller."""


# --- from the caller ---


class CallerConfigured(Signal, frozen=True, kw_only=True):
    """session.update from the caller, already merged and answered by the server machine. `changes` as it was sent."""

    changes: dict[str, Any]
    session: dict[str, Any]


class ItemCreated(Signal, frozen=True, kw_only=True):
    """conversation.item.create from the caller, accepted (added and done were answered). `raw` is the item as sent."""

    item: str
    kind: str
    role: str | None
    text: str
    raw: dict[str, Any]


class CommitRequested(Signal, frozen=True, kw_only=True):
    """input_audio_buffer.commit from the caller (turn detection null)."""

    item: str


class AnswerRequested(Signal, frozen=True, kw_only=True):
    """response.create from the caller. `request` is its response object as sent ({} if none).

    `response` is the id kept for the answer: an in-band one holds the conversation from here to its response.done.
    """

    event_id: str | None
    request: dict[str, Any]
    out_of_band: bool
    response: str = ""


class CancelRequested(Signal, frozen=True, kw_only=True):
    """response.cancel from the caller. `response` is the id it named; "" for the one in the conversation."""

    event_id: str | None
    response: str = ""


class OutputCleared(Signal, frozen=True, kw_only=True):
    """output_audio_buffer.clear from the caller: nothing of what was sent is to sound any more."""

    event_id: str | None = None


class PlayoutReported(Signal, frozen=True, kw_only=True):
    """How much of a part the caller has played: conversation.item.truncate (final) or turnlog.playout (under way).

    `response` is "" where a machine does not know it (a truncated item of the history).
    """

    response: str
    item: str
    content_index: int
    played_ms: int
    final: bool
    source: PlayoutSource = "ack"
    halted: bool = False  # no more of it is played, by whose will ever


class WatchAsked(Signal, frozen=True, kw_only=True):
    """turnlog.watch: from now on this caller is told of turns, and of what became of says."""


# --- from the engine's own ears ---


class SpeechLasted(Signal, frozen=True, kw_only=True):
    """While something sounds the caller's audio has stayed above the bound of the outgoing level for `ms`."""

    ms: int
