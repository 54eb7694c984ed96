"""The API for keys of one tenant: what they list, start and page through is theirs."""

import time
from pathlib import Path
from typing import Any

import httpx

import turnlog
from tests.server.hosting import hosted
from turnlog.core.limits import Limits
from turnlog.core.secrets import digest
from turnlog.store import ApiKey

app = turnlog.App("hotel")
SESSIONS = "/v1/turnlog/sessions"


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Waits for its caller to go."""
    async for _ in session.turns():
        pass


async def test_a_tenants_key_starts_and_finds_that_tenants_sessions(tmp_path: Path) -> None:
    """Without a word of it in the request; who names another tenant, or pages by its session, is refused."""
    async with hosted(app, tmp_path) as server, httpx.AsyncClient(base_url=server.url) as http:
        for made in (
            ApiKey("key_a", "", ("admin",), "acme", time.time_ns(), limits=Limits(sessions=1)),
            ApiKey("key_b", "", ("admin",), "bolt", time.time_ns()),
            ApiKey("key_w", "", ("admin",), "", time.time_ns()),
        ):
            await server.store.access.add_key(digest(made.id + "!"), made)

        async def ask(key: str, method: str = "GET", **options: Any) -> httpx.Response:
            return await http.request(method, SESSIONS, headers={"X-API-Key": f"key_{key}!"}, **options)

        async def listed(key: str, **query: str) -> list[str]:
            return [one["session"] for one in (await ask(key, params=query)).json()["sessions"]]

        for key, body in (("a", {"session": "of-a"}), ("b", {"session": "of-b"}), ("w", {"session": "of-w", "tenant": "acme"})):
            answer = await ask(key, "POST", json={"target": "hotel.desk", **body})
            assert answer.status_code == 201, answer.text
        assert await listed("a") == ["of-w", "of-a"] and await listed("b") == ["of-b"]
        assert await listed("w") == ["of-w", "of-b", "of-a"] and await listed("w", tenant="bolt") == ["of-b"]
        refusals = [
            (await ask("a", params={"tenant": "bolt"}), 403, "TL507"),
            (await ask("a", "POST", json={"target": "hotel.desk", "tenant": "bolt"}), 403, "TL507"),
            (await ask("a", params={"cursor": "of-b"}), 400, "TL509"),
            (await ask("a", "POST", json={"target": "hotel.desk"}), 429, "TL506"),
        ]
        for answer, status, code in refusals:
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert refusals[-1][0].headers["retry-after"]
