"""turnlog inside of other programs: the examples run as their first lines say, and calls through them are in their logs."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from openai import AsyncOpenAI
from starlette.types import ASGIApp
from websockets.asyncio.client import connect

from tests.server.hosting import encode, receive, user_item
from turnlog.examples import embed_fastapi, embed_starlette
from turnlog.store.open import open_store
from turnlog.transports.web.serving import listen, url_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The examples' store, of each test its own."""
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    monkeypatch.setenv("TURNLOG_DB", url)
    return url


@asynccontextmanager
async def running(api: ASGIApp) -> AsyncIterator[str]:
    """The application under uvicorn, with its lifespan; its base URL."""
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(api, ws="websockets-sansio", lifespan="on", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield url_of(listener)
        finally:
            server.should_exit = True
            await serving


async def ended_in_order(database: str) -> None:
    """The one session of the store has its end, and verifies."""
    store = await asyncio.to_thread(open_store, database)
    (row,) = await store.sessions()
    assert row.status == "ended" and (await store.verify(row.session)).ok
    await store.close()


async def test_fastapi_serves_its_own_routes_and_ours(database: str) -> None:
    """A WebSocket client talks to the handler; the application's own route has something said in its session."""
    async with running(embed_fastapi.api) as base, httpx.AsyncClient(base_url=base) as http:
        assert (await http.get("/readyz")).json() == {"status": "ready"}
        assert (await http.post("/taxis/nobody")).status_code == 404
        async with connect(f"{base.replace('http', 'ws', 1)}/v1/realtime?model=hotel.desk") as caller:
            await caller.send(encode({"type": "conversation.item.create", "item": user_item("hello")}))
            await caller.send(encode({"type": "response.create"}))
            assert (await receive(caller, "response.output_text.done"))["text"] == "You said: hello"
            await receive(caller, "response.done")
            assert caller.response is not None
            session = caller.response.headers["Turnlog-Session"]
            assert (await http.post(f"/taxis/{session}")).json()["say"].startswith("said_")
            assert (await receive(caller, "response.output_text.done"))["text"] == "Your taxi is here."
    await ended_in_order(database)


async def test_starlette_has_us_below_a_path(database: str) -> None:
    """The official SDK with that path in its base URL is served; the application's own route lists the call."""
    async with running(embed_starlette.api) as base:
        client = AsyncOpenAI(base_url=f"{base}/voice/v1", api_key="none", max_retries=0)
        async with client.realtime.connect(model="hotel.desk") as connection:
            await connection.conversation.item.create(item=user_item("hello"))
            await connection.response.create()
            async for event in connection:
                if event.type == "response.output_text.done":
                    assert event.text == "You said: hello"
                    break
            async with httpx.AsyncClient(base_url=base) as http:
                (call,) = (await http.get("/calls")).json()
            assert (call["target"], call["status"]) == ("hotel.desk", "active")
        await client.close()
    await ended_in_order(database)


async def test_a_service_without_http_brings_its_own_link(database: str) -> None:
    """A caller over TCP is answered; who hangs up ends its session, and Ctrl-C the service, in order."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "turnlog.examples.embed_asyncio", "0"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    host, port = (await process.stdout.readline()).decode().split()
    reader, writer = await asyncio.open_connection(host, int(port))
    for message in ({"type": "conversation.item.create", "item": user_item("hello")}, {"type": "response.create"}):
        writer.write(encode(message).encode() + b"\n")
    said = ""
    while not said:
        event = json.loads(await reader.readline())
        said = event["text"] if event["type"] == "response.output_text.done" else ""
    assert said == "You said: hello"
    process.send_signal(signal.SIGINT)
    assert await reader.read() is not None
    writer.close()
    _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    await ended_in_order(database)
