"""The port of a model: what plugs into ModelServer to become a provider. Audio and text go in, deltas come out.

The server speaks the protocol, finds the turns and keeps the conversation; a model only hears words and makes answers.
One Model serves one session. It must not block the event loop.
"""

from collections.abc import AsyncGenerator
from typing import Any, Literal, Protocol

import msgspec

from ..realtime.session_config import ResponseSettings
from ..speech.vad import VoiceActivity

__all__ = ["Ask", "Audio", "Called", "Delta", "Failure", "Incomplete", "Model", "Text", "Used", "Words"]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A response that is wanted: its settings, and the items to answer, first to last, with the words heard so far.

    For a model that takes audio the last item that was spoken has, in place of its words, `pcm16`: bytes at VAD_RATE.
    """

    settings: ResponseSettings
    items: list[dict[str, Any]]


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """Words of the audio that comes with or after them."""

    text: str


class Audio(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of audio: base64 text of bytes in the format that settings.output names."""

    base64_text: bytes


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a text response."""

    text: str


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """The model calls a function; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that the response took, as its service counts them."""

    input_tokens: int
    output_tokens: int


class Incomplete(msgspec.Struct, frozen=True, kw_only=True):
    """The response was stopped by a limit; nothing follows."""

    reason: Literal["max_output_tokens", "content_filter"]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The response has failed; nothing follows."""

    code: str
    message: str


Delta = Words | Audio | Text | Called | Used | Incomplete | Failure


class Model(Protocol):
    """A model in one session."""

    takes_audio: bool
    """Whether it answers the sound of the last turn, rather than its words: then it is not kept waiting for them."""

    def voice_activity(self) -> VoiceActivity | None:
        """What finds speech in the session's audio; None if this model cannot hear."""

    async def transcribe(self, pcm16: bytes) -> str:
        """The words in PCM16 mono at VAD_RATE (16 kHz), "" if there are none. Raises TurnlogError if they cannot be had."""

    def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """The answer, piece by piece. Closed early when the response is cancelled. A TurnlogError fails the response."""

    async def close(self) -> None:
        """The session is over."""
