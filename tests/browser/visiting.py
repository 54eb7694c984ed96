"""A visit to the page: a browser context of its own, and the proof that the page asked nobody else and broke no rule."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import numpy as np
from playwright.async_api import BrowserContext, ConsoleMessage, Page, Request

from tests.browser.chromium import Chromium
from turnlog.transports.speech.recognise import MoonshineRecogniser

__all__ = ["Visit", "read", "visit", "words"]

_RATE = 24_000
_LOUD = 500  # of 32767: above what a codec makes of silence, below any word
_SILENT_S = 0.6  # longer than a pause between words
_HERE = Path(__file__).parent
_REFUSED = "Failed to load resource: the server responded with a status of"  # the browser's own words for a 4xx


class Visit:
    """One tab. `heard` grows while the page hears something; one recording a document."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.requests: list[str] = []
        self.troubles: list[str] = []  # console errors, exceptions, violations of the policy
        self.refusals: list[str] = []  # requests that the server refused, as the browser's console tells them
        self._heard: dict[str, bytes] = {}
        self._grown = asyncio.Event()
        page.on("request", self._requested)
        page.on("console", self._told)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def _told(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            (self.refusals if message.text.startswith(_REFUSED) else self.troubles).append(message.text)

    def hear(self, document: str, piece: str) -> None:
        """A piece of a recording, from ears.js."""
        self._heard[document] = self._heard.get(document, b"") + base64.b64decode(piece)
        self._grown.set()

    def heard(self) -> bytes:
        """What the last document of this tab heard until now: PCM16 mono at 24 kHz."""
        return decode_webm(list(self._heard.values())[-1]) if self._heard else b""

    async def hears_out(self) -> bytes:
        """What this document heard until now, once it has heard words and then nothing for a while."""
        async with asyncio.timeout(20):
            while not fell_silent(pcm16 := self.heard()):
                self._grown.clear()
                await self._grown.wait()
        return pcm16

    async def drop(self) -> None:
        """Lose the connection: the data channel closes under both sides."""
        await self.page.evaluate("turnlogDrop()")

    async def speak(self, wav: bytes) -> None:
        """Let the microphone of mouth.js pick up this WAV file from now on."""
        await self.page.evaluate("wav => turnlogSpeak(wav)", base64.b64encode(wav).decode())

    async def state(self, name: str, timeout_s: float = 30) -> None:
        """Wait until the page's state has this name."""
        await self.page.locator(f'body[data-state="{name}"]').wait_for(timeout=timeout_s * 1000)

    async def activity(self, name: str) -> None:
        """Wait until the page says that the session does this."""
        await self.page.locator(f'body[data-activity="{name}"]').wait_for(timeout=30_000)

    async def press(self, name: str) -> None:
        """Press a button by the name that a screen reader has for it."""
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def line(self, number: int) -> None:
        """Wait until the transcript has so many final lines."""
        await self.page.locator("#said > li").nth(number - 1).wait_for(timeout=40_000)

    async def lines(self) -> list[dict[str, Any]]:
        """The final lines of the transcript as a reader sees them."""
        script = """lists => lists.map(line => ({
            side: line.classList.contains('caller') ? 'caller' : 'desk',
            at: line.querySelector('time').textContent,
            heard: line.querySelector('.heard').textContent,
            unheard: line.querySelector('.unheard')?.textContent ?? '',
            note: line.querySelector('.note')?.textContent ?? '',
        }))"""
        found: list[dict[str, Any]] = await self.page.locator("#said > li").evaluate_all(script)
        return found


def words(text: str) -> str:
    """Lower case, letters and blanks only."""
    return " ".join("".join(char if char.isalpha() else " " for char in text.lower()).split())


async def read(recogniser: MoonshineRecogniser, pcm16: bytes) -> str:
    """The words in what a page heard."""
    return words(await asyncio.to_thread(recogniser.recognise, pcm16, _RATE))


def fell_silent(pcm16: bytes) -> bool:
    """Whether something loud is followed by _SILENT_S without anything loud."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm16, "<i2").astype(np.int32)) > _LOUD)
    return bool(loud.size) and len(pcm16) / 2 - loud[-1] > _SILENT_S * _RATE


def decode_webm(webm: bytes) -> bytes:
    """PCM16 mono at _RATE."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
    pieces: list[np.ndarray[Any, Any]] = []
    with av.open(io.BytesIO(webm), mode="r") as container:
        for frame in container.decode(audio=0):
            pieces += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
    return np.concatenate(pieces).tobytes() if pieces else b""


@asynccontextmanager
async def visit(
    chrome: Chromium, url: str, *scripts: str, permissions: Sequence[str] = ("microphone",), calls: str = "", **options: Any
) -> AsyncIterator[Visit]:
    """Open `url` in a tab with these scripts of this folder put into it. No trouble, and no request to anybody but `url`.

    calls: a server that an empty page at `url`, where nobody listens, calls in its place.
    """
    context = await chrome.browser.new_context(permissions=list(permissions), **options)
    try:
        page = await context.new_page()
        tab = Visit(context, page)
        await page.expose_function("turnlogHeard", tab.hear)
        for script in scripts:
            await page.add_init_script(path=_HERE / script)
        if calls:
            await page.route(url, lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
        await page.goto(url)
        yield tab
        assert tab.troubles == []
        assert {urlsplit(one).netloc for one in tab.requests} <= {urlsplit(url).netloc, urlsplit(calls).netloc}
    finally:
        await context.close()
