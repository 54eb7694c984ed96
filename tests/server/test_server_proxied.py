"""A proxied target: what a caller and a provider send each other arrives unchanged, is recorded, and nothing else happens.

`proxying` checks after each test that no session and no task is left.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.hosting import user_item
from tests.server.proxying import KEY, Proxying, frames_of, proxying
from turnlog.core import events as e
from turnlog.core.errors import StoreError, TurnlogError
from turnlog.engine.offline.replay import replay
from turnlog.server.settings import ServerSettings
from turnlog.testing.fake_model import FakeModelProvider


@pytest.fixture
async def running() -> AsyncIterator[Proxying]:
    """A server before a provider."""
    async with proxying() as served:
        yield served


async def test_frames_pass_unchanged_and_stand_in_the_log(running: Proxying) -> None:
    """Text that is no JSON, binary, empty and odd frames arrive as they were, both ways, and the log has each on both links."""
    up: list[str | bytes] = ['{"type":"session.update", "x" : 1 }', "", b"", b"\xff\x00", "not JSON", "é\u2028😀", "[]"]
    down: list[str | bytes] = ['{ "type":"session.created","session":{}}', b"\x01", '{"type":"unheard.of"}', "\\u0000", ""]
    async with running.through() as (caller, provider):
        for frame in up:
            await caller.send(frame)
        for frame in down:
            await provider.send(frame)
        assert [await provider.recv() for _ in up] == up
        assert [await caller.recv() for _ in down] == down
    events = await running.log()
    assert await frames_of(running, "c1", "in", events) == up
    assert await frames_of(running, "p1", "out", events) == up
    assert await frames_of(running, "p1", "in", events) == down
    assert await frames_of(running, "c1", "out", events) == down
    assert events[-1] == e.SessionEnded(reason="caller_gone", detail="1000")


async def test_a_frame_of_20_mib_passes_both_ways(running: Proxying) -> None:
    """Neither text nor binary of 20 MiB is cut, refused or split."""
    text, binary = "x" * (20 << 20), bytes(20 << 20)
    async with running.through(compression=None) as (caller, provider):
        await caller.send(text)
        assert await provider.recv() == text
        await provider.send(binary)
        assert await caller.recv() == binary
    events = await running.log()
    assert await frames_of(running, "p1", "out", events) == [text]
    assert await frames_of(running, "c1", "out", events) == [binary]


@pytest.mark.parametrize(("code", "reason"), [(1000, "done"), (1001, ""), (1011, "it broke"), (3001, "mine"), (4999, "é" * 40)])
async def test_a_close_code_passes_with_its_reason_either_way(running: Proxying, code: int, reason: str) -> None:
    """The other side gets the very code and reason, and the log has them."""
    async with running.through() as (caller, provider):
        await provider.close(code, reason)
        with pytest.raises(ConnectionClosed) as closed:
            await caller.recv()
        assert closed.value.rcvd is not None and (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)
    events = await running.log()
    assert e.LinkClosed(link="p1", code=code, reason=reason) in events
    assert events[-1].reason == "provider_lost" and events[-1].code == "TL314"
    async with running.through() as (caller, provider):
        await caller.close(code, reason)
        with pytest.raises(ConnectionClosed) as closed:
            await provider.recv()
        assert closed.value.rcvd is not None and (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)
    assert (await running.log())[-1].reason == "caller_gone"


async def test_a_close_without_a_code_stays_one(running: Proxying) -> None:
    """1005 is no code to be sent: both directions close without one."""
    async with running.through() as (caller, provider):
        async with provider.send_context():
            provider.protocol.send_close()
        with pytest.raises(ConnectionClosed) as closed:
            await caller.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1005
    async with running.through() as (caller, provider):
        async with caller.send_context():
            caller.protocol.send_close()
        with pytest.raises(ConnectionClosed) as closed:
            await provider.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1005
    assert (await running.log())[-1].detail == "1005"


async def test_what_was_sent_before_a_side_broke_arrives_and_is_recorded(running: Proxying) -> None:
    """A provider whose connection breaks is told as 1011 TL314 behind its last frame; a caller that breaks as 1001."""
    async with running.through() as (caller, provider):
        await provider.send('{"type":"last"}')
        provider.transport.close()
        assert await caller.recv() == '{"type":"last"}'
        with pytest.raises(ConnectionClosed) as closed:
            await caller.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011 and "TL314" in closed.value.rcvd.reason
    events = await running.log()
    assert await frames_of(running, "c1", "out", events) == ['{"type":"last"}'] and events[-1].code == "TL314"
    async with running.through() as (caller, provider):
        await caller.send('{"type":"first"}')
        await caller.send("x" * 100_000)
        caller.transport.close()
        assert [await provider.recv(), len(await provider.recv())] == ['{"type":"first"}', 100_000]
        with pytest.raises(ConnectionClosed) as closed:
            await provider.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    events = await running.log()
    assert len(await frames_of(running, "p1", "out", events)) == 2 and events[-1].reason == "caller_lost"


async def test_the_provider_gets_our_key_and_never_the_callers() -> None:
    """Of the upgrade the provider sees what is its affair; what opens our server stays here, in every form it is shown in."""
    secret = "the-callers-own-key"
    async with proxying(settings=ServerSettings(keys=(secret,))) as running:
        shown: list[dict[str, Any]] = [
            {"additional_headers": {"Authorization": f"Bearer {secret}", "Cookie": "a=b", "OpenAI-Beta": "realtime=v1"}},
            {"additional_headers": {"X-API-Key": secret, "OpenAI-Safety-Identifier": "someone"}},
            {"subprotocols": ["other", "realtime", f"openai-insecure-api-key.{secret}"]},
        ]
        seen: list[Any] = []
        for options in shown:
            query = "&intent=transcription&api-key=mine&metadata=%7B%22room%22%3A1%7D"
            async with running.through(query, **options) as (caller, provider):
                assert provider.request is not None
                seen.append(provider.request)
                chosen = caller.subprotocol
        for request in seen:
            assert request.path == "/v1/realtime?model=gpt-realtime-test&intent=transcription"
            assert request.headers.get_all("Authorization") == [f"Bearer {KEY}"]
            assert secret not in str(request.headers) + request.path and "Cookie" not in request.headers
        assert seen[0].headers["OpenAI-Beta"] == "realtime=v1" and seen[1].headers["OpenAI-Safety-Identifier"] == "someone"
        assert chosen == "realtime" and seen[2].headers["Sec-WebSocket-Protocol"] == "other, realtime"
        events = await running.log()
        assert events[0].metadata == {"room": 1} and events[0].is_proxied
        assert secret not in repr(events) and KEY not in repr(events)
        with pytest.raises(InvalidStatus) as refused:
            async with running.call():
                pass
        assert refused.value.response.status_code == 401


async def test_compression_is_agreed_on_each_leg_as_the_caller_asks(running: Proxying) -> None:
    """A caller that offers permessage-deflate has it, and so has the provider; one that does not has none on either leg."""
    for compression in ("deflate", None):
        async with running.through(compression=compression) as (caller, provider):
            agreed = [bool(end.protocol.extensions) for end in (caller, provider)]
            assert agreed == [compression is not None] * 2
            await caller.send("compressed " * 1000)
            assert await provider.recv() == "compressed " * 1000
            await provider.send(b"back " * 1000)
            assert await caller.recv() == b"back " * 1000


async def test_pings_are_answered_on_either_leg(running: Proxying) -> None:
    """A ping of the caller and one of the provider have their pong; the log has neither."""
    async with running.through() as (caller, provider):
        await (await caller.ping())
        await (await provider.ping(b"x"))
        await caller.send("{}")
        await provider.recv()
    assert await frames_of(running, "c1", "in", await running.log()) == ["{}"]


async def test_a_side_that_does_not_read_holds_the_other_back(running: Proxying) -> None:
    """What waits for a caller that reads nothing is bounded: the provider has to wait, and nothing is lost when it reads on."""
    piece = "x" * (1 << 20)
    async with running.through(max_queue=1, compression=None) as (caller, provider):
        sent = 0

        async def pour() -> None:
            nonlocal sent
            for _ in range(100):
                await provider.send(piece)
                sent += 1

        pouring = asyncio.create_task(pour())
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 50 and not pouring.done()
        got = 0
        while got < 100:
            assert await caller.recv() == piece
            got += 1
        await pouring
    assert len(await frames_of(running, "c1", "out", await running.log())) == 100


async def test_a_side_that_takes_nothing_for_too_long_is_given_up(running: Proxying, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider is told with 1001 that its caller reads nothing, and the session ends as one whose caller was lost."""
    monkeypatch.setattr("turnlog.engine.relay.session.STALL_S", 0.3)
    async with running.through(max_queue=1, compression=None) as (caller, provider):
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await provider.send(bytes(1 << 20))
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        caller.transport.abort()
    assert (await running.log())[-1].reason == "caller_lost"


async def test_the_official_sdk_speaks_through_it() -> None:
    """The openai client by a changed base URL: its typed turn is answered by the provider's model, and the log tells both."""
    async with FakeModelProvider(reply="the model itself").server.serve(port=0, key=KEY) as url:
        async with proxying(base=url.removesuffix("/realtime")) as running:
            client = AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
            async with client.realtime.connect(model="calls.line") as connection:
                await connection.conversation.item.create(item=user_item("a story, please"))
                await connection.response.create()
                async for event in connection:
                    assert event.type != "error", event
                    if event.type == "response.done":
                        break
            log = await running.log()
            await client.close()
    assert [one.text for one in log if isinstance(one, e.TurnEnded)] == ["a story, please"]
    assert [one.transcript for one in log if isinstance(one, e.ResponseEnded)] == ["the model itself"]


async def test_a_provider_that_cannot_be_reached_is_told_at_the_upgrade() -> None:
    """502 with TL314 before the upgrade, without our key in it; the log says why, and has its end."""
    async with proxying(base="http://127.0.0.1:1/v1") as closed:
        with pytest.raises(InvalidStatus) as refused:
            async with closed.call():
                pass
        response = refused.value.response
        assert response.status_code == 502 and response.body is not None
        assert json.loads(response.body)["error"]["code"] == "TL314" and KEY.encode() not in response.body
        events = await closed.log()
        assert [type(event) for event in events] == [e.SessionStarted, e.LinkFailed, e.SessionEnding, e.SessionEnded]


async def test_an_engine_that_stops_closes_both_sides(running: Proxying) -> None:
    """1001 on both legs, and the log ends with engine_stopped."""
    async with running.through() as (caller, provider):
        await caller.send("{}")
        await provider.recv()
        running.engine.proxied.end("engine_stopped")
        for end in (caller, provider):
            with pytest.raises(ConnectionClosed) as closed:
                await end.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert (await running.log())[-1] == e.SessionEnded(reason="engine_stopped")


async def test_replay_says_that_there_is_no_handler(running: Proxying) -> None:
    """A proxied log is refused by replay with TL109, whatever handler is named; the engine starts none without a caller."""
    async with running.through() as (caller, provider):
        await caller.send("{}")
        await provider.recv()
    await running.log()
    (row,) = await running.store.sessions()
    handler = running.engine.directory.resolve("calls.line").handler
    with pytest.raises(StoreError, match="proxied: no handler"):
        await asyncio.to_thread(replay, list(running.store.scan(row.session)), handler)
    with pytest.raises(TurnlogError, match="its caller opens it"):
        await running.engine.start("calls.line")
