"""One handler, one caller's script, the same assertions by every way that audio may take between caller, session and provider.

The provider is `turnlog provider`'s own server with a model of fake speech: by WebSocket, and as the holder of WebRTC calls.
"""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

import turnlog
from tests.server.browser_call import RATE, BrowserCall, browser, likeness
from tests.server.hosting import Hosted, hosted
from tests.webrtc.peers import tone
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.testing.fake_model import FakeModelProvider
from turnlog.testing.fake_speech import speak
from turnlog.transports.providers.openai import OpenAIProvider
from turnlog.transports.webrtc.ice import IceSettings

pytestmark = pytest.mark.realtime

GREETING = "Good morning and welcome"
STORY = " ".join(f"word{n}" for n in range(40))  # twelve seconds
LOOPBACK = IceSettings(hosts=("127.0.0.1",))
WAYS = {
    "websocket": ("hotel.socket", "websocket"),
    "terminated": ("hotel.socket", "webrtc"),
    "direct": ("hotel.rtc", "webrtc"),
    "client": ("hotel.rtc", "websocket"),
}
"""The session's target, and how its caller comes."""

app = turnlog.App("hotel")


async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, and tells a story after each turn."""
    await session.say(GREETING)
    async for _ in session.turns():
        await session.say(STORY)


app.session("socket", provider="openai", transport="websocket")(desk)
app.session("rtc", provider="openai", transport="webrtc")(desk)


class SocketCall:
    """A caller by WebSocket, with what the script asks of a BrowserCall."""

    def __init__(self, socket: ClientConnection) -> None:
        assert socket.response is not None
        self.session = socket.response.headers["Turnlog-Session"]
        self._socket = socket
        self._news = asyncio.Event()
        self.events: list[dict[str, Any]] = []
        self.heard: list[bytes] = []

    async def read(self) -> None:
        """Take all that comes."""
        async for raw in self._socket:
            event = json.loads(raw)
            if event["type"] == "response.output_audio.delta":
                self.heard.append(b64decode(event["delta"]))
            else:
                self.events.append(event)
            self._news.set()

    async def send(self, type_: str, **fields: Any) -> None:
        """A client event."""
        await self._socket.send(json.dumps({"type": type_, **fields}))

    async def gets(self, type_: str) -> None:
        """Wait for an event of a type."""
        while type_ not in [event["type"] for event in self.events]:
            self._news.clear()
            await self._news.wait()

    async def hears(self, ms: int) -> None:
        """Wait until so much audio has come."""
        while sum(map(len, self.heard)) < ms * RATE // 1000 * 2:
            self._news.clear()
            await self._news.wait()

    async def speaks(self, pcm16: bytes) -> None:
        """At real time."""
        for at in range(0, len(pcm16), 960):
            await self.send("input_audio_buffer.append", audio=b64encode(pcm16[at : at + 960]).decode())
            await asyncio.sleep(0.02)

    def pcm16(self) -> bytes:
        """All that was heard."""
        return b"".join(self.heard)

    async def hang_up(self) -> None:
        """In order."""
        await self._socket.close()


class PeerCall:
    """A browser, asked in the same way."""

    def __init__(self, call: BrowserCall) -> None:
        self._call = call
        self.gets = call.gets
        self.hears = call.hears
        self.pcm16 = call.pcm16

    @property
    def session(self) -> str:
        """The session's id."""
        return str(self._call.opened.headers["turnlog-session"])

    async def send(self, type_: str, **fields: Any) -> None:
        """A client event."""
        self._call.send(type_, **fields)

    async def speaks(self, pcm16: bytes) -> None:
        """Into its microphone."""
        self._call.microphone.put(pcm16)

    async def hang_up(self) -> None:
        """By the route that its call's Location names."""
        opened = self._call.opened.headers
        async with httpx.AsyncClient() as http:
            url = f"{self._call.url}{opened['location']}/hangup"
            done = await http.post(url, headers={"Authorization": f"Bearer {opened['turnlog-token']}"})
        assert done.status_code == 200


@asynccontextmanager
async def calling(server: Hosted, target: str, by: str) -> AsyncIterator[SocketCall | PeerCall]:
    """A caller of the target."""
    if by == "webrtc":
        async with browser(server.url) as call:
            assert (await call.call(target)).status_code == 201
            yield PeerCall(call)
        return
    async with connect(server.socket_url(target)) as socket:
        one = SocketCall(socket)
        reading = asyncio.create_task(one.read())
        try:
            yield one
        finally:
            await socket.close()
            await reading


async def talk(call: SocketCall | PeerCall) -> bytes:
    """Hear the greeting, type a wish, and speak over the answer; what was heard by then."""
    await call.hears(1_000)
    greeting_ms = len(speak(GREETING)) * 1000 // RATE // 2
    await asyncio.sleep(0.5)  # it is heard to its end: not every line tells when
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a story, please"}]}
    await call.send("conversation.item.create", item=item)
    await call.send("response.create")
    await call.hears(greeting_ms + 1_200)
    heard = call.pcm16()
    speaking = asyncio.create_task(call.speaks(tone(1_500)))
    await call.gets("input_audio_buffer.speech_started")
    await speaking
    return heard


async def settled(server: Hosted, session: str, n: int) -> list[e.SaySettled]:
    """What became of the first says of a session, when they are settled."""
    says: list[e.SaySettled] = []
    async with aclosing(server.engine.feed(types=[e.SaySettled])) as entries:
        async for entry in entries:
            if entry.session == session:
                says.append(cast(e.SaySettled, decode(entry.recorded)))
            if len(says) == n:
                break
    return says


async def check(way: str, server: Hosted) -> None:
    """One way, from the call to its end; its log says the same as the others'."""
    target, by = WAYS[way]
    async with calling(server, target, by) as call:
        heard = await talk(call)
        says = await settled(server, call.session, 2)
        await call.hang_up()
    ended, log = await server.ended(call.session), await server.events(call.session)
    assert likeness(heard, speak(GREETING)) > 0.45
    assert [(say.status, say.code) for say in says] == [("played", ""), ("interrupted", "speech")]
    assert says[0].heard_text == GREETING and abs(says[0].heard_ms - 1_200) < 400
    assert STORY.startswith(says[1].heard_text) and 600 < says[1].heard_ms < 6_000
    assert [turn.text for turn in log if isinstance(turn, e.TurnEnded) and turn.channel == "text"] == ["a story, please"]
    assert ended.reason == "caller_gone"
    expected = {"direct": ["sideband"], "client": ["webrtc"]}.get(way, ["websocket"])
    assert [link.transport for link in log if isinstance(link, e.LinkOpened) and link.side == "provider"] == expected


async def test_the_same_call_by_every_way(tmp_path: Path) -> None:
    """The greeting is heard, a typed wish answered, speech cuts the answer, hanging up ends it: four calls at the same time."""
    async with FakeModelProvider(reply="the model itself").server.serve(port=0, ice=LOOPBACK) as url:
        provider = OpenAIProvider(base_url=url.removesuffix("/realtime"), ice=LOOPBACK)
        async with hosted(app, tmp_path, provider=provider) as server, asyncio.timeout(60):
            outcomes = await asyncio.gather(*(check(way, server) for way in WAYS), return_exceptions=True)
    assert dict(zip(WAYS, outcomes, strict=True)) == dict.fromkeys(WAYS)
