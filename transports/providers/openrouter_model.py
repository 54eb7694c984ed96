"""OpenRouter as a model behind the Realtime server: turns in, spoken answers out, says word for word.

An answer is one streamed chat completion: closing it, at a barge-in, closes the stream. The user's words are transcribed beside
it, and it is not kept waiting for them. A say is spoken by the speech model, which adds nothing of its own.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final, Protocol

import msgspec

from ..realtime.audio import AudioFormat, format_from_wire
from ..realtime.say_form import recognise as say_text
from ..speech.resample import Resampler
from ..speech.synthesise import pieces_to_speak
from ..speech.vad import VoiceActivity
from .local_voice import audio_deltas
from .model import Ask, Called, Delta, Incomplete, Text, Used, Words
from .openrouter_wire import OUTPUT_RATE, Chunk, ToolCallDelta, chat_body, failure, voice_name, wav

__all__ = ["Models", "OpenRouterModel", "Service"]

_MAX_INPUT: Final = 1500  # characters spoken by one request: the least that a speech model takes is 2000 tokens
_INCOMPLETE: Final = {"length": Incomplete(reason="max_output_tokens"), "content_filter": Incomplete(reason="content_filter")}


class Service(Protocol):
    """The API, as openrouter_http has it. Bodies are JSON objects; every method but close raises LinkError TL340."""

    async def transcribe(self, body: dict[str, Any]) -> str:
        """The words of a recording."""

    def speech(self, body: dict[str, Any]) -> AsyncGenerator[tuple[bytes, int], None]:
        """Spoken words: PCM16 mono, cut anywhere, and its rate."""

    def chat(self, body: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        """The chunks of an answer, to its end."""

    async def close(self) -> None:
        """Close what is open."""


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """Which model does what. transcription "": words are not wanted."""

    chat: str
    transcription: str
    speech: str
    language: str | None = None


class OpenRouterModel:
    """providers.model.Model by OpenRouter. `hear` makes what finds speech."""

    takes_audio = True

    def __init__(self, service: Service, models: Models, hear: Callable[[], VoiceActivity]) -> None:
        self._service = service
        self._models = models
        self._hear = hear

    def voice_activity(self) -> VoiceActivity | None:
        """What finds the turns: the service has no turn detection."""
        return self._hear()

    async def transcribe(self, pcm16: bytes) -> str:
        """The words in PCM16 mono at 16 kHz. Raises LinkError TL340."""
        if not (pcm16 and self._models.transcription):
            return ""
        body: dict[str, Any] = {"model": self._models.transcription, "input_audio": {"data": wav(pcm16), "format": "wav"}}
        if self._models.language:
            body["language"] = self._models.language
        return await self._service.transcribe(body)

    async def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """A say word for word, else what the model answers. Raises LinkError TL340."""
        text = say_text(ask.settings.request)
        wants_text = ask.settings.output_modalities == ["text"]
        if text is not None and wants_text:
            yield Text(text=text)
            return
        deltas = self._answer(ask, wants_text) if text is None else self._say(ask, text.encode(errors="replace").decode())
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta

    async def close(self) -> None:
        """The session is over."""
        await self._service.close()

    async def _say(self, ask: Ask, text: str) -> AsyncGenerator[Delta, None]:
        output = ask.settings.output
        body = {"model": self._models.speech, "voice": voice_name(output["voice"]), "response_format": "pcm"}
        for words in _requests(text):
            yield Words(text=words)
            if not any(char.isalnum() for char in words):
                continue  # nothing to speak, which a speech model refuses
            voice: _Voice | None = None
            async with aclosing(self._service.speech({**body, "input": words})) as pieces:
                async for pcm16, rate in pieces:
                    voice = voice or _Voice(rate, format_from_wire(output["format"]))
                    for delta in voice.feed(pcm16):
                        yield delta
            if voice is None:
                raise failure(f"the speech model {self._models.speech} gave no audio")
            for delta in voice.end():
                yield delta

    async def _answer(self, ask: Ask, wants_text: bool) -> AsyncGenerator[Delta, None]:
        answer = _Answer(self._models.chat, None if wants_text else format_from_wire(ask.settings.output["format"]))
        async with aclosing(self._service.chat(chat_body(self._models.chat, ask.settings, ask.items))) as chunks:
            async for chunk in chunks:
                for delta in answer.feed(chunk):
                    yield delta
        for delta in answer.end():
            yield delta


class _Voice:
    """Samples of a service to audio in the format of the session."""

    def __init__(self, rate: int, form: AudioFormat) -> None:
        self._resampler = Resampler(rate, form.rate)
        self._form = form

    def feed(self, pcm16: bytes) -> Iterator[Delta]:
        """What is whole of it."""
        yield from audio_deltas(self._resampler.feed(pcm16), self._form)

    def end(self) -> Iterator[Delta]:
        """What was held back."""
        yield from audio_deltas(self._resampler.flush(), self._form)


class _Answer:
    """The chunks of one chat completion to deltas. `form` is None for an answer in text."""

    def __init__(self, model: str, form: AudioFormat | None) -> None:
        self._model = model
        self._voice = None if form is None else _Voice(OUTPUT_RATE, form)
        self._calls: dict[int, Called] = {}
        self._used: Used | None = None
        self._ended = ""
        self._came: set[str] = set()  # "audio", "text"

    def feed(self, chunk: Chunk) -> Iterator[Delta]:
        """What a chunk brings. Raises LinkError TL340 for audio that is none."""
        if chunk.usage is not None:
            self._used = Used(input_tokens=chunk.usage.prompt_tokens, output_tokens=chunk.usage.completion_tokens)
        for choice in chunk.choices:
            self._ended = choice.finish_reason or self._ended
            for call in choice.delta.tool_calls or ():
                self._call(call)
            if choice.delta.content:
                self._came.add("text")
                if self._voice is None:
                    yield Text(text=choice.delta.content)
            if choice.delta.audio is not None and self._voice is not None:
                yield from self._spoken(self._voice, choice.delta.audio.data, choice.delta.audio.transcript)

    def end(self) -> Iterator[Delta]:
        """What follows the last chunk. Raises LinkError TL340 if words came where speech was asked for."""
        if self._voice is not None:
            if self._came == {"text"}:
                raise failure(f"{self._model} answered in text only: it is no model with audio output")
            yield from self._voice.end()
        yield from (self._calls[place] for place in sorted(self._calls))
        if self._used is not None:
            yield self._used
        if self._ended in _INCOMPLETE:
            yield _INCOMPLETE[self._ended]

    def _spoken(self, voice: _Voice, data: str | None, transcript: str | None) -> Iterator[Delta]:
        if transcript:
            yield Words(text=transcript)
        if data:
            self._came.add("audio")
            try:
                pcm16 = a2b_base64(data, strict_mode=True)
            except (Base64Error, ValueError):
                raise failure("a piece of its audio is not base64") from None
            yield from voice.feed(pcm16)

    def _call(self, delta: ToolCallDelta) -> None:
        before = self._calls.get(delta.index) or Called(call_id="", name="", arguments="")
        self._calls[delta.index] = Called(
            call_id=before.call_id or delta.id or f"call_{delta.index}",
            name=before.name + (delta.function.name or ""),
            arguments=before.arguments + (delta.function.arguments or ""),
        )


def _requests(text: str) -> Iterator[str]:
    """The text in as few pieces as the speech model takes; they add up to it."""
    request = ""
    for piece in pieces_to_speak(text):
        if request and len(request) + len(piece) > _MAX_INPUT:
            yield request
            request = ""
        request += piece
    if request:
        yield request
