"""The provider "local": says are spoken and speech is recognised on this machine; there is no language model.

A response that is no say fails with code no_model, or, with echo, says what the user said last. What the machine lacks is
told, not hidden: without recognition a transcription fails, without a voice the words come as text.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, Final

from ...core.definition import DEFAULT_MODELS, SessionDefinition
from ...core.ports import Link
from ..realtime.audio import format_from_wire
from ..realtime.say_form import recognise as say_text
from ..speech import engines
from ..speech.engines import Speech
from ..speech.vad import VoiceActivity
from .dial import dial
from .local_voice import spoken
from .model import Ask, Delta, Failure, Text
from .model_server import PATH, ModelServer

__all__ = ["DEFAULT_URL", "LocalModel", "LocalProvider", "Workers"]

DEFAULT_URL: Final = f"ws://127.0.0.1:8765{PATH}"
_log: Final = logging.getLogger("turnlog.providers")


class Workers:
    """One thread to recognise and one to speak, shared by all sessions of a provider; they live while any session does."""

    def __init__(self) -> None:
        self._users = 0
        self._recognition: ThreadPoolExecutor | None = None
        self._synthesis: ThreadPoolExecutor | None = None

    def enter(self) -> None:
        """One more session."""
        self._users += 1
        if self._recognition is None or self._synthesis is None:
            self._recognition = ThreadPoolExecutor(1, thread_name_prefix="turnlog recognition")
            self._synthesis = ThreadPoolExecutor(1, thread_name_prefix="turnlog synthesis")

    def leave(self) -> None:
        """One session less; with the last one the threads end after what they are doing."""
        self._users -= 1
        if not self._users:
            self.recognition.shutdown(wait=False, cancel_futures=True)
            self.synthesis.shutdown(wait=False)  # its last job may be to close a generator
            self._recognition = self._synthesis = None

    @property
    def recognition(self) -> ThreadPoolExecutor:
        """The thread that recognises."""
        assert self._recognition is not None, "enter() comes first"
        return self._recognition

    @property
    def synthesis(self) -> ThreadPoolExecutor:
        """The thread that speaks."""
        assert self._synthesis is not None, "enter() comes first"
        return self._synthesis


class LocalModel:
    """providers.model.Model by offline speech."""

    takes_audio = False

    def __init__(self, speech: Speech, workers: Workers, *, echo: bool) -> None:
        self._speech = speech
        self._workers = workers
        self._echo = echo

    def voice_activity(self) -> VoiceActivity | None:
        """What finds speech, if an engine for it works here."""
        model = self._speech.voice_activity
        return None if model is None else model.stream()

    async def transcribe(self, pcm16: bytes) -> str:
        """The words in PCM16 mono at 16 kHz. Raises TurnlogError TL603 if there is no recogniser."""
        recogniser, found = self._speech.recogniser, self._speech.engines
        if recogniser is None or self._speech.voice_activity is None:
            raise (found.recognition if found.voice_activity.name else found.voice_activity).error()
        return await asyncio.get_running_loop().run_in_executor(self._workers.recognition, recogniser.recognise, pcm16)

    async def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """Say what is to be said, word for word."""
        text = say_text(ask.settings.request)
        if text is None and self._echo:
            text = _last_words(ask.items)
        if text is None:
            yield _NO_MODEL
            return
        text = text.encode(errors="replace").decode()  # half a surrogate pair can neither be spoken nor sent
        synthesiser = self._speech.synthesiser
        if ask.settings.output_modalities == ["text"] or synthesiser is None:
            yield Text(text=text)
            return
        form = format_from_wire(ask.settings.output["format"])
        async with aclosing(spoken(synthesiser, text, form, self._workers.synthesis)) as deltas:
            async for delta in deltas:
                yield delta

    async def close(self) -> None:
        """The session is over."""
        self._workers.leave()


_NO_MODEL: Final = Failure(
    code="no_model",
    message="The provider 'local' has no language model: it speaks what a handler says. Start it with --echo to hear it repeat.",
)


def _last_words(items: list[dict[str, Any]]) -> str | None:
    for item in reversed(items):
        if item.get("role") == "user":
            texts = (part.get("text") or part.get("transcript") for part in item["content"])
            return " ".join(text for text in texts if text) or None
    return None


class LocalProvider:
    """Provider "local". transport="in_process" runs here; "websocket" goes to a `turnlog provider` at TURNLOG_LOCAL_URL.

    `speech`: loaded engines; without, the process's own are loaded when the first session starts.
    """

    def __init__(self, *, echo: bool = False, speech: Speech | None = None) -> None:
        self._echo = echo
        self._speech = speech
        self._workers = Workers()
        self.server = ModelServer(self._open, name=DEFAULT_MODELS["local"])
        """Serves sessions over WebSockets too: `async with provider.server.serve(…) as url`."""

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A new link. In process it is there at once; by WebSocket raises LinkError TL301 or TL303 if it cannot be opened."""
        if definition.transport == "websocket":
            return await dial(os.environ.get("TURNLOG_LOCAL_URL") or DEFAULT_URL)
        return self.server.connect(definition.model)

    async def warm(self) -> Speech:
        """Load the engines (about 1.5 s) before the first session needs them."""
        if self._speech is None:
            with ThreadPoolExecutor(1, thread_name_prefix="turnlog speech engines") as loader:
                self._speech = await asyncio.get_running_loop().run_in_executor(loader, engines.load)
            if self._speech.synthesiser is None:
                _log.warning("%s", self._speech.engines.synthesis.error())
        return self._speech

    async def _open(self) -> LocalModel:
        speech = await self.warm()
        self._workers.enter()
        return LocalModel(speech, self._workers, echo=self._echo)
