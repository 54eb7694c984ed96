"""Calls from the page: real chromium, real speech, offline. What the page hears is recorded in it and read by a recogniser."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import turnlog
from tests.browser.chromium import Chromium
from tests.browser.visiting import Visit, read, visit
from tests.server.hosting import Hosted, hosted
from turnlog.core import events as e
from turnlog.transports.speech.engines import Speech
from turnlog.transports.speech.recognise import MoonshineRecogniser
from turnlog.transports.speech.synthesise import PiperSynthesiser

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs("chromium"), pytest.mark.realtime]

AUDIO = Path(__file__).resolve().parents[2] / "examples" / "audio"
GOODBYE = AUDIO / "4-goodbye.wav"
BREAKFAST = AUDIO / "2-breakfast.wav"  # "What time is breakfast?"

ErrorRate = Callable[[str, str], float]

app = turnlog.App("hotel")


ANSWERS = ("The kitchen opens at sunrise.", "As I said before, early in the morning.")


@app.session("desk", provider="local", transport="in_process", echo="client_aec")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Waits to be asked, and answers each question with other words."""
    answers = iter(ANSWERS)
    async for turn in session.turns():
        if "breakfast" in turn.text.lower():
            await session.say(next(answers))


LONG = "Welcome to the Grand Hotel. We have a terrace behind the house, a pool on the roof, and a library with many old books."


@app.session("talker", provider="local", transport="in_process", echo="client_aec")
async def talker(session: turnlog.RealtimeSession) -> None:
    """Talks at length, unless interrupted; answers, hears once more, and ends."""
    await session.say(LONG)
    await session.input()
    await session.say("Breakfast is in the garden.")
    await session.input()
    await session.say("Have a good journey.")


@pytest.fixture
def voice(speech: Speech, piper: PiperSynthesiser) -> Speech:
    """The engines of this machine, with a voice that says the same each time."""
    return msgspec.structs.replace(speech, synthesiser=piper)


@asynccontextmanager
async def called(
    chrome: Chromium, folder: Path, voice: Speech, target: str, *scripts: str
) -> AsyncIterator[tuple[Hosted, Visit]]:
    """A server, and a tab that was told to connect to `target`."""
    async with hosted(app, folder, speech=voice) as server:
        async with visit(chrome, f"{server.url}/?target={target}", "ears.js", *scripts) as tab:
            await tab.press("Connect")
            await tab.state("connected")
            yield server, tab


def of_log(log: list[Any]) -> list[tuple[str, str]]:
    """What was said by whom: the texts of the turns, and what was heard of each say, in the order of the log."""
    told = (("caller", one.text) if isinstance(one, e.TurnEnded) else ("desk", one.heard_text) for one in log if is_told(one))
    return list(told)


def is_told(event: Any) -> bool:
    """Whether the transcript has a line for this."""
    return isinstance(event, e.TurnEnded | e.SaySettled)


async def shown_and_logged(server: Hosted, tab: Visit) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What the page's lines say was said and heard, by whom, and what the log says."""
    shown = await tab.lines()
    assert [one["at"] for one in shown] == sorted(one["at"] for one in shown)
    log = await server.events(await server.only_session())
    return [(one["side"], one["heard"]) for one in shown], of_log(log)


async def test_a_spoken_question_is_answered(
    tmp_path: Path, chrome: Chromium, voice: Speech, recogniser: MoonshineRecogniser, word_error_rate: ErrorRate
) -> None:
    """By the browser's own microphone: the answer is heard, the page's lines are the log's, and Hang up ends it in order."""
    chrome.put_on_microphone(BREAKFAST)
    async with called(chrome, tmp_path, voice, "hotel.desk") as (server, tab):
        await tab.line(2)
        assert word_error_rate(ANSWERS[0], await read(recogniser, await tab.hears_out())) <= 0.25
        shown, logged = await shown_and_logged(server, tab)
        assert shown == logged and [side for side, _ in shown] == ["caller", "desk"]
        assert "breakfast" in shown[0][1] and shown[1][1] == ANSWERS[0]
        await tab.press("Hang up")
        await tab.state("ended")
        assert "Ended: you hung up" in await tab.page.get_by_role("banner").inner_text()
        assert await tab.page.evaluate("sessionStorage.length") == 0
        assert (await server.ended(await server.only_session())).reason == "caller_gone"
        assert tab.refusals == []


async def test_an_interruption_and_the_end_are_shown(
    tmp_path: Path, chrome: Chromium, voice: Speech, recogniser: MoonshineRecogniser
) -> None:
    """Who speaks silences the session: the rest is not heard, and struck out. A session that ends says why."""
    async with called(chrome, tmp_path, voice, "hotel.talker", "mouth.js") as (server, tab):
        await tab.activity("speaking")
        await asyncio.sleep(2)  # of real playout
        await tab.speak(BREAKFAST.read_bytes())
        await tab.line(3)
        first, second, _ = await tab.lines()
        assert first["heard"] + first["unheard"] == LONG and first["note"].startswith("interrupted: heard ")
        assert second["side"] == "caller" and "breakfast" in second["heard"]
        heard = await read(recogniser, await tab.hears_out())
        assert "welcome" in heard and "breakfast" in heard and "garden" in heard
        assert "library" not in heard and "books" not in heard
        await tab.speak(GOODBYE.read_bytes())
        await tab.state("ended")
        assert "Ended: the session is complete" in await tab.page.get_by_role("banner").inner_text()
        shown, logged = await shown_and_logged(server, tab)
        assert shown == logged and shown[-1] == ("desk", "Have a good journey.")
        assert tab.refusals == []


async def test_a_reload_and_a_lost_connection_go_on(
    tmp_path: Path, chrome: Chromium, voice: Speech, recogniser: MoonshineRecogniser, word_error_rate: ErrorRate
) -> None:
    """The same session and lines, times and all; what is said next is in one log. A second tab takes it over from the first."""
    async with called(chrome, tmp_path, voice, "hotel.desk", "mouth.js") as (server, tab):
        await tab.speak(BREAKFAST.read_bytes())
        await tab.line(2)
        before = await tab.lines()
        await tab.press("Mute")
        await tab.page.reload()
        await tab.state("connected")
        await tab.line(2)
        assert await tab.lines() == before
        await tab.page.get_by_role("button", name="Mute", pressed=True).click()  # it stayed muted, and now is not
        await tab.speak(BREAKFAST.read_bytes())
        await tab.line(4)
        assert word_error_rate(ANSWERS[1], await read(recogniser, await tab.hears_out())) <= 0.25
        before = await tab.lines()
        async with tab.page.expect_response("**/calls?session_id=*"):
            await tab.drop()
        await tab.state("connected")
        await tab.line(4)
        assert await tab.lines() == before
        shown, logged = await shown_and_logged(server, tab)
        assert shown == logged
        held = await tab.page.evaluate("({ ...sessionStorage })")  # what a tab that is duplicated takes along
        other = await tab.context.new_page()
        await other.goto(server.url)
        await other.evaluate("held => Object.assign(sessionStorage, held)", held)
        await other.reload()
        await other.locator('body[data-state="connected"]').wait_for()
        await tab.state("ended")
        assert "Ended: it goes on in another tab" in await tab.page.get_by_role("banner").inner_text()
        await other.get_by_role("button", name="Hang up").click()
        assert (await server.ended(await server.only_session())).reason == "caller_gone"
        assert tab.refusals == []
