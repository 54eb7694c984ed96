"""Checkpoints keep the WAL short, and come by themselves."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

from turnlog.core.ports import Draft, SessionRow
from turnlog.store import open_store
from turnlog.store.checkpoint import CheckpointClock

__all__: list[str] = []


def wal_size(path: Path) -> int:
    """Bytes of the database's WAL; 0 where there is none."""
    wal = Path(f"{path}-wal")
    return wal.stat().st_size if wal.exists() else 0


async def test_the_wal_stays_small_under_load(path: Path, row: Callable[..., SessionRow], draft: Callable[..., Draft]) -> None:
    """With appends and page-by-page reads all the while, 60 MB of events leave a WAL of less than 40 MB, and close() none."""
    store = await asyncio.to_thread(open_store, path)
    head = await store.create(row())
    largest = 0
    until = time.monotonic() + 20
    while head.seq < 30_000 and time.monotonic() < until:
        head = await store.append(head, [draft(data=bytes(2_000)) for _ in range(100)])
        if head.seq % 5_000 == 0:
            assert [event.seq async for event in store.read("s1", after=head.seq - 300)][-1] == head.seq
            largest = max(largest, wal_size(path))
    await store.close()
    assert 0 < largest < 40_000_000
    assert wal_size(path) == 0


def test_the_clock_asks_after_work_and_only_then(path: Path) -> None:
    """wrote() brings one call of `ask` within the interval; without it none comes; stop() ends the thread."""
    asked = threading.Semaphore(0)
    clock = CheckpointClock(path, asked.release)
    assert not asked.acquire(timeout=0.4)
    clock.wrote()
    assert asked.acquire(timeout=10)
    assert not asked.acquire(timeout=0.4)
    clock.stop()
    clock.wrote()
    assert not asked.acquire(timeout=0.4)


def test_a_stop_amid_its_own_step_ends_the_clock(path: Path) -> None:
    """stop() at the moment at which the clock forgets what was written is not forgotten with it."""
    clock = CheckpointClock(path, lambda: None)
    stopping = threading.Thread(target=clock.stop, daemon=True)

    class Overtaken(threading.Event):
        def clear(self) -> None:
            stopping.start()
            assert self.wait(10)
            super().clear()

    waited_for, clock._dirty = clock._dirty, Overtaken()
    waited_for.set()
    clock._thread.join(10)
    assert not clock._thread.is_alive()
    stopping.join(10)


def test_a_long_wal_is_checkpointed_at_once(path: Path) -> None:
    """From 32 MB on wrote() asks itself, once each 32 MB, however often it is called."""
    asked: list[int] = []
    clock = CheckpointClock(path, lambda: asked.append(threading.get_ident()))
    with Path(f"{path}-wal").open("wb") as wal:
        for size in (33, 34, 66):
            wal.truncate(size * 1024 * 1024)
            clock.wrote()
            clock.wrote()
    assert asked.count(threading.get_ident()) == 2
    clock.stop()
