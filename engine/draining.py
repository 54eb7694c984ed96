"""Draining: running sessions get a time to end by themselves; then they are ended, or left as they stand."""

import asyncio
from collections.abc import Mapping

from .live import LiveSession

__all__ = ["drained"]


async def drained(sessions: Mapping[str, LiveSession], grace_s: float, *, keep: bool) -> None:
    """Return when none of `sessions` runs any more. keep: what runs on after the time of grace is left without an end."""
    try:
        async with asyncio.timeout(grace_s):
            await _gone(sessions)
    except TimeoutError:
        for live in sessions.values():
            if keep:
                live.leave()
            else:
                live.end("engine_stopped", drain=False)
        await _gone(sessions)


async def _gone(sessions: Mapping[str, LiveSession]) -> None:
    while sessions:
        await asyncio.gather(*(live.ended() for live in sessions.values()), return_exceptions=True)  # failures are logged
        await asyncio.sleep(0)  # a session leaves the table in a callback of its task's end
