"""Calls over WebRTC by a stock client: heard both ways, cut at once, hung up, let back in, refused, and nothing left of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import turnlog
from tests.server.browser_call import BrowserCall, browser, likeness
from tests.server.hosting import Hosted, hosted
from tests.webrtc.peers import tone
from turnlog.core import events as e
from turnlog.server.settings import ServerSettings
from turnlog.testing.fake_speech import speak
from turnlog.testing.speaking import SpeakingProvider
from turnlog.transports.links.in_process import pair

pytestmark = pytest.mark.realtime

GREETING = "Good morning and welcome"
STORY = " ".join(f"word{n}" for n in range(40))  # twelve seconds
BUFFER = "output_audio_buffer."
PCM = {"type": "audio/pcm", "rate": 24000}
PATIENCE_S = 10

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, and tells a story after each turn."""
    await session.say(GREETING)
    async for _ in session.turns():
        await session.say(STORY)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Hosted]:
    """With a provider that speaks and hears at real time; without keys."""
    async with hosted(app, tmp_path, provider=SpeakingProvider()) as running:
        yield running


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[Hosted]:
    """With a key."""
    (folder := tmp_path / "locked").mkdir()
    async with hosted(app, folder, settings=ServerSettings(keys=("key-one",))) as running:
        yield running


async def greeted(call: BrowserCall) -> None:
    """Wait until the greeting has sounded."""
    await call.gets(BUFFER + "stopped")


def ask(call: BrowserCall, text: str = "a story, please") -> None:
    """A typed turn: what is spoken about is another test's."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    call.send("conversation.item.create", item=item)
    call.send("response.create")


def facts(log: list[Any], kind: type[Any]) -> list[Any]:
    """The events of one type."""
    return [event for event in log if isinstance(event, kind)]


async def test_a_call_is_answered_heard_cut_and_hung_up(server: Hosted) -> None:
    """One whole call: the greeting, formats that stay, a barge-in on the media timeline, a client's clear, a hangup in order."""
    async with browser(server.url) as call:
        g711 = {"format": {"type": "audio/pcmu"}}
        opened = await call.call(session={"audio": {"input": g711, "output": {**g711, "voice": "verse"}}})
        assert opened.status_code == 201
        assert opened.headers["content-type"] == "application/sdp"
        assert opened.headers["location"].startswith("/v1/realtime/calls/rtc_")
        assert opened.headers["x-request-id"].startswith("req_") and opened.headers["turnlog-token"]
        session = opened.headers["turnlog-session"]
        updated = await call.gets("session.updated")
        assert call.types()[:2] == ["session.created", "session.updated"]
        audio = updated["session"]["audio"]
        assert (audio["input"]["format"], audio["output"]["format"], audio["output"]["voice"]) == (PCM, PCM, "verse")

        await greeted(call)  # sequence 5
        types = call.types()
        assert types.index(BUFFER + "started") < types.index("response.output_audio.done")
        assert types.index("response.done") < types.index(BUFFER + "stopped")
        assert "response.output_audio.delta" not in types
        assert likeness(call.pcm16(), speak(GREETING)) > 0.45  # Opus is made for voices, not for what encodes words in levels
        await call.hears(1000)

        ask(call)
        response = (await call.gets(BUFFER + "started", n=2))["response_id"]
        await call.hears(1800)
        call.microphone.put(tone(600))
        await call.gets("input_audio_buffer.speech_started")
        before = await call.packets()
        cleared = await call.gets(BUFFER + "cleared")
        assert cleared["response_id"] == response
        truncated = await call.gets("conversation.item.truncated")
        await asyncio.sleep(0.4)  # nothing can be awaited that does not come
        assert await call.packets() - before <= 2 + 5  # 40 ms of the 12 s that were to come, and the silence behind
        types = call.types()
        speech = types.index("input_audio_buffer.speech_started")
        tail = [types.index(one, speech) for one in ("response.done", BUFFER + "cleared", "conversation.item.truncated")]
        assert tail == sorted(tail)

        await call.gets("input_audio_buffer.committed")
        ask(call)
        await call.gets(BUFFER + "started", n=3)
        await call.hears(2500)
        call.send("response.cancel")
        call.send("output_audio_buffer.clear")
        await call.gets(BUFFER + "cleared", n=2)
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert (await http.post(opened.headers["location"] + "/hangup")).status_code == 200
            again = await http.post(opened.headers["location"] + "/hangup")
        assert (again.status_code, again.json()["error"]["code"]) == (404, "TL312")
        await call.closes()
        assert call.types(of="error") == []
        assert (await server.ended(session)).reason == "caller_gone"

    log = await server.events(session)
    greeting, story, second = facts(log, e.PlayoutEnded)
    assert (greeting.interrupted, greeting.source, greeting.heard[0].heard_ms) == (False, "rtp", 1200)
    assert (story.interrupted, story.source, story.error_ms) == (True, "rtp", 50)
    assert story.heard[0].heard_ms == truncated["audio_end_ms"]
    assert 400 < story.heard[0].heard_ms < 6000
    assert (second.interrupted, second.source) == (True, "rtp")
    (closed,) = [event for event in facts(log, e.LinkClosed) if event.link.startswith("c")]
    assert (closed.code, closed.reason) == (1000, "hung up")
    cuts = facts(log, e.PlayoutCut)
    assert [cut.reason for cut in cuts] == ["speech", "caller"]


async def test_a_session_takes_one_call_and_lets_its_caller_back(server: Hosted) -> None:
    """A second offer is 409 by name and leaves the first one as it was; the caller's own token takes its place over."""
    async with browser(server.url) as first, browser(server.url) as second, browser(server.url) as third:
        opened = await first.call()
        session, token = opened.headers["turnlog-session"], opened.headers["turnlog-token"]
        await greeted(first)
        first.send("turnlog.watch")
        live = server.engine.sessions[session]
        await second.connection.setLocalDescription(await second.connection.createOffer())
        before = asyncio.all_tasks()
        with pytest.raises(turnlog.TurnlogError) as refused:
            await server.engine.answer(live.id, second.connection.localDescription.sdp)
        assert refused.value.code == "TL505"
        if left := asyncio.all_tasks() - before:  # the call that stands makes tasks too, which end at once
            _, left = await asyncio.wait(left, timeout=PATIENCE_S)
        assert not left
        wrong = await third.call(query=f"?session_id={session}", key="wrong")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "TL501")
        back = await third.call(query=f"?session_id={session}", key=token)
        assert (back.status_code, back.headers["turnlog-session"]) == (201, session)
        await third.gets("session.created")
        await first.closes()
        assert (first.events[-1]["type"], first.events[-1]["code"]) == ("turnlog.closed", 1001)  # as it watched
        ask(third)
        await third.gets(BUFFER + "started")
        await third.hears(200)
        live.end("done", drain=False)
        await third.closes()
        assert "turnlog.closed" not in third.types()
    closed = next(event for event in facts(await server.events(session), e.LinkClosed) if event.link == "c1")
    assert (closed.code, closed.reason) == (1001, "taken over")


async def test_a_caller_that_asked_for_another_format_takes_no_webrtc(server: Hosted) -> None:
    """Its telephone's G.711 is what the provider sends: 409, and no noise in anybody's ear."""
    live = await server.engine.start("hotel.desk")
    near, far = pair()
    await server.engine.attach(live.id, near)
    far.send(b'{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcmu"}}}}}')
    while json.loads(await far.receive())["type"] != "session.updated":
        pass
    async with browser(server.url) as call:
        await call.connection.setLocalDescription(await call.connection.createOffer())
        with pytest.raises(turnlog.TurnlogError) as refused:
            await server.engine.answer(live.id, call.connection.localDescription.sdp)
        assert refused.value.code == "TL505" and "audio/pcmu" in str(refused.value)
    live.end("done", drain=False)
    await live.ended()


VIDEO = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n"
SDP = {"content-type": "application/sdp"}


@pytest.mark.parametrize(
    ("query", "headers", "body", "status", "code"),
    [
        ("?model=hotel.desk", SDP, b"hello", 400, "TL310"),
        ("?model=hotel.desk", SDP, b"", 400, "TL310"),
        ("?model=hotel.desk", SDP, b"\xff\xfe", 400, "TL310"),
        ("?model=hotel.desk", SDP, VIDEO.encode(), 400, "TL310"),
        ("?model=hotel.desk", SDP, b"v=0\r\n" * 20_000, 400, "TL310"),
        ("?model=hotel.desk", SDP, bytes(2 * 1024 * 1024), 413, "TL306"),
        ("?model=hotel.desk", {"content-type": "application/json"}, b"{}", 415, "TL504"),
        ("?model=hotel.desk", {}, b"", 415, "TL504"),
        ("?model=hotel.desk", {"content-type": "multipart/form-data; boundary=x"}, b"--x\r\n", 400, "TL504"),
        ("?model=hotel.desk", {"content-type": "multipart/form-data"}, b"", 400, "TL504"),
        ("?session_id=sess_x", SDP, b"v=0", 401, "TL501"),
        ("?model=hotel.desk", {**SDP, "origin": "https://evil.example"}, b"v=0", 401, "TL501"),
    ],
)
async def test_what_is_no_call_is_refused_before_a_session_begins(
    server: Hosted, query: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    """A status, a code and JSON; nothing is in the store."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post(f"/v1/realtime/calls{query}", headers=headers, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["x-request-id"].startswith("req_")
    assert await server.store.sessions() == []


async def test_what_a_good_offer_may_still_ask_wrongly(server: Hosted) -> None:
    """No target, an unknown one, a session that cannot be, metadata that is no object, another method: each by name."""
    offer = await real_offer()

    async def refused(session: Any, query: str = "") -> tuple[int, str, str | None]:
        parts = {"sdp": (None, offer), "session": (None, json.dumps(session))}
        answer = await http.post(f"/v1/realtime/calls{query}", files=parts)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["param"]

    async with httpx.AsyncClient(base_url=server.url) as http:
        assert await refused({}) == (400, "TL504", "model")
        assert await refused({"model": "hotel.dask"}) == (404, "TL502", "model")
        assert await refused([1]) == (400, "TL504", None)
        assert await refused({"model": "hotel.desk", "audio": {"input": {"format": 3}}}) == (
            400, "TL504", "session.audio.input.format",
        )
        assert await refused({"model": "hotel.desk"}, "?metadata=[1]") == (400, "TL504", "metadata")
        got = await http.get("/v1/realtime/calls")
        assert (got.status_code, got.headers["allow"], got.json()["error"]["code"]) == (405, "POST", "TL504")
        assert (await http.post("/v1/realtime/calls/rtc_x/hangup")).json()["error"]["code"] == "TL312"
        assert (await http.post("/v1/realtime/calls/rtc_x/other")).status_code == 404
    assert await server.store.sessions() == []


async def real_offer() -> str:
    """As a browser makes it."""
    call = BrowserCall("")
    await call.connection.setLocalDescription(await call.connection.createOffer())
    sdp = call.connection.localDescription.sdp
    await call.close()
    return sdp


async def test_a_caller_that_never_connects_is_let_go_with_its_session(server: Hosted) -> None:
    """Its offer was answered; when the session ends nothing of the call is left, though nobody ever came."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        body = await real_offer()
        answer = await http.post("/v1/realtime/calls?model=hotel.desk", headers=SDP, content=body)
    assert answer.status_code == 201
    live = server.engine.sessions[answer.headers["turnlog-session"]]
    live.end("done", drain=False)
    await live.ended()
    log = await server.events(live.id)
    assert not [event for event in facts(log, e.LinkClosed) if event.link == "c1"]  # we closed it, with the session


async def test_pages_of_other_origins_may_ask_where_they_may_call(server: Hosted, locked: Hosted) -> None:
    """Loopback pages without keys, all pages with them; they read the id of the call and the token."""
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}

    async def preflight(http: httpx.AsyncClient, origin: str) -> httpx.Response:
        return await http.options("/v1/realtime/calls", headers={"origin": origin, **asks})

    async with httpx.AsyncClient(base_url=server.url) as http:
        for origin in ("http://localhost:3000", "http://127.0.0.1:8000", "https://[::1]"):
            allowed = await preflight(http, origin)
            assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
            assert "authorization" in allowed.headers["access-control-allow-headers"]
        for origin in ("https://evil.example", "http://localhost.evil.example", "null"):
            assert (await preflight(http, origin)).status_code == 400
        answer = await http.post("/v1/realtime/calls", headers={"origin": "http://localhost:3000"}, content=b"")
        exposed = answer.headers["access-control-expose-headers"]
        assert exposed == "Location, X-Request-Id, Turnlog-Session, Turnlog-Token, Content-Range, ETag, Retry-After"
    async with httpx.AsyncClient(base_url=locked.url) as http:
        allowed = await preflight(http, "https://app.example")
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://app.example")
        assert "access-control-allow-credentials" not in allowed.headers


async def test_a_call_is_opened_by_a_key_and_hung_up_by_its_token_or_a_key(locked: Hosted) -> None:
    """401 without either; a token of another session opens and ends nothing, and learns of nothing."""
    async with browser(locked.url) as call, httpx.AsyncClient(base_url=locked.url) as http:
        assert (await call.call()).status_code == 401
    async with browser(locked.url) as call, browser(locked.url) as other, httpx.AsyncClient(base_url=locked.url) as http:
        opened, theirs = await call.call(key="key-one"), await other.call(key="key-one")
        assert (opened.status_code, theirs.status_code) == (201, 201)
        hangup = opened.headers["location"] + "/hangup"
        for path in (hangup, "/v1/realtime/calls/rtc_x/hangup"):
            for token in ("", "wrong", theirs.headers["turnlog-token"]):
                headers = {"authorization": f"Bearer {token}"} if token else {}
                answer = await http.post(path, headers=headers)
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, "TL501")
        await call.gets("session.created")
        beside = {"authorization": "Bearer key-one", "content-type": "application/sdp"}
        path = f"/v1/realtime/calls?session_id={opened.headers['turnlog-session']}"
        taken = await http.post(path, headers=beside, content=await real_offer())
        assert (taken.status_code, taken.json()["error"]["code"]) == (409, "TL505")
        token = opened.headers["turnlog-token"]
        assert (await http.post(hangup, headers={"authorization": f"Bearer {token}"})).status_code == 200
        await call.closes()
        key = {"x-api-key": "key-one"}
        assert (await http.post(theirs.headers["location"] + "/hangup", headers=key)).status_code == 200
        for session in (opened.headers["turnlog-session"], theirs.headers["turnlog-session"]):
            assert (await locked.ended(session)).reason in ("caller_gone", "completed")
