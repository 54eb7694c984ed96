"""A client that knows nothing of turnlog: the documented recipe for browsers, on a page of another origin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import turnlog
from tests.browser.chromium import Chromium
from tests.browser.visiting import Visit, read, visit
from tests.server.hosting import hosted
from turnlog.server.settings import ServerSettings
from turnlog.transports.speech.engines import Speech
from turnlog.transports.speech.recognise import MoonshineRecogniser
from turnlog.transports.speech.synthesise import PiperSynthesiser

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs("chromium"), pytest.mark.realtime]

QUESTION = Path(__file__).resolve().parents[2] / "examples" / "audio" / "3-pool.wav"  # "Where is the swimming pool?"
ELSEWHERE = "http://localhost:9/"  # nobody listens there: the test answers for it
PERMISSIONS = ("microphone", "local-network-access")  # browsers ask before a page calls this machine from elsewhere

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets whom it knows, and answers once."""
    async for turn in session.turns():
        where = "It is on the roof." if "pool" in turn.text.lower() else f"You typed {turn.text}."
        await session.say(where)


async def received(tab: Visit, kind: str) -> dict[str, Any]:
    """The first message of a type that the recipe's page got, when it has come."""
    script = """kind => new Promise(resolve => {
        const look = () => {
            const found = window.received.find(message => message.type === kind);
            found ? resolve(found) : setTimeout(look, 20);
        };
        look();
    })"""
    found: dict[str, Any] = await tab.page.evaluate(script, kind)
    return found


async def test_the_documented_recipe_works_but_for_its_url(
    tmp_path: Path, chrome: Chromium, speech: Speech, piper: PiperSynthesiser, recogniser: MoonshineRecogniser
) -> None:
    """Offer, answer, microphone, data channel, from another origin and with a key; what it says is answered, and heard."""
    voice = msgspec.structs.replace(speech, synthesiser=piper)
    async with hosted(app, tmp_path, speech=voice, settings=ServerSettings(keys=("key",))) as server:
        url = f"{server.url}/v1/realtime/calls?model=hotel.desk"
        async with opened(chrome, server.url, url, None) as (tab, answer):
            assert answer["session"] == await server.only_session()
            await tab.speak(QUESTION.read_bytes())
            done = await received(tab, "conversation.item.input_audio_transcription.completed")
            assert "pool" in done["transcript"].lower()
            assert (await received(tab, "output_audio_buffer.started"))["response_id"]
            assert (await received(tab, "output_audio_buffer.stopped"))["response_id"]
            spoken = await received(tab, "response.output_audio_transcript.done")
            assert spoken["transcript"] == "It is on the roof."
            assert "roof" in await read(recogniser, await tab.hears_out())
            await tab.page.evaluate("send({type: 'response.cancel', event_id: 'mine'})")
            assert (await received(tab, "error"))["error"]["event_id"] == "mine"
        server.engine.sessions[answer["session"]].end()


async def test_the_documented_recipe_may_send_its_session_along(tmp_path: Path, chrome: Chromium) -> None:
    """The multipart form: the session's part names the target and configures it."""
    body = {"type": "realtime", "model": "hotel.desk", "instructions": "Be kind."}
    async with hosted(app, tmp_path, settings=ServerSettings(keys=("key",))) as server:
        async with opened(chrome, server.url, f"{server.url}/v1/realtime/calls", body) as (tab, answer):
            assert (await received(tab, "session.updated"))["session"]["instructions"] == "Be kind."
        server.engine.sessions[answer["session"]].end()


@asynccontextmanager
async def opened(chrome: Chromium, server: str, url: str, body: Any) -> AsyncIterator[tuple[Visit, dict[str, Any]]]:
    """A page of elsewhere whose call stands, and what it was answered."""
    scripts = ("ears.js", "mouth.js", "recipe.js")
    async with visit(chrome, ELSEWHERE, *scripts, permissions=PERMISSIONS, calls=server) as tab:
        answer = await tab.page.evaluate("given => connect(...given)", [url, "key", body])
        assert answer["status"] == 201 and answer["location"].startswith("/v1/realtime/calls/rtc_")
        assert (await received(tab, "session.created"))["session"]["id"]
        yield tab, answer
