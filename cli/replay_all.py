"""`turnlog replay --all`: a whole store through today's handlers, a line for each session that differs."""

import asyncio
import time
from collections import Counter
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..core.divergence import clip
from ..core.errors import TurnlogError
from ..engine.app import Handler
from ..engine.offline.replay_all import SessionReplay, replay_all, rows_since
from ..store.open import open_store
from ..store.port import Store
from .options import WIDTH, find_session, print_json

__all__ = ["parse_since", "print_replay_all"]


def print_replay_all(db: str, handler: Handler | None, since: str | None, target: str | None, as_json: bool) -> int:
    """Replay and print. The exit code: 3 if a session diverged, 1 if one could not be replayed, else 0."""
    return asyncio.run(_replay_all(db, handler, since, target, as_json))


async def _replay_all(db: str, handler: Handler | None, since: str | None, target: str | None, as_json: bool) -> int:
    store = await asyncio.to_thread(open_store, db, read_only=True)
    counts: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    began, recorded_s = time.perf_counter(), 0.0
    try:
        since_ns = await parse_since(store, since) if since else 0
        total = len(await rows_since(store, target=target, since_ns=since_ns))
        with _progress() as progress:
            task = progress.add_task("replaying", total=total)
            async for one in replay_all(store, handler=handler, target=target, since_ns=since_ns):
                counts[one.status] += 1
                skipped[one.reason] += one.status == "skipped"
                recorded_s += one.replayed.recorded_s if one.replayed else 0.0
                if as_json:
                    print_json(one)
                elif line := _line(one):
                    progress.console.file.flush()
                    click.echo(line)
                progress.advance(task)
    finally:
        await store.close()
    took_s = time.perf_counter() - began
    if as_json:
        statuses = {status: counts[status] for status in ("identical", "diverged", "skipped", "failed")}
        print_json({"total": total, **statuses, "recorded_s": recorded_s, "took_s": took_s})
    else:
        click.echo(_totals(counts, +skipped, recorded_s, took_s))
    return 3 if counts["diverged"] else 1 if counts["failed"] else 0


async def parse_since(store: Store, since: str) -> int:
    """ns since the Unix epoch of a date (2026-11-22, with a time if wanted, local unless it has a zone) or a session's start."""
    try:
        return int(datetime.fromisoformat(since).timestamp() * 1e9)
    except ValueError:
        pass
    try:
        return (await find_session(store, since)).created_ns
    except TurnlogError as error:
        raise click.UsageError(f"--since {since}: no date like 2026-11-22, and {error.message}") from None


def _progress() -> Progress:
    columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Console(stderr=True)
    return Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal)


def _line(one: SessionReplay) -> str:
    match one.status:
        case "diverged" if one.report:
            report = one.report
            where = report.now.where or report.recorded.where
            place = f"{one.session}  #{report.index} (seq {report.seq})  {where}"
            return clip(f"diverged  {place}  {report.difference}", WIDTH)
        case "failed":
            return clip(f"failed    {one.session}  {one.reason}", WIDTH)
    return ""


def _totals(counts: "Counter[str]", skipped: "Counter[str]", recorded_s: float, took_s: float) -> str:
    parts = [f"{counts['identical']} identical", f"{counts['diverged']} diverged"]
    parts += [f"{n} skipped ({why})" for why, n in sorted(skipped.items())]
    parts += [f"{counts['failed']} failed"] if counts["failed"] else []
    return f"replay: {', '.join(parts)}; {recorded_s:.1f} s of conversation in {took_s:.2f} s"
