"""turnlog's own API over HTTP: sessions, their logs, words and audio, and what is asked of them. One server for all of it."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

import turnlog
from tests.server.hosting import Hosted, encode, hosted, receive, user_item
from turnlog.core.ports import Head
from turnlog.store.archive import open_archive
from turnlog.testing.calls import call
from turnlog.testing.virtual_loop import run_virtual

pytestmark = pytest.mark.asyncio(loop_scope="module")

app = turnlog.App("hotel")
SESSIONS = "/v1/turnlog/sessions"
AS_JSON = {"Content-Type": "application/json"}


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, answers each turn, and says goodbye when it is paid."""
    await session.say(f"Room {session.metadata.get('room', 'unknown')}.")
    async for turn in session.turns():
        await session.say(f"You said: {turn.text} & more.")
        if turn.text == "pay":
            paid = await session.signal("paid")
            await session.say(f"Thank you for {paid['euros']} euros.")
            return


class Api(NamedTuple):
    """A server, and a client of its API."""

    server: Hosted
    http: httpx.AsyncClient
    spoken: str  # a session with audio, recorded elsewhere

    async def get(self, path: str, expected: int = 200, /, **query: Any) -> Any:
        """The JSON of an answer."""
        answer = await self.http.get(SESSIONS + path, params=query)
        assert answer.status_code == expected, answer.text
        return answer.json()

    async def post(self, path: str, body: object = None, status: int = 202) -> Any:
        """The JSON of an answer to a JSON body."""
        answer = await self.http.post(SESSIONS + path, json={} if body is None else body)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One server for the tests of this file; in its store stands a call that was spoken in another one."""
    folder = tmp_path_factory.mktemp("api")
    await asyncio.to_thread(run_virtual, _talk(folder / "talk.turnlog"))
    async with hosted(app, folder) as server:
        archive = open_archive(folder / "talk.turnlog")
        name = archive.row.session
        head: Head = await archive.head(name)
        segments = [one for track in await archive.tracks(name) for one in archive.scan_segments(name, track)]
        await server.store.restore(archive.row, head, list(archive.scan(name)), segments)
        await archive.close()
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
            yield Api(server, http, name)


async def _talk(path: Path) -> None:
    async with call(app, "hotel.desk", seed=7) as one:
        await one.caller.hears("Room unknown")
        await one.caller.says("good morning to you")
        await one.caller.hears("more")
        await one.caller.is_silent(1)
        await one.caller.hangs_up()
        await one.ended()
        await one.saves(path)


async def test_a_session_from_its_start_to_its_end(api: Api) -> None:
    """Started, joined by its token, spoken to from outside, signalled, followed, ended: all of it stands in its log."""
    begun = await api.post("", {"target": "hotel.desk", "metadata": {"room": "7"}}, 201)
    one = f"/{begun['session']}"
    url = api.server.url.replace("http", "ws", 1) + begun["realtime_url"]
    headers = {"Authorization": f"Bearer {begun['token']}"}
    async with connect(url, additional_headers=headers, max_queue=None) as caller:
        following = asyncio.create_task(_followed(api, one))
        await caller.send(encode({"type": "turnlog.watch"}))
        said = (await api.post(one + "/say", {"text": "Your taxi is here.", "key": "taxi"}))["say"]
        assert (await api.post(one + "/say", {"text": "Your cab is here.", "key": "taxi"}))["say"] == said
        while (await receive(caller, "turnlog.say"))["say"] != said:
            pass
        detail = await api.get(one)
        assert detail["running"] and detail["metadata"] == {"room": "7"} and detail["end"] is None
        assert detail["definition"]["transport"] == "in_process"
        for message in ({"type": "conversation.item.create", "item": user_item("pay")}, {"type": "response.create"}):
            await caller.send(encode(message))
        await receive(caller, "turnlog.turn")
        await api.post(one + "/signal", {"name": "paid", "data": {"euros": 120}, "key": "bill"})
        stream = await following
    ended = await api.server.ended(begun["session"])
    assert ended.reason == "completed"
    transcript = await api.get(one + "/transcript")
    assert transcript["complete"] and [(line["who"], line["text"]) for line in transcript["lines"]] == [
        ("handler", "Room 7."), ("handler", "Your taxi is here."), ("user", "pay"), ("handler", "You said: pay & more."),
        ("handler", "Thank you for 120 euros."),
    ]  # fmt: skip
    page = await api.get(one + "/events", limit=1000)
    assert [event["seq"] for event in stream] == [event["seq"] for event in page["events"]]
    assert (page["events"][0]["type"], page["events"][-1]["type"]) == ("SessionStarted", "SessionEnded")
    assert stream == page["events"] and page["next"] is None
    assert (await api.get(one))["end"]["reason"] == "completed"
    for operation, body in (("/say", {"text": "Hello?"}), ("/signal", {"name": "paid"}), ("/end", {})):
        problem = await api.post(one + operation, body, 409)
        assert (problem["code"], problem["status"]) == ("TL102", 409) and "has ended" in problem["detail"]


async def _followed(api: Api, one: str) -> list[Any]:
    """All events of a session by its stream, which is broken off once and resumed by Last-Event-ID."""
    seen: list[Any] = []
    path = f"{SESSIONS}{one}/events/stream"
    for most in (3, 10_000):
        last = {"Last-Event-ID": str(seen[-1]["seq"])} if seen else {}
        async with api.http.stream("GET", path, headers=last) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    seen.append(json.loads(line[6:]))
                if len(seen) >= most:
                    break
    after = await api.http.get(path, headers={"Last-Event-ID": str(seen[-1]["seq"])})
    assert after.status_code == 204
    return seen


async def test_sessions_are_listed_in_pages_and_filtered(api: Api) -> None:
    """Newest first; a page's `next` is the cursor of the one behind it; each filter leaves out what it should."""
    names = [(await api.post("", {"target": "hotel.desk", "session": f"listed.{n}"}, 201))["session"] for n in range(3)]
    try:
        first = await api.get("", limit=2, status="active")
        rest = await api.get("", limit=2, status="active", cursor=first["next"])
        assert [one["session"] for one in first["sessions"] + rest["sessions"]] == names[::-1] and rest["next"] is None
        at = first["sessions"][0]["created_at"]
        assert [one["session"] for one in (await api.get("", since=at, target="hotel.desk"))["sessions"]] == [names[2]]
        assert names[2] not in [one["session"] for one in (await api.get("", until=at))["sessions"]]
        assert (await api.get("", tenant="acme"))["sessions"] == (await api.get("", target="hotel.spa"))["sessions"] == []
        assert (await api.post("", {"target": "hotel.desk", "session": names[0]}, 409))["code"] == "TL409"
    finally:
        for name in names:
            await api.post(f"/{name}/end", {"reason": "listed", "drain": False})
            await api.server.ended(name)


async def test_events_are_paged_and_chosen_by_type(api: Api) -> None:
    """Pages join to the whole log; the wire is left out unless it is asked for, by flag or by type."""
    one, found, after = f"/{api.spoken}/events", [], 0
    while True:
        page = await api.get(one, limit=7, after=after, wire=True)
        found += page["events"]
        if page["next"] is None:
            break
        after = page["next"]
    assert [event["seq"] for event in found] == list(range(1, page["head"] + 1))
    semantic = (await api.get(one, limit=1000))["events"]
    assert semantic == [event for event in found if event["type"] not in ("TransportReceived", "TransportSent", "MediaRecorded")]
    chosen = (await api.get(one, limit=1000, types="TurnEnded,MediaRecorded"))["events"]
    assert {event["type"] for event in chosen} == {"TurnEnded", "MediaRecorded"}
    assert "did you mean TurnEnded" in (await api.get(one, 400, types="TurnEnd"))["hint"]


async def test_a_transcript_comes_as_json_text_and_captions(api: Api) -> None:
    """By `format` or by what the client accepts most; times are of the session, captions escape what is markup."""
    path = f"{SESSIONS}/{api.spoken}/transcript"
    lines = (await api.http.get(path)).json()["lines"]
    assert [line["who"] for line in lines] == ["handler", "user", "handler"]
    assert all(before["ended_ms"] <= after["began_ms"] for before, after in pairwise(lines))
    assert lines[1]["ended_ms"] - lines[1]["began_ms"] > 500
    text = await api.http.get(path, headers={"Accept": "text/html;q=0.1, text/plain;q=0.9, text/vtt;q=0.8"})
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.text.splitlines()[1].endswith("] user: good morning to you")
    vtt = await api.http.get(path, params={"format": "vtt"})
    assert vtt.text.startswith("WEBVTT\n\n") and "<v handler>You said: good morning to you &amp; more." in vtt.text
    assert " --> " in vtt.text and vtt.headers["content-type"].startswith("text/vtt")
    assert (await api.http.get(path, headers={"Accept": "image/png"})).status_code == 406


async def test_a_recording_has_both_sides_in_their_places_and_comes_in_ranges(api: Api) -> None:
    """What was said at a second stands at that second, the caller left, the agent right; ranges join to the file."""
    path = f"{SESSIONS}/{api.spoken}/audio"
    whole = await api.http.get(path)
    assert whole.status_code == 200 and whole.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(whole.content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 24_000)
        frames = file.readframes(file.getnframes())
    greeting, turn, answer = (await api.get(f"/{api.spoken}/transcript"))["lines"]
    for line, channel in ((greeting, 1), (turn, 0), (answer, 1)):
        middle = (line["began_ms"] + line["ended_ms"]) // 2
        there = frames[middle * 96 : (middle + 40) * 96]
        sound = [any(there[2 * side :: 4]) or any(there[2 * side + 1 :: 4]) for side in (0, 1)]
        assert sound[channel] and not sound[1 - channel], line
    size, tag = len(whole.content), whole.headers["etag"]
    parts = []
    ranges = {"bytes=0-99": 206, "bytes=100-": 206, f"bytes={size}-": 416, "bytes=5-2": 200, "lines=1-2": 200}
    for asked, status in ranges.items():
        part = await api.http.get(path, headers={"Range": asked})
        assert part.status_code == status, asked
        parts.append(part)
    assert parts[0].content + parts[1].content == whole.content == parts[4].content
    assert parts[0].headers["content-range"] == f"bytes 0-99/{size}" and parts[2].headers["content-range"] == f"bytes */{size}"
    last = await api.http.get(path, headers={"Range": "bytes=-10", "If-Range": tag})
    assert last.content == whole.content[-10:]
    assert (await api.http.get(path, headers={"Range": "bytes=-10", "If-Range": '"old"'})).status_code == 200
    head = await api.http.head(path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")
    for side, channels in (("caller", 1), ("agent", 1)):
        with wave.open(io.BytesIO((await api.http.get(path, params={"side": side})).content)) as file:
            assert file.getnchannels() == channels and any(file.readframes(file.getnframes()))


async def test_replays_and_forks_run_todays_handler(api: Api) -> None:
    """A replay tells that it was identical; a fork is a session that begins with the other's past, and is found."""
    replayed = await api.post(f"/{api.spoken}/replay", status=200)
    assert replayed["status"] == "identical" and replayed["replayed"]["complete"]
    turn = (await api.get(f"/{api.spoken}/events", types="TurnEnded"))["events"][0]["seq"]
    forked = await api.post(f"/{api.spoken}/fork", {"at": turn - 1, "name": "other", "script": ["hello", "/wait 2"]}, 201)
    assert (forked["session"], forked["forked_from"], forked["past"]) == ("other", api.spoken, turn - 1)
    lines = (await api.get("/other/transcript"))["lines"]
    assert [line["text"] for line in lines] == ["Room unknown.", "hello", "You said: hello & more."]
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"at": turn - 1, "name": "other"}, 409), ({"at": 99_999}, 422), ({"at": turn, "script": ["/wat"]}, 422)
    ]  # fmt: skip
    for body, status in wrong:
        problem = await api.post(f"/{api.spoken}/fork", body, status)
        assert problem["code"] in ("TL409", "TL418", "TL105") and problem["hint"]


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/nobody", {}, 404, "TL408"),
        ("GET", "/nobody/events", {}, 404, "TL408"),
        ("GET", "/a/b/c/d", {}, 404, "TL509"),
        ("GET", "/%2e%2e%2f%00/transcript", {}, 404, "TL509"),
        ("GET", "/%00%ff", {}, 404, "TL408"),
        ("PATCH", "", {}, 405, "TL509"),
        ("DELETE", "/nobody", {}, 405, "TL509"),
        ("GET", "?limit=0", {}, 400, "TL509"),
        ("GET", "?limit=1&limit=2", {}, 400, "TL509"),
        ("GET", "?limit=99999999999999999999999", {}, 400, "TL509"),
        ("GET", "?since=yesterday", {}, 400, "TL509"),
        ("GET", "?since=0001-01-01T00:00:00%2B23:00", {}, 200, ""),
        ("GET", "?until=9999-12-31T23:59:59-23:00", {}, 200, ""),
        ("GET", "?cursor=nobody", {}, 400, "TL509"),
        ("GET", "?what=else", {}, 400, "TL509"),
        ("POST", "", {"content": b"{", "headers": AS_JSON}, 400, "TL509"),
        ("POST", "", {"content": b'{"target": "\xff"}', "headers": AS_JSON}, 400, "TL509"),
        ("POST", "", {"content": b'{"metadata": {"a": ' + b"[" * 100_000, "headers": AS_JSON}, 400, "TL509"),
        ("POST", "", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "TL509"),
        ("POST", "", {"content": b" " * 1_100_000, "headers": AS_JSON}, 413, "TL306"),
        ("POST", "", {"json": {}}, 422, "TL509"),
        ("POST", "", {"json": {"target": "hotel.desk", "color": "red"}}, 422, "TL509"),
        ("POST", "", {"json": {"target": "hotel.desk", "session": "../x"}}, 422, "TL509"),
        ("POST", "", {"json": {"target": "hotel.spa"}}, 404, "TL204"),
        ("POST", "", {"content": b'{"target": "\\ud800"}', "headers": AS_JSON}, 400, "TL509"),
    ],
)
async def test_what_cannot_be_meant_is_a_problem(
    api: Api, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    """A 4xx with a code, the words and a hint as application/problem+json; what can be meant is answered."""
    answer = await api.http.request(method, SESSIONS + path, **options)
    assert answer.status_code == status, answer.text
    if status != 200:
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (problem["code"], problem["status"]) == (code, status) and problem["detail"] and problem["title"]
