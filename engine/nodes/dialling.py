"""A node as a process: connect to the engine, serve its sessions, and come back when the link is lost."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import msgspec

from ...core.errors import LinkClosed, LinkError, ProtocolError, TurnlogError
from ...core.ports import Link
from ...transports.control_plane import ControlPlane
from ...transports.providers.dial import PING_S, Credential, DialSettings, dial
from ..app import App
from ..open_tools import OpenTools
from ..toolbox import Toolbox
from . import wire
from .worker import NodeWorker, hello_of

__all__ = ["PATH", "node_url", "run_node"]

PATH = "/v1/turnlog/node"
_BROKEN, _TOO_BIG = 1008, 1009
_FIRST_S, _LONGEST_S = 0.1, 5.0
_UNSENT = 256 * 1024 * 1024  # an engine that reads slowly slows its node, and costs it no link

log = logging.getLogger("turnlog")


def node_url(engine: str) -> str:
    """The WebSocket's address at an engine's URL. Raises LinkError TL301 for what is no http(s) or ws(s) URL."""
    parts = urlsplit(engine)
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise LinkError("TL301", f"--engine {engine!r} is no URL of an engine", "for example http://127.0.0.1:8080")
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + PATH, "", ""))


async def run_node(
    app: App, engine: str, key: str = "", *, on_connected: Callable[[], None] | None = None, ping_s: float = PING_S
) -> None:
    """Run an app's handlers for the engine at this URL, until cancelled; a link that is lost is opened again.

    ping_s: how often the engine is pinged, and how long it may take to answer; then the link is lost.

    Raises LinkError TL301 or TL303 if the engine is not reached the first time, ProtocolError TL321 if it refuses the node,
    and what the app's MCP servers raise.
    """
    url = node_url(engine)
    credential = Credential(key, header="Authorization", prefix="Bearer ", source="--key") if key else None
    settings = DialSettings(limit_bytes=_UNSENT, ping_s=ping_s)
    pause_s, was_there = _FIRST_S, False
    async with _tools(app) as tools, _worker(app, tools) as worker:
        while True:
            try:
                link = await dial(url, credential, settings)
                pause_s, was_there = _FIRST_S, True
                hello = msgspec.structs.replace(hello_of(app, tools), kept=worker.kept())
                await _speak(worker, hello, link, on_connected)
            except LinkError as error:
                if not was_there or error.code == "TL303":
                    raise
                log.info("the engine is not reached: %s", error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_S)


async def _speak(
    worker: NodeWorker, hello: wire.Hello, link: Link, on_connected: Callable[[], None] | None = None
) -> None:
    """Serve one link to its end. Raises ProtocolError TL321 if the engine refuses the node, or does not speak this protocol."""
    welcome = False
    worker.connect(link.send)
    try:
        link.send(wire.packed(hello))
        while True:
            message = wire.read_down(await link.receive())
            if isinstance(message, wire.Welcome):
                welcome = True
                if on_connected:
                    on_connected()
            await worker.receive(message)
    except LinkClosed as closed:
        refused = closed.close_code == _BROKEN and closed.reason.startswith("TL")  # else it is our link, which took no more
        if refused or (closed.close_code == _TOO_BIG and not welcome):  # it would say the same again
            raise ProtocolError("TL321", f"the engine refused the node: {closed.reason}", "see the engine's log") from None
        log.info("the engine is gone: %s", closed)
    except TurnlogError as error:
        await link.close(_BROKEN, str(error))
        raise
    finally:
        await asyncio.shield(_end(worker, link))


async def _end(worker: NodeWorker, link: Link) -> None:
    await worker.lost()
    await link.close(1001, "the node stops")


def _nowhere(message: bytes) -> None:
    raise LinkClosed(1006, "no link stands yet")


@asynccontextmanager
async def _worker(app: App, tools: Toolbox) -> AsyncIterator[NodeWorker]:
    """What holds the node's sessions from one link to the next."""
    worker = NodeWorker(app, tools, _nowhere)
    try:
        yield worker
    finally:
        await asyncio.shield(worker.close())


@asynccontextmanager
async def _tools(app: App) -> AsyncIterator[Toolbox]:
    """The app's tools, those of its MCP servers, and other nodes' by the control plane that the environment names."""
    plane = ControlPlane.from_environment()
    tools = OpenTools(app, msgspec.structs.replace(plane, webhook="") if plane else None)  # no webhook reaches a node
    await tools.start()
    try:
        yield tools.box
    finally:
        await tools.stop()
