"""The listening half of a model's session: from input audio to items, and from items to words.

Recognition starts at the first pause (Guess), before the turn is over; if speech goes on its result is thrown away.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ...core.errors import TurnlogError
from ..speech.endpointer import Resumed, SpeechStarted
from ..speech.vad import VAD_RATE
from .ears import Ears, Guess, Heard, Spoken
from .model import Model

__all__ = ["Hearing", "Recognised"]

_log: Final = logging.getLogger("turnlog.providers")

Recognised = str | TurnlogError
"""The words, or why there are none."""
_Spawn = Callable[[Coroutine[Any, Any, Recognised]], "asyncio.Task[Recognised]"]


class Hearing:
    """What one session hears. `ears` is None for a model that cannot hear. `spawn` starts a task of the session."""

    def __init__(self, model: Model, spawn: _Spawn) -> None:
        self._model = model
        self._spawn = spawn
        voice = model.voice_activity()
        self.ears = None if voice is None else Ears(voice)
        self.item: str | None = None  # the item that the speech under way will make
        self._guess: asyncio.Task[Recognised] | None = None
        self._words: dict[str, asyncio.Task[Recognised]] = {}
        self._latest = ("", b"")  # the last item that holds audio, and that audio; kept for a model that takes it

    def note(self, heard: Heard, new_item: Callable[[], str]) -> None:
        """Keep up with what the ears gave."""
        match heard:
            case SpeechStarted():
                self.item = new_item()
            case Guess(pcm16=pcm16):
                self._guess = self._spawn(self._recognise(pcm16))
            case Resumed():
                self._drop_guess()
            case Spoken():
                pass  # the caller commits it

    @property
    def heard_any(self) -> bool:
        """Whether any audio has become an item."""
        return bool(self._words)

    def commit(self, item: str, pcm16: bytes) -> asyncio.Task[Recognised]:
        """The item now holds this audio: the task that brings its words."""
        self.item, guess, self._guess = None, self._guess, None
        words = self._spawn(self._recognise(pcm16)) if guess is None else guess
        self._words[item] = words
        if self._model.takes_audio and pcm16:
            self._latest = (item, pcm16)
        return words

    def commit_by_hand(self, item: str) -> tuple[asyncio.Task[Recognised], float]:
        """The item now holds all that is buffered: the task that brings its words, and the seconds it lasts."""
        self._drop_guess()
        pcm16 = b"" if self.ears is None else self.ears.take()
        return self.commit(item, pcm16), len(pcm16) / 2 / VAD_RATE

    def clear(self) -> None:
        """Forget the speech under way."""
        self.item = None
        self._drop_guess()
        if self.ears is not None:
            self.ears.clear()

    async def with_words(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The items, spoken ones with their words, which are waited for; the last one with its audio, if the model takes it."""
        return [await self._with_words(item) for item in items]

    async def _with_words(self, item: dict[str, Any]) -> dict[str, Any]:
        task = self._words.get(item["id"])
        if task is None:
            return item
        latest, pcm16 = self._latest
        if item["id"] == latest:
            return {**item, "content": [{"type": "input_audio", "transcript": None, "pcm16": pcm16}]}
        words = await asyncio.shield(task)
        transcript = words if isinstance(words, str) else None
        return {**item, "content": [{"type": "input_audio", "transcript": transcript}]}

    async def _recognise(self, pcm16: bytes) -> Recognised:
        try:
            return await self._model.transcribe(pcm16)
        except TurnlogError as error:
            return error
        except Exception as error:
            _log.exception("recognition failed")
            return TurnlogError("TL603", f"recognition failed: {type(error).__name__}", "the log of this process tells more")

    def _drop_guess(self) -> None:
        if self._guess is not None:
            self._guess.cancel()
            self._guess = None
