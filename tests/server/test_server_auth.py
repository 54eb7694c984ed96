"""Who is let in, by what a request shows and where it comes from."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from turnlog.core.errors import TurnlogError
from turnlog.core.secrets import digest
from turnlog.engine.app import App
from turnlog.engine.engine import Engine
from turnlog.server.access import Access
from turnlog.server.auth import new_token
from turnlog.server.settings import ServerSettings

__all__: list[str] = []


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """On a store in memory, which holds no keys."""
    async with Engine(App("hotel"), store="memory://") as running:
        yield running


async def check(engine: Engine, shown: HTTPConnection, *keys: str) -> None:
    """What a server with these keys says of a request that wants to start a session."""
    await Access(engine, ServerSettings(keys=keys)).check(shown, "start")


def request(client: str | None = "127.0.0.1", subprotocols: list[str] | None = None, **headers: str) -> HTTPConnection:
    """An upgrade request as the server hands it on."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "websocket", "headers": raw, "subprotocols": subprotocols or []}
    return HTTPConnection({**scope, "client": None if client is None else (client, 50000)})


SHOWN = [
    request(authorization="Bearer k2"),
    request(authorization="bearer  k2"),
    request(x_api_key="k2"),
    request(subprotocols=["realtime", "openai-insecure-api-key.k2", "openai-beta.realtime-v1"]),
    request(client="192.0.2.7", x_api_key="k2"),
]


@pytest.mark.parametrize("shown", SHOWN)
async def test_each_of_the_keys_opens_in_each_of_the_three_places(engine: Engine, shown: HTTPConnection) -> None:
    """A key is taken from Authorization, X-API-Key or the subprotocol, wherever the peer is."""
    await check(engine, shown, "k1", "k2")


NOT_SHOWN = [request(), request(authorization="Basic k1"), request(authorization="Bearer "), request(subprotocols=["realtime"])]


@pytest.mark.parametrize("shown", NOT_SHOWN)
async def test_with_keys_configured_loopback_needs_one_too(engine: Engine, shown: HTTPConnection) -> None:
    """No key is TL501, and the hint says where to put one."""
    with pytest.raises(TurnlogError, match="TL501 this server needs an API key") as caught:
        await check(engine, shown, "k1")
    assert "Authorization: Bearer" in caught.value.hint


@pytest.mark.parametrize("wrong", ["sk-", "sk-11", "SK-1", "sk-ж"])
async def test_a_wrong_key_is_refused_and_not_repeated(engine: Engine, wrong: str) -> None:
    """TL501 without the key that was tried."""
    with pytest.raises(TurnlogError, match="TL501") as caught:
        await check(engine, request(x_api_key=wrong), "sk-1")
    assert wrong not in str(caught.value)


async def test_an_empty_key_is_no_key(engine: Engine) -> None:
    """One of no characters opens nothing, and none can be set: a server that was to have keys would stand open."""
    with pytest.raises(TurnlogError, match="TL501"):
        await check(engine, request(x_api_key=""), "k1")
    with pytest.raises(TurnlogError, match="TL210"):
        await check(engine, request(), "")


@pytest.mark.parametrize("client", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
async def test_without_keys_loopback_is_let_in(engine: Engine, client: str) -> None:
    """Every spelling of loopback."""
    await check(engine, request(client=client))


@pytest.mark.parametrize("client", ["192.0.2.7", "0.0.0.0", "::ffff:192.0.2.7", "2001:db8::1", "testclient", None])
async def test_without_keys_nobody_else_is_let_in(engine: Engine, client: str | None) -> None:
    """Another machine, and a peer without an address, get TL501."""
    with pytest.raises(TurnlogError, match="TL501 this server has no keys and is open to its own machine only"):
        await check(engine, request(client=client))


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080"])
async def test_without_keys_pages_of_this_machine_are_let_in(engine: Engine, origin: str) -> None:
    """A page that this machine serves may call."""
    await check(engine, request(origin=origin))


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1.evil.example", "null", "file://", "http://[evil"])
async def test_without_keys_foreign_pages_in_a_local_browser_are_refused(engine: Engine, origin: str) -> None:
    """A browser lets any page open a WebSocket to loopback: its Origin tells."""
    with pytest.raises(TurnlogError, match="TL501"):
        await check(engine, request(origin=origin))


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080"])
async def test_without_keys_this_machine_is_asked_for_by_its_own_name(engine: Engine, host: str) -> None:
    """Every name of loopback, with a port or without."""
    await check(engine, request(host=host))


@pytest.mark.parametrize("host", ["evil.example:8080", "127.0.0.1.evil.example", "[::1", ""])
async def test_without_keys_a_page_whose_name_leads_here_is_refused(engine: Engine, host: str) -> None:
    """A page may have its own name lead to loopback; then its reads come from there and show no Origin."""
    with pytest.raises(TurnlogError, match="TL501 this server has no keys and is not open to pages of"):
        await check(engine, request(host=host))
    await check(engine, request(host=host, x_api_key="k1"), "k1")


def test_tokens_are_random_and_kept_as_digests() -> None:
    """256 bits of randomness; the digest does not show them."""
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and min(map(len, tokens)) >= 43
    assert {len(digest(token)) for token in tokens} == {32}
