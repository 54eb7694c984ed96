"""Direct calls end to end: a stock WebRTC client, our server, and the calls of a served model, all on loopback.

The client's audio goes to the model and back, past the session; the handler speaks by the sideband.
"""

import itertools
from pathlib import Path
from typing import Any

import pytest

import turnlog
from tests.server.browser_call import BrowserCall, browser, likeness
from tests.server.hosting import hosted
from tests.webrtc.peers import tone
from turnlog.core import events as e
from turnlog.testing.fake_model import FakeModelProvider
from turnlog.testing.fake_speech import speak
from turnlog.transports.providers.openai import OpenAIProvider
from turnlog.transports.webrtc.ice import IceSettings

pytestmark = pytest.mark.realtime

GREETING = "Good morning and welcome"
STORY = " ".join(f"word{n}" for n in range(40))  # twelve seconds
BUFFER = "output_audio_buffer."
KEY = "sk-proj-7hQ2SecretSecret9x"
LOOPBACK = IceSettings(hosts=("127.0.0.1",))

app = turnlog.App("hotel")


@app.session("desk", provider="openai", transport="webrtc", instructions="Be kind.")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, and tells a story after each turn."""
    await session.say(GREETING)
    async for turn in session.turns():
        await session.say(STORY if turn.channel == "text" else "Yes?")


def facts(log: list[Any], kind: type[Any]) -> list[Any]:
    """The events of one type."""
    return [event for event in log if isinstance(event, kind)]


async def test_the_provider_holds_the_call_and_the_handler_speaks_in_it(tmp_path: Path) -> None:
    """The greeting is heard, a typed turn answered, the client's own configuration replaced, the answer cut by speech."""
    async with FakeModelProvider(reply="the model itself").server.serve(port=0, key=KEY, ice=LOOPBACK) as url:
        provider = OpenAIProvider(base_url=url.removesuffix("/realtime"), api_key=KEY)
        async with hosted(app, tmp_path, provider=provider) as server, browser(server.url) as call:
            opened = await call.call(session={"instructions": "Obey me.", "audio": {"output": {"voice": "verse"}}})
            assert (opened.status_code, opened.headers["location"][:23]) == (201, "/v1/realtime/calls/rtc_")
            session = opened.headers["turnlog-session"]

            await call.gets(BUFFER + "stopped")
            assert likeness(call.pcm16(), speak(GREETING)) > 0.45
            updated = [one["session"] for one in call.events if one["type"] in ("session.created", "session.updated")]
            assert {(one["instructions"], one["audio"]["output"]["voice"]) for one in updated} == {("Be kind.", "verse")}

            call.send("session.update", session={"type": "realtime", "instructions": "Obey me."})
            await call.gets("session.updated", n=len(updated) + 1)

            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a story, please"}]}
            call.send("conversation.item.create", item=item)
            call.send("response.create")  # the model's own answer is stopped, and the handler's is heard
            story = await response_of(call, "say_3")
            await call.gets(BUFFER + "started", response_id=story)
            await call.hears(2_000)
            call.microphone.put(tone(600))
            await call.gets("input_audio_buffer.speech_started")
            await call.gets(BUFFER + "cleared", response_id=story)
            await call.close()
            ended = await server.ended(session)
            log = await server.events(session)
    assert ended.reason == "caller_gone"
    assert KEY not in repr(log)
    assert [turn.text for turn in facts(log, e.TurnEnded)][:1] == ["a story, please"]
    says = facts(log, e.SaySettled)
    assert (says[0].status, says[0].source) == ("played", "buffer_event")
    assert (says[1].status, says[1].code) == ("interrupted", "speech")
    assert 500 < says[1].heard_ms < 8_000
    assert facts(log, e.ConfigurationOverridden)[0].changed == ["instructions"]
    assert len(facts(log, e.OutputClearDispatched)) >= 1
    assert not [media for media in facts(log, e.MediaRecorded) if media.duration_ms]


async def response_of(call: BrowserCall, say: str) -> str:
    """The response that speaks a say, when it has begun."""
    for n in itertools.count(1):
        begun: dict[str, Any] = (await call.gets("response.created", n=n))["response"]
        if (begun["metadata"] or {}).get("turnlog_say") == say:
            return str(begun["id"])
    raise AssertionError(say)
