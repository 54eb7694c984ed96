"""What replay pays to read a log: scan(), decode and apply, against a sqlite3 cursor, msgspec and the same folds by hand.

CPU time of the reading thread, because the machine is shared; rounds are interleaved and ratios taken within a round.
"bare cursor" reads the same columns and does nothing with them. The log is session_log.py's.

    python benchmarks/bench_replay_read.py [--quick]
"""

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from session_log import SESSION, write_log

from turnlog.core.chain import NONCE_SIZE
from turnlog.core.codec import decode
from turnlog.core.events import EVENT_TYPES
from turnlog.core.state import State
from turnlog.store.sqlite_reads import SqliteReads

__all__ = ["main"]

READ = """SELECT seq, type, version, at_ns, epoch, cause, digest, hash, data FROM events
    WHERE sid = (SELECT id FROM sessions WHERE key = ?) ORDER BY seq"""
GOAL, AIM = 0.75, 0.95


def replayed(path: Path) -> int:
    """turnlog: scan, decode, apply."""
    state, count = State(), 0
    for recorded in SqliteReads(path).scan(SESSION):
        state.apply(recorded.seq, recorded.at_ns, decode(recorded))
        count += 1
    return count


def by_hand(path: Path) -> int:
    """A cursor over the same rows, a decoder for each type, the same folds."""
    decoders = {name: msgspec.msgpack.Decoder(type_).decode for name, type_ in EVENT_TYPES.items()}
    state, count = State(), 0
    connection = sqlite3.connect(path)
    for seq, type_, _version, at_ns, _epoch, _cause, _digest, _hash, data in connection.execute(READ, (SESSION,)):
        state.apply(seq, at_ns, decoders[type_](memoryview(data)[NONCE_SIZE:]))
        count += 1
    connection.close()
    return count


def bare_cursor(path: Path) -> int:
    """The rows alone."""
    connection = sqlite3.connect(path)
    count = sum(1 for _ in connection.execute(READ, (SESSION,)))
    connection.close()
    return count


def semantic(path: Path) -> int:
    """turnlog again, without the wire's records: all that the folds and a handler see."""
    state, count = State(), 0
    for recorded in SqliteReads(path).scan(SESSION, semantic=True):
        state.apply(recorded.seq, recorded.at_ns, decode(recorded))
        count += 1
    return count


def main() -> None:
    """Print the table."""
    quick = "--quick" in sys.argv
    rounds, count = (3, 20_000) if quick else (9, 100_000)
    runs: list[Callable[[Path], int]] = [replayed, by_hand, bare_cursor, semantic]
    cpu: dict[str, list[float]] = {run.__name__: [] for run in runs}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        asyncio.run(write_log(path, count))
        for number in range(rounds):
            for run in runs[number % 4 :] + runs[: number % 4]:
                started = time.thread_time()
                if run(path) != count and run is not semantic:
                    raise RuntimeError(f"{run.__name__} did not read all events")
                cpu[run.__name__].append((time.thread_time() - started) / count * 1e6)
    print(f"read, decode and apply {count:,} events: median of {rounds} interleaved rounds, CPU an event of the log")
    for name, values in cpu.items():
        share = statistics.median(b / a for a, b in zip(values, cpu["by_hand"], strict=True))
        print(f"  {name:<12}{statistics.median(values):>6.2f} us  {share:>5.0%} of by hand")
    share = statistics.median(b / a for a, b in zip(cpu["replayed"], cpu["by_hand"], strict=True))
    for word, bound in (("goal", GOAL), ("aim", AIM)):
        verdict = "met" if share >= bound else "missed"
        print(f"{word} replay reads at >= {bound:.0%} of by hand, by CPU: measured {share:.0%}: {verdict}")


if __name__ == "__main__":
    main()
