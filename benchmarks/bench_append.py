"""What the log costs: appends through the public async API against sqlite3 driven by hand.

Rounds are interleaved and ratios taken within a round, because the machine is shared: absolute figures move, ratios hold.
"by hand" does the same work (same tables and indexes, pragmas and checkpoint pace, encoding, digests and chain) inline, without
a thread, a port or results per session; "rows only" inserts rows that were encoded and chained before the clock started.

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
from pathlib import Path
from typing import NamedTuple

from turnlog.core.chain import digest, link
from turnlog.core.codec import encode
from turnlog.core.events import Event, Root, TransportReceived
from turnlog.core.ports import Draft, Head, SessionRow
from turnlog.store import open_store

__all__ = ["main"]

BATCH = 100
ADD_EVENT = """INSERT INTO events (sid, seq, type, version, at_ns, epoch, cause, digest, hash, data)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
MOVE_HEAD = "UPDATE sessions SET head_seq = ?, head_hash = ? WHERE id = ? AND head_seq = ? AND epoch = ?"
CHECKPOINT_S = 0.25


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


def one_session(folder: Path, batches: list[list[Event]]) -> Sample:
    """Encode and append through the public async API, each batch after the one before has come back."""
    return asyncio.run(through_the_api(folder, [batches]))


def eight_sessions(folder: Path, batches: list[list[Event]]) -> Sample:
    """The same batches, shared out to eight sessions that append at the same time."""
    return asyncio.run(through_the_api(folder, [batches[first::8] for first in range(8)]))


async def through_the_api(folder: Path, of_sessions: list[list[list[Event]]]) -> Sample:
    """Append each session's batches, the sessions side by side."""

    async def run(head: Head, batches: list[list[Event]]) -> None:
        for events in batches:
            head = await store.append(head, drafts_of(events))

    store = open_store(folder / "log.db")
    heads = [await store.create(row(f"bench{number}")) for number in range(len(of_sessions))]
    started, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as sessions:
        for head, batches in zip(heads, of_sessions, strict=True):
            sessions.create_task(run(head, batches))
    result = sample(started, cpu, BATCH * sum(map(len, of_sessions)))
    await store.close()
    return result


def by_hand(folder: Path, batches: list[list[Event]]) -> Sample:
    """The same work, inline, with nothing between it and sqlite3."""
    raw, head = hand_opened(folder)
    checkpoint_at = time.monotonic() + CHECKPOINT_S
    started, cpu = time.perf_counter(), time.process_time()
    for events in batches:
        rows, after = hand_chained(head, drafts_of(events))
        hand_written(raw, head, after, rows)
        head = after
        if time.monotonic() >= checkpoint_at:
            raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            checkpoint_at = time.monotonic() + CHECKPOINT_S
    result = sample(started, cpu, head.seq)
    raw.close()
    return result


def rows_only(folder: Path, batches: list[list[Event]]) -> Sample:
    """Only the inserting of rows that are ready."""
    raw, head = hand_opened(folder)
    ready = []
    for events in batches:
        rows, after = hand_chained(head, drafts_of(events))
        ready.append((head, after, rows))
        head = after
    checkpoint_at = time.monotonic() + CHECKPOINT_S
    started, cpu = time.perf_counter(), time.process_time()
    for before, after, rows in ready:
        hand_written(raw, before, after, rows)
        if time.monotonic() >= checkpoint_at:
            raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            checkpoint_at = time.monotonic() + CHECKPOINT_S
    result = sample(started, cpu, head.seq)
    raw.close()
    return result


def hand_opened(folder: Path) -> tuple[sqlite3.Connection, Head]:
    """A file with the store's own tables and one session, and a connection with the store's own pragmas."""

    async def made() -> Head:
        store = open_store(folder / "log.db")
        head = await store.create(row("bench"))
        await store.close()
        return head

    head = asyncio.run(made())
    raw = sqlite3.connect(folder / "log.db", isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = NORMAL")
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    return raw, head


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


def sample(started: float, cpu: float, events: int) -> Sample:
    """Close a measurement."""
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
    """Latencies (ms) of the same appends by hand, inline: what the engine's own thread would be blocked for."""
    raw, head = hand_opened(folder)
    latencies = []
    started = checkpointed = time.perf_counter()
    for tick in range(int(seconds * 2000)):
        time.sleep(max(started + tick / 2000 - time.perf_counter(), 0))
        drafts = drafts_of([TransportReceived(link="p1", n=1, data=os.urandom(size))])
        asked = time.perf_counter()
        rows, after = hand_chained(head, drafts)
        hand_written(raw, head, after, rows)
        head = after
        latencies.append((time.perf_counter() - asked) * 1000)
        if asked - checkpointed >= CHECKPOINT_S:
            raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            checkpointed = time.perf_counter()
    raw.close()
    return latencies


def compare(size: int, rounds: int, events: int) -> None:
    """Print one size's lines of the throughput table."""
    event: list[Event] = [TransportReceived(link="p1", n=1, data=os.urandom(max(size - 40, 1))) for _ in range(BATCH)]
    batches = [event] * (events // BATCH)
    runs: list[Callable[[Path, list[list[Event]]], Sample]] = [one_session, by_hand, eight_sessions, rows_only]
    samples: dict[str, list[Sample]] = {run.__name__: [] for run in runs}
    for number in range(rounds):
        for run in runs[number % 4 :] + runs[: number % 4]:
            with tempfile.TemporaryDirectory() as folder:
                samples[run.__name__].append(run(Path(folder), batches))
    hand, rows = samples["by_hand"], samples["rows_only"]
    goal = 40 if size < 1000 else 60
    for name, mine in samples.items():
        line = f"{size:>5} B  {name:<15}{middle([s.per_s for s in mine]):>9,.0f}/s {middle([s.cpu_us for s in mine]):>6.1f} us"
        if mine is not hand and mine is not rows:
            cpu = middle([b.cpu_us / a.cpu_us for a, b in zip(mine, hand, strict=True)])
            line += f"{ratio(mine, hand):>8.0%} of by hand (goal 80, aim 95; by CPU {cpu:.0%})"
            line += f"{ratio(mine, rows):>6.0%} of rows only (goal {goal})"
        print(line)


def ratio(mine: list[Sample], other: list[Sample]) -> float:
    """Median of the rounds' own ratios."""
    return middle([a.per_s / b.per_s for a, b in zip(mine, other, strict=True)])


def middle(values: list[float]) -> float:
    """Median."""
    return statistics.median(values)


def main() -> None:
    """Print both tables."""
    quick = "--quick" in sys.argv
    rounds, events = (3, 10_000) if quick else (9, 30_000)
    print(f"append, batches of {BATCH}: median of {rounds} interleaved rounds of {events:,} events")
    for size in (300, 2048):
        compare(size, rounds, events)
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
