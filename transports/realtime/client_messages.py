"""What turnlog reads out of a client's messages: one struct per wire type that it uses. The rules are those of messages."""

from typing import Any, Literal

from msgspec import Raw

from .messages import View

__all__ = [
    "AudioAppend",
    "AudioClear",
    "AudioCommit",
    "ItemCreate",
    "ItemDelete",
    "ItemRetrieve",
    "ItemTruncate",
    "LineFault",
    "OutputBufferClear",
    "PlayoutReport",
    "ResponseCancel",
    "ResponseCreate",
    "SessionUpdate",
    "Watch",
]


class SessionUpdate(View, frozen=True, kw_only=True, tag="session.update"):
    """Changes to be merged into the session."""

    session: dict[str, Any]


class AudioAppend(View, frozen=True, kw_only=True, tag="input_audio_buffer.append"):
    """`audio` is the JSON string of the base64 text, undecoded."""

    audio: Raw


class AudioCommit(View, frozen=True, kw_only=True, tag="input_audio_buffer.commit"):
    """Make an item of the buffered audio."""


class AudioClear(View, frozen=True, kw_only=True, tag="input_audio_buffer.clear"):
    """Throw the buffered audio away."""


class ItemCreate(View, frozen=True, kw_only=True, tag="conversation.item.create"):
    """Put an item behind `previous_item_id` ("root": first; null: last)."""

    item: dict[str, Any]
    previous_item_id: str | None = None


class ItemDelete(View, frozen=True, kw_only=True, tag="conversation.item.delete"):
    """Take an item out of the conversation."""

    item_id: str


class ItemRetrieve(View, frozen=True, kw_only=True, tag="conversation.item.retrieve"):
    """Ask for an item as the server holds it."""

    item_id: str


class ItemTruncate(View, frozen=True, kw_only=True, tag="conversation.item.truncate"):
    """Tell how much of an assistant's audio was heard."""

    item_id: str
    content_index: int
    audio_end_ms: int


class OutputBufferClear(View, frozen=True, kw_only=True, tag="output_audio_buffer.clear"):
    """Nothing of what was sent is to sound any more."""


class PlayoutReport(View, frozen=True, kw_only=True, tag="turnlog.playout"):
    """turnlog's own, for clients that can tell: so much of an item's audio has been played by now.

    `source`: how they know: their player says so (ack), it passed a mark in the audio, or the clock of an RTP stream.
    `state`: told by our own end of a line that plays what it is sent: the item began to sound, has sounded, or was cut there.
    """

    item_id: str
    played_ms: int
    content_index: int = 0
    source: Literal["ack", "mark", "rtp"] = "ack"
    state: Literal["started", "stopped", "cleared"] | None = None


class LineFault(View, frozen=True, kw_only=True, tag="turnlog.fault"):
    """turnlog's own, told by our own end of a line: what came over it was no message, and its sender is to know why."""

    code: str
    message: str


class ResponseCreate(View, frozen=True, kw_only=True, tag="response.create"):
    """Ask for a response; `response` overrides the session for this one."""

    response: dict[str, Any] | None = None


class ResponseCancel(View, frozen=True, kw_only=True, tag="response.cancel"):
    """Stop a response; without an id, the one in the conversation."""

    response_id: str | None = None


class Watch(View, frozen=True, kw_only=True, tag="turnlog.watch"):
    """turnlog's own: tell me from now on of each turn, and of what became of each say."""
