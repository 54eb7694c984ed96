"""What the page tells before a call, and when there can be none: names and roles, and each refusal in words."""

from pathlib import Path
from typing import Any

import pytest

import turnlog
from tests.browser.chromium import Chromium
from tests.browser.visiting import Visit, visit
from tests.server.hosting import hosted
from turnlog.server.settings import ServerSettings

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs("chromium")]

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """One target."""
    async for _ in session.turns():
        pass


@app.session("bar", provider="local", transport="in_process")
async def bar(session: turnlog.RealtimeSession) -> None:
    """Another."""


async def test_every_part_has_a_role_and_a_name(tmp_path: Path, chrome: Chromium) -> None:
    """Landmarks, labelled fields with their hints, a button, the transcript as a log; one status, one alert; tab order."""
    async with hosted(app, tmp_path) as server, visit(chrome, f"{server.url}/?target=hotel.bar") as tab:
        await tab.state("idle")
        snapshot = await tab.page.locator("body").aria_snapshot()
        assert snapshot.splitlines() == [
            "- banner:",
            '  - heading "turnlog" [level=1]',
            "  - paragraph:",
            "    - status: Not connected",
            "- main:",
            '  - form "New call":',
            "    - text: Session",
            '    - combobox "Session":',
            '      - option "hotel.desk"',
            '      - option "hotel.bar" [selected]',
            "    - text: Key",
            '    - textbox "Key"',
            "    - text: Only if the server asks for one. It is not stored.",
            '    - button "Connect"',
            "  - alert",
            '  - region "Transcript":',
            '    - heading "Transcript" [level=2]',
            '    - log "Transcript"',
            '    - list "Being said"',
            "    - paragraph: What is said appears here.",
        ]
        reached = []
        for _ in range(3):
            await tab.page.keyboard.press("Tab")
            reached.append(await tab.page.evaluate("document.activeElement.id"))
        assert reached == ["target", "key", "connect"]
        outline = await tab.page.locator("#connect").evaluate("button => getComputedStyle(button).outlineStyle")
        assert outline == "solid"  # the focus is to be seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_fits_a_narrow_screen_and_is_legible(tmp_path: Path, chrome: Chromium, scheme: Any) -> None:
    """At 320 px nothing is wider than the screen, and text has a contrast of 4.5 to 1 or more, light and dark."""
    size = {"width": 320, "height": 568}
    async with hosted(app, tmp_path) as server, visit(chrome, server.url + "/", viewport=size, color_scheme=scheme) as tab:
        await tab.state("idle")
        assert await tab.page.evaluate("document.documentElement.scrollWidth") == 320
        colours = await tab.page.evaluate(
            """() => ['#status', 'label', '.hint', '#connect', 'h2'].map(one => {
                const element = document.querySelector(one);
                let behind = element;
                while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
                return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
            })"""
        )
        assert all(contrast(ink, paper) >= 4.5 for ink, paper in colours), colours


def contrast(ink: str, paper: str) -> float:
    """The ratio of two colours as WCAG 2 has it."""
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)"."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_a_key_that_is_missing_or_wrong_is_told(tmp_path: Path, chrome: Chromium) -> None:
    """Where there are keys the page asks for one and puts the focus there; a wrong one is refused."""
    async with hosted(app, tmp_path, settings=ServerSettings(keys=("right",))) as server, visit(chrome, server.url + "/") as tab:
        alert = tab.page.get_by_role("alert")
        await alert.get_by_text("This server asks for a key").wait_for()
        assert await tab.page.evaluate("document.activeElement.id") == "key"
        await tab.page.keyboard.type("wrong")
        await tab.page.keyboard.press("Tab")
        await alert.get_by_text("The server did not accept the key.").wait_for()
        await tab.page.get_by_label("Key").fill("right")
        await tab.page.keyboard.press("Tab")
        await tab.page.locator("#connect:enabled").wait_for()
        assert await alert.inner_text() == ""
        assert len(tab.refusals) == 2 and await tab.page.evaluate("JSON.stringify(sessionStorage)") == "{}"


async def test_a_call_that_cannot_begin_says_why(tmp_path: Path, chrome: Chromium) -> None:
    """The microphone denied, none there, a session that there is not, a server that has gone: in words, and one may try again."""
    async with hosted(app, tmp_path) as server:
        async with visit(chrome, server.url + "/", permissions=[]) as tab:
            await fails(tab, "The microphone was denied. Allow it")
            absent = "async () => { throw new DOMException('', 'NotFoundError') }"
            await tab.page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {absent} }}")
            await fails(tab, "No microphone was found.")
            assert server.engine.sessions == {}
        async with visit(chrome, server.url + "/") as tab:
            await tab.page.locator("option").first.evaluate("option => option.value = 'hotel.cellar'")
            await fails(tab, "The server has no such session. No session 'hotel.cellar' is declared.")
            assert len(tab.refusals) == 1
            await tab.page.route("**/v1/realtime/**", lambda route: route.abort())
            await fails(tab, "The server cannot be reached. Is it still running?")
            tab.troubles.remove("Failed to load resource: net::ERR_FAILED")  # the browser's own words for that


async def fails(tab: Visit, words: str) -> None:
    """Connect, and be told these words; Connect has the focus again."""
    await tab.press("Connect")
    await tab.page.get_by_role("alert").get_by_text(words).wait_for()
    await tab.state("ended")
    assert await tab.page.evaluate("document.activeElement.id") == "connect"


async def test_a_server_that_stops_says_so(tmp_path: Path, chrome: Chromium) -> None:
    """The call ends with the reason, at once and in words; nothing is tried again."""
    async with hosted(app, tmp_path) as server, visit(chrome, server.url + "/") as tab:
        await tab.press("Connect")
        await tab.state("connected")
        await tab.press("Mute")
        head = await tab.page.get_by_role("banner").aria_snapshot()
        assert '- group "This call":' in head and '- button "Mute" [pressed]' in head and '- button "Hang up"' in head
        server.stop.set()
        await tab.state("ended")
        assert "Ended: the server is stopping" in await tab.page.get_by_role("banner").inner_text()
        assert len([one for one in tab.requests if "/calls" in one]) == 1
