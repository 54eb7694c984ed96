"""What a key may ask for, held to by a real server: rates, sessions, bodies and messages; and revoked tokens."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

import turnlog
from tests.server.hosting import Hosted, hosted, receive
from turnlog.core.limits import Limits
from turnlog.core.secrets import digest
from turnlog.server.settings import ServerSettings
from turnlog.store import ApiKey

__all__: list[str] = []

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Waits for the caller to go."""
    async for _ in session.turns():
        pass


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Hosted]:
    """With one key of the settings, and general limits."""
    general = Limits(message_bytes=2_000, body_bytes=2_000)
    async with hosted(app, tmp_path, settings=ServerSettings(keys=("one",), limits=general)) as running:
        yield running


async def key(server: Hosted, secret: str, limits: Limits) -> dict[str, str]:
    """Enter a key; the headers that show it."""
    entered = ApiKey(f"key_{secret}", secret, ("start",), "", time.time_ns(), None, None, limits)
    await server.store.access.add_key(digest(secret), entered)
    return {"X-API-Key": secret}


async def test_requests_beyond_the_rate_are_429_with_the_time_to_wait(server: Hosted) -> None:
    """Each key counts for itself; over HTTP, in AgentField's spelling and at the upgrade alike."""
    slow = await key(server, "slow", Limits(requests_s=0.01))
    async with httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get("/v1/turnlog/targets", headers=slow)).status_code == 200
        refused = await http.get("/v1/turnlog/targets", headers=slow)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "TL506")
        assert 90 <= int(refused.headers["retry-after"]) <= 100
        offered = await http.post("/api/v1/session-targets/hotel.desk/start", headers=slow)
        assert offered.status_code == 429 and int(offered.headers["retry-after"]) <= 100
        assert "requests a second" in offered.json()["error"]
        for _ in range(3):
            assert (await http.get("/v1/turnlog/targets", headers={"X-API-Key": "one"})).status_code == 200
    with pytest.raises(InvalidStatus) as caught:
        await connect(server.socket_url(), additional_headers=slow)
    assert caught.value.response.status_code == 429 and "Retry-After" in caught.value.response.headers


async def test_a_key_has_so_many_sessions_at_a_time(server: Hosted) -> None:
    """The next is 429 with Retry-After; another key is not concerned, and when one ends there is room again."""
    two = await key(server, "two", Limits(sessions=2))
    async with connect(server.socket_url(), additional_headers=two) as first:
        async with connect(server.socket_url(), additional_headers=two):
            with pytest.raises(InvalidStatus) as caught:
                await connect(server.socket_url(), additional_headers=two)
            assert caught.value.response.status_code == 429
            assert caught.value.response.headers["Retry-After"] == "5"
            assert json.loads(caught.value.response.body or b"")["error"]["code"] == "TL506"
            async with connect(server.socket_url(), additional_headers={"X-API-Key": "one"}):
                pass
        assert first.response is not None
        gone = [live for live in server.engine.sessions.values() if live.id != first.response.headers["Turnlog-Session"]]
        for live in gone:
            await live.ended()
        async with connect(server.socket_url(), additional_headers=two):
            pass


async def test_bodies_over_the_limit_are_refused_by_their_length_alone(server: Hosted) -> None:
    """413 for the general limit and for a key's own; what is not over is looked at."""
    wide = await key(server, "wide", Limits(body_bytes=5_000))
    async with httpx.AsyncClient(base_url=server.url) as http:
        for headers, size, status in (({"X-API-Key": "one"}, 2_001, 413), (wide, 5_001, 413), (wide, 5_000, 400)):
            offer = await http.post("/v1/realtime/calls?model=hotel.desk", content=b"x" * size,
                                    headers={**headers, "Content-Type": "application/sdp"})  # fmt: skip
            assert offer.status_code == status, offer.text


async def test_messages_beyond_size_and_rate_close_the_socket(server: Hosted) -> None:
    """1009 and 1008 with the code in the reason; who rejoins by a token has the limits of the key that began."""
    few = await key(server, "few", Limits(messages_s=3))
    message = json.dumps({"type": "input_audio_buffer.clear"})
    async with connect(server.socket_url(), additional_headers={"X-API-Key": "one"}) as caller:
        await receive(caller, "session.created")
        await caller.send("x" * 2_001)
        with pytest.raises(ConnectionClosedError) as caught:
            await receive(caller, "never")
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009
    async with connect(server.socket_url(), additional_headers=few) as first:
        assert first.response is not None
        session, token = first.response.headers["Turnlog-Session"], first.response.headers["Turnlog-Token"]
        async with connect(
            f"{server.socket_url(None)}?session_id={session}", additional_headers={"Authorization": f"Bearer {token}"}
        ) as caller:
            await receive(caller, "session.created")
            for _ in range(8):
                await caller.send(message)
            with pytest.raises(ConnectionClosedError) as caught:
                await receive(caller, "never")
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason[:5]) == (1008, "TL506")


async def test_a_sessions_tokens_can_be_revoked(server: Hosted) -> None:
    """Who is attached stays; nobody comes back with a token, and new ones are given to keys."""
    one = {"X-API-Key": "one"}
    async with connect(server.socket_url(), additional_headers=one) as caller, httpx.AsyncClient(base_url=server.url) as http:
        assert caller.response is not None
        session, token = caller.response.headers["Turnlog-Session"], caller.response.headers["Turnlog-Token"]
        assert (await http.delete(f"/v1/turnlog/sessions/{session}/tokens")).status_code == 401
        assert (await http.delete("/v1/turnlog/sessions/sess_0/tokens", headers=one)).status_code == 404
        revoked = await http.delete(f"/v1/turnlog/sessions/{session}/tokens", headers=one)
        assert (revoked.status_code, revoked.json()) == (200, {"session": session, "revoked": 1})
        with pytest.raises(InvalidStatus) as caught:
            await connect(
                f"{server.socket_url(None)}?session_id={session}", additional_headers={"Authorization": f"Bearer {token}"}
            )
        assert caught.value.response.status_code == 401
        await receive(caller, "session.created")


async def test_who_comes_by_a_token_counts_as_the_key_that_started_the_session(server: Hosted) -> None:
    """Over HTTP and at the upgrade: a caller may not ask more often than who let it in."""
    slow = await key(server, "slow", Limits(requests_s=1 / 50))
    async with httpx.AsyncClient(base_url=server.url) as http:
        started = (await http.post("/v1/turnlog/sessions", headers=slow, json={"target": "hotel.desk"})).json()
        token = {"Authorization": f"Bearer {started['token']}"}
        tools = f"/api/v1/session-instances/{started['session']}/tools/nothing"
        refused = await http.post(tools, headers=token)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) <= 50
        with pytest.raises(InvalidStatus) as caught:
            await connect(server.socket_url(None) + f"?session_id={started['session']}", additional_headers=token)
        assert caught.value.response.status_code == 429
        other = (await http.post("/v1/turnlog/sessions", headers={"X-API-Key": "one"}, json={"target": "hotel.desk"})).json()
        mine = {"Authorization": f"Bearer {other['token']}"}
        unnamed = f"/api/v1/session-instances/{other['session']}/tools/nothing"
        assert [(await http.post(unnamed, headers=mine)).status_code for _ in range(2)] == [403, 403]
