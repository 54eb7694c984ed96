"""P8: no key, token or secret stands in what the server writes or answers: the store's files, its log at DEBUG, errors, reprs."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import turnlog
from tests.server.hosting import Hosted, hosted
from turnlog.core.secrets import digest
from turnlog.server.access import Access, Principal
from turnlog.server.settings import ServerSettings
from turnlog.store import ApiKey
from turnlog.transports.providers.openai import OpenAIProvider

__all__: list[str] = []

CONFIGURED = "configured-5e4c1a7be0d2"
STORED = "tl_stored-9b1f63c07a55"
WRONG = "wrong-77aa01c3b9e4"
PROVIDER = "sk-provider-0c9d4411ee"

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Waits for the caller to go."""
    async for _ in session.turns():
        pass


def written(folder: Path) -> bytes:
    """All that stands in the files of a folder."""
    return b"".join(one.read_bytes() for one in folder.iterdir())


@asynccontextmanager
async def refusing_provider() -> AsyncIterator[str]:
    """A provider that refuses every key, and repeats the request's head while it does."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b"no entry with: " + head
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def asked(server: Hosted, line: str, secret: str, *headers: str) -> str:
    """What the server answers to a request that shows the secret in its three places."""
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    offered = f"Sec-WebSocket-Protocol: openai-insecure-api-key.{secret}"
    shown = [f"X-API-Key: {secret}", f"Authorization: Bearer {secret}", offered]
    writer.write("\r\n".join([f"{line} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *shown, *headers, "", ""]).encode())
    async with asyncio.timeout(10):
        said = await reader.read(4096)
    writer.close()
    return said.decode(errors="replace")


NONCE = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", NONCE]


async def test_no_secret_is_anywhere_that_it_need_not_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A caller's token is in the answer that gives it and nowhere else; keys are nowhere, whatever failed."""
    caplog.set_level(logging.DEBUG)
    async with refusing_provider() as base_url:
        provider = OpenAIProvider(base_url=base_url, api_key=PROVIDER)
        async with hosted(app, tmp_path, settings=ServerSettings(keys=(CONFIGURED,)), provider=provider) as server:
            entered = ApiKey("key_1", "desk", ("start",), "", time.time_ns())
            await server.store.access.add_key(digest(STORED), entered)
            started = await asked(server, "POST /api/v1/session-targets/hotel.desk/start", STORED)
            head = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in started.split("\r\n")}
            token, session = head["turnlog-token"], head["turnlog-session"]
            answers = [
                started.replace(token, ""),
                await asked(server, "GET /v1/realtime?model=hotel.desk", CONFIGURED, *UPGRADE),
                await asked(server, "GET /v1/realtime?model=hotel.desk", WRONG, *UPGRADE),
                await asked(server, f"GET /v1/realtime?session_id={session}", WRONG, *UPGRADE),
                await asked(server, "GET /v1/realtime?model=hotel.desk&metadata={", STORED, *UPGRADE),
                await asked(server, "GET /v1/turnlog/targets", STORED),
                await asked(server, "GET /nowhere", WRONG),
                await asked(server, "POST /v1/realtime/calls?model=hotel.desk", STORED, "Content-Length: 0"),
            ]
            assert [one.split(" ")[1] for one in answers] == ["201", "101", "401", "401", "400", "200", "404", "415"]
            for live in list(server.engine.sessions.values()):
                live.end("enough", drain=False)
                await live.ended()
            holders = [one for one in gc.get_objects() if isinstance(one, Access | Principal | ServerSettings | OpenAIProvider)]
            told = "".join(answers) + caplog.text + "".join(map(repr, holders)) + repr(entered)
    files = written(tmp_path)
    assert digest(STORED) in files and session.encode() in files  # what is kept is there, and is looked for in the right place
    assert b"provider" in files and len(caplog.records) > 0
    for secret in (CONFIGURED, STORED, WRONG, PROVIDER, token):
        assert secret not in told, secret
        assert secret.encode() not in files, secret
