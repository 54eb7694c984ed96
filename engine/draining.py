"""Draining: running sessions get a time to end by themselves; then they are ended, or left as they stand."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from ..core import events as e

__all__ = ["Runs", "drained"]


class Runs(Protocol):
    """A session that runs: a LiveSession, or one that is proxied."""

    async def ended(self) -> e.SessionEnded:
        """Wait for the end."""

    def end(self, reason: str = ..., *, drain: bool = ...) -> None:
        """Ask it to end."""

    def leave(self) -> None:
        """Stop driving it."""


async def drained(tables: Sequence[Mapping[str, Runs]], grace_s: float, *, keep: bool) -> None:
    """Return when no session of `tables` runs any more. keep: what runs on after the time of grace is left without an end."""
    try:
        async with asyncio.timeout(grace_s):
            await _gone(tables)
    except TimeoutError:
        for live in _running(tables):
            if keep:
                live.leave()
            else:
                live.end("engine_stopped", drain=False)
        await _gone(tables)


def _running(tables: Sequence[Mapping[str, Runs]]) -> list[Runs]:
    return [live for table in tables for live in table.values()]


async def _gone(tables: Sequence[Mapping[str, Runs]]) -> None:
    while running := _running(tables):
        await asyncio.gather(*(live.ended() for live in running), return_exceptions=True)  # failures are logged
        await asyncio.sleep(0)  # a session leaves the table in a callback of its task's end
