"""What the engine's tests live with: a provider and a caller on the real protocol machines, a store that can be watched.

Everything runs in one process over in-process links. Nothing here stands in for a part of the engine.
"""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.codec import decode
from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import LinkClosed
from turnlog.core.ports import Draft, Head, Link, Segment
from turnlog.engine.app import App, Handler
from turnlog.engine.engine import Engine
from turnlog.engine.live import LiveSession
from turnlog.store.memory import MemoryStore
from turnlog.store.messages import scan_messages
from turnlog.store.port import Store
from turnlog.transports.links.in_process import InProcessLink, host, pair
from turnlog.transports.realtime.say_form import recognise
from turnlog.transports.realtime.server import ServerProtocol
from turnlog.transports.realtime.wire import parse

__all__ = ["Caller", "Ledger", "Living", "Speaker", "app_of", "assert_rebuilt", "living", "of_type", "story"]

E = TypeVar("E", bound=e.Event)
PATIENCE_S = 10  # how long a test waits for what must happen before it fails


class Speaker:
    """A provider that speaks what it is told, `ms` of silence a say, in frames of at most 20 ms, and hears what a test says."""

    def __init__(self, *, ms: int = 40) -> None:
        self.ms = ms
        self.failure: BaseException | None = None  # raised by connect
        self.may_greet = asyncio.Event()
        self.may_greet.set()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answered = asyncio.Event()
        self.received: list[bytes] = []
        self.sent: list[bytes] = []
        self.spoken: list[str | None] = []
        self.connects = 0
        self.new = asyncio.Event()
        self.link: InProcessLink
        self.server: ServerProtocol

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A link to a new ServerProtocol."""
        self.connects += 1
        if self.failure is not None:
            raise self.failure
        return host(self._serve)

    async def _serve(self, link: InProcessLink) -> None:
        count = itertools.count(1)
        self.link = link
        self.server = ServerProtocol(ids=lambda kind: f"{kind}_{next(count)}", model="speaker")
        await self.may_greet.wait()
        self.server.start()
        self.flush()
        try:
            while True:
                raw = await link.receive()
                self.received.append(raw)
                self.new.set()
                for signal in self.server.receive(parse(raw)):
                    if isinstance(signal, s.AnswerRequested):
                        await self.may_answer.wait()
                        self.answer(signal)
                self.flush()
        except LinkClosed:
            return

    def answer(self, asked: s.AnswerRequested) -> None:
        """Speak what was asked for, whole; what is no say is answered by "(model)"."""
        text = recognise(asked.request)
        self.spoken.append(text)
        response = self.server.start_response(asked)
        if self.server.settings(response).output_modalities == ["text"]:
            self.server.output_text(response, text or "(model)")
        else:
            for at in range(0, self.ms, 20):
                self.server.output_audio(response, base64.b64encode(bytes(48 * min(20, self.ms - at))))
            self.server.output_transcript(response, text or "(model)")
        self.server.finish_response(response)
        self.answered.set()

    def hear(self, text: str, item: str) -> None:
        """Detect speech and understand it."""
        self.server.speech_started(item, 100)
        self.server.speech_stopped(item, 600)
        self.server.commit_audio(item)
        self.server.transcription_completed(item, text, {"type": "duration", "seconds": 0.5})
        self.flush()

    def flush(self) -> None:
        """Send what the machine owes."""
        for raw in self.server.messages_to_send():
            self.send(raw)

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.sent.append(raw)
        self.link.send(raw)

    def types(self) -> list[str]:
        """The types of what was received."""
        return [parse(raw).type for raw in self.received]

    async def until(self, type_: str, n: int = 1) -> None:
        """Wait until `n` messages of a type were received."""
        async with asyncio.timeout(PATIENCE_S):
            while self.types().count(type_) < n:
                self.new.clear()
                await self.new.wait()


class Caller:
    """A client on an in-process link that keeps all it receives."""

    def __init__(self) -> None:
        self.link, self.theirs = pair()
        self.received: list[bytes] = []
        self.sent: list[bytes] = []
        self.closed: LinkClosed | None = None
        self._new = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            try:
                self.received.append(await self.link.receive())
            except LinkClosed as closed:
                self.closed = closed
                return
            finally:
                self._new.set()

    def send(self, event: dict[str, Any] | bytes) -> None:
        """Send an event, or bytes as they are."""
        raw = event if isinstance(event, bytes) else msgspec.json.encode(event)
        self.sent.append(raw)
        self.link.send(raw)

    def type(self, text: str) -> None:
        """A typed turn: an item and the wish for an answer."""
        content = [{"type": "input_text", "text": text}]
        self.send({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
        self.send({"type": "response.create"})

    def append(self, ms: int = 20) -> None:
        """Some audio of silence."""
        self.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(48 * ms)).decode()})

    def types(self) -> list[str]:
        """The types of what was received."""
        return [parse(raw).type for raw in self.received]

    def events(self, type_: str) -> list[dict[str, Any]]:
        """What was received of one type."""
        return [msgspec.json.decode(raw) for raw in self.received if parse(raw).type == type_]

    async def until(self, type_: str, n: int = 1) -> list[dict[str, Any]]:
        """Wait for `n` messages of a type; returns them."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := self.events(type_)) < n:
                assert self.closed is None, f"closed before {n} {type_}: {self.closed}"
                self._new.clear()
                await self._new.wait()
        return found

    async def until_closed(self) -> LinkClosed:
        """Wait for the link's end."""
        async with asyncio.timeout(PATIENCE_S):
            await self._reader
        assert self.closed is not None
        return self.closed

    async def hang_up(self) -> None:
        """Close the link."""
        await self.link.close()
        await self._reader


class Ledger(MemoryStore):
    """The memory store; appends can be held back, made to fail, and waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.may_append = asyncio.Event()
        self.may_append.set()
        self.failures: dict[str, BaseException] = {}  # by session
        self.held = 0
        self._changed = asyncio.Event()

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """The same, once it may."""
        if not self.may_append.is_set():
            self.held += 1
            self._changed.set()
            await self.may_append.wait()
        if head.session in self.failures:
            raise self.failures[head.session]
        after = await super().append(head, events, segments, status=status)
        self._changed.set()
        return after

    async def until_held(self) -> None:
        """Wait until an append is being held back."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.held:
                self._changed.clear()
                await self._changed.wait()

    async def until(self, session: str, kind: type[E], n: int = 1) -> E:
        """Wait until the session's log holds `n` events of a type; returns the n-th."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := of_type(self, session, kind)) < n:
                self._changed.clear()
                await self._changed.wait()
        return found[n - 1]


def story(store: Store, session: str) -> list[e.Event]:
    """A session's events, decoded."""
    decoded = [decode(recorded) for recorded in store.scan(session)]
    return [event for event in decoded if isinstance(event, e.Event)]


def of_type(store: Store, session: str, kind: type[E]) -> list[E]:
    """The session's events of one type."""
    return [event for event in story(store, session) if isinstance(event, kind)]


def assert_rebuilt(store: Store, session: str, track: str, expected: list[bytes], *, whole: bool = True) -> None:
    """The messages of a track, from events and media, have ordinals without gap and are what the peer sent or received."""
    link, _, direction = track.partition(".")
    kind: type[e.TransportReceived | e.TransportSent] = e.TransportReceived if direction == "in" else e.TransportSent
    messages = {event.n: event.data for event in of_type(store, session, kind) if event.link == link}
    for segment in store.scan_segments(session, track):
        assert segment.dur_ns <= 200_000_000
    for message in scan_messages(store, session, track):
        assert message.ordinal not in messages
        messages[message.ordinal] = message.raw
    assert sorted(messages) == list(range(1, len(messages) + 1))
    rebuilt = [messages[n] for n in sorted(messages)]
    assert rebuilt == (expected if whole else expected[: len(rebuilt)])


@dataclass
class Living:
    """A running session and everyone around it."""

    engine: Engine
    store: Ledger
    provider: Speaker
    session: LiveSession
    callers: list[Caller] = field(default_factory=list)

    @property
    def caller(self) -> Caller:
        """The first caller."""
        return self.callers[0]

    @property
    def story(self) -> list[e.Event]:
        """The session's events so far."""
        return story(self.store, self.session.id)

    def of(self, kind: type[E]) -> list[E]:
        """The session's events of one type so far."""
        return of_type(self.store, self.session.id, kind)

    async def until(self, kind: type[E], n: int = 1) -> E:
        """Wait for the n-th event of a type."""
        return await self.store.until(self.session.id, kind, n)

    async def call_in(self) -> Caller:
        """Attach one more caller."""
        caller = Caller()
        self.callers.append(caller)
        await self.engine.attach(self.session.id, caller.theirs)
        return caller

    async def ended(self) -> e.SessionEnded:
        """Wait for the end."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.session.ended()


def app_of(
    handler: Callable[..., Awaitable[Any]],
    tools: dict[str, Callable[..., Any]] | None = None,
    *,
    model_tools: Sequence[str] = (),
    tool_options: dict[str, dict[str, Any]] | None = None,
    **options: Any,
) -> App:
    """An app "hotel" with the session "desk", answered by this handler, and tools by name, some of them for its model.

    tool_options: of app.tool, by the tool's name.
    """
    app = App("hotel")
    for name, function in (tools or {}).items():
        app.tool(function, name=name, **(tool_options or {}).get(name, {}))
    options = {"provider": "scripted", "transport": "in_process", "tools": list(model_tools), **options}
    app.session("desk", **options)(handler)
    return app


@asynccontextmanager
async def living(
    handler: Handler,
    *,
    tools: dict[str, Callable[..., Any]] | None = None,
    provider: Speaker | None = None,
    store: Ledger | None = None,
    callers: int = 1,
    metadata: dict[str, Any] | None = None,
    engine: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Living]:
    """A session of this handler, with its callers attached; ended, if it still runs, when the context is left.

    engine: further arguments of the Engine; options: of the session's declaration.
    """
    provider, store = provider or Speaker(), store or Ledger()
    app = app_of(handler, tools, **options)
    async with Engine(app, store=store, providers={"scripted": provider}, **(engine or {})) as running:
        alive = Living(running, store, provider, await running.start("hotel.desk", metadata=metadata))
        for _ in range(callers):
            await alive.call_in()
        try:
            yield alive
        except BaseException:
            store.may_append.set()  # a test that fails while appends are held back fails, and does not hang
            raise
        assert asyncio.current_task() is not None
    for caller in alive.callers:
        await caller.until_closed()
