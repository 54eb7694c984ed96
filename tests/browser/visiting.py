"""A visit to the page: a browser context of its own, and the proof that the page asked nobody else and broke no rule."""

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

__all__ = ["HEARD_RATE", "Visit", "decode_webm", "visit"]

HEARD_RATE = 24_000
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

    def heard(self, document: int = -1) -> bytes:
        """What a document of this tab heard until now (the last one, unless numbered): PCM16 mono at HEARD_RATE."""
        return decode_webm(list(self._heard.values())[document])

    async def speak(self, wav: bytes) -> None:
        """Let the microphone of mouth.js pick up this WAV file from now on."""
        await self.page.evaluate("wav => turnlogSpeak(wav)", base64.b64encode(wav).decode())

    async def state(self, name: str, timeout_s: float = 15) -> None:
        """Wait until the page's state has this name."""
        await self.page.locator(f'body[data-state="{name}"]').wait_for(timeout=timeout_s * 1000)

    async def activity(self, name: str) -> None:
        """Wait until the page says that the session does this."""
        await self.page.locator(f'body[data-activity="{name}"]').wait_for(timeout=15_000)

    async def press(self, name: str) -> None:
        """Press a button by the name that a screen reader has for it."""
        await self.page.get_by_role("button", name=name, exact=True).click()

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


def decode_webm(webm: bytes) -> bytes:
    """PCM16 mono at HEARD_RATE, silence where nothing was recorded."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=HEARD_RATE)
    pieces: list[np.ndarray[Any, Any]] = []
    with av.open(io.BytesIO(webm), mode="r") as container:
        for frame in container.decode(audio=0):
            pieces += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
    return np.concatenate(pieces).tobytes() if pieces else b""


@asynccontextmanager
async def visit(
    chrome: Chromium, url: str, *scripts: str, permissions: Sequence[str] = ("microphone",), **options: Any
) -> AsyncIterator[Visit]:
    """Open `url` in a tab with these scripts of this folder put into it. No trouble, and no request to anybody but `url`."""
    context = await chrome.browser.new_context(permissions=list(permissions), **options)
    try:
        page = await context.new_page()
        tab = Visit(context, page)
        await page.expose_function("turnlogHeard", tab.hear)
        for script in scripts:
            await page.add_init_script(path=_HERE / script)
        await page.goto(url)
        yield tab
        assert tab.troubles == []
        assert {urlsplit(one).netloc for one in tab.requests} == {urlsplit(url).netloc}
    finally:
        await context.close()
