"""A served model answers WebRTC: stock aiortc calls, the official SDK as client and as sideband, over loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from aiortc import RTCSessionDescription
from openai import AsyncOpenAI, AuthenticationError, BadRequestError
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.browser_call import BrowserCall, browser
from turnlog.testing.behaviour import Pace
from turnlog.testing.fake_model import FakeModel
from turnlog.testing.fake_speech import speak
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.providers.model_server import ModelServer
from turnlog.transports.realtime.say_form import compose
from turnlog.transports.speech.engines import Speech, detect
from turnlog.transports.speech.recognise import MoonshineRecogniser
from turnlog.transports.speech.resample import Resampler
from turnlog.transports.speech.synthesise import PiperSynthesiser
from turnlog.transports.speech.vad import SileroModel
from turnlog.transports.webrtc.ice import IceSettings

LOOPBACK = IceSettings(hosts=("127.0.0.1",))
KEY = "sk-turnlog-1"
SAID = "one two three four five"
AT_ONCE = Pace(speed=None, audio_ms=10, hearing_ms=10)


class Served(NamedTuple):
    """A served model, and the SDK with its key."""

    url: str
    client: AsyncOpenAI

    @property
    def root(self) -> str:
        """Without /v1."""
        return self.url.removesuffix("/v1/realtime").replace("ws", "http", 1)

    async def call(self, page: BrowserCall, client: AsyncOpenAI | None = None, **session: Any) -> str:
        """Open a call as the SDK does it; its id."""
        await page.connection.setLocalDescription(await page.connection.createOffer())
        calls = (client or self.client).realtime.calls
        asked: Any = {"type": "realtime", **session}
        opened = await calls.with_raw_response.create(sdp=page.connection.localDescription.sdp, session=asked)
        assert opened.status_code == 201
        assert opened.headers["content-type"].startswith("application/sdp")
        location = opened.headers["location"]
        assert location.startswith("/v1/realtime/calls/rtc_") and opened.headers["x-request-id"]
        await page.connection.setRemoteDescription(RTCSessionDescription((await opened.parse().aread()).decode(), "answer"))
        return str(location.rsplit("/", 1)[1])


@asynccontextmanager
async def served(server: ModelServer | None = None, *, key: str | None = KEY) -> AsyncIterator[Served]:
    """A model that says SAID, made all at once. Afterwards no task is left."""
    before = asyncio.all_tasks()

    async def open_model() -> FakeModel:
        return FakeModel(AT_ONCE, lambda _: SAID)

    async with (server or ModelServer(open_model, name="fake")).serve(port=0, key=key, ice=LOOPBACK) as url:
        base = url.removesuffix("/realtime").replace("ws", "http", 1)
        async with AsyncOpenAI(api_key=key or "any", base_url=base, max_retries=0) as client:
            yield Served(url, client)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == set()


async def until(connection: AsyncRealtimeConnection, type_: str) -> list[Any]:
    """What a sideband gets, up to an event of this type."""
    seen: list[Any] = []
    async with asyncio.timeout(10):
        while not seen or seen[-1].type != type_:
            seen.append(await connection.recv())
    return seen


def say(text: str, **fields: Any) -> Any:
    """A response that says this, word for word."""
    request = {"conversation": "none", "input": [], "instructions": compose(text), "metadata": {"turnlog_say": "say_1"}}
    return {**request, **fields}


@pytest.mark.realtime
async def test_a_call_its_sideband_and_its_end() -> None:
    """A page is greeted with what it asked for and hears an answer in real time; a sideband sees it, speaks, and hangs up."""
    async with served() as server, browser(server.root) as page:
        call = await server.call(page, model="gpt-realtime", instructions="Be brief.")
        greeting = await page.gets("session.created")
        assert (greeting["session"]["model"], greeting["session"]["instructions"]) == ("gpt-realtime", "Be brief.")
        async with server.client.realtime.connect(call_id=call) as sideband:
            await sideband.session.update(session={"type": "realtime", "instructions": "Be kind."})
            assert (await sideband.recv()).type == "session.updated"
            assert (await page.gets("session.updated"))["session"]["instructions"] == "Be kind."

            page.send("response.create")
            done = await page.gets("response.done")
            assert page.types(of="output_audio_buffer.") == ["output_audio_buffer.started"], "made at once, played in real time"
            await page.hears(1200)
            stopped = await page.gets("output_audio_buffer.stopped")
            assert stopped["response_id"] == done["response"]["id"]
            seen = [event.type for event in await until(sideband, "output_audio_buffer.stopped")]
            assert seen == [name for name in page.types() if name in seen][-len(seen) :]
            assert "response.output_audio_transcript.delta" in seen and "response.output_audio.done" in seen
            assert not {"session.created", "response.output_audio.delta"} & set(seen)
            assert "response.output_audio.delta" not in page.types()

            await sideband.response.create(response=say("late words"))
            await page.gets("output_audio_buffer.stopped", n=2)
            assert (await page.gets("response.output_audio_transcript.done", n=2))["transcript"] == "late words"

            await server.client.realtime.calls.hangup(call)
            with pytest.raises(ConnectionClosed) as closed:
                await until(sideband, "never")
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
        await page.closes()
        with pytest.raises(InvalidStatus) as gone:
            await server.client.realtime.connect(call_id=call).enter()
        assert gone.value.response.status_code == 404


@pytest.mark.realtime
async def test_speech_cuts_what_is_played() -> None:
    """Long after its response.done an answer sounds; the user speaks: output_audio_buffer.cleared, and a truncated item."""
    async with served() as server, browser(server.root) as page:
        call = await server.call(page)
        await page.gets("session.created")
        async with server.client.realtime.connect(call_id=call) as sideband:
            await sideband.response.create(response=say("word " * 40, conversation="auto"))
            done = (await page.gets("response.done"))["response"]
            await page.hears(300)
            page.microphone.put(speak("stop it now please"))
            cleared = await page.gets("output_audio_buffer.cleared")
            truncated = await page.gets("conversation.item.truncated")
            assert (cleared["response_id"], truncated["item_id"]) == (done["id"], done["output"][0]["id"])
            assert 300 <= truncated["audio_end_ms"] < 3000
            names = page.types()
            assert names.index("input_audio_buffer.speech_started") < names.index("output_audio_buffer.cleared")
            # the turn that cut it is answered in its turn
            await page.gets("output_audio_buffer.stopped", response_id=(await page.gets("response.done", n=2))["response"]["id"])
            seen = [event.type for event in await until(sideband, "output_audio_buffer.stopped")]
            assert "output_audio_buffer.cleared" in seen and "conversation.item.truncated" in seen


async def test_a_page_that_leaves_ends_its_call() -> None:
    """Its sidebands are closed, and the call is not found any more; leaving the server ends what is left with 1001."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(served())
        async with browser(server.root) as page, browser(server.root) as stays:
            gone, left = await server.call(page), await server.call(stays)
            sidebands = [await server.client.realtime.connect(call_id=call).enter() for call in (gone, left)]
            await page.gets("session.created")
            await page.close()
            with pytest.raises(ConnectionClosed):
                await until(sidebands[0], "never")
            with pytest.raises(InvalidStatus):
                await server.client.realtime.connect(call_id=gone).enter()
            await stays.gets("session.created")
            await stack.aclose()
            await stays.closes()
            with pytest.raises(ConnectionClosed) as closed:
                await until(sidebands[1], "never")
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001


async def test_a_page_calls_with_a_client_secret() -> None:
    """The bare offer with an ek_ key: the session is the secret's, whatever else is asked is merged over it."""
    async with served() as server, browser(server.root) as page:
        bound: Any = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
        secret = (await server.client.realtime.client_secrets.create(session=bound)).value
        await page.connection.setLocalDescription(await page.connection.createOffer())
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/sdp", "Origin": "http://localhost:3000"}
        async with httpx.AsyncClient(trust_env=False) as http:
            offer = page.connection.localDescription.sdp
            opened = await http.post(f"{server.root}/v1/realtime/calls", content=offer, headers=headers)
        assert opened.status_code == 201 and "Location" in opened.headers["Access-Control-Expose-Headers"]
        await page.connection.setRemoteDescription(RTCSessionDescription(opened.text, "answer"))
        session = (await page.gets("session.created"))["session"]
        assert (session["model"], session["instructions"]) == ("gpt-realtime", "Be brief.")
        async with AsyncOpenAI(api_key=secret, base_url=f"{server.root}/v1", max_retries=0) as client, browser("") as other:
            audio: Any = {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}}
            await server.call(other, client, audio=audio)
            session = (await other.gets("session.created"))["session"]
            assert session["instructions"] == "Be brief." and session["audio"]["input"]["turn_detection"] is None
            assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}, "over WebRTC it is Opus"


async def test_what_is_no_offer_is_refused() -> None:
    """400 for no SDP, for one without audio and for a session that cannot be, 401 for a wrong key; no call is left of any."""
    async with served() as server, browser(server.root) as page:
        await page.connection.setLocalDescription(await page.connection.createOffer())
        offer = page.connection.localDescription.sdp
        calls = server.client.realtime.calls
        without = offer[: offer.index("m=audio")] + offer[offer.index("m=application") :]
        for sdp in ("nonsense", without, "v=0\r\n" + "a=x\r\n" * 20_000):
            with pytest.raises(BadRequestError) as refused:
                await calls.create(sdp=sdp)
            assert refused.value.code == "TL310"
        wrong: Any = {"type": "realtime", "nonsense": True}
        with pytest.raises(BadRequestError, match="nonsense"):
            await calls.create(sdp=offer, session=wrong)
        async with AsyncOpenAI(api_key="sk-wrong", base_url=f"{server.root}/v1", max_retries=0) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.realtime.calls.create(sdp=offer)


@pytest.mark.realtime
async def test_a_spoken_question_is_heard_and_spoken(
    silero: SileroModel,
    recogniser: MoonshineRecogniser,
    piper: PiperSynthesiser,
    word_error_rate: Callable[[str, str], float],
) -> None:
    """Real speech through Opus both ways: the echoing provider repeats the question, and the page hears those words."""
    question = "I would like to book a room."
    speech = Speech(engines=detect(), voice_activity=silero, recogniser=recogniser, synthesiser=piper)
    resampler = Resampler(piper.rate, 24000)
    pcm16 = b"".join(resampler.feed(piece) for piece in piper.synthesise(question)) + resampler.flush()
    async with served(LocalProvider(echo=True, speech=speech).server, key=None) as server, browser(server.root) as page:
        call = await server.call(page, audio={"input": {"transcription": {"model": "whisper-1"}}})
        async with server.client.realtime.connect(call_id=call) as sideband:
            await page.gets("session.created")
            page.microphone.put(bytes(24000) + pcm16)
            heard = (await until(sideband, "conversation.item.input_audio_transcription.completed"))[-1]
            assert word_error_rate(question, heard.transcript) <= 0.2
            await page.gets("output_audio_buffer.stopped")
            assert word_error_rate(heard.transcript, recogniser.recognise(page.pcm16(), 24000)) <= 0.2
