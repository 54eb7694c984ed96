"""A served model's HTTP side with real clients: client secrets, what pages may do, and what is refused. No media is needed."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from turnlog.testing.behaviour import Pace
from turnlog.testing.fake_model import FakeModel
from turnlog.transports.providers.client_secrets import ClientSecrets
from turnlog.transports.providers.model_server import ModelServer

KEY = "sk-turnlog-1"
PAGE = "http://localhost:3000"


class Clock:
    """Unix time as a test wants it."""

    def __init__(self) -> None:
        self.now_s = time.time()


class Served(NamedTuple):
    """A served model and the clock of its secrets."""

    url: str
    clock: Clock

    @property
    def base(self) -> str:
        """What an OpenAI client takes as base_url."""
        return self.url.removesuffix("/realtime").replace("ws", "http", 1)

    @asynccontextmanager
    async def sdk(self, key: str = KEY) -> AsyncIterator[AsyncOpenAI]:
        """The official SDK."""
        async with AsyncOpenAI(api_key=key, base_url=self.base, max_retries=0) as client:
            yield client


@asynccontextmanager
async def served(key: str | None = KEY) -> AsyncIterator[Served]:
    """A model that repeats itself, at a free port."""
    clock = Clock()

    async def open_model() -> FakeModel:
        return FakeModel(Pace(), lambda _: "well")

    server = ModelServer(open_model, name="fake", now_s=lambda: clock.now_s)
    async with server.serve(port=0, key=key) as url:
        yield Served(url, clock)


@asynccontextmanager
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A plain client, as a page's fetch."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def greeted(server: Served, key: str, **query: Any) -> dict[str, Any]:
    """The session object that a socket opened with this key is greeted with."""
    async with server.sdk(key) as client, client.realtime.connect(**query) as connection:
        event = await connection.recv()
        assert event.type == "session.created"
        return event.session.model_dump()


async def test_a_client_secret_opens_sessions_with_its_configuration() -> None:
    """By the SDK: it is answered with the whole session, and every socket opened with it, key withheld, begins with that."""
    async with served() as server:
        async with server.sdk() as client:
            session: Any = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
            secret = await client.realtime.client_secrets.create(session=session)
        assert secret.value.startswith("ek_") and secret.expires_at == int(server.clock.now_s) + 600
        answered = secret.session.model_dump()
        assert (answered["model"], answered["instructions"]) == ("gpt-realtime", "Be brief.")
        assert answered["audio"]["output"]["voice"] == "alloy"
        for _ in range(2):
            begun = await greeted(server, secret.value, model="gpt-realtime")
            assert (begun["model"], begun["instructions"]) == ("gpt-realtime", "Be brief.")
        with pytest.raises(InvalidStatus) as other:
            await greeted(server, secret.value, model="another")
        assert other.value.response.status_code == 400
        assert b"model of a session cannot be changed" in (other.value.response.body or b"")


async def test_a_client_secret_expires() -> None:
    """After the seconds asked for it opens nothing; what it opened before goes on."""
    async with served() as server:
        async with server.sdk() as client:
            secret = await client.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 10})
        assert secret.expires_at == int(server.clock.now_s) + 10
        async with server.sdk(secret.value) as client, client.realtime.connect(model="m") as connection:
            server.clock.now_s = secret.expires_at
            with pytest.raises(InvalidStatus) as late:
                await greeted(server, secret.value, model="m")
            assert late.value.response.status_code == 401 and b"expired" in (late.value.response.body or b"")
            await connection.session.update(session={"type": "realtime", "instructions": "x"})
            assert [(await connection.recv()).type for _ in range(2)] == ["session.created", "session.updated"]


def test_of_a_secret_only_a_digest_is_held() -> None:
    """What it says is in no attribute; those that have expired are forgotten when the next one is given out."""
    clock = Clock()
    secrets = ClientSecrets(os.urandom, lambda: clock.now_s)
    first = secrets.issue({"instructions": "x"}, 10)
    assert secrets.session_of(first.value) == {"instructions": "x"}
    assert secrets.session_of(first.value + "x") is None
    assert first.value not in repr(vars(secrets))
    secrets.issue({"instructions": "y"})
    assert repr(vars(secrets)).count("instructions") == 2
    clock.now_s += 11
    secrets.issue({})
    assert repr(vars(secrets)).count("instructions") == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"expires_after": {"anchor": "created_at", "seconds": 9}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "created_at", "seconds": 7201}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "last_used_at", "seconds": 60}}, "expires_after.anchor"),
        ({"session": {"type": "realtime", "nonsense": 1}}, "Unknown parameter: 'session.nonsense'"),
        ({"session": {"type": "transcription"}}, "session.type"),
        ({"session": {"type": "realtime", "model": 5}}, "session.model"),
        ({"session": []}, "session"),
    ],
)
async def test_a_wrong_client_secret_is_refused(body: dict[str, Any], says: str) -> None:
    """400, and what was wrong with it."""
    async with served() as server, server.sdk() as client:
        with pytest.raises(BadRequestError) as caught:
            await client.post("/realtime/client_secrets", body=body, cast_to=object)
    assert says in caught.value.message


async def test_a_client_secret_does_not_open_everything() -> None:
    """Neither new secrets nor sidebands: those want the key."""
    async with served() as server:
        async with server.sdk() as client:
            secret = (await client.realtime.client_secrets.create()).value
        async with server.sdk(secret) as client:
            with pytest.raises(AuthenticationError):
                await client.realtime.client_secrets.create()
            with pytest.raises(InvalidStatus) as caught:
                await client.realtime.connect(call_id="rtc_1").enter()
        assert caught.value.response.status_code == 401
        async with server.sdk("ek_made_up") as client:
            with pytest.raises(InvalidStatus):
                await client.realtime.connect(model="m").enter()


async def test_a_call_that_is_not_there_is_404() -> None:
    """For a sideband, and for who would hang it up."""
    async with served() as server, server.sdk() as client:
        with pytest.raises(InvalidStatus) as caught:
            await client.realtime.connect(call_id="rtc_gone").enter()
        assert caught.value.response.status_code == 404 and b"rtc_gone" in (caught.value.response.body or b"")
        with pytest.raises(NotFoundError, match="rtc_gone"):
            await client.realtime.calls.hangup("rtc_gone")


@pytest.mark.parametrize(
    ("content", "kind", "status", "says"),
    [
        (b"{}", "application/json", 400, "application/json"),
        (b"", "", 400, "application/sdp"),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x", 400, "form"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400, "no part `sdp`"),
        (bytes(1024 * 1024 + 1), "application/sdp", 413, "larger than"),
    ],
    ids=["json", "nothing", "torn", "empty", "huge"],
)
async def test_a_body_that_is_no_call_is_refused(content: bytes, kind: str, status: int, says: str) -> None:
    """In JSON, naming what was sent and what is wanted; the server goes on."""
    async with served() as server, http() as client:
        headers = {"Authorization": f"Bearer {KEY}", **({"Content-Type": kind} if kind else {})}
        answer = await client.post(f"{server.base}/realtime/calls", content=content, headers=headers)
        assert answer.status_code == status and says in answer.json()["error"]["message"]
        assert await greeted(server, KEY, model="m")


async def test_what_is_no_socket_is_told_so() -> None:
    """426 at the sockets' address, 404 and 405 elsewhere, all in JSON."""
    async with served() as server, http() as client:
        asked = [("GET", "/realtime"), ("GET", "/nothing"), ("GET", "/realtime/calls")]
        answers = [await client.request(method, server.base + path) for method, path in asked]
    assert [answer.status_code for answer in answers] == [426, 404, 405]
    assert all("/v1/realtime" in answer.json()["error"]["message"] for answer in answers[1:])


async def test_a_page_of_another_origin_may_call_with_a_key() -> None:
    """Its preflight allows Authorization, and the answer is shown to it, Location included."""
    async with served() as server, http() as client:
        wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
        preflight = await client.options(f"{server.base}/realtime/calls", headers={"Origin": PAGE, **wanted})
        assert preflight.status_code == 200
        assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()
        headers = {"Origin": PAGE, "Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        answer = await client.post(f"{server.base}/realtime/calls", content=b"{}", headers=headers)
        assert answer.status_code == 400
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Expose-Headers"] == "Location, X-Request-Id"


async def test_without_a_key_only_pages_of_this_machine_get_in() -> None:
    """A page from elsewhere in a local browser opens neither a socket nor a secret; one of localhost does."""
    async with served(None) as server, http() as client:
        of_pages = [{"Origin": "https://example.org"}, {"Origin": "http://[::1"}, {"Host": "example.org"}, {"Origin": PAGE}]
        for headers, status in zip(of_pages, (401, 401, 401, 200), strict=True):
            answer = await client.post(f"{server.base}/realtime/client_secrets", headers=headers)
            assert answer.status_code == status
            assert ("Access-Control-Allow-Origin" in answer.headers) == (status == 200)
        with pytest.raises(InvalidStatus):
            await connect(server.url, additional_headers={"Origin": "https://example.org"})
        async with connect(server.url, additional_headers={"Origin": PAGE}):
            pass
