"""A Model with fake speech: the whole path of a model server (ears, endpointing, recognition, answers) without an engine.

Hearing needs PyAV (extra "local"), which brings the session's audio to the recogniser's rate; without it this model is deaf.
"""

import asyncio
import importlib.util
import random
from binascii import b2a_base64
from collections.abc import AsyncGenerator, Callable
from typing import Any

from ..core.definition import SessionDefinition
from ..core.ports import Link
from ..transports.providers.model import Ask, Audio, Delta, Text, Words
from ..transports.providers.model_server import ModelServer
from ..transports.realtime.audio import format_from_wire
from ..transports.realtime.say_form import recognise
from ..transports.speech.vad import VAD_RATE, VoiceActivity
from .behaviour import Pace
from .fake_speech import CHUNK_MS, FakeVoiceActivity, listen, pieces

__all__ = ["FakeModel", "FakeModelProvider"]


class FakeModel:
    """transports.providers.model.Model: it hears fake speech, and speaks says and replies in it."""

    takes_audio = False

    def __init__(self, pace: Pace, reply: Callable[[str], str]) -> None:
        self._pace = pace
        self._reply = reply

    def voice_activity(self) -> VoiceActivity | None:
        """What finds speech; None without PyAV."""
        return FakeVoiceActivity(VAD_RATE) if importlib.util.find_spec("av") else None

    async def transcribe(self, pcm16: bytes) -> str:
        """The words in PCM16 mono at 16 kHz."""
        await asyncio.sleep(self._pace.hearing_ms / 1000)
        return listen(pcm16, rate=VAD_RATE)

    async def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """A say word for word; else the reply to what the user said last."""
        text = recognise(ask.settings.request)
        if text is None:
            text = self._reply(_last_words(ask.items))
        await asyncio.sleep(self._pace.audio_ms / 1000)
        if ask.settings.output_modalities == ["text"]:
            yield Text(text=text)
            return
        for words, audio in pieces(text, word_ms=self._pace.word_ms, form=format_from_wire(ask.settings.output["format"])):
            if words:
                yield Words(text=words)
            yield Audio(base64_text=b2a_base64(audio, newline=False))
            if self._pace.speed is not None:
                await asyncio.sleep(CHUNK_MS / 1000 / self._pace.speed)

    async def close(self) -> None:
        """Nothing is held."""


class FakeModelProvider:
    """A provider of FakeModels in this process, on the very ModelServer that the provider "local" runs on.

    seed: of the ids it makes. `server` serves WebSockets too.
    """

    def __init__(self, *, pace: Pace = Pace(), reply: str | Callable[[str], str] = "(model)", seed: object = 0) -> None:  # noqa: B008 -- frozen
        self.pace = pace
        self.reply = reply
        entropy = random.Random(f"model {seed}").randbytes
        self.server = ModelServer(self._open, name="fake-model", entropy=entropy)

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A link to a new session."""
        return self.server.connect(definition.model)

    async def _open(self) -> FakeModel:
        reply = self.reply
        return FakeModel(self.pace, (lambda _: reply) if isinstance(reply, str) else reply)


def _last_words(items: list[dict[str, Any]]) -> str:
    for item in reversed(items):
        if item.get("role") == "user":
            texts = (part.get("text") or part.get("transcript") for part in item["content"])
            return " ".join(text for text in texts if text)
    return ""
