"""The page in a direct call: its sound goes to the provider and back, past our server, where the handler decides what is said."""

from pathlib import Path

import msgspec
import pytest

import turnlog
from tests.browser.chromium import Chromium
from tests.browser.visiting import read, visit
from tests.server.hosting import hosted
from turnlog.core import events as e
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.providers.openai import OpenAIProvider
from turnlog.transports.speech.engines import Speech
from turnlog.transports.speech.recognise import MoonshineRecogniser
from turnlog.transports.speech.synthesise import PiperSynthesiser
from turnlog.transports.webrtc.ice import IceSettings

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs("chromium"), pytest.mark.realtime]

QUESTION = Path(__file__).resolve().parents[2] / "examples" / "audio" / "3-pool.wav"  # "Where is the swimming pool?"
KEY = "sk-of-the-provider"

app = turnlog.App("hotel")


@app.session("direct", provider="openai", transport="webrtc")
async def direct(session: turnlog.RealtimeSession) -> None:
    """Answers what it is asked."""
    async for turn in session.turns():
        await session.say("It is on the roof." if "pool" in turn.text.lower() else "I know of a pool only.")


async def test_a_question_is_answered_over_the_providers_own_call(
    tmp_path: Path, chrome: Chromium, speech: Speech, piper: PiperSynthesiser, recogniser: MoonshineRecogniser
) -> None:
    """The same page, offline speech as the service: heard, shown by the protocol's own words, and hung up in order."""
    voice = msgspec.structs.replace(speech, synthesiser=piper)
    async with LocalProvider(speech=voice).server.serve(port=0, key=KEY, ice=IceSettings(hosts=("127.0.0.1",))) as url:
        provider = OpenAIProvider(base_url=url.removesuffix("/realtime"), api_key=KEY)
        serving = hosted(app, tmp_path, provider=provider)
        async with serving as server, visit(chrome, server.url + "/", "ears.js", "mouth.js") as tab:
            await tab.press("Connect")
            await tab.state("connected")
            await tab.speak(QUESTION.read_bytes())
            await tab.line(2)
            assert "roof" in await read(recogniser, await tab.hears_out())
            shown = [(one["side"], one["heard"]) for one in await tab.lines()]
            session = await server.only_session()
            (turn,) = [one for one in await server.events(session) if isinstance(one, e.TurnEnded)]
            assert shown == [("caller", turn.text), ("desk", "It is on the roof.")]
            assert await tab.page.get_by_role("alert").inner_text() == ""
            await tab.press("Hang up")
            await tab.state("ended")
            assert (await server.ended(session)).reason == "caller_gone"
            assert KEY not in await tab.page.content() and tab.refusals == []
