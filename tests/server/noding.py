"""Nodes for the tests: one that is connected over a real socket, one that speaks the bare protocol, and a caller's words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.server.hosting import Hosted, encode, receive, user_item
from turnlog.engine.app import App
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.nodes import wire
from turnlog.engine.nodes.dialling import node_url, run_node
from turnlog.engine.nodes.worker import hello_of
from turnlog.engine.toolbox import Toolbox

__all__ = ["PATIENCE_S", "BareNode", "bare_node", "hears", "node", "of_type", "refusal", "says", "shouts"]

PATIENCE_S = 10


async def shouts(session: RealtimeSession) -> None:
    """A handler that says back what it hears, louder, until it hears "bye"."""
    await session.say("Good evening.")
    async for turn in session.turns():
        if turn.text == "bye":
            return
        await session.say(turn.text.upper())


@asynccontextmanager
async def node(server: Hosted, app: App, key: str = "") -> AsyncIterator[None]:
    """An app's node, connected."""
    connected = asyncio.Event()
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run_node(app, server.url, key, on_connected=connected.set))
        await connected.wait()
        yield
        running.cancel()


class BareNode:
    """A node that says what a test wants it to say."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, message: wire.Up | dict[str, Any] | str | bytes) -> None:
        """Send a message, or what is none."""
        if isinstance(message, str | bytes):
            await self.socket.send(message)
        else:
            await self.socket.send(msgspec.json.encode(message).decode())

    async def hears(self, kind: type[wire.Down]) -> Any:
        """The next message of this type."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = wire.read_down(str(await self.socket.recv()).encode())
                if isinstance(message, kind):
                    return message


@asynccontextmanager
async def bare_node(server: Hosted, app: App, **changed: Any) -> AsyncIterator[BareNode]:
    """One that has said an app's hello, with these fields otherwise, and runs nothing."""
    async with connect(node_url(server.url), max_size=None) as socket:
        made = BareNode(socket)
        await made.say(msgspec.structs.replace(hello_of(app, Toolbox(app.name, app.tools)), **changed))
        yield made


async def refusal(made: BareNode) -> tuple[int, str]:
    """The code and words with which the engine closes a node's link."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            while True:
                await made.socket.recv()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return closed.rcvd.code, closed.rcvd.reason


async def hears(caller: ClientConnection) -> str:
    """The words of the next response."""
    async with asyncio.timeout(PATIENCE_S):
        event = await receive(caller, "response.output_text.done", "response.output_audio_transcript.done")
    return str(event.get("text") or event.get("transcript"))


async def says(caller: ClientConnection, text: str) -> None:
    """A typed turn."""
    await caller.send(encode({"type": "conversation.item.create", "item": user_item(text)}))
    await caller.send(encode({"type": "response.create"}))


def of_type(events: list[Any], *kinds: type) -> list[Any]:
    """Those of these types."""
    return [one for one in events if isinstance(one, kinds)]
