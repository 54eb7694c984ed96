"""One session of a model: a ServerProtocol over a link, with the model at its other side.

run() is the loop: receive, act, send. What takes time (recognising, answering) runs in tasks of the session's own group.
Nothing that the client sends ends the session, and nothing that the model does wrong: both are answered.
"""

import asyncio
import logging
from binascii import a2b_base64
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, assert_never

from ...core.errors import LinkClosed, TurnlogError
from ...core.ports import Link
from ...core.signals import (
    AnswerRequested,
    AudioAppended,
    AudioCleared,
    CallerConfigured,
    CancelRequested,
    CommitRequested,
    OutputCleared,
    Signal,
)
from ..realtime.audio import bytes_for_ms
from ..realtime.server import ServerProtocol
from ..realtime.server_output import Outcome
from ..realtime.wire import InvalidMessage, parse
from ..speech.endpointer import Resumed, SpeechStarted
from ..speech.vad import VAD_RATE
from .ears import Guess, Heard, Spoken
from .hearing import Hearing, Recognised
from .model import Ask, Audio, Called, Delta, Failure, Incomplete, Model, Text, Used, Words
from .opening import Opening

__all__ = ["ModelSession"]

_log: Final = logging.getLogger("turnlog.providers")
_SLICE_MS: Final = 500  # of audio heard in one go: voice activity takes some 2 ms for it


class ModelSession:
    """Serves one link until it is closed. `ids(kind)` makes ids."""

    def __init__(self, link: Link, model: Model, ids: Callable[[str], str], opening: Opening) -> None:
        self._link = link
        self._model = model
        self._ids = ids
        self._opening = opening
        self._protocol = ServerProtocol(ids=ids, model=opening.model, plays=opening.plays)
        self._tasks = asyncio.TaskGroup()
        self._answers: dict[str, asyncio.Task[None]] = {}  # open responses
        self._hearing = Hearing(model, self._tasks.create_task)

    async def run(self) -> None:
        """Until the link closes, from either end; then every task of the session has ended too."""
        try:
            async with self._tasks:
                self._protocol.start(self._opening.session)
                self._configure(self._protocol.session)
                while True:
                    self._send()
                    await self._receive(await self._link.receive())
        except* LinkClosed:
            pass  # the end of every session; raised here or in the task that wanted to send

    def _send(self) -> None:
        for message in self._protocol.messages_to_send():
            self._link.send(message)

    async def _receive(self, raw: bytes) -> None:
        try:
            signals = self._protocol.receive(parse(raw))
        except InvalidMessage as error:
            self._protocol.receive_invalid(error)
            return
        for signal in signals:
            await self._act(signal)

    async def _act(self, signal: Signal) -> None:
        match signal:
            case AudioAppended(audio=audio):
                await self._hear(a2b_base64(audio))
            case AnswerRequested():
                self._answer(signal)
            case CommitRequested(item=item):
                words, seconds = self._hearing.commit_by_hand(item)
                self._tell(item, words, seconds)
            case CallerConfigured(session=session):
                self._configure(session)
            case AudioCleared():
                self._hearing.clear()
            case CancelRequested(response=response):
                self._cancel(response)
            case OutputCleared():
                self._cancel("")
            case _:
                pass  # answered by the protocol; the model reads it in the conversation

    def _configure(self, session: dict[str, Any]) -> None:
        if self._hearing.ears is not None:
            self._hearing.ears.configure(session)

    # --- what is heard ---

    async def _hear(self, payload: bytes) -> None:
        ears = self._hearing.ears
        if ears is None:
            self._say_deaf()
            return
        size = bytes_for_ms(_SLICE_MS, ears.format)
        for start in range(0, len(payload), size):
            if start:
                self._send()
                await asyncio.sleep(0)  # a client may send minutes at once; the other sessions go on meanwhile
            for heard in ears.hear(payload[start : start + size]):
                self._note(heard)

    def _note(self, heard: Heard) -> None:
        self._hearing.note(heard, lambda: self._ids("item"))
        item = self._hearing.item
        assert item is not None, "the endpointer starts speech before all else"
        match heard:
            case SpeechStarted(start_ms=start):
                self._protocol.speech_started(item, start)
                if self._turn_detection.get("interrupt_response", True) and (cut := self._protocol.interrupt()) is not None:
                    self._answers[cut].cancel()
            case Spoken(end_ms=end, pcm16=pcm16):
                self._protocol.speech_stopped(item, end)
                self._protocol.commit_audio(item)
                self._tell(item, self._hearing.commit(item, pcm16), len(pcm16) / 2 / VAD_RATE)
                if self._turn_detection.get("create_response", True) and self._protocol.active_response is None:
                    self._answer(None)
            case Guess() | Resumed():
                pass
            case _:
                assert_never(heard)

    @property
    def _turn_detection(self) -> dict[str, Any]:
        return self._protocol.session["audio"]["input"]["turn_detection"] or {}

    def _say_deaf(self) -> None:
        """Audio came and this model has no ears: told once, as the failed transcription of an item."""
        if self._turn_detection and not self._hearing.heard_any:
            item = self._ids("item")
            self._protocol.commit_audio(item)
            self._tell(item, self._hearing.commit(item, b""), 0.0)

    def _tell(self, item: str, words: "asyncio.Task[Recognised]", seconds: float) -> None:
        if self._protocol.session["audio"]["input"]["transcription"] is not None:
            self._tasks.create_task(self._transcribed(item, words, seconds))

    async def _transcribed(self, item: str, words: "asyncio.Task[Recognised]", seconds: float) -> None:
        match await words:
            case TurnlogError() as error:
                hint = f" ({error.hint})" if error.hint else ""
                self._protocol.transcription_failed(item, error.code, error.message + hint)
            case str() as transcript:
                usage = {"type": "duration", "seconds": round(seconds, 3)}
                self._protocol.transcription_completed(item, transcript, usage)
        self._send()

    # --- what is answered ---

    def _answer(self, request: AnswerRequested | None) -> None:
        response = self._protocol.start_response(request)
        task = self._answers[response] = self._tasks.create_task(self._respond(response))
        task.add_done_callback(lambda _: self._answers.pop(response))

    def _cancel(self, response: str) -> None:
        """Stop an answer, "" for the one in the conversation; the model stops making it."""
        if (cut := self._protocol.cancel_response(response)) is not None:
            self._answers[cut].cancel()

    async def _respond(self, response: str) -> None:
        settings = self._protocol.settings(response)
        try:
            items = self._protocol.history if settings.input is None else settings.input
            ask = Ask(settings=settings, items=await self._hearing.with_words(items))
            async with aclosing(self._model.respond(ask)) as deltas:
                outcome = await self._pass_on(response, deltas)
        except LinkClosed:
            raise
        except TurnlogError as error:
            outcome = Outcome(status="failed", code=error.code, message=error.message)
        except Exception as error:
            _log.exception("the model failed")
            outcome = Outcome(status="failed", code="model_failed", message=f"the model failed: {type(error).__name__}")
        self._protocol.finish_response(response, outcome)
        self._send()

    async def _pass_on(self, response: str, deltas: AsyncGenerator[Delta, None]) -> Outcome:
        usage: dict[str, Any] | None = None
        async for delta in deltas:
            match delta:
                case Audio(base64_text=audio):
                    self._protocol.output_audio(response, audio)
                case Words(text=text):
                    self._protocol.output_transcript(response, text)
                case Text(text=text):
                    self._protocol.output_text(response, text)
                case Called(call_id=call, name=name, arguments=arguments):
                    self._protocol.function_call(response, call, name, arguments)
                case Used(input_tokens=read, output_tokens=written):
                    usage = {"total_tokens": read + written, "input_tokens": read, "output_tokens": written}
                case Incomplete(reason=reason):
                    return Outcome(status="incomplete", reason=reason, usage=usage)
                case Failure(code=code, message=message):
                    return Outcome(status="failed", code=code, message=message, usage=usage)
                case _:
                    assert_never(delta)
            self._send()
        return Outcome(usage=usage)
