"""Recorded calls as tests: each recording must replay on today's handlers."""

import asyncio
import glob
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..core.errors import Divergence, TurnlogError
from ..engine.app import Handler
from ..engine.offline.replay_all import SessionReplay, replay_all
from ..store.open import open_store

__all__ = ["assert_replays"]


def assert_replays(pattern: str | os.PathLike[str], *, handler: Handler | None = None) -> list[SessionReplay]:
    """Replay every session in the archives or stores that the pattern names ("recordings/*.turnlog"); returns what came of each.

    handler: what they run on; else each runs on the one that its log names, as it is today. Raises AssertionError with the
    report of each divergence, for a recording that cannot be replayed, and if nothing was replayed at all.
    """
    paths = sorted(glob.glob(os.fspath(pattern), recursive=True))
    if not paths:
        raise AssertionError(f"no recording is named {os.fspath(pattern)!r} in {Path.cwd()}")
    with ThreadPoolExecutor(1) as apart:  # a test may run in a loop of its own
        found = [(path, one) for path in paths for one in apart.submit(_replayed, path, handler).result()]
    failed = [f"{path}: {_why(one)}" for path, one in found if one.status in ("diverged", "failed")]
    if failed:
        raise AssertionError(f"{len(failed)} of {len(found)} recorded sessions do not replay\n\n" + "\n\n".join(failed))
    if all(one.status == "skipped" for _, one in found):
        reasons = "; ".join(f"{path}: {one.reason}" for path, one in found) or "they hold no session"
        raise AssertionError(f"nothing was replayed of {len(paths)} recordings: {reasons}")
    return [one for _, one in found]


def _replayed(path: str, handler: Handler | None) -> list[SessionReplay]:
    async def replayed() -> list[SessionReplay]:
        store = open_store(path, read_only=True)
        try:
            return [one async for one in replay_all(store, handler=handler)]
        finally:
            await store.close()

    try:
        return asyncio.run(replayed())
    except TurnlogError as error:
        return [SessionReplay(session="", target="", status="failed", reason=str(error))]


def _why(one: SessionReplay) -> str:
    return str(Divergence(one.report)) if one.report else f"{one.session} {one.reason}".strip()
