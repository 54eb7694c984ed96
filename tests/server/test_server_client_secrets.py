"""Client secrets, over TLS, with the official SDK and bare: what each opens and what not, and when it ends."""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
import pytest_asyncio
import trustme
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

import turnlog
from tests.server.hosting import Hosted, encode, hosted, receive, user_item
from turnlog.core import events as e
from turnlog.core.errors import TurnlogError
from turnlog.core.secrets import digest
from turnlog.server.serve import serve
from turnlog.server.settings import ServerSettings
from turnlog.store import ApiKey

__all__: list[str] = []

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT: Final = Path(__file__).resolve().parents[2]
KEY: Final = {"Authorization": "Bearer whole"}
SESSION: Final[dict[str, Any]] = {
    "type": "realtime",
    "model": "hotel.desk",
    "instructions": "Be brief.",
    "audio": {"output": {"voice": "verse"}},
}

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process", modalities=["text"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets and echoes."""
    await session.say("Front desk.")
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


@app.session("bar", provider="local", transport="in_process", modalities=["text"])
async def bar(session: turnlog.RealtimeSession) -> None:
    """Another target."""
    async for _ in session.turns():
        pass


class World(NamedTuple):
    """A server with TLS, and what trusts it."""

    server: Hosted
    trust: ssl.SSLContext
    http: httpx.AsyncClient

    async def ask(self, body: Any = None, headers: dict[str, str] = KEY, query: str = "") -> httpx.Response:
        """What the endpoint answers."""
        content = body if isinstance(body, bytes) else encode({"session": SESSION} if body is None else body)
        return await self.http.post(f"/v1/realtime/client_secrets{query}", content=content, headers=headers)

    async def secret(self, headers: dict[str, str] = KEY) -> str:
        """A new one of hotel.desk."""
        value: str = (await self.ask(headers=headers)).json()["value"]
        return value

    def connect(self, secret: str, query: str = "") -> connect:
        """A bare WebSocket that shows a secret as browsers do."""
        offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{secret}")]
        url = self.server.url.replace("http", "ws", 1) + f"/v1/realtime{query}"
        return connect(url, subprotocols=offered, ssl=self.trust)

    async def refused(self, secret: str, query: str = "") -> tuple[int, str]:
        """Status and code for a WebSocket that is not opened."""
        with pytest.raises(InvalidStatus) as caught:
            async with self.connect(secret, query):
                pass
        body = json.loads(caught.value.response.body or b"{}")
        return caught.value.response.status_code, body["error"]["code"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One server for the tests of this file."""
    folder = tmp_path_factory.mktemp("secrets")
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    trust = ssl.create_default_context()
    ca.configure_trust(trust)
    both = str(folder / "both.pem")
    settings = ServerSettings(keys=("whole",), tls_cert=both, tls_key=both)
    async with hosted(app, folder, settings=settings) as server, httpx.AsyncClient(base_url=server.url, verify=trust) as http:
        yield World(server, trust, http)


async def test_the_sdk_gets_a_secret_and_opens_with_it_what_it_is_bound_to(world: World) -> None:
    """client_secrets.create by a key; connect by the secret, without a model, over TLS; its settings come before any input."""
    async with DefaultAsyncHttpxClient(verify=world.trust) as http:
        client = AsyncOpenAI(base_url=f"{world.server.url}/v1", api_key="whole", http_client=http, max_retries=0)
        session: Any = SESSION
        issued = await client.realtime.client_secrets.create(session=session, expires_after={"seconds": 60})
        assert issued.value.startswith("ek_") and 55 < issued.expires_at - time.time() <= 60
        bound: Any = issued.session
        assert (bound.model, bound.instructions, bound.audio.output.voice) == ("hotel.desk", "Be brief.", "verse")
    page = AsyncOpenAI(base_url=f"{world.server.url}/v1", api_key=issued.value)
    options: Any = {"ssl": world.trust}
    async with page.realtime.connect(websocket_connection_options=options) as connection:
        first: list[Any] = []
        async for event in connection:
            first.append(event)
            if event.type == "response.done":
                break
        assert [one.type for one in first[:2]] == ["session.created", "session.updated"]
        assert first[-1].response.output[0].content[0].text == "Front desk."
        updated = next(one for one in first if one.type == "session.updated").session
        assert (updated.instructions, updated.audio.output.voice) == ("Be brief.", "verse")
        item: Any = user_item("ann")
        await connection.conversation.item.create(item=item)
        await connection.response.create()
        async for event in connection:
            if event.type == "response.done":
                assert event.response.output[0].content[0].text == "You said ann."  # type: ignore[union-attr,index] # a message
                break


async def test_a_secret_opens_its_own_target_as_often_as_is_wanted_and_no_other(world: World) -> None:
    """By its name too; another target is 400, as is one that is not there 404. Its session ends as any other."""
    secret = await world.secret()
    for query in ("", "?model=hotel.desk"):
        async with world.connect(secret, query) as caller:
            assert caller.subprotocol == "realtime"
            assert (await receive(caller, "session.created"))["session"]["model"] is not None
            assert caller.response is not None
            session = caller.response.headers["turnlog-session"]
        assert (await world.server.store.session(session)).target == "hotel.desk"
    assert await world.refused(secret, "?model=hotel.bar") == (400, "TL504")
    assert await world.refused(secret, "?model=hotel.attic") == (404, "TL502")


async def test_a_secret_opens_nothing_else(world: World) -> None:
    """No running session, no sideband, no other address, no further secret; what is no secret opens nothing."""
    secret = await world.secret()
    async with world.connect(secret) as caller:
        await receive(caller, "session.created")
        assert caller.response is not None
        session = caller.response.headers["turnlog-session"]
        assert await world.refused(secret, f"?session_id={session}") == (401, "TL501")
        assert await world.refused(secret, "?call_id=rtc_0") == (401, "TL501")
    shown = {"Authorization": f"Bearer {secret}"}
    for method, path in (("GET", "/v1/turnlog/targets"), ("GET", "/metrics"), ("POST", "/api/v1/sessions/hotel.desk/start")):
        assert (await world.http.request(method, path, headers=shown)).status_code == 401
    assert (await world.ask(headers=shown)).status_code == 401
    for wrong in ("ek_", "ek_wrong", secret[:-1], secret.upper(), digest(secret).hex()):
        assert await world.refused(wrong) == (401, "TL501")


async def test_a_secret_opens_calls_of_its_target(world: World) -> None:
    """The offer is looked at once the secret was let in; another model in its session is 400."""
    shown = {"Authorization": f"Bearer {await world.secret()}", "Content-Type": "application/sdp"}
    answer = await world.http.post("/v1/realtime/calls", content="v=0\r\n", headers=shown)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "TL310")
    shown["Authorization"] += "x"
    assert (await world.http.post("/v1/realtime/calls", content="v=0\r\n", headers=shown)).status_code == 401


async def test_a_secret_ends_with_its_time_and_with_the_key_that_made_it(world: World) -> None:
    """A tenant's key makes secrets of its tenant's sessions; when it is revoked they open nothing."""
    access = world.server.store.access
    await access.add_key(digest("acme"), ApiKey("key_acme", "", ("start",), "acme", time.time_ns()))
    secret = await world.secret({"X-API-Key": "acme"})
    async with world.connect(secret) as caller:
        await receive(caller, "session.created")
        assert caller.response is not None
        session = caller.response.headers["turnlog-session"]
    assert (await world.server.store.session(session)).tenant == "acme"
    held = await access.find_secret(digest(secret), now_ns=time.time_ns())
    assert held is not None and held.key == "key_acme" and secret.encode() not in repr(held).encode()
    await access.revoke_key("key_acme", now_ns=time.time_ns())
    assert await world.refused(secret) == (401, "TL501")
    late = await world.secret()
    entered = await access.find_secret(digest(late), now_ns=time.time_ns())
    assert entered is not None
    await access.add_secret(digest(late), entered._replace(expires_ns=time.time_ns() - 1))
    assert await world.refused(late) == (401, "TL501")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "cannot be read"),
        (b"\xff", 400, "cannot be read"),
        (b"[" * 100_000, 400, "cannot be read"),
        ({}, 400, "no `model`"),
        ({"session": {"model": 7}}, 404, "'7'"),
        ({"session": {"model": "hotel.attic"}}, 404, "hotel.attic"),
        ({"session": {"model": "hotel.desk", "voice": "verse"}}, 400, "voice"),
        ({"session": {"model": "hotel.desk", "audio": {"output": {"speed": "fast"}}}}, 400, "speed"),
        ({"session": SESSION, "expires_after": {"seconds": 9}}, 400, ">= 10"),
        ({"session": SESSION, "expires_after": {"seconds": 7201}}, 400, "<= 7200"),
        ({"session": SESSION, "expires_after": {"anchor": "opened_at"}}, 400, "opened_at"),
        (b"x" * (1024 * 1024 + 1), 413, "larger"),
    ],
    ids=lambda one: repr(one)[:20],
)
async def test_a_request_that_is_wrong_is_told_why(world: World, body: Any, status: int, said: str) -> None:
    """By status and words; no secret comes of it."""
    answer = await world.ask(body)
    assert (answer.status_code, "value" in answer.json()) == (status, False)
    assert said in answer.text


async def test_a_request_is_a_post_and_its_query_may_name_the_target(world: World) -> None:
    """405 for other methods; a body without a session takes `model` from the query."""
    answer = await world.http.get("/v1/realtime/client_secrets", headers=KEY)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = await world.ask(b"", query="?model=hotel.bar")
    assert answer.json()["session"]["model"] == "hotel.bar" and answer.headers["cache-control"] == "no-store"


async def test_what_a_secret_asks_for_is_in_the_log_as_its_callers_own_update(world: World) -> None:
    """A replay needs no secret."""
    async with world.connect(await world.secret()) as caller:
        await receive(caller, "session.updated")
        assert caller.response is not None
        session = caller.response.headers["turnlog-session"]
    log = await world.server.events(session)
    (asked,) = [one for one in log if isinstance(one, e.SettingsAsked)]
    assert asked.settings == {"voice": "verse"}
    (update,) = [one.data for one in log if isinstance(one, e.TransportReceived) and one.link == "c1"]
    assert b"Be brief." in update  # what does not apply where a handler answers stands there as it was asked for


@pytest.mark.parametrize(
    ("cert", "key", "said"),
    [
        ("absent.pem", "absent.pem", "No such file"),
        ("both.pem", "", "tls_cert is set and tls_key is not"),
        ("", "both.pem", "tls_key is set and tls_cert is not"),
        ("other.pem", "both.pem", "mismatch"),
        ("junk.pem", "junk.pem", "no TLS with"),
    ],
)
async def test_tls_that_cannot_be_had_is_tl210(tmp_path: Path, cert: str, key: str, said: str) -> None:
    """Before anything is opened, and not as a traceback of OpenSSL."""
    for name in ("both.pem", "other.pem"):
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
    (tmp_path / "junk.pem").write_text("nothing")
    named = [str(tmp_path / one) if one else "" for one in (cert, key)]
    with pytest.raises(TurnlogError, match="TL210") as caught:
        await serve(app, port=0, store="memory://", settings=ServerSettings(tls_cert=named[0], tls_key=named[1]))
    assert said.lower() in caught.value.message.lower()


async def test_the_command_line_serves_tls(tmp_path: Path) -> None:
    """`turnlog serve --tls-cert --tls-key` tells its https address and answers there, and plain HTTP nowhere."""
    ca = trustme.CA()
    ca.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    trust = ssl.create_default_context()
    ca.configure_trust(trust)
    both = str(tmp_path / "both.pem")
    served = ("turnlog.examples.hotel:app", "--port", "0", "--db", "memory://", "--tls-cert", both, "--tls-key", both)
    command = (sys.executable, "-m", "turnlog", "serve", *served)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().partition("/v1/")[0]
    async with httpx.AsyncClient(verify=trust) as http:
        assert url.startswith("https://127.0.0.1:") and (await http.get(f"{url}/healthz")).status_code == 200
        with pytest.raises(httpx.HTTPError):
            await http.get(f"{url.replace('https', 'http')}/healthz")
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 0
