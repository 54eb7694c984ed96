"""What the contenders of bench_live_loop have in common: the meter that counts the audio which reached the application."""

import asyncio
import gc
import resource
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from paced_server import AUDIO_SHARE, STAMP_BYTES

__all__ = ["Contender", "Meter", "take_delta", "watched"]

WARM_UP_S = 5.0  # after the first audio: sessions start spread over the four seconds of a turn
SAMPLED = 3  # every third audio delta's latency is taken


class Meter:
    """Counts the audio that reached the application, and how long it took from the server's hand to here."""

    def __init__(self) -> None:
        self.audio = 0
        self.latencies: list[int] = []
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def base64(self, message: bytes, start: int) -> None:
        """An audio delta whose base64 text begins at `start`."""
        self._count()
        if self.audio % SAMPLED == 0:
            self._arrived(b64decode(message[start : start + STAMP_BYTES // 3 * 4]))

    def pcm(self, audio: bytes, part: Any = None) -> None:
        """An audio delta, decoded."""
        self._count()
        if self.audio % SAMPLED == 0:
            self._arrived(audio)

    def _count(self) -> None:
        self.audio += 1
        if self.audio == 1:
            self._first.set_result(None)

    def _arrived(self, audio: bytes) -> None:
        self.latencies.append(time.perf_counter_ns() - int.from_bytes(audio[:STAMP_BYTES], "little"))

    async def warm(self) -> None:
        """Until all sessions are under way."""
        await asyncio.shield(self._first)
        await asyncio.sleep(WARM_UP_S)

    async def window(self, seconds: float) -> dict[str, Any]:
        """Measure for `seconds`, after the warm-up."""
        await self.warm()
        gc.collect()
        self.latencies.clear()
        audio, cpu, began = self.audio, cpu_s(), time.perf_counter()
        await asyncio.sleep(seconds)
        events = (self.audio - audio) / AUDIO_SHARE
        used, took = cpu_s() - cpu, time.perf_counter() - began
        ordered = sorted(self.latencies)
        return {
            "events_s": events / took,
            "cpu_us": used / events * 1e6,
            "core": used / took,
            "p50_ms": ordered[len(ordered) // 2] / 1e6,
            "p99_ms": ordered[len(ordered) * 99 // 100] / 1e6,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def cpu_s() -> float:
    """User and system seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


Contender = Callable[[Meter, int, int, float, Path], Awaitable[dict[str, Any]]]


async def watched(tasks: list[asyncio.Task[None]], window: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """The window's result, while the sessions run; a session that ends meanwhile is a failed measurement."""
    measuring = asyncio.create_task(window)
    await asyncio.wait([measuring, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if not measuring.done():
        raise SystemExit(f"a session ended early: {[task for task in tasks if task.done()]}")
    return measuring.result()


def take_delta(meter: Meter, message: bytes) -> None:
    """What a caller's application does with a message here: see whether it is audio."""
    if message.startswith(b'{"type":"response.output_audio.delta"'):
        meter.base64(message, message.find(b'"delta":"') + 9)
