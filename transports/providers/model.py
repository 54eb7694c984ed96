"""The port of a model: what plugs into ModelServer to become a provider. Audio and text go in, deltas come out.

The server speaks the protocol, finds the turns and keeps the conversation; a model only hears words and makes answers.
One Model serves one session. It must not block the event loop.
"""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import msgspec

from ..realtime.session_config import ResponseSettings
from ..speech.vad import VoiceActivity

__all__ = ["Ask", "Audio", "Delta", "Failure", "Model", "Text", "Words"]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A response that is wanted: its settings, and the items to answer, first to last, with the words heard so far."""

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


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The response has failed; nothing follows."""

    code: str
    message: str


Delta = Words | Audio | Text | Failure


class Model(Protocol):
    """A model in one session."""

    def voice_activity(self) -> VoiceActivity | None:
        """What finds speech in the session's audio; None if this model cannot hear."""

    async def transcribe(self, pcm16: bytes) -> str:
        """The words in PCM16 mono at VAD_RATE (16 kHz), "" if there are none. Raises TurnlogError if they cannot be had."""

    def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """The answer, piece by piece. Closed early when the response is cancelled. A TurnlogError fails the response."""

    async def close(self) -> None:
        """The session is over."""
