"""Debian's chromium, headless, kept on loopback, with a microphone that plays a file.

The browser reads the file anew whenever a page opens the microphone, so each test puts its own recording there.
"""

import os
import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from playwright.async_api import Browser, async_playwright

from turnlog.transports.speech.resample import read_audio

__all__ = ["RATE", "Chromium", "chromium"]

RATE = 48_000
LEAD_S = 2.0  # silence first: what is said before the call stands is not heard
REST_S = 12.0  # where the machine was so slow that it was said too early, it is said again
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--use-fake-device-for-media-stream",
)


class Chromium:
    """One browser for all tests, and its microphone."""

    def __init__(self, browser: Browser, microphone: Path) -> None:
        self.browser = browser
        self._microphone = microphone

    def put_on_microphone(self, recording: Path) -> None:
        """What the microphone picks up from its next opening on: silence, this recording, a longer silence, over and over."""
        said = np.frombuffer(read_audio(recording, RATE), "<i2")
        silences = [np.zeros(int(seconds * RATE), "<i2") for seconds in (LEAD_S, REST_S)]
        write_wav(self._microphone, np.concatenate([silences[0], said, silences[1]]).tobytes())


def write_wav(path: Path, pcm16: bytes) -> None:
    """48 kHz mono, as the browser's microphone wants it."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm16)


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Chromium]:
    """Start it; it is ended by its own handle, with its profile."""
    microphone = folder / "microphone.wav"
    write_wav(microphone, bytes(2 * RATE))
    flags = [*_FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    async with async_playwright() as playwright:
        own = {"XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}  # nothing of a user's, nothing left behind
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), headless=True, args=flags, env={**os.environ, **own}
        )
        try:
            yield Chromium(browser, microphone)
        finally:
            await browser.close()
