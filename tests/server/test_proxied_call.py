"""A proxied call over WebRTC: a stock client and a served model talk past us; a sideband that only listens records it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.server.browser_call import browser
from tests.server.proxying import Proxying, proxying
from turnlog.core import events as e
from turnlog.testing.fake_model import FakeModelProvider
from turnlog.transports.webrtc.ice import IceSettings

pytestmark = pytest.mark.realtime

KEY = "sk-the-provider's-own-key"
LOOPBACK = IceSettings(hosts=("127.0.0.1",))


@asynccontextmanager
async def calling() -> AsyncIterator[Proxying]:
    """A server before a served model."""
    async with (
        FakeModelProvider(reply="the model itself").server.serve(port=0, key=KEY, ice=LOOPBACK) as url,
        proxying(base=url.removesuffix("/realtime")) as running,
    ):
        yield running


def facts(log: list[Any], kind: type[Any]) -> list[Any]:
    """The events of one type."""
    return [event for event in log if isinstance(event, kind)]


async def test_a_call_is_the_providers_and_its_sideband_is_recorded() -> None:
    """The caller's own configuration is in force, its typed turn is answered by the model, and the log tells both and the end."""
    async with calling() as running:
        async with browser(running.url) as call:
            opened = await call.call("calls.call", session={"instructions": "Be mine."})
            assert opened.status_code == 201 and opened.headers["turnlog-session"] in running.engine.proxied.sessions
            greeted = await call.gets("session.created")
            assert (greeted["session"]["instructions"], greeted["session"]["model"]) == ("Be mine.", "gpt-realtime-test")
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a story, please"}]}
            call.send("conversation.item.create", item=item)
            call.send("response.create")
            await call.gets("output_audio_buffer.stopped")
            await call.close()
            log = await running.log()
    assert log[0].is_proxied and log[-1].reason == "caller_gone" and KEY not in repr(log)
    assert [(one.link, one.transport) for one in facts(log, e.LinkOpened)] == [("c1", "direct"), ("p1", "sideband")]
    assert [turn.text for turn in facts(log, e.TurnEnded)] == ["a story, please"]
    assert facts(log, e.ResponseEnded)[0].transcript == "the model itself"
    (heard,) = facts(log, e.PlayoutEnded)
    assert (heard.source, heard.heard[0].heard_text) == ("buffer_event", "the model itself")
    assert not facts(log, e.TransportSent)  # nothing of ours is in the call


async def test_hanging_up_and_the_engines_end_end_the_call() -> None:
    """By its route, for the caller's token, and by the session's end: the provider's side closes, and the log has its end."""
    async with calling() as running:
        async with browser(running.url) as call:
            opened = await call.call("calls.call")
            await call.gets("session.created")
            async with httpx.AsyncClient() as http:
                headers = {"Authorization": f"Bearer {opened.headers['turnlog-token']}"}
                hung_up = await http.post(f"{running.url}{opened.headers['location']}/hangup", headers=headers)
            assert hung_up.status_code == 200
            assert (await running.log())[-1].reason == "caller_gone"
            await call.closes()
        async with browser(running.url) as call:
            opened = await call.call("calls.call")
            await call.gets("session.created")
            running.engine.proxied.sessions[opened.headers["turnlog-session"]].end("enough")
            await call.closes()
            assert (await running.log())[-1] == e.SessionEnded(reason="enough")


async def test_the_other_transport_and_a_refusal_are_told() -> None:
    """409 TL505 for a socket to a call and a call to a line; 502 TL314 where the provider takes no offer."""
    async with calling() as running:
        with pytest.raises(InvalidStatus) as refused:
            async with running.call(target="calls.call"):
                pass
        assert refused.value.response.status_code == 409
        async with browser(running.url) as call:
            assert (await call.call("calls.line")).json()["error"]["code"] == "TL505"
    async with proxying(base="http://127.0.0.1:1/v1") as closed, browser(closed.url) as call:
        answer = await call.call("calls.call")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "TL314")
        assert [type(event) for event in await closed.log()][1:] == [e.LinkFailed, e.SessionEnding, e.SessionEnded]
