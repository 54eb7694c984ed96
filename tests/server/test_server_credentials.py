"""Every address of the server, asked with each credential that must not open it, and with the one that does."""

import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, NamedTuple

import httpx
import pytest
import pytest_asyncio
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

import turnlog
from tests.server.credential_table import TABLE, Rule
from tests.server.hosting import Hosted, hosted
from turnlog.core.secrets import digest
from turnlog.server.app import create_app
from turnlog.server.calls import METHODS
from turnlog.server.settings import ServerSettings
from turnlog.store import ApiKey, ClientSecret

__all__: list[str] = []

pytestmark = pytest.mark.asyncio(loop_scope="module")

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Waits for the caller to go."""
    async for _ in session.turns():
        pass


ALL: Final = ("admin", "start", "observe")
_NS = 1_000_000_000


class World(NamedTuple):
    """A server with a running session of the tenant acme, one of another tenant, and a token of each."""

    server: Hosted
    session: str
    token: str
    elsewhere: str
    http: httpx.AsyncClient  # one for all: a client reads the certificates of this machine when it is made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One for all the tests of this file, as they change nothing."""
    async with hosted(app, tmp_path_factory.mktemp("access"), settings=ServerSettings(keys=("whole",))) as server:
        now_ns = time.time_ns()
        keys = {
            "acme": ApiKey("key_acme", "", ALL, "acme", now_ns),
            "other": ApiKey("key_other", "", ALL, "other", now_ns),
            "expired": ApiKey("key_expired", "", ALL, "acme", now_ns, now_ns - 1),
            "revoked": ApiKey("key_revoked", "", ALL, "acme", now_ns, None, now_ns),
            "without admin": ApiKey("key_1", "", ("start", "observe"), "acme", now_ns),
            "without start": ApiKey("key_2", "", ("observe",), "acme", now_ns),
            "without observe": ApiKey("key_3", "", ("start",), "acme", now_ns),
        }
        for secret, key in keys.items():
            await server.store.access.add_key(digest(secret), key)
        for secret, expires_ns in (("ek_open", now_ns + 600 * _NS), ("ek_expired", now_ns)):
            held = ClientSecret("hotel.desk", b"{}", expires_ns, "acme", "key_acme")
            await server.store.access.add_secret(digest(secret), held)
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
            papers = [await started(http, secret) for secret in ("acme", "other")]
            yield World(server, *papers[0], papers[1][1], http)


async def started(http: httpx.AsyncClient, secret: str) -> tuple[str, str]:
    """A session of this key's tenant, and its token."""
    answer = await http.post("/api/v1/session-targets/hotel.desk/start", headers={"X-API-Key": secret})
    assert answer.status_code == 201, answer.text
    return answer.headers["turnlog-session"], answer.headers["turnlog-token"]


async def ask(world: World, address: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and body of an answer; 101 and nothing for an upgrade."""
    method, _, path = address.partition(" ")
    path = path.replace("{path:path}", "nowhere/at/all")
    path = path.format(session=world.session, target="hotel.desk", call_id="rtc_0", name="app.js", execution="exec_0",
                       node="hotel", id="hotel", tool="none", tool_name="none")  # fmt: skip
    if method == "WS":
        try:
            async with connect(world.server.url.replace("http", "ws", 1) + path, additional_headers=headers, max_size=None):
                return 101, ""
        except InvalidStatus as refused:
            return refused.response.status_code, (refused.response.body or b"").decode()
    async with world.http.stream(method, path, headers=headers) as answer:  # what has begun to stream was let in
        body = "" if answer.headers.get("content-type", "").startswith("text/event-stream") else await answer.aread()
        return answer.status_code, body if isinstance(body, str) else body.decode(errors="replace")


def bearer(secret: str) -> dict[str, str]:
    """Headers that show it."""
    return {"Authorization": f"Bearer {secret}"}


BAD: Final = {
    "none": {},
    "wrong": bearer("wrong"),
    "as basic": {"Authorization": "Basic d2hvbGU="},
    "cut": bearer("who"),
    "a key's id": bearer("key_acme"),
    "a digest": bearer(digest("acme").hex()),
    "expired": bearer("expired"),
    "revoked": bearer("revoked"),
    "a client secret that has expired": bearer("ek_expired"),
    "in the query alone": {},
}
"""What opens nothing at all."""


def addresses(routes: Iterable[BaseRoute], prefix: str = "") -> set[str]:
    """"METHOD path" of every route; of one that refuses other methods itself only the path counts: "* path"."""
    found: set[str] = set()
    for route in routes:
        match route:
            case Mount():
                found |= addresses(route.routes, prefix + route.path)
            case WebSocketRoute():
                found.add(f"WS {prefix}{route.path}")
            case Route(methods=methods) if methods is None or set(METHODS) <= methods:
                found.add(f"* {prefix}{route.path}")
            case Route(methods=methods):
                found |= {f"{method} {prefix}{route.path}" for method in methods or () if method != "HEAD"}
            case _:
                raise AssertionError(f"a route of a kind that this test does not know: {route!r}")
    return found


async def test_the_table_names_every_route_and_no_other(world: World) -> None:
    """A route that is added without a line in tests/server/credential_table.py fails here."""
    routed = addresses(create_app(world.server.engine, ServerSettings(keys=("whole",))).routes)
    listed = {address.partition("?")[0] for address in TABLE}
    listed_paths = {f"* {address.partition(' ')[2]}" for address in listed}
    assert {one for one in routed if one not in listed and one not in listed_paths} == set()
    paths = {one.partition(" ")[2] for one in routed if one.startswith("* ")}
    assert {one for one in listed if one not in routed and one.partition(" ")[2] not in paths} == set()


@pytest.mark.parametrize("address", [one for one, rule in TABLE.items() if rule.kind != "open"])
async def test_what_opens_nothing_is_refused_in_one_way(world: World, address: str) -> None:
    """401 each, whatever the session of the path, and never with what was shown or what there is in the answer."""
    for name, headers in BAD.items():
        asked = address + ("&" if "?" in address else "?") + "key=whole&api_key=whole" if "query" in name else address
        status, body = await ask(world, asked, headers)
        assert status == 401, (name, status, body)
        assert not {"whole", "acme", world.session} & set(body.replace('"', " ").split()), (name, body)
    for token in (world.token, world.elsewhere):
        if TABLE[address].kind != "caller" or token == world.elsewhere:
            assert (await ask(world, address, bearer(token)))[0] == 401, address


SECRETS_OPEN: Final = {"WS /v1/realtime?model=hotel.desk", "POST /v1/realtime/calls"}


@pytest.mark.parametrize("address", [one for one, rule in TABLE.items() if rule.kind != "open"])
async def test_a_client_secret_begins_calls_and_opens_nothing_else(world: World, address: str) -> None:
    """401 wherever no session of its target is begun, for sessions of its own tenant, too."""
    status, body = await ask(world, address, bearer("ek_open"))
    assert (status not in (401, 403) and status < 500) if address in SECRETS_OPEN else status == 401, (status, body)


@pytest.mark.parametrize("address", [one for one, rule in TABLE.items() if rule.kind != "open"])
async def test_a_key_without_the_scope_or_of_another_tenant_is_refused(world: World, address: str) -> None:
    """403 for the scope; a session of another tenant is 404, in the words for one that is not there."""
    rule: Rule = TABLE[address]
    lacking = {"start": ["without start"], "observe": ["without observe"], "admin": ["without admin"]}[rule.scope]
    for secret in lacking:
        assert (await ask(world, address, bearer(secret)))[0] == 403, secret
    status, body = await ask(world, address, bearer("other"))
    match rule.kind:
        case "session" | "caller":
            unknown, of_unknown = await ask(world._replace(session="sess_0"), address, bearer("other"))
            assert (status, body) == (404, of_unknown.replace("sess_0", world.session)) and unknown == 404
        case "whole":
            assert status == 403, body
        case _:
            assert status not in (401, 403) and status < 500, body


@pytest.mark.parametrize("address", [one for one, rule in TABLE.items() if rule.kind not in ("open", "caller", "session")])
async def test_the_right_key_is_let_in(world: World, address: str) -> None:
    """Whatever else the request lacks is told by another status, and none of the server's own failures."""
    status, body = await ask(world, address, bearer("whole"))
    assert status not in (401, 403) and status < 500, body
    if TABLE[address].kind == "key":
        status, body = await ask(world, address, {"X-API-Key": "acme"})
        assert status not in (401, 403) and status < 500, body


@pytest.mark.parametrize("address", [one for one, rule in TABLE.items() if rule.kind == "open"])
async def test_what_is_open_tells_nothing(world: World, address: str) -> None:
    """It is answered alike with any credential, and holds no session and no key."""
    answers = {await ask(world, address, headers) for headers in ({}, bearer("wrong"), bearer("whole"))}
    assert len(answers) == 1
    status, body = answers.pop()
    assert status < 500 and world.session not in body and world.token not in body
