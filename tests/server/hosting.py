"""A server for the tests: a real engine, store, provider and socket, and at the end the proof that all was left in order."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection

from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.core.ports import Provider
from turnlog.engine.app import App
from turnlog.engine.engine import Engine
from turnlog.engine.offline.replay import replay
from turnlog.server.serve import DEFAULTS, ServerSettings, listen, serve_on, url_of
from turnlog.store.open import open_store
from turnlog.store.port import Store
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.providers.openai import OpenAIProvider
from turnlog.transports.speech.engines import EngineStatus, Speech, SpeechEngines
from turnlog.transports.webrtc.ice import IceSettings

__all__ = ["LOOPBACK", "Hosted", "client_of", "encode", "hosted", "receive", "silent_speech", "user_item"]

PATIENCE_S = 30  # how long a test waits for what must happen before it fails
LOOPBACK = IceSettings(hosts=("127.0.0.1",))


class Hosted:
    """A server under test. `stop` makes it leave."""

    def __init__(self, url: str, engine: Engine, store: Store, stop: asyncio.Event) -> None:
        self.url = url
        self.engine = engine
        self.store = store
        self.stop = stop

    def socket_url(self, target: str | None = "hotel.desk") -> str:
        """Where callers of a target connect."""
        query = "" if target is None else f"?model={target}"
        return self.url.replace("http", "ws", 1) + "/v1/realtime" + query

    async def events(self, session: str) -> list[Any]:
        """The session's log so far, decoded."""
        return [decode(recorded) async for recorded in self.store.read(session)]

    async def ended(self, session: str) -> e.SessionEnded:
        """Wait until the session is over; its end."""
        if live := self.engine.sessions.get(session):
            async with asyncio.timeout(PATIENCE_S):
                await live.ended()
        last = (await self.events(session))[-1]
        assert isinstance(last, e.SessionEnded)
        return last

    async def only_session(self) -> str:
        """The one session there is in the store."""
        (row,) = await self.store.sessions()
        return row.session


@asynccontextmanager
async def hosted(
    app: App,
    folder: Path,
    *,
    settings: ServerSettings = DEFAULTS,
    speech: Speech | None = None,
    provider: Provider | None = None,
    elsewhere: App | tuple[App, ...] = (),
    **engine_arguments: Any,
) -> AsyncIterator[Hosted]:
    """Serve `app` on a free port of loopback; says come as text unless `speech` is given, or another provider.

    Provider "openai", if `app` has one, is `turnlog provider` with the same speech, which can be called over WebRTC.

    elsewhere: the apps of nodes. Afterwards every session must have ended, verify, and replay identically where it can be, and
    no task may be left.
    """
    before = asyncio.all_tasks()
    store = await asyncio.to_thread(open_store, f"sqlite:///{folder / 'calls.db'}")
    stop = asyncio.Event()
    spoken = LocalProvider(speech=speech or silent_speech())
    providers: dict[str, Provider] = {"local": provider or spoken, "openai": provider or spoken}
    async with AsyncExitStack() as beside:
        listener = beside.enter_context(listen("127.0.0.1", 0))
        if provider is None and any(declared.definition.provider == "openai" for declared in app.sessions.values()):
            url = await beside.enter_async_context(spoken.server.serve(port=0, ice=LOOPBACK))
            providers["openai"] = OpenAIProvider(base_url=url.removesuffix("/realtime"), ice=LOOPBACK)
        async with Engine(app, store=store, providers=providers, ice=LOOPBACK, **engine_arguments) as engine:
            serving = asyncio.create_task(serve_on(listener, engine, stop, settings=settings))
            try:
                yield Hosted(url_of(listener, secure=settings.tls is not None), engine, store, stop)
            finally:
                stop.set()
                await serving
    for row in await store.sessions():
        assert row.status == "ended"
        report = await store.verify(row.session)
        assert report.ok, report.problems
        events = list(store.scan(row.session))
        if not decode(events[0]).replayable:  # type: ignore[union-attr] # a SessionStarted
            continue
        nodes = (elsewhere,) if isinstance(elsewhere, App) else elsewhere
        of = next((one for one in nodes if row.target.startswith(f"{one.name}.")), app)
        assert (await asyncio.to_thread(replay, events, of.resolve(row.target).handler)).complete
    await store.close()
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    ours = {task for task in left if "site-packages/agentfield" not in repr(task)}  # its dispatcher lives as long as its loop
    if ours:  # a client's, perhaps, that ends by itself: of an attempt to connect, say
        _, ours = await asyncio.wait(ours, timeout=1)
    assert not ours, ours


def silent_speech() -> Speech:
    """No engine of any kind: says come as text at once, and nothing is heard."""
    missing = "left out by the test"
    engines = SpeechEngines(
        voice_activity=EngineStatus(kind="voice activity", missing=missing),
        recognition=EngineStatus(kind="recognition", missing=missing),
        synthesis=EngineStatus(kind="synthesis", missing=missing),
    )
    return Speech(engines=engines, voice_activity=None, recogniser=None, synthesiser=None)


def client_of(server: Hosted, key: str = "none") -> AsyncOpenAI:
    """The official SDK, pointed at the server."""
    return AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def user_item(text: str) -> Any:
    """A typed contribution of the user, for conversation.item.create."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def encode(message: object) -> str:
    """A message as JSON text."""
    return msgspec.json.encode(message).decode()


async def receive(caller: ClientConnection, *kinds: str) -> dict[str, Any]:
    """The next message of one of these types on a bare socket."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message: dict[str, Any] = json.loads(await caller.recv())
            if message["type"] in kinds:
                return message
