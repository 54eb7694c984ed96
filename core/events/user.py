"""The user's side: speech, words, turns, and what callers asked of the session."""

from typing import Any, Literal

from .base import Event

__all__ = [
    "AnswerAsked",
    "AnswerTimedOut",
    "AnswersSwitched",
    "CallerCancelled",
    "DigitPressed",
    "InputClearAsked",
    "InputCommitAsked",
    "InputCommitted",
    "InputTranscribed",
    "ItemSeeded",
    "SettingsAsked",
    "SpeechStarted",
    "SpeechStopped",
    "TranscriptArrivedLate",
    "TurnDiscarded",
    "TurnEnded",
]


class SpeechStarted(Event, frozen=True, kw_only=True):
    """The user began to speak, as the provider's voice activity detection heard it (prefix padding included).

    held: the callers are not told yet, because standard clients stop playing when they are; SpeechConfirmed tells them.
    """

    item: str
    audio_start_ms: int
    held: bool = False


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
    channel: Literal["audio", "text", "dtmf"] = "audio"
    start_ms: int | None = None
    end_ms: int | None = None
    transcript_status: Literal["completed", "failed", "late", "none"] = "completed"
    interrupted: list[str] = []  # says (or responses of the model) that this turn's speech cut short


class TurnDiscarded(Event, frozen=True, kw_only=True):
    """Audio that turned out to be no contribution: it held no words, repeated what was being said to it, or only nodded."""

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
    """The caller's response.create: the handler's next say answers it, or the model does.

    held: it comes behind the client's own outputs, and tools of ours that the same response called still run. It is asked for
    when their outputs are there, too: one answer follows, which knows all of them.
    """

    link: str
    event_id: str | None = None
    request: dict[str, Any] = {}
    held: bool = False


class AnswerTimedOut(Event, frozen=True, kw_only=True):
    """No say came within answer_timeout: the caller gets a completed, empty response."""

    link: str


class CallerCancelled(Event, frozen=True, kw_only=True):
    """The caller's response.cancel or output_audio_buffer.clear; response: which one, "" for what sounds."""

    link: str
    response: str = ""


class DigitPressed(Event, frozen=True, kw_only=True):
    """A key of the caller's telephone (DTMF)."""

    digit: str


class AnswersSwitched(Event, frozen=True, kw_only=True):
    """From here on the handler, or the model, answers: the provider has confirmed the change."""

    answers: Literal["handler", "model"]
