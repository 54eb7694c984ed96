"""Realtime clients as people have them, over TLS, behind one small face: events of the protocol, sent and told."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import trustme
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.realtime.model_inputs import RealtimeModelSendRawMessage
from openai import AsyncOpenAI

from tests.server.hosting import Hosted, hosted
from tools import node
from turnlog.engine.app import App
from turnlog.server.settings import ServerSettings

__all__ = ["CLIENTS", "Client", "Secured", "secured", "until"]

Json = dict[str, Any]
KEY: Final = "key-one"


class Secured(NamedTuple):
    """A server with TLS and a key, and the authority that it is trusted by."""

    server: Hosted
    authority: str

    @property
    def socket_base(self) -> str:
        """wss://…/v1/realtime"""
        return self.server.socket_url(None)


@asynccontextmanager
async def secured(app: App, folder: Path) -> AsyncIterator[Secured]:
    """`hosted` with TLS."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "authority.pem")
    ca.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    both = str(folder / "both.pem")
    async with hosted(app, folder, settings=ServerSettings(keys=(KEY,), tls_cert=both, tls_key=both)) as server:
        yield Secured(server, str(folder / "authority.pem"))


class Client(Protocol):
    """One connection of a client."""

    async def send(self, event: Json) -> None:
        """Send an event, by the client's own means."""

    async def next(self) -> Json:
        """The next event that it was told."""


async def until(client: Client, kind: str, n: int = 1) -> list[Json]:
    """What comes up to the n-th event of a type, with it; an error on the way fails the test."""
    told: list[Json] = []
    async with asyncio.timeout(20):
        while sum(one["type"] == kind for one in told) < n:
            told.append(await client.next())
            assert told[-1]["type"] not in ("error", "client.failed", "client.closed"), told[-1]
    return told


class _Python:
    """The `openai` package."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def send(self, event: Json) -> None:
        await self._connection.send(event)

    async def next(self) -> Json:
        told: Json = (await self._connection.recv()).to_dict()
        return told


@asynccontextmanager
async def openai_python(at: Secured, target: str) -> AsyncIterator[Client]:
    """realtime.connect"""
    client = AsyncOpenAI(base_url=f"{at.server.url}/v1", api_key=KEY, max_retries=0)
    options: Any = {"ssl": ssl.create_default_context(cafile=at.authority)}
    async with client.realtime.connect(model=target, websocket_connection_options=options) as connection:
        yield _Python(connection)


class _Agents:
    """A session of `openai-agents`, seen by its raw events."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._told = aiter(session)

    async def send(self, event: Json) -> None:
        fields = {key: value for key, value in event.items() if key != "type"}
        message: Any = {"type": event["type"], "other_data": fields}
        await self._session.model.send_event(RealtimeModelSendRawMessage(message=message))

    async def next(self) -> Json:
        while True:
            event = await anext(self._told)
            assert event.type != "error", event
            if event.type == "raw_model_event" and event.data.type == "raw_server_event":
                told: Json = event.data.data
                return told


@asynccontextmanager
async def openai_agents(at: Secured, target: str) -> AsyncIterator[Client]:
    """RealtimeRunner with `url`: it brings instructions, a tool and settings of its own, as agents do."""
    settings: Any = {"model_name": target, "output_modalities": ["text"], "tracing": None}
    runner = RealtimeRunner(RealtimeAgent(name="desk", instructions="Be kind."), config={"model_settings": settings})
    config: Any = {"api_key": KEY, "url": f"{at.socket_base}?model={target}", "initial_model_settings": settings}
    before, os.environ["SSL_CERT_FILE"] = os.environ.get("SSL_CERT_FILE"), at.authority  # it takes no context of ours
    try:
        session = await runner.run(model_config=config)
        async with session:
            yield _Agents(session)
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before


class _Npm:
    """The `openai` package of npm, in a process of Node.js; see tests/node/realtime.mjs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    async def send(self, event: Json) -> None:
        self._stdin.write(msgspec.json.encode(event) + b"\n")
        await self._stdin.drain()

    async def next(self) -> Json:
        told: Json = json.loads(await self._stdout.readline())
        return told


@asynccontextmanager
async def openai_npm(at: Secured, target: str) -> AsyncIterator[Client]:
    """OpenAIRealtimeWS"""
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": at.authority, "OPENAI_API_KEY": KEY}
    command = ["node", str(node.FOLDER / "realtime.mjs"), f"{at.server.url}/v1", target]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=pipe, stdout=pipe, limit=2**22)
    try:
        yield _Npm(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(10):
            await process.communicate()


CLIENTS: Final[dict[str, Callable[[Secured, str], AbstractAsyncContextManager[Client]]]] = {
    "openai": openai_python,
    "openai-agents": openai_agents,
    "npm openai": openai_npm,
}
"""By package."""
