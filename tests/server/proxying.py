"""A proxied target under test: a real server before a real WebSocket server that plays the provider, and its log."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

import turnlog
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.engine.engine import Engine
from turnlog.server.serve import DEFAULTS, ServerSettings, listen, serve_on, url_of
from turnlog.store.memory import MemoryStore
from turnlog.store.messages import scan_messages
from turnlog.store.port import Store
from turnlog.transports.providers.openai import OpenAIProvider

__all__ = ["KEY", "Proxying", "app", "frames_of", "proxying"]

KEY = "sk-the-provider's-own-key"
app = turnlog.App("calls")
app.proxy("line", provider="openai", transport="websocket", model="gpt-realtime-test", tags=["kept"])
app.proxy("call", provider="openai", transport="webrtc", model="gpt-realtime-test")


class Proxying:
    """A server before a provider. `reached`: the provider's end of each connection."""

    def __init__(self, url: str, engine: Engine, store: Store) -> None:
        self.url = url
        self.engine = engine
        self.store = store
        self.reached: asyncio.Queue[ServerConnection] = asyncio.Queue()

    def call(self, query: str = "", target: str = "calls.line", **options: Any) -> connect:
        """A caller's connection."""
        options.setdefault("max_size", None)
        return connect(f"{self.url.replace('http', 'ws', 1)}/v1/realtime?model={target}{query}", proxy=None, **options)

    @asynccontextmanager
    async def through(self, query: str = "", **options: Any) -> AsyncIterator[tuple[ClientConnection, ServerConnection]]:
        """Both ends of one proxied call."""
        async with self.call(query, **options) as caller:
            yield caller, await self.reached.get()

    async def log(self) -> list[Any]:
        """The last session's log, when it has ended."""
        for session in list(self.engine.proxied.sessions.values()):
            await session.ended()
        (row, *_) = await self.store.sessions()
        report = await self.store.verify(row.session)
        assert report.ok, report.problems
        return [decode(recorded) for recorded in self.store.scan(row.session)]


@asynccontextmanager
async def proxying(store: Store | None = None, settings: ServerSettings = DEFAULTS, base: str = "") -> AsyncIterator[Proxying]:
    """Serve `app` on loopback. The provider's connections stand until a test closes them, and are given to it by `reached`."""
    before = asyncio.all_tasks()
    stop, kept = asyncio.Event(), store or MemoryStore()

    async def stand(connection: ServerConnection) -> None:
        running.reached.put_nowait(connection)
        await connection.wait_closed()

    async with serve(stand, "127.0.0.1", 0, max_size=None, select_subprotocol=_realtime, close_timeout=2) as far:
        port = far.sockets[0].getsockname()[1]
        provider = OpenAIProvider(base_url=base or f"http://127.0.0.1:{port}/v1", api_key=KEY)
        with listen("127.0.0.1", 0) as listener:
            async with Engine(app, store=kept, providers={"openai": provider}) as engine:
                running = Proxying(url_of(listener), engine, kept)
                serving = asyncio.create_task(serve_on(listener, engine, stop, settings=settings))
                try:
                    yield running
                finally:
                    stop.set()
                    await serving
                    assert not engine.proxied.sessions
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert left == set(), left


def _realtime(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((one for one in offered if one == "realtime"), None)


async def frames_of(running: Proxying, link: str, direction: str, events: list[Any]) -> list[str | bytes]:
    """Every frame of one direction of a link, as the log has it, in order."""
    found: dict[int, str | bytes] = {}
    for event in events:
        if getattr(event, "link", "") != link:
            continue
        match direction, event:
            case ("in", e.TransportReceived(n=n, data=data)) | ("out", e.TransportSent(n=n, data=data)):
                found[n] = data.decode()
            case ("in", e.BinaryReceived(n=n, data=data)) | ("out", e.BinarySent(n=n, data=data)):
                found[n] = data
    (row, *_) = await running.store.sessions()
    for message in scan_messages(running.store, row.session, f"{link}.{direction}"):
        found[message.ordinal] = message.raw.decode()
    assert sorted(found) == list(range(1, len(found) + 1))
    return [found[n] for n in sorted(found)]
