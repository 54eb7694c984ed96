"""A provider that hears and speaks without an engine, on the protocol machine that our servers use, and that can misbehave.

It hears fake speech in the session's audio, says each say word by word in fake speech, and answers turns itself where the
session asks it to. What it received stays here as decoded events. See Mishaps for what it can be made to do wrong.
"""

import asyncio
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from ..core import signals as s
from ..core.definition import SessionDefinition
from ..core.errors import LinkClosed, LinkError
from ..core.ports import Link
from ..transports.links.in_process import InProcessLink, host
from ..transports.realtime.audio import format_from_wire
from ..transports.realtime.say_form import recognise
from ..transports.realtime.server import ServerProtocol
from ..transports.realtime.server_output import Outcome
from ..transports.realtime.wire import InvalidMessage, Message, encode_event, parse
from ..transports.speech.endpointer import SpeechStarted
from .fake_ears import FakeEars, HeardTurn
from .fake_speech import CHUNK_MS, WORD_MS, pieces, speak

__all__ = ["Mishaps", "Pace", "ProviderReceived", "SpeakingProvider"]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider takes its time. Times in ms.

    word: of audio for a word; speed: of sending it, 1 is real time, None all at once; created: from response.create to
    response.created; audio: from there to the first audio; hearing: from the end of a turn to its words.
    """

    word_ms: int = WORD_MS
    speed: float | None = 8.0
    created_ms: float = 20
    audio_ms: float = 200
    hearing_ms: float = 150


class Mishaps:
    """What goes wrong. All may be changed at any time.

    refusals: a code for each of the next response.creates to be refused with. connect: raised instead of connecting, each
    once. races: answers each turn itself, whatever the session says. repeats: types of messages that are sent twice.
    late_ms: how long a cancelled response goes on sending audio. greets: may be cleared, to greet later.
    """

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.connect: list[Exception] = []
        self.races = False
        self.repeats: set[str] = set()
        self.late_ms = 0.0
        self.greets = asyncio.Event()
        self.greets.set()


class ProviderReceived(NamedTuple):
    """A message that the provider got: when (seconds of the loop's time), and the event."""

    at_s: float
    event: dict[str, Any]


class SpeakingProvider:
    """Provider for any name; serves one link after the other. `reply`: what it says to a turn that it answers itself."""

    def __init__(self, *, pace: Pace = Pace(), reply: str | Callable[[str], str] = "(model)") -> None:  # noqa: B008 -- frozen
        self.pace = pace
        self.reply = reply
        self.mishaps = Mishaps()
        self.received: list[ProviderReceived] = []
        self.lines: list[ProviderLine] = []
        self._changed = asyncio.Event()

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A link to a new session of the provider. Raises what mishaps.connect holds."""
        if self.mishaps.connect:
            raise self.mishaps.connect.pop(0)
        return host(self._serve)

    async def _serve(self, link: InProcessLink) -> None:
        line = ProviderLine(self, link, f"{len(self.lines) + 1}")
        self.lines.append(line)
        await line.run()

    # --- what was received ---

    def events(self, type_: str) -> list[dict[str, Any]]:
        """What it got of one type, on all links."""
        return [received.event for received in self.received if received.event.get("type") == type_]

    @property
    def says(self) -> list[str]:
        """The texts of the says that it was asked for, in order, refused ones included."""
        asked = (recognise(event.get("response") or {}) for event in self.events("response.create"))
        return [text for text in asked if text is not None]

    async def gets(self, type_: str, *, n: int = 1, within_s: float = 30.0) -> dict[str, Any]:
        """Wait for the n-th message of a type, counted from the beginning. Raises AssertionError."""
        try:
            async with asyncio.timeout(within_s):
                while len(found := self.events(type_)) < n:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            types = ", ".join(str(received.event.get("type")) for received in self.received)
            raise AssertionError(f"the provider got no {n}. {type_} within {within_s} s; it got: {types or 'nothing'}") from None
        return found[n - 1]

    def note(self, event: dict[str, Any]) -> None:
        """Keep what was received."""
        self.received.append(ProviderReceived(asyncio.get_running_loop().time(), event))
        self._changed.set()

    # --- what happens to it now ---

    @property
    def line(self) -> "ProviderLine":
        """The newest link."""
        if not self.lines:
            raise LinkError("TL301", "nobody has connected to this provider yet", "await provider.gets('session.update') first")
        return self.lines[-1]

    async def disconnects(self, code: int = 1006, reason: str = "") -> None:
        """The link breaks."""
        await self.line.link.close(code, reason)

    async def expires(self) -> None:
        """The session reaches its maximum duration."""
        self.line.server.expire()
        self.line.flush()
        await self.line.link.close(1001, "session expired")


class ProviderLine:
    """One session of the provider."""

    def __init__(self, provider: SpeakingProvider, link: InProcessLink, name: str) -> None:
        self._provider = provider
        self.link = link
        self._name = name
        self._ids: dict[str, int] = {}
        self.server = ServerProtocol(ids=self._id, model="speaking")
        self._ears = FakeEars()
        self._item = ""  # of the speech under way
        self._tasks = asyncio.TaskGroup()
        self._answers: dict[str, asyncio.Task[None]] = {}  # by response, once it is created

    async def run(self) -> None:
        """Serve the link to its end."""
        await self._provider.mishaps.greets.wait()
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
            if parse(raw).type in self._provider.mishaps.repeats:
                self.link.send(raw)

    def _id(self, kind: str) -> str:
        self._ids[kind] = self._ids.get(kind, 0) + 1
        return f"{kind}_{self._name}_{self._ids[kind]}"

    # --- from the engine ---

    def _receive(self, raw: bytes) -> None:
        self._provider.note(msgspec.json.decode(raw))
        try:
            message = parse(raw)
        except InvalidMessage as error:
            self.server.receive_invalid(error)
            return
        if self._is_taken(message):
            return
        for signal in self.server.receive(message):
            self._act(signal)

    def _is_taken(self, message: Message) -> bool:
        """What is answered here and not by the machine."""
        event = msgspec.json.decode(message.raw)
        if message.type == "response.create" and self._provider.mishaps.refusals:
            self._refuse(event, self._provider.mishaps.refusals.pop(0), "Refused on purpose.")
            return True
        if message.type == "response.cancel":
            self._cancel(event)
            return True
        if message.type == "conversation.item.truncate":
            told = {key: event[key] for key in ("item_id", "content_index", "audio_end_ms")}
            self.link.send(encode_event("conversation.item.truncated", self._id("event"), **told))
            return True
        return False

    def _refuse(self, event: dict[str, Any], code: str, message: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
        self.link.send(encode_event("error", self._id("event"), error={**error, "event_id": event.get("event_id")}))

    def _cancel(self, event: dict[str, Any]) -> None:
        response = event.get("response_id") or self.server.active_response
        task = self._answers.get(response or "")
        if response is None or task is None:
            self._refuse(event, "response_cancel_not_active", "Cancellation failed: no active response found")
            return
        self._cut(response, task, "client_cancelled")

    def _cut(self, response: str, task: "asyncio.Task[None]", reason: str) -> None:
        """End a response early; with mishaps.late_ms its audio goes on for a while."""
        task.cancel()
        del self._answers[response]
        item = self.server.output_item(response)
        self.server.finish_response(response, Outcome(status="cancelled", reason=reason))
        if self._provider.mishaps.late_ms and item:
            self._tasks.create_task(self._haunt(response, item, self._provider.mishaps.late_ms))

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
            speaking = self.server.active_response
            if detection.get("interrupt_response", True) and speaking and (task := self._answers.get(speaking)):
                self._cut(speaking, task, "turn_detected")
            return
        self.server.speech_stopped(self._item, heard.end_ms)
        self.server.commit_audio(self._item)
        self._tasks.create_task(self._transcribe(self._item, heard))
        if (detection.get("create_response", True) or self._provider.mishaps.races) and self.server.active_response is None:
            self._answer(None, self._replied(heard.text))

    async def _transcribe(self, item: str, turn: HeardTurn) -> None:
        if self.server.session["audio"]["input"]["transcription"] is None:
            return
        await asyncio.sleep(self._provider.pace.hearing_ms / 1000)
        usage = {"type": "duration", "seconds": (turn.end_ms - turn.start_ms) / 1000}
        self.server.transcription_completed(item, turn.text, usage)
        self.flush()

    # --- speaking ---

    def _replied(self, text: str) -> str:
        reply = self._provider.reply
        return reply if isinstance(reply, str) else reply(text)

    def _answer(self, asked: s.AnswerRequested | None, text: str | None) -> None:
        spoken = self._replied("") if text is None else text
        response = asked.response if asked else self.server.start_response(None)
        task = self._tasks.create_task(self._respond(response, asked, spoken))
        if asked is None:
            self._answers[response] = task
        task.add_done_callback(lambda _: self._answers.pop(response, None))

    async def _respond(self, response: str, asked: s.AnswerRequested | None, text: str) -> None:
        pace = self._provider.pace
        if asked is not None:
            await asyncio.sleep(pace.created_ms / 1000)
            self.server.start_response(asked)
            if task := asyncio.current_task():
                self._answers[response] = task
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
        pace = self._provider.pace
        for words, audio in pieces(text, word_ms=pace.word_ms, form=format_from_wire(wire_format)):
            if words:
                self.server.output_transcript(response, words)
            self.server.output_audio(response, b2a_base64(audio, newline=False))
            self.flush()
            if pace.speed is not None:
                await asyncio.sleep(CHUNK_MS / 1000 / pace.speed)
