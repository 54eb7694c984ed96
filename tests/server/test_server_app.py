"""The plain HTTP side of the control plane, and who is refused at the upgrade: with real clients."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

import turnlog
from tests.server.hosting import Hosted, client_of, hosted
from turnlog.core.secrets import digest
from turnlog.server.serve import ServerSettings, listen, serve_on, url_of
from turnlog.store.open import open_store

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets."""
    await session.say(f"Room {session.metadata.get('room', 'unknown')}.")
    async for _ in session.turns():
        pass


@app.session("bar", provider="local", transport="in_process")
async def bar(session: turnlog.RealtimeSession) -> None:
    """Another target."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Hosted]:
    """Without keys."""
    async with hosted(app, tmp_path) as running:
        yield running


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[Hosted]:
    """With two keys."""
    async with hosted(app, tmp_path, settings=ServerSettings(keys=("key-one", "key-two"))) as running:
        yield running


async def refusal(url: str, **options: Any) -> tuple[int, dict[str, Any], Any]:
    """The status, the JSON error and the headers with which an upgrade is refused."""
    with pytest.raises(InvalidStatus) as caught:
        await connect(url, **options)
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"null")["error"], response.headers


async def test_healthz_and_what_there_is_not(server: Hosted) -> None:
    """200 while it serves; 426 for the Realtime address without an upgrade; 404 elsewhere, each in JSON."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        plain = await http.get("/v1/realtime?model=hotel.desk")
        assert (plain.status_code, plain.headers["upgrade"]) == (426, "websocket")
        assert plain.json()["error"]["code"] == "TL504"
        nowhere = await http.get("/v1/nowhere")
        assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "TL504")
    status, error, _ = await refusal(server.socket_url().replace("realtime", "nowhere"))
    assert (status, error["code"]) == (404, "TL504")
    assert await server.store.sessions() == []


async def test_an_unknown_target_is_404_and_names_those_declared(server: Hosted) -> None:
    """TL502 with the list, at the upgrade; nothing was started."""
    status, error, headers = await refusal(server.socket_url("hotel.dask"))
    assert (status, error["code"], error["param"]) == (404, "TL502", "model")
    assert error["type"] == "invalid_request_error" and headers["content-type"] == "application/json"
    assert "'hotel.dask'" in error["message"] and "hotel.desk, hotel.bar" in error["hint"]
    assert await server.store.sessions() == []


@pytest.mark.parametrize("target", [None, ""])
async def test_no_model_is_400(server: Hosted, target: str | None) -> None:
    """The query must name the session target."""
    status, error, _ = await refusal(server.socket_url(target))
    assert (status, error["code"], error["param"]) == (400, "TL504", "model")


@pytest.mark.parametrize("metadata", ["{", "[1]", "%22room%22", "%ff"])
async def test_metadata_that_is_no_object_is_400(server: Hosted, metadata: str) -> None:
    """Refused before a session is started."""
    status, error, _ = await refusal(f"{server.socket_url()}&metadata={metadata}")
    assert (status, error["code"], error["param"]) == (400, "TL504", "metadata")
    assert await server.store.sessions() == []


async def test_metadata_reaches_the_handler(server: Hosted) -> None:
    """The query's `metadata` is the session's."""
    async with connect(server.socket_url() + '&metadata={"room":"12"}') as caller:
        async for raw in caller:
            if (message := json.loads(raw))["type"] == "response.output_text.done":
                break
    assert message["text"] == "Room 12."


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"additional_headers": {"Authorization": "Bearer key-three"}},
        {"additional_headers": {"X-API-Key": "KEY-ONE"}},
        {"subprotocols": ["realtime", "openai-insecure-api-key.key"]},
    ],
)
async def test_a_missing_or_wrong_key_is_401_at_the_upgrade(locked: Hosted, options: dict[str, Any]) -> None:
    """A real 401 with a JSON body, before anything is started or said of what there is."""
    status, error, headers = await refusal(locked.socket_url("hotel.nothing"), **options)
    assert (status, error["code"], headers["www-authenticate"]) == (401, "TL501", "Bearer")
    assert await locked.store.sessions() == []


@pytest.mark.parametrize(("key", "target", "status"), [("wrong", "hotel.desk", 401), ("key-one", "hotel.none", 404)])
async def test_the_official_client_sees_the_status(
    locked: Hosted, caplog: pytest.LogCaptureFixture, key: str, target: str, status: int
) -> None:
    """The openai SDK fails with the status of the refusal; for the server a refused caller is nothing to report."""
    with pytest.raises(InvalidStatus) as caught:
        async with client_of(locked, key).realtime.connect(model=target):
            pass
    assert caught.value.response.status_code == status
    assert caplog.text == ""


async def test_a_browser_offers_its_key_as_a_subprotocol(locked: Hosted) -> None:
    """`realtime` is selected, and the key is never echoed."""
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.key-two")]
    async with connect(locked.socket_url(), subprotocols=offered) as caller:
        assert caller.subprotocol == "realtime"
        assert caller.response is not None and "key-two" not in str(caller.response.headers)


async def test_no_subprotocol_is_selected_where_none_was_offered(server: Hosted) -> None:
    """Selecting what was not offered would break the client."""
    async with connect(server.socket_url()) as caller:
        assert caller.subprotocol is None
    async with connect(server.socket_url(), subprotocols=[Subprotocol("other")]) as caller:
        assert caller.subprotocol is None


async def test_the_upgrade_names_the_session_and_gives_a_token_that_is_kept_as_a_digest(server: Hosted) -> None:
    """Turnlog-Token opens the session of Turnlog-Session, and stands nowhere in the log."""
    async with connect(server.socket_url()) as caller:
        assert caller.response is not None
        session, token = caller.response.headers["Turnlog-Session"], caller.response.headers["Turnlog-Token"]
        opened = await server.store.find_caller(digest(token), now_ns=0)
        assert opened is not None and opened.session == session
        assert await server.store.find_caller(token.encode(), now_ns=0) is None
    await server.ended(session)
    stored = [recorded.data or b"" async for recorded in server.store.read(session)]
    assert not [data for data in stored if token.encode() in data]


async def test_a_log_that_cannot_be_written_is_503(caplog: pytest.LogCaptureFixture) -> None:
    """No call without a log: refused at the upgrade, and reported."""
    store = open_store("memory://")
    stop = asyncio.Event()
    with listen("127.0.0.1", 0) as listener:
        async with turnlog.Engine(app, store=store) as engine:
            serving = asyncio.create_task(serve_on(listener, engine, stop))
            await store.close()
            status, error, _ = await refusal(f"{url_of(listener).replace('http', 'ws')}/v1/realtime?model=hotel.desk")
            stop.set()
            await serving
    assert (status, error["code"], error["type"]) == (503, "TL410", "server_error")
    assert "a caller could not be served: TL410" in caplog.text
