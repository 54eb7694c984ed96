"""Every fact a session's log can hold: frozen structs in the past tense.

A new field has a default; a changed meaning is a new type. Names here are the `type` column and stay for ever.
`cause` is not part of an event: it is the seq of the event that caused it, or a Root, and stands beside it in the log.
"""

from enum import IntEnum
from typing import Any, Literal

import msgspec

from .commands import Call, End, Input, Say, Site
from .definition import SessionDefinition

__all__ = [
    "EVENT_TYPES",
    "WIRE_TYPES",
    "AnswerAsked",
    "AnswerDispatched",
    "AnswerTimedOut",
    "AudioStarted",
    "CallCompleted",
    "CallFailed",
    "CallRequested",
    "CallersGone",
    "CommandAbandoned",
    "ConfigurationDispatched",
    "EndRequested",
    "Erased",
    "Event",
    "HandlerFailed",
    "HandlerReturned",
    "InputClearAsked",
    "InputClearDispatched",
    "InputCommitAsked",
    "InputCommitDispatched",
    "InputCommitted",
    "InputRequested",
    "InputTranscribed",
    "ItemForwarded",
    "ItemSeeded",
    "LinkClosed",
    "LinkFailed",
    "LinkOpened",
    "LinkReady",
    "MediaRecorded",
    "PeerFaulted",
    "PlayoutEnded",
    "ResponseEnded",
    "ResponseStarted",
    "Root",
    "SayDispatched",
    "SayRefused",
    "SayRequested",
    "SaySettled",
    "SessionEnded",
    "SessionEnding",
    "SessionStarted",
    "SettingsAsked",
    "SpeechStarted",
    "SpeechStopped",
    "TimerFired",
    "ToolAnswered",
    "ToolOutputDispatched",
    "ToolRequested",
    "TranscriptArrivedLate",
    "TransportReceived",
    "TransportSent",
    "TurnDiscarded",
    "TurnEnded",
    "Unknown",
]


class Root(IntEnum):
    """Causes that are no event of this log."""

    WIRE = -1  # a message arrived
    TIMER = -2  # a deadline passed
    API = -3  # the embedding program asked
    START = -4  # the session began
    HOST = -5  # something outside finished: a tool, a link, the handler's task


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events."""


# --- lifecycle ---


class SessionStarted(Event, frozen=True, kw_only=True):
    """The first event of every log."""

    session: str
    target: str
    definition: SessionDefinition
    metadata: dict[str, Any] = {}
    python: str = ""  # major.minor the handler ran on; replay promises identity on the same minor
    code_version: str = ""  # digest of the handler's source
    handler: str = ""  # module:function
    engine_flags: int = 0  # choices of scheduling that are part of the log's contract
    replayable: bool = True


class SessionEnding(Event, frozen=True, kw_only=True):
    """Asked to end, or must: no new say is accepted; queued ones are spoken first if `drain`."""

    reason: str
    code: str = ""
    detail: str = ""
    drain: bool = False


class SessionEnded(Event, frozen=True, kw_only=True):
    """The last event. reason: completed, caller_gone, provider_lost, handler_failed, engine_stopped, or the user's own."""

    reason: str
    code: str = ""
    detail: str = ""


# --- links and what passes over them ---


class LinkOpened(Event, frozen=True, kw_only=True):
    """A connection stands. side: provider or caller."""

    link: str
    side: Literal["provider", "caller"]
    transport: str
    peer: str = ""


class LinkReady(Event, frozen=True, kw_only=True):
    """The provider has confirmed our configuration; `session` is the effective one."""

    link: str
    session: dict[str, Any] = {}


class LinkClosed(Event, frozen=True, kw_only=True):
    """A connection is gone."""

    link: str
    code: int = 1000
    reason: str = ""


class LinkFailed(Event, frozen=True, kw_only=True):
    """A connection could not be opened."""

    side: Literal["provider", "caller"]
    code: str
    message: str


class CallersGone(Event, frozen=True, kw_only=True):
    """The last caller link closed: nobody hears or speaks any more."""

    reason: str = ""


class TransportReceived(Event, frozen=True, kw_only=True):
    """A control message from a peer, verbatim. n: its ordinal among all messages of that link and direction."""

    link: str
    n: int
    data: bytes


class TransportSent(Event, frozen=True, kw_only=True):
    """A control message handed to a link, verbatim; committed before it is sent."""

    link: str
    n: int
    data: bytes


class MediaRecorded(Event, frozen=True, kw_only=True):
    """A media segment stands in the media table, appended together with this event."""

    track: str
    n: int
    duration_ms: int
    digest: bytes
    messages: int
    first: int  # ordinal of the first message in it
    peaks: bytes = b""  # one byte per 10 ms of audio: peak level / 128


class PeerFaulted(Event, frozen=True, kw_only=True):
    """A peer sent what cannot be used; the message itself stands in the event before."""

    link: str
    code: str
    message: str


# --- the user's side ---


class SpeechStarted(Event, frozen=True, kw_only=True):
    """The user began to speak, as the provider's voice activity detection heard it (prefix padding included)."""

    item: str
    audio_start_ms: int


class SpeechStopped(Event, frozen=True, kw_only=True):
    """The user stopped speaking."""

    item: str
    audio_end_ms: int


class InputCommitted(Event, frozen=True, kw_only=True):
    """Audio became a user item of the conversation; its words may still be on their way."""

    item: str
    previous_item: str | None = None


class InputTranscribed(Event, frozen=True, kw_only=True):
    """The words of a committed item, or that there will be none; turns end in the order of their commits."""

    item: str
    transcript: str
    status: Literal["completed", "failed", "late", "none"] = "completed"


class TurnEnded(Event, frozen=True, kw_only=True):
    """The user's contribution is complete: what the handler's input() returns."""

    turn: int
    item: str
    text: str
    transcript: str | None = None
    channel: Literal["audio", "text"] = "audio"
    start_ms: int | None = None
    end_ms: int | None = None
    transcript_status: Literal["completed", "failed", "late", "none"] = "completed"


class TurnDiscarded(Event, frozen=True, kw_only=True):
    """Audio that turned out to hold no words."""

    item: str
    reason: str


class TranscriptArrivedLate(Event, frozen=True, kw_only=True):
    """Words that came after their turn had ended without them. They change nothing."""

    item: str
    transcript: str


class ItemSeeded(Event, frozen=True, kw_only=True):
    """The caller put an item into the conversation."""

    link: str
    item: str
    role: str | None
    text: str
    raw: dict[str, Any] = {}


class InputCommitAsked(Event, frozen=True, kw_only=True):
    """The caller's input_audio_buffer.commit (it decides itself where its turns end)."""

    link: str


class InputClearAsked(Event, frozen=True, kw_only=True):
    """The caller's input_audio_buffer.clear."""

    link: str


class SettingsAsked(Event, frozen=True, kw_only=True):
    """The caller's session.update, the part of it that applies: modalities, voice, turn detection timing."""

    link: str
    settings: dict[str, Any]


class AnswerAsked(Event, frozen=True, kw_only=True):
    """The caller's response.create: the handler's next say answers it."""

    link: str
    event_id: str | None = None
    request: dict[str, Any] = {}


class AnswerTimedOut(Event, frozen=True, kw_only=True):
    """No say came within answer_timeout: the caller gets a completed, empty response."""

    link: str


# --- the handler's journal ---


class InputRequested(Event, frozen=True, kw_only=True):
    """session.input()."""

    index: int
    command: Input
    site: Site


class SayRequested(Event, frozen=True, kw_only=True):
    """session.say(): from here the words are owed to the caller until SaySettled."""

    index: int
    say: str
    command: Say
    site: Site


class CallRequested(Event, frozen=True, kw_only=True):
    """session.call(): the tool runs once this is durable. `call` is the same on every attempt."""

    index: int
    call: str
    command: Call
    site: Site


class CallCompleted(Event, frozen=True, kw_only=True):
    """A tool returned; `result` is msgpack."""

    index: int
    result: bytes


class CallFailed(Event, frozen=True, kw_only=True):
    """A tool raised, or is not there."""

    index: int
    type_name: str
    message: str


class EndRequested(Event, frozen=True, kw_only=True):
    """session.end()."""

    index: int
    command: End
    site: Site


class CommandAbandoned(Event, frozen=True, kw_only=True):
    """The await of command `command` was cancelled."""

    index: int
    command: int


class TimerFired(Event, frozen=True, kw_only=True):
    """A timer of the handler's loop, numbered by creation."""

    timer: int
    deadline_ns: int


class HandlerReturned(Event, frozen=True, kw_only=True):
    """The handler's coroutine returned."""

    index: int


class HandlerFailed(Event, frozen=True, kw_only=True):
    """The handler's coroutine raised."""

    index: int
    type_name: str
    message: str
    traceback: list[str] = []


# --- towards the provider ---


class ConfigurationDispatched(Event, frozen=True, kw_only=True):
    """session.update with our configuration is on its way. settings: what callers asked for, merged over the definition."""

    link: str
    settings: dict[str, Any] = {}


class SayDispatched(Event, frozen=True, kw_only=True):
    """An attempt to have a say spoken."""

    say: str
    attempt: int
    link: str
    text: str = ""


class SayRefused(Event, frozen=True, kw_only=True):
    """The provider refused an attempt; the say stays owed."""

    say: str
    attempt: int
    code: str
    message: str = ""


class ItemForwarded(Event, frozen=True, kw_only=True):
    """A caller's item is on its way to the provider."""

    link: str
    item: str
    raw: dict[str, Any]


class AnswerDispatched(Event, frozen=True, kw_only=True):
    """The model was asked to answer (response.create). cause: the caller's ask or a tool's answer."""

    link: str
    request: dict[str, Any] = {}


class InputCommitDispatched(Event, frozen=True, kw_only=True):
    """The caller's explicit commit of its audio is on its way to the provider."""

    link: str


class InputClearDispatched(Event, frozen=True, kw_only=True):
    """The caller's clear of its uncommitted audio is on its way to the provider."""

    link: str


class ToolOutputDispatched(Event, frozen=True, kw_only=True):
    """A tool's output (JSON text) is on its way to the model."""

    link: str
    call_id: str
    output: str = ""


# --- from the provider ---


class ResponseStarted(Event, frozen=True, kw_only=True):
    """The provider began a response: the words of `say`, or the model's own."""

    response: str
    say: str | None = None
    attempt: int = 0


class AudioStarted(Event, frozen=True, kw_only=True):
    """The first audio of a response was delivered to the callers."""

    response: str


class ResponseEnded(Event, frozen=True, kw_only=True):
    """The provider finished a response; audio may still be playing at the caller."""

    response: str
    status: str
    code: str = ""
    message: str = ""
    generated_ms: int = 0
    transcript: str = ""
    usage: dict[str, Any] | None = None


class PlayoutEnded(Event, frozen=True, kw_only=True):
    """The caller has heard all there was of a response, by the clock; the mouth is free."""

    response: str


class SaySettled(Event, frozen=True, kw_only=True):
    """The one terminal state of a say. heard_ms is a measurement by `source`, good to error_ms."""

    say: str
    status: Literal["played", "interrupted", "cancelled", "failed"]
    code: str = ""
    requested_ms: int = 0
    generated_ms: int = 0
    heard_ms: int = 0
    source: Literal["clock", "none"] = "none"
    error_ms: int = 0
    heard_text: str = ""


class ToolRequested(Event, frozen=True, kw_only=True):
    """The model calls a tool."""

    response: str
    item: str
    call_id: str
    name: str
    arguments: str


class ToolAnswered(Event, frozen=True, kw_only=True):
    """A tool called by the model returned or failed; `output` is the JSON text the model will read."""

    call_id: str
    output: str
    ok: bool = True


# --- what is not of this version ---


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """An event type this version does not know: kept, chained, skipped by folds."""

    type: str
    version: int


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """An event whose payload was erased; its digest still holds the chain."""

    type: str


EVENT_TYPES: dict[str, type[Event]] = {cls.__name__: cls for cls in Event.__subclasses__()}
WIRE_TYPES = frozenset({"TransportReceived", "TransportSent", "MediaRecorded"})
