"""AgentField's start and realtime-offer: statuses, fields and texts of its contract, and a call by it as a session's call."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCSessionDescription

import turnlog
from tests.server.browser_call import BrowserCall, browser
from tests.server.hosting import Hosted, hosted
from turnlog.core import events as e
from turnlog.server.agentfield import START_GRACE_S
from turnlog.server.settings import ServerSettings
from turnlog.testing.fake_model import FakeModelProvider
from turnlog.testing.speaking import SpeakingProvider
from turnlog.transports.providers.openai import OpenAIProvider
from turnlog.transports.webrtc.ice import IceSettings

pytestmark = pytest.mark.realtime

SPELLINGS = [("session-targets", "session-instances"), ("sessions", "sessions")]
LOOPBACK = IceSettings(hosts=("127.0.0.1",))

app = turnlog.App("hotel")


@app.tool
async def find_guest(name: str) -> str:
    """A guest by name."""
    return name


@app.session("desk", provider="local", transport="in_process", tools=["find_guest"], tags=["front"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, and knows what it was started with."""
    await session.say(f"Room {session.metadata.get('room', 'unknown')}.")
    async for _ in session.turns():
        pass


@app.session("lobby", provider="openai", transport="webrtc", voice="marin", tools=["find_guest"], tags=["front"])
async def lobby(session: turnlog.RealtimeSession) -> None:
    """A direct call."""
    await session.say("Welcome.")
    async for _ in session.turns():
        pass


class Client:
    """Posts, and what comes back."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.url = url
        self.headers = headers or {}

    async def post(self, path: str, **options: Any) -> httpx.Response:
        """One request."""
        async with httpx.AsyncClient(base_url=self.url, headers=self.headers) as http:
            return await http.post(path, **options)

    async def start(self, target: str = "hotel.desk", spelling: str = "session-targets", **body: Any) -> dict[str, Any]:
        """A session that was started."""
        answer = await self.post(f"/api/v1/{spelling}/{target}/start", json=body)
        assert answer.status_code == 201, answer.text
        started: dict[str, Any] = answer.json()
        return started


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Hosted]:
    """Without keys, as AgentField is on a developer's machine."""
    async with hosted(app, tmp_path, provider=SpeakingProvider()) as running:
        yield running


async def calls(call: BrowserCall, url: str, path: str) -> httpx.Response:
    """A browser's raw offer to an offer_url; the answer is taken."""
    await call.connection.setLocalDescription(await call.connection.createOffer())
    headers = {"Content-Type": "application/sdp"}
    answer = await Client(url).post(path, content=call.connection.localDescription.sdp, headers=headers)
    if answer.status_code == 200:
        await call.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    return answer


async def test_a_start_tells_all_that_its_clients_read(server: Hosted) -> None:
    """201 with the contract's fields, the declared values in them; overrides of model and voice are the session's."""
    started = await Client(server.url).start("hotel.lobby", model="gpt-realtime-2", metadata={"room": "12"})
    session, created = started.pop("session_id"), started.pop("created_at")
    assert re.fullmatch(r"sess_\d{8}_\d{6}_[0-9a-f]{8}", session)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)
    query = "model=gpt-realtime-2&provider=openai&target=hotel.lobby&transport=webrtc&voice=marin"
    assert started == {
        "target": "hotel.lobby",
        "provider": "openai",
        "transport": "webrtc",
        "model": "gpt-realtime-2",
        "voice": "marin",
        "modalities": ["audio", "text"],
        "tags": ["front"],
        "tool_targets": {"find_guest": "hotel.find_guest"},
        "turn_detection": {
            "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
            "create_response": True, "interrupt_response": True,
        },
        "offer_url": f"/api/v1/session-instances/{session}/realtime-offer?{query}",
        "tool_url": f"/api/v1/session-instances/{session}/tools/{{tool}}",
    }  # fmt: skip
    first, awaited = (await server.events(session))[:2]
    assert (first.definition.model, first.metadata) == ("gpt-realtime-2", {"room": "12"})
    assert awaited == e.CallerAwaited(grace_ms=START_GRACE_S * 1000)


async def test_the_other_half_of_the_matrix_starts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """openrouter by audio_turns: 201 without turn detection, with the model asked for; without a key the provider is lost."""
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    turns = turnlog.App("hotel")
    turns.session("turns", provider="openrouter", transport="audio-turns")(desk)
    async with hosted(turns, tmp_path, provider=SpeakingProvider()) as server:
        started = await Client(server.url).start("hotel.turns", model="acme/voice", voice="verse")
        assert {key: started[key] for key in ("provider", "transport", "model", "voice", "turn_detection")} == {
            "provider": "openrouter", "transport": "audio_turns", "model": "acme/voice", "voice": "verse", "turn_detection": None,
        }  # fmt: skip
        ended = await server.ended(started["session_id"])
        assert ended.code == "TL303" and "OPENROUTER_API_KEY is required" in ended.detail


@pytest.mark.parametrize(("starts", "offers"), SPELLINGS)
async def test_a_call_by_its_routes_is_a_call_of_the_session(server: Hosted, starts: str, offers: str) -> None:
    """Start, offer with nothing in the query, talk: the handler answers and knows the metadata of the start."""
    started = await Client(server.url).start(spelling=starts, metadata={"room": "12"})
    session = started["session_id"]
    async with browser(server.url) as call:
        answer = await calls(call, server.url, f"/api/v1/{offers}/{session}/realtime-offer")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/sdp"), answer.text
        assert answer.headers["turnlog-session"] == session and answer.headers["turnlog-token"]
        await call.gets("output_audio_buffer.stopped")
        (said,) = [one["transcript"] for one in call.events if one["type"] == "response.output_audio_transcript.done"]
        assert said == "Room 12."
        again = await Client(server.url).post(started["offer_url"], content=call.connection.localDescription.sdp)
        assert again.status_code == 409 and "error" in again.json()
        hung_up = await Client(server.url).post(answer.headers["location"] + "/hangup")
        assert hung_up.status_code == 200
    assert (await server.ended(session)).reason == "caller_gone"
    gone = await Client(server.url).post(started["offer_url"], content="v=0")
    assert (gone.status_code, list(gone.json())) == (404, ["error"])


KNOWN = "azure, local, openai, openrouter, scripted"
REGISTERED = "is registered for provider=local transport=in_process; requested provider=openai transport=webrtc"
STARTS: list[tuple[str, bytes, int, str]] = [
    ("hotel", b"", 400, "session target must be <node>.<session>"),
    ("hotel.", b"", 400, "session target must be <node>.<session>"),
    ("motel.desk", b"{", 404, "agent not found"),
    ("hotel.bar", b"{", 404, "session not registered"),
    ("hotel.desk", b"{", 400, "invalid JSON body"),
    ("hotel.desk", b"[]", 400, "invalid JSON body"),
    ("hotel.desk", b'{"metadata": 3}', 400, "invalid JSON body"),
    ("hotel.desk", b'{"provider": "x"}', 400, f'unknown session provider "x". Known providers: {KNOWN}.'),
    ("hotel.desk", b'{"provider": "openai", "transport": "webrtc"}', 400, f"session hotel.desk {REGISTERED}"),
    ("hotel.desk", b'{"voice": "marin"}', 400, "provider=local takes no voice; requested voice=marin"),
]


async def test_what_cannot_be_started_is_refused_in_its_order_and_texts(server: Hosted) -> None:
    """The target, then who is there, then the body, then the transport, then what is registered; nothing was started."""
    client = Client(server.url)
    for target, body, status, text in STARTS:
        answer = await client.post(f"/api/v1/session-targets/{target}/start", content=body)
        assert (answer.status_code, answer.json()["error"]) == (status, text), target
    named = (await client.post("/api/v1/sessions/hotel.desk/start", json={"provider": "local", "transport": "fax"})).json()
    assert named == {
        "error": 'unsupported session transport "fax" for provider "local". Supported transports: in_process, websocket.',
        "provider": "local",
        "transport": "fax",
    }
    async with httpx.AsyncClient(base_url=server.url) as http:
        got = await http.get("/api/v1/sessions/hotel.desk/start")
    assert (got.status_code, got.headers["allow"], list(got.json())) == (405, "POST", ["error"])
    assert await server.store.sessions() == []


async def test_an_offer_that_is_none_is_refused_in_its_texts(server: Hosted) -> None:
    """Another transport, nothing, no SDP, and a query that names another session than this one is."""
    client = Client(server.url)
    session = (await client.start())["session_id"]
    path = f"/api/v1/session-instances/{session}/realtime-offer"
    cases = [
        ("?transport=websocket", "v=0", "realtime-offer requires transport=webrtc"),
        ("?provider=local&transport=webrtc", " \n", "SDP offer body is required"),
        ("", "", "SDP offer body is required"),
        ("", '{"sdp": 1}', "the offer is no session description (SDP)"),
        ("?provider=openai", "v=0", f"session {session} is of provider=local; requested provider=openai"),
        ("?target=hotel.lobby", "v=0", f"session {session} is of target=hotel.desk; requested target=hotel.lobby"),
        ("?model=gpt-x", "v=0", f"session {session} is of model=local; requested model=gpt-x"),
    ]
    for query, body, text in cases:
        answer = await client.post(path + query, content=body)
        assert (answer.status_code, answer.json()) == (400, {"error": text}), query
    unknown = await client.post("/api/v1/sessions/sess_0/realtime-offer", content="v=0")
    assert unknown.status_code == 404


async def test_with_keys_both_routes_need_one_or_the_offer_its_sessions_token(tmp_path: Path) -> None:
    """401 without, with a wrong key, and with another session's token; the token of a start opens its own offer."""
    async with hosted(app, tmp_path, provider=SpeakingProvider(), settings=ServerSettings(keys=("key-one",))) as server:
        stranger, owner = Client(server.url), Client(server.url, {"X-API-Key": "key-one"})
        refused = await stranger.post("/api/v1/session-targets/hotel.desk/start")
        assert (refused.status_code, list(refused.json())) == (401, ["error"])
        one, other = [await owner.post("/api/v1/session-targets/hotel.desk/start") for _ in range(2)]
        path = one.json()["offer_url"]
        for token, status in ((other.headers["turnlog-token"], 401), ("wrong", 401), (one.headers["turnlog-token"], 400)):
            answer = await Client(server.url, {"Authorization": f"Bearer {token}"}).post(path, content=" ")
            assert answer.status_code == status
        assert (await stranger.post(path, content=" ")).status_code == 401


async def test_a_direct_call_goes_to_the_provider_and_its_id_is_kept(tmp_path: Path) -> None:
    """provider=openai transport=webrtc: the SDP is the provider's, and CallOpened names its call."""
    async with FakeModelProvider(reply="hello").server.serve(port=0, ice=LOOPBACK) as url:
        provider = OpenAIProvider(base_url=url.removesuffix("/realtime"))
        async with hosted(app, tmp_path, provider=provider) as server, browser(server.url) as call:
            started = await Client(server.url).start("hotel.lobby")
            answer = await calls(call, server.url, started["offer_url"])
            assert answer.status_code == 200, answer.text
            await call.gets("output_audio_buffer.started")
            await call.close()
            await server.ended(started["session_id"])
            (opened,) = [one for one in await server.events(started["session_id"]) if isinstance(one, e.CallOpened)]
            assert answer.headers["location"].endswith(opened.call_id)


async def test_a_provider_that_refuses_or_has_no_key_is_502(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AgentField's texts, and between whom it failed; the session stays, for another offer."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with FakeModelProvider().server.serve(port=0, key="right", ice=LOOPBACK) as url:
        (tmp_path / "wrong").mkdir()
        provider = OpenAIProvider(base_url=url.removesuffix("/realtime"), api_key="sk-wrong-key-1")
        async with hosted(app, tmp_path / "wrong", provider=provider) as server, browser(server.url) as call:
            started = await Client(server.url).start("hotel.lobby")
            answer = await calls(call, server.url, started["offer_url"])
            assert answer.status_code == 502
            body = answer.json()
            assert body.pop("error").startswith("OpenAI realtime call failed (401): ")
            assert body == {"boundary": "control-plane -> realtime provider", "provider": "openai"}
            assert "sk-wrong" not in answer.text and started["session_id"] in server.engine.sessions
    keyless = OpenAIProvider(base_url="https://realtime.invalid/v1")
    async with hosted(app, tmp_path, provider=keyless) as server, browser(server.url) as call:
        started = await Client(server.url).start("hotel.lobby")
        answer = await calls(call, server.url, started["offer_url"])
        assert (answer.status_code, answer.json()) == (
            502, {"error": "OPENAI_API_KEY is required for provider=openai transport=webrtc"}
        )  # fmt: skip
    await asyncio.sleep(0)
