"""Keys of the store, tenants and the origins of pages, at a running server."""

import time
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

import turnlog
from tests.server.hosting import hosted
from turnlog.core.secrets import digest
from turnlog.server.settings import ServerSettings
from turnlog.store import ApiKey
from turnlog.store.sqlite_access import KeyFile

__all__: list[str] = []

app = turnlog.App("hotel")
TARGETS = "/v1/turnlog/targets"


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Waits for the caller to go."""
    async for _ in session.turns():
        pass


async def test_a_key_that_is_made_while_the_server_runs_counts_from_then_on(tmp_path: Path) -> None:
    """The first closes the door to whoever is local; revoked it opens nothing, and the door stays closed."""
    async with hosted(app, tmp_path) as server, httpx.AsyncClient(base_url=server.url) as http:

        async def asked(key: str = "") -> int:
            return (await http.get(TARGETS, headers={"X-API-Key": key} if key else {})).status_code

        assert (await asked(), await asked("k1")) == (200, 200)  # nobody needs one: what is shown is not looked at
        beside = KeyFile(tmp_path / "calls.db")
        await beside.add_key(digest("k1"), ApiKey("key_1", "", ("start",), "", time.time_ns()))
        assert (await asked(), await asked("k1"), await asked("k2")) == (401, 200, 401)
        await beside.revoke_key("key_1", now_ns=time.time_ns())
        refused = await http.get(TARGETS, headers={"X-API-Key": "k1"})
        assert (refused.status_code, refused.json()["error"]["message"]) == (401, "the API key was revoked")
        assert await asked() == 401


async def test_what_a_tenants_key_starts_is_its_own_and_a_key_of_none_sees_all(tmp_path: Path) -> None:
    """The catalogue names the tenant; another one's key does not join, by WebSocket or offer, and learns nothing."""
    async with hosted(app, tmp_path, settings=ServerSettings(keys=("all",))) as server:
        for tenant in ("acme", "other"):
            key = ApiKey(f"key_{tenant}", "", ("start", "observe"), tenant, time.time_ns())
            await server.store.access.add_key(digest(tenant), key)
        async with connect(server.socket_url(), additional_headers={"X-API-Key": "acme"}) as caller:
            assert caller.response is not None
            session = caller.response.headers["Turnlog-Session"]
            assert (await server.store.session(session)).tenant == "acme"
            url = f"{server.socket_url(None)}?session_id={session}"
            with pytest.raises(InvalidStatus) as caught:
                await connect(url, additional_headers={"X-API-Key": "other"})
            assert caught.value.response.status_code == 404
            for key_of in ("acme", "all"):
                async with connect(url, additional_headers={"X-API-Key": key_of}) as other:
                    assert other.response is not None and other.response.headers["Turnlog-Session"] == session


async def test_where_origins_are_named_no_other_page_may_ask(tmp_path: Path) -> None:
    """403 TL510 over HTTP, at a preflight and at the upgrade, with a right key too; the server's own page may."""
    settings = ServerSettings(keys=("k",), allow_origins=("https://App.example/",))
    shown = {"X-API-Key": "k"}
    async with hosted(app, tmp_path, settings=settings) as server, httpx.AsyncClient(base_url=server.url) as http:
        for origin in ("https://evil.example", "null", "https://app.example.evil", "https://app.example:444"):
            refused = await http.get(TARGETS, headers={**shown, "Origin": origin})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "TL510")
            assert "access-control-allow-origin" not in refused.headers
            preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            assert (await http.options(TARGETS, headers=preflight)).status_code == 403
            with pytest.raises(InvalidStatus) as caught:
                await connect(server.socket_url(), additional_headers=shown, origin=Origin(origin))
            assert caught.value.response.status_code == 403
        allowed = await http.get(TARGETS, headers={**shown, "Origin": "https://app.example"})
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://app.example")
        for origin in ("https://app.example", server.url):
            async with connect(server.socket_url(), additional_headers=shown, origin=Origin(origin)):
                pass
        assert (await http.get(TARGETS, headers=shown)).status_code == 200
