"""One session of a SpeakingProvider: the protocol machine of our servers, with fake ears and a fake mouth."""

import asyncio
from binascii import a2b_base64, b2a_base64
from functools import partial
from typing import Any

import msgspec

from ..core import signals as s
from ..core.errors import LinkClosed
from ..transports.links.in_process import InProcessLink
from ..transports.realtime.audio import format_from_wire
from ..transports.realtime.say_form import recognise
from ..transports.realtime.server import ServerProtocol
from ..transports.realtime.wire import InvalidMessage, Message, encode_event, event_id_of, parse
from ..transports.speech.endpointer import SpeechStarted
from .behaviour import Behaviour
from .fake_ears import FakeEars, HeardTurn
from .fake_speech import CHUNK_MS, pieces, speak

__all__ = ["ProviderLine"]


class ProviderLine:
    """One session of the provider."""

    def __init__(self, behaviour: Behaviour, link: InProcessLink, name: str) -> None:
        self._behaviour = behaviour
        self.link = link
        self._id = partial(_numbered, {}, name)
        self.server = ServerProtocol(ids=self._id, model="speaking")
        self._ears = FakeEars()
        self._item = ""  # of the speech under way
        self._tasks = asyncio.TaskGroup()
        self._answers: dict[str, asyncio.Task[None]] = {}  # by response
        self._items: dict[str, str | None] = {}  # what each response is writing

    async def run(self) -> None:
        """Serve the link to its end."""
        await self._behaviour.mishaps.greets.wait()
        try:
            async with self._tasks:
                self.server.start()
                self._ears.configure(self.server.session)
                while True:
                    self.flush()
                    self._receive(await self.link.receive())
        except* LinkClosed:
            pass

    def flush(self) -> None:
        """Send what the machine owes."""
        for raw in self.server.messages_to_send():
            self.link.send(raw)
            if parse(raw).type in self._behaviour.mishaps.repeats:
                self.link.send(raw)

    # --- from the engine ---

    def _receive(self, raw: bytes) -> None:
        self._behaviour.note(msgspec.json.decode(raw))
        try:
            message = parse(raw)
        except InvalidMessage as error:
            self.server.receive_invalid(error)
            return
        if message.type == "response.create" and self._behaviour.mishaps.refusals:
            self._refuse(message, self._behaviour.mishaps.refusals.pop(0))
            return
        for signal in self.server.receive(message):
            self._act(signal)

    def _refuse(self, message: Message, code: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": "Refused on purpose.", "param": None}
        answers = {**error, "event_id": event_id_of(message)}
        self.link.send(encode_event("error", self._id("event"), error=answers))

    def _cut(self, response: str | None) -> None:
        """A response that the machine has ended is spoken no further; with mishaps.late_ms its audio goes on for a while."""
        if response is None:
            return
        if task := self._answers.pop(response, None):
            task.cancel()
        item, late_ms = self._items.pop(response, None), self._behaviour.mishaps.late_ms
        if late_ms and item:
            self._tasks.create_task(self._haunt(response, item, late_ms))

    async def _haunt(self, response: str, item: str, late_ms: float) -> None:
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        audio = b2a_base64(speak("late", word_ms=CHUNK_MS), newline=False).decode()
        for _ in range(max(1, round(late_ms / CHUNK_MS))):
            await asyncio.sleep(CHUNK_MS / 1000)
            self.link.send(encode_event("response.output_audio.delta", self._id("event"), **place, delta=audio))

    def _act(self, signal: s.Signal) -> None:
        match signal:
            case s.AudioAppended(audio=audio):
                for heard in self._ears.hear(a2b_base64(audio)):
                    self._note(heard)
            case s.AnswerRequested():
                self._answer(signal, recognise(signal.request))
            case s.CommitRequested(item=item):
                turn = self._ears.commit()
                self._tasks.create_task(self._transcribe(item, turn))
            case s.CancelRequested(response=response):
                self._cut(self.server.cancel_response(response))
            case s.AudioCleared():
                self._ears.clear()
            case s.CallerConfigured(session=session):
                self._ears.configure(session)
            case _:
                pass  # answered by the machine

    # --- hearing ---

    def _note(self, heard: SpeechStarted | HeardTurn) -> None:
        detection = self.server.session["audio"]["input"]["turn_detection"] or {}
        if isinstance(heard, SpeechStarted):
            self._item = self._id("item")
            self.server.speech_started(self._item, heard.start_ms)
            if detection.get("interrupt_response", True):
                self._cut(self.server.interrupt())
            return
        self.server.speech_stopped(self._item, heard.end_ms)
        self.server.commit_audio(self._item)
        self._tasks.create_task(self._transcribe(self._item, heard))
        if (detection.get("create_response", True) or self._behaviour.mishaps.races) and self.server.active_response is None:
            self._answer(None, self._behaviour.replied(heard.text))

    async def _transcribe(self, item: str, turn: HeardTurn) -> None:
        if self.server.session["audio"]["input"]["transcription"] is None:
            return
        await asyncio.sleep(self._behaviour.pace.hearing_ms / 1000)
        usage = {"type": "duration", "seconds": (turn.end_ms - turn.start_ms) / 1000}
        self.server.transcription_completed(item, turn.text, usage)
        self.flush()

    # --- speaking ---

    def _answer(self, asked: s.AnswerRequested | None, text: str | None) -> None:
        spoken = self._behaviour.replied("") if text is None else text
        response = asked.response if asked else self.server.start_response(None)
        self._answers[response] = task = self._tasks.create_task(self._respond(response, asked, spoken))
        task.add_done_callback(lambda _: self._answers.pop(response, None))

    async def _respond(self, response: str, asked: s.AnswerRequested | None, text: str) -> None:
        pace = self._behaviour.pace
        if asked is not None:
            await asyncio.sleep(pace.created_ms / 1000)
            self.server.start_response(asked)
            self.flush()
        settings = self.server.settings(response)
        await asyncio.sleep(pace.audio_ms / 1000)
        if settings.output_modalities == ["text"]:
            self.server.output_text(response, text)
        else:
            await self._speak(response, text, settings.output["format"])
        self.server.finish_response(response)
        self.flush()

    async def _speak(self, response: str, text: str, wire_format: dict[str, Any]) -> None:
        pace = self._behaviour.pace
        for words, audio in pieces(text, word_ms=pace.word_ms, form=format_from_wire(wire_format)):
            if words:
                self.server.output_transcript(response, words)
            self.server.output_audio(response, b2a_base64(audio, newline=False))
            self._items[response] = self.server.output_item(response)
            self.flush()
            if pace.speed is not None:
                await asyncio.sleep(CHUNK_MS / 1000 / pace.speed)


def _numbered(last: dict[str, int], name: str, kind: str) -> str:
    last[kind] = last.get(kind, 0) + 1
    return f"{kind}_{name}_{last[kind]}"
