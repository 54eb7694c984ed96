"""This machine's own voice: an in-process server behind a session's second line, which speaks says and plays recordings.

Words are synthesised here, exactly as they are asked for; a recording is found by its say and checked by its digest. It hears
nothing and answers nothing. What the machine lacks fails the say with a code of its own, and the reason stands in the log.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Final, NamedTuple

from ...core.errors import TurnlogError
from ...core.ports import Link
from ..realtime.audio import AudioFormat, format_from_wire
from ..realtime.say_form import recognise, recognise_clip
from ..speech.engines import load_synthesiser
from ..speech.resample import Resampler
from ..speech.synthesise import Synthesiser
from ..speech.vad import VoiceActivity
from .local import Workers
from .local_voice import audio_deltas, spoken
from .model import Ask, Delta, Failure, Text
from .model_server import ModelServer

__all__ = ["AHEAD_S", "Recording", "Voice"]

AHEAD_S: Final = 2.0
"""How far ahead of its playing a recording is sent: what is cut after a second has not been made whole, nor logged."""
_PIECE_MS: Final = 200


class Recording(NamedTuple):
    """A recording to be played: PCM16 mono at `rate` Hz, and the SHA-256 of it in hex."""

    digest: str
    pcm16: bytes
    rate: int


Find = Callable[[str], Recording | None]
"""The recording that a say plays, by the say's id."""


class Voice:
    """This machine's voice for the sessions of an engine, which share its thread.

    load: the synthesiser, called in a thread when words are first to be spoken; raises TurnlogError where there is none.
    entropy(n): n random bytes, for the ids of a line.
    """

    def __init__(
        self, load: Callable[[], Synthesiser] = load_synthesiser, *, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._load = load
        self._entropy = entropy
        self._workers = Workers()
        self._loaded: Synthesiser | None = None

    def connect(self, find: Find, *, warm: bool = False) -> Link:
        """A line for one session, there at once. warm: load the synthesiser now, not for the first words."""
        return ModelServer(partial(self._open, find, warm), name="voice", entropy=self._entropy).connect()

    async def _open(self, find: Find, warm: bool) -> "_VoiceModel":
        self._workers.enter()
        if warm:
            self._workers.synthesis.submit(self._load)  # what goes wrong is told when it is to speak
        return _VoiceModel(self, find)

    async def synthesiser(self) -> Synthesiser:
        """What speaks. Raises TurnlogError TL603 if this machine has nothing for it."""
        if self._loaded is None:
            self._loaded = await asyncio.get_running_loop().run_in_executor(self._workers.synthesis, self._load)
        return self._loaded

    @property
    def workers(self) -> Workers:
        """The thread that speaks; it lives while any line does."""
        return self._workers


class _VoiceModel:
    """providers.model.Model for one line."""

    takes_audio = False

    def __init__(self, voice: Voice, find: Find) -> None:
        self._voice = voice
        self._find = find

    def voice_activity(self) -> VoiceActivity | None:
        """None: it hears nothing."""
        return None

    async def transcribe(self, pcm16: bytes) -> str:
        """Nothing is ever heard."""
        return ""

    async def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """Say what is to be said, word for word, or play what is to be played."""
        form = format_from_wire(ask.settings.output["format"])
        in_text = ask.settings.output_modalities == ["text"]
        clip, text = recognise_clip(ask.settings.request), recognise(ask.settings.request)
        if clip is not None:
            deltas = self._play(*clip, form, in_text=in_text)
        elif text is not None:
            deltas = self._speak(text.encode(errors="replace").decode(), form, in_text=in_text)  # no half surrogate pairs
        else:
            yield Failure(code="not_a_say", message="This line speaks the says of a handler and nothing else.")
            return
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta

    async def _speak(self, text: str, form: AudioFormat, *, in_text: bool) -> AsyncGenerator[Delta, None]:
        if in_text:
            yield Text(text=text)
            return
        try:
            synthesiser = await self._voice.synthesiser()
        except TurnlogError as error:
            yield Failure(code="no_voice", message=f"{error.message} ({error.hint})" if error.hint else error.message)
            return
        async with aclosing(spoken(synthesiser, text, form, self._voice.workers.synthesis)) as deltas:
            async for delta in deltas:
                yield delta

    async def _play(self, say: str, digest: str, form: AudioFormat, *, in_text: bool) -> AsyncGenerator[Delta, None]:
        recording = self._find(say)
        if in_text or recording is None or recording.digest != digest:
            why = "a recording cannot be heard in a session of text" if in_text else "this process does not have the recording"
            yield Failure(code="not_playable", message=why)
            return
        loop = asyncio.get_running_loop()
        resampler = Resampler(recording.rate, form.rate)
        began_s, size = loop.time(), recording.rate * _PIECE_MS // 1000 * 2
        for at in range(0, len(recording.pcm16), size):
            for delta in audio_deltas(resampler.feed(recording.pcm16[at : at + size]), form):
                yield delta
            sent_s = (at + size) / 2 / recording.rate
            await asyncio.sleep(max(0.0, sent_s - AHEAD_S - (loop.time() - began_s)))
        for delta in audio_deltas(resampler.flush(), form):
            yield delta

    async def close(self) -> None:
        """The line is gone."""
        self._voice.workers.leave()
