"""Sidebands of calls that are answered here: what they are told, what they may say, and that they keep nothing alive."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCSessionDescription
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import turnlog
from tests.server.browser_call import browser
from tests.server.hosting import Hosted, client_of, hosted, user_item
from turnlog.core import events as e
from turnlog.core.secrets import digest
from turnlog.server.settings import ServerSettings
from turnlog.store import ApiKey
from turnlog.testing.speaking import SpeakingProvider

__all__: list[str] = []

pytestmark = pytest.mark.realtime

KEY = "key-one"
app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, and answers each turn."""
    await session.say("Good morning")
    async for turn in session.turns():
        await session.say(f"You said {turn.text}")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Hosted]:
    """With a provider that speaks at real time, and a key."""
    settings = ServerSettings(keys=(KEY,))
    async with hosted(app, tmp_path, provider=SpeakingProvider(), settings=settings) as running:
        yield running


async def until(connection: AsyncRealtimeConnection, kind: str) -> list[Any]:
    """What comes up to an event of a type, with it."""
    told: list[Any] = []
    async for event in connection:
        told.append(event)
        if event.type == kind:
            return told
    raise AssertionError(f"the sideband ended before {kind}: {[one.type for one in told]}")


async def test_a_sideband_reads_along_and_says_something_and_the_call_goes_on_without_it(server: Hosted) -> None:
    """The SDK by call_id: the caller's ids, no audio, turns of its own; it leaves and comes back; the caller's end is its own."""
    async with browser(server.url) as call:
        opened = await call.call(key=KEY)
        session, call_id = opened.headers["turnlog-session"], opened.headers["location"].rsplit("/", 1)[1]
        await call.gets("output_audio_buffer.stopped")
        client = client_of(server, KEY)
        async with client.realtime.connect(call_id=call_id) as sideband:
            await sideband.conversation.item.create(item=user_item("good day"))
            await sideband.response.create(response={"metadata": {"from": "desk"}})
            told = await until(sideband, "output_audio_buffer.stopped")
            done = next(one for one in told if one.type == "response.done").response
            assert done.metadata == {"from": "desk"} and done.output[0].content[0].transcript == "You said good day"
        types = [one.type for one in told]
        assert "session.created" not in types and "response.output_audio.delta" not in types
        assert "response.output_audio_transcript.delta" in types
        seen = (await call.gets("response.done", n=2))["response"]
        assert (seen["id"], seen["metadata"]) == (done.id, {"from": "desk"})
        opened_links = [one for one in await server.events(session) if isinstance(one, e.LinkOpened)]
        assert [one.link for one in opened_links if one.side == "caller"] == ["c1"]

        async with client.realtime.connect(call_id=call_id) as first, client.realtime.connect(call_id=call_id) as second:
            call.send("conversation.item.create", item=user_item("still there"))
            call.send("response.create")
            for sideband in (first, second):
                assert "response.done" in [one.type for one in await until(sideband, "response.done")]
            async with httpx.AsyncClient(base_url=server.url, headers={"X-API-Key": KEY}) as http:
                assert (await http.post(opened.headers["location"] + "/hangup")).status_code == 200
            for sideband in (first, second):
                with pytest.raises(ConnectionClosed) as caught:
                    while True:
                        await sideband.recv_bytes()
                assert caught.value.rcvd is not None and caught.value.rcvd.code == 1000
        await call.closes()
    ended = await server.ended(session)
    assert ended.reason == "caller_gone"  # a sideband is nobody who hears


async def test_who_may_not_hear_of_a_call_joins_none(server: Hosted) -> None:
    """401, 404 for another tenant's or one that is none, and the token of the call's session opens it."""
    await server.store.access.add_key(digest("other"), ApiKey("key_other", "", ("start",), "other", time.time_ns()))
    async with browser(server.url) as call:
        opened = await call.call(key=KEY)
        await call.gets("session.created")
        url = f"{server.socket_url(None)}?call_id={opened.headers['location'].rsplit('/', 1)[1]}"
        for shown, status in (("wrong", 401), ("other", 404)):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(url, additional_headers={"Authorization": f"Bearer {shown}"}):
                    pass
            assert refused.value.response.status_code == status
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url + "0", additional_headers={"Authorization": f"Bearer {KEY}"}):
                pass
        assert refused.value.response.status_code == 404
        token = {"Authorization": f"Bearer {opened.headers['turnlog-token']}"}
        async with connect(url, additional_headers=token) as sideband:
            await sideband.send("{")
            async with asyncio.timeout(10):
                while '"error"' not in (said := str(await sideband.recv())):
                    pass
            assert "invalid_json" in said or "TL304" in said
        server.engine.sessions[opened.headers["turnlog-session"]].end("done", drain=False)
        await call.closes()


async def test_the_sdk_opens_a_call_with_a_client_secret_and_joins_it_by_its_id(server: Hosted) -> None:
    """client_secrets.create and calls.create without a model: the secret's voice and target; calls.hangup by the key."""
    bound: Any = {"type": "realtime", "model": "hotel.desk", "audio": {"output": {"voice": "verse"}}}
    async with client_of(server, KEY) as house, browser(server.url) as call:
        secret = await house.realtime.client_secrets.create(session=bound)
        await call.connection.setLocalDescription(await call.connection.createOffer())
        async with client_of(server, secret.value) as page:
            answer = await page.realtime.calls.create(sdp=call.connection.localDescription.sdp)
        await call.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        assert (await call.gets("session.updated"))["session"]["audio"]["output"]["voice"] == "verse"
        headers = answer.response.headers
        call_id = headers["location"].rsplit("/", 1)[1]
        async with house.realtime.connect(call_id=call_id) as sideband:
            await call.gets("output_audio_buffer.stopped")
            await sideband.conversation.item.create(item=user_item("hello"))
            await sideband.response.create()
            await until(sideband, "response.created")
            await house.realtime.calls.hangup(call_id)
            await call.closes()
    assert (await server.ended(headers["turnlog-session"])).reason == "caller_gone"
    assert (await server.store.session(headers["turnlog-session"])).target == "hotel.desk"
