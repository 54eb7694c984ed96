"""What the log costs: appends through the public async API against sqlite3 driven by hand.

Rounds are interleaved and ratios taken within a round, because the machine is shared: absolute figures move, ratios hold.
"by hand" does the same work (same tables and indexes, pragmas and checkpoint pace, encoding, digests and chain) inline, without
a thread, a port or results per session, and inserts with executemany, as one does; the store's many rows a statement is its own
doing and counts for it. "rows only" inserts rows that were encoded and chained before the clock started.

    python benchmarks/bench_append.py [--quick]
"""

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, TypeAlias

from turnlog.core.chain import digest, link
from turnlog.core.codec import encode
from turnlog.core.events import Event, Root, TransportReceived
from turnlog.core.ports import Draft, Head, SessionRow
from turnlog.store import Store, open_store
from turnlog.store.connect import PAGE_BYTES, WAL_LIMIT

__all__ = ["main"]

BATCH = 100
ADD_EVENT = """INSERT INTO events (sid, seq, type, version, at_ns, epoch, cause, digest, hash, data)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
MOVE_HEAD = "UPDATE sessions SET head_seq = ?, head_hash = ? WHERE id = ? AND head_seq = ? AND epoch = ?"
CHECKPOINT_S = 0.25


Batches: TypeAlias = list[list[list[Event]]]
"""For each session its batches, for each batch its events."""


class Sample(NamedTuple):
    """One run: events a second, CPU microseconds an event (all threads)."""

    per_s: float
    cpu_us: float


def row(session: str) -> SessionRow:
    """A catalogue row."""
    return SessionRow(session, "", "bench.append", "scripted", "in_process", "active", "3.11", "0", 0, 0, time.time_ns(), None)


def drafts_of(events: list[Event]) -> list[Draft]:
    """Encode a batch, as the engine does."""
    at_ns = time.time_ns()
    return [Draft(name, version, at_ns, Root.WIRE, data) for name, version, data in (encode(e, os.urandom(16)) for e in events)]


def turnlog(folder: Path, of_sessions: Batches) -> Sample:
    """Encode and append through the public async API: each session's batches one after the other, the sessions side by side."""

    async def run(store: Store, head: Head, batches: list[list[Event]]) -> None:
        for events in batches:
            head = await store.append(head, drafts_of(events))

    async def all_sessions() -> Sample:
        store = open_store(folder / "log.db")
        heads = [await store.create(row(f"bench{number}")) for number in range(len(of_sessions))]
        started, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as sessions:
            for head, batches in zip(heads, of_sessions, strict=True):
                sessions.create_task(run(store, head, batches))
        result = sample(started, cpu, of_sessions)
        await store.close()
        return result

    return asyncio.run(all_sessions())


def by_hand(folder: Path, of_sessions: Batches) -> Sample:
    """The same work, inline, with nothing between it and sqlite3; the sessions take turns."""
    raw, heads = hand_opened(folder, len(of_sessions))
    checkpoint_at = time.monotonic() + CHECKPOINT_S
    started, cpu = time.perf_counter(), time.process_time()
    for turn in zip_longest(*of_sessions):
        for number, events in enumerate(turn):
            if events is None:
                continue
            rows, after = hand_chained(heads[number], drafts_of(events))
            hand_written(raw, heads[number], after, rows)
            heads[number] = after
            checkpoint_at = hand_checkpointed(raw, checkpoint_at)
    result = sample(started, cpu, of_sessions)
    raw.close()
    return result


def rows_only(folder: Path, of_sessions: Batches) -> Sample:
    """Only the inserting of rows that are ready."""
    raw, heads = hand_opened(folder, len(of_sessions))
    ready = []
    for turn in zip_longest(*of_sessions):
        for number, events in enumerate(turn):
            if events is not None:
                rows, after = hand_chained(heads[number], drafts_of(events))
                ready.append((heads[number], after, rows))
                heads[number] = after
    checkpoint_at = time.monotonic() + CHECKPOINT_S
    started, cpu = time.perf_counter(), time.process_time()
    for before, after, rows in ready:
        hand_written(raw, before, after, rows)
        checkpoint_at = hand_checkpointed(raw, checkpoint_at)
    result = sample(started, cpu, of_sessions)
    raw.close()
    return result


def hand_opened(folder: Path, sessions: int) -> tuple[sqlite3.Connection, list[Head]]:
    """A file with the store's own tables and so many sessions, and a connection with the store's own pragmas."""

    async def made() -> list[Head]:
        store = open_store(folder / "log.db")
        heads = [await store.create(row(f"bench{number}")) for number in range(sessions)]
        await store.close()
        return heads

    heads = asyncio.run(made())
    raw = sqlite3.connect(folder / "log.db", isolation_level=None)
    raw.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = NORMAL")
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    raw.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    return raw, heads


def hand_checkpointed(raw: sqlite3.Connection, due: float) -> float:
    """Checkpoint if it is due, at the store's own pace; when the next one is."""
    if time.monotonic() < due:
        return due
    raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return time.monotonic() + CHECKPOINT_S


def hand_chained(head: Head, drafts: list[Draft]) -> tuple[list[tuple[object, ...]], Head]:
    """Digest and chain a batch."""
    rows: list[tuple[object, ...]] = []
    session, sid, epoch, seq, previous = head
    for name, version, at_ns, cause, data in drafts:
        seq += 1
        of_data = digest(data)
        previous = link(previous, session, seq, name, version, at_ns, epoch, cause, of_data)
        rows.append((sid, seq, name, version, at_ns, epoch, cause, of_data, previous, data))
    return rows, Head(session, sid, epoch, seq, previous)


def hand_written(raw: sqlite3.Connection, head: Head, after: Head, rows: list[tuple[object, ...]]) -> None:
    """One batch, one transaction."""
    raw.execute("BEGIN IMMEDIATE")
    if raw.execute(MOVE_HEAD, (after.seq, after.hash, head.sid, head.seq, head.epoch)).rowcount != 1:
        raise RuntimeError("the head is not where it was left")
    raw.executemany(ADD_EVENT, rows)
    raw.execute("COMMIT")


def sample(started: float, cpu: float, of_sessions: Batches) -> Sample:
    """Close a measurement."""
    events = BATCH * sum(map(len, of_sessions))
    return Sample(events / (time.perf_counter() - started), (time.process_time() - cpu) / events * 1e6)


async def paced(folder: Path, seconds: float, size: int) -> list[float]:
    """Latencies (ms) of single appends: 40 sessions at 50 events a second each, evenly spread: 2,000 events/s."""
    store = open_store(folder / "log.db")
    latencies: list[float] = []
    base = time.perf_counter() + 0.05

    async def call(number: int) -> None:
        head = await store.create(row(f"call{number}"))
        event = [TransportReceived(link="p1", n=1, data=os.urandom(size))]
        for tick in range(int(seconds * 50)):
            await asyncio.sleep(base + tick / 50 + number / 2000 - time.perf_counter())
            batch = drafts_of(list(event))
            asked = time.perf_counter()
            head = await store.append(head, batch)
            latencies.append((time.perf_counter() - asked) * 1000)

    async with asyncio.TaskGroup() as calls:
        for number in range(40):
            calls.create_task(call(number))
    await store.close()
    return latencies


def hand_latencies(folder: Path, seconds: float, size: int) -> list[float]:
    """Latencies (ms) of the same appends by hand, inline, checkpoints not counted."""
    raw, [head] = hand_opened(folder, 1)
    latencies = []
    started = time.perf_counter()
    checkpoint_at = time.monotonic() + CHECKPOINT_S
    for tick in range(int(seconds * 2000)):
        time.sleep(max(started + tick / 2000 - time.perf_counter(), 0))
        drafts = drafts_of([TransportReceived(link="p1", n=1, data=os.urandom(size))])
        asked = time.perf_counter()
        rows, after = hand_chained(head, drafts)
        hand_written(raw, head, after, rows)
        head = after
        latencies.append((time.perf_counter() - asked) * 1000)
        checkpoint_at = hand_checkpointed(raw, checkpoint_at)
    raw.close()
    return latencies


def compare(size: int, sessions: int, rounds: int, events: int) -> None:
    """Print the lines of one size and number of sessions."""
    batch: list[Event] = [TransportReceived(link="p1", n=1, data=os.urandom(max(size - 40, 1))) for _ in range(BATCH)]
    of_sessions = [[batch] * (events // BATCH // sessions) for _ in range(sessions)]
    runs: list[Callable[[Path, Batches], Sample]] = [turnlog, by_hand, rows_only]
    samples: dict[str, list[Sample]] = {run.__name__: [] for run in runs}
    for number in range(rounds):
        for run in runs[number % 3 :] + runs[: number % 3]:
            with tempfile.TemporaryDirectory() as folder:
                samples[run.__name__].append(run(Path(folder), of_sessions))
    mine, hand, rows = samples["turnlog"], samples["by_hand"], samples["rows_only"]
    print(f"{size} B, {sessions} session{'s' if sessions > 1 else ''}")
    for name, of in samples.items():
        print(f"  {name:<10}{middle([s.per_s for s in of]):>9,.0f}/s {middle([s.cpu_us for s in of]):>6.1f} us CPU an event")
    cpu = middle([b.cpu_us / a.cpu_us for a, b in zip(mine, hand, strict=True)])
    goal = 40 if size < 1000 else 60
    print(
        f"  turnlog is {ratio(mine, hand):.0%} of by hand (goal 80, aim 95; by CPU {cpu:.0%})"
        f" and {ratio(mine, rows):.0%} of rows only (goal {goal})"
    )


def ratio(mine: list[Sample], other: list[Sample]) -> float:
    """Median of the rounds' own ratios."""
    return middle([a.per_s / b.per_s for a, b in zip(mine, other, strict=True)])


def middle(values: list[float]) -> float:
    """Median."""
    return statistics.median(values)


def main() -> None:
    """Print both tables."""
    quick = "--quick" in sys.argv
    rounds, events = (3, 10_000) if quick else (7, 30_000)
    print(f"append, batches of {BATCH}: median of {rounds} interleaved rounds of {events:,} events")
    for sessions in (1, 8):
        for size in (300, 2048):
            compare(size, sessions, rounds, events)
    for size in (300, 2048):
        seconds = 1.5 if quick else 4.0
        with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
            mine = sorted(asyncio.run(paced(Path(a), seconds, size)))
            hand = sorted(hand_latencies(Path(b), seconds, size))
        line = "  ".join(
            f"{name} p50 {of[len(of) // 2]:.3f} p99 {of[len(of) * 99 // 100]:.3f} max {of[-1]:.1f} ms"
            for name, of in (("turnlog", mine), ("by hand, inline", hand))
        )
        added = mine[len(mine) // 2] - hand[len(hand) // 2]
        print(f"2,000 events/s, {size} B, one an append: {line}  added p50 {added:.3f} ms (goal 0.3; p99 aim 5)")


if __name__ == "__main__":
    main()
