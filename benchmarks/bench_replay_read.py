"""What reading a log for replay costs: scan() and decoding, against a sqlite3 cursor and msgspec driven by hand.

CPU time of the reading thread, because the machine is shared; rounds are interleaved and ratios taken within a round.
"bare cursor" reads the same columns and decodes nothing.

    python benchmarks/bench_replay_read.py [--quick]
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

import msgspec

from turnlog.core.chain import NONCE_SIZE
from turnlog.core.codec import encode
from turnlog.core.events import Event, Root, TransportReceived, TransportSent
from turnlog.core.ports import Draft, SessionRow
from turnlog.store import open_store
from turnlog.store.sqlite_reads import SqliteReads

__all__ = ["main"]

READ = """SELECT seq, type, version, at_ns, epoch, cause, digest, hash, data FROM events
    WHERE sid = (SELECT id FROM sessions WHERE key = ?) ORDER BY seq"""


async def filled(path: Path, count: int) -> None:
    """A log of control messages of some 300 B, as a session of some hours leaves."""
    store = open_store(path)
    row = SessionRow("bench", "", "bench.read", "scripted", "in_process", "active", "3.11", "0", 0, 0, time.time_ns(), None)
    head = await store.create(row)
    for first in range(0, count, 1000):
        drafts = []
        for n in range(first, first + 1000):
            event: Event = (TransportReceived, TransportSent)[n % 2](link="p1", n=n, data=os.urandom(260))
            name, version, data = encode(event, os.urandom(16))
            drafts.append(Draft(name, version, time.time_ns(), Root.WIRE, data))
        head = await store.append(head, drafts)
    await store.close()


def scanned(path: Path) -> int:
    """turnlog's scan, each payload decoded."""
    decode = msgspec.msgpack.Decoder().decode
    count = 0
    for recorded in SqliteReads(path).scan("bench"):
        assert recorded.data is not None
        decode(memoryview(recorded.data)[NONCE_SIZE:])
        count += 1
    return count


def by_hand(path: Path) -> int:
    """A cursor over the same rows, each payload decoded."""
    decode = msgspec.msgpack.Decoder().decode
    count = 0
    connection = sqlite3.connect(path)
    for _seq, _type, _version, _at_ns, _epoch, _cause, _digest, _hash, data in connection.execute(READ, ("bench",)):
        decode(memoryview(data)[NONCE_SIZE:])
        count += 1
    connection.close()
    return count


def bare_cursor(path: Path) -> int:
    """The rows alone."""
    connection = sqlite3.connect(path)
    count = sum(1 for _ in connection.execute(READ, ("bench",)))
    connection.close()
    return count


def main() -> None:
    """Print the table."""
    quick = "--quick" in sys.argv
    rounds, count = (3, 20_000) if quick else (9, 100_000)
    runs: list[Callable[[Path], int]] = [scanned, by_hand, bare_cursor]
    cpu: dict[str, list[float]] = {run.__name__: [] for run in runs}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        asyncio.run(filled(path, count))
        for number in range(rounds):
            for run in runs[number % 3 :] + runs[: number % 3]:
                started = time.thread_time()
                if run(path) != count:
                    raise RuntimeError(f"{run.__name__} did not read all events")
                cpu[run.__name__].append((time.thread_time() - started) / count * 1e6)
    print(f"read and decode {count:,} events: median of {rounds} interleaved rounds, CPU an event")
    for name, values in cpu.items():
        line = f"  {name:<12}{statistics.median(values):>6.2f} us"
        if name == "scanned":
            share = statistics.median(b / a for a, b in zip(values, cpu["by_hand"], strict=True))
            line += f"  {share:.0%} of by hand (goal 75, aim 95)"
        print(line)


if __name__ == "__main__":
    main()
