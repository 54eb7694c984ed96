"""The one thread that writes to a SQLite file: group commit, with jobs and checkpoints in between.

While a commit is in flight appends gather; then they go as one transaction. No artificial delay: the first append of a quiet
moment goes at once. One hop there, one back for a whole group.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias, TypeVar

import sqlalchemy as sa

from ..core.errors import StoreError
from ..core.ports import Head
from .checkpoint import CheckpointClock
from .commit import Append, Outcome
from .connect import driver

__all__ = ["Writer"]

T = TypeVar("T")

GROUP_ROWS = 4096  # a longer group would only make its first append wait


class _Asked(NamedTuple):
    future: asyncio.Future[Head]
    append: Append


class _Job(NamedTuple):
    future: asyncio.Future[Any]
    run: Callable[[sa.Connection], Any]


class _Checkpoint(NamedTuple):
    pass


class _Stop(NamedTuple):
    pass


_Item: TypeAlias = _Asked | _Job | _Checkpoint | _Stop
_Settled: TypeAlias = tuple[asyncio.Future[Any], Any]
Commit: TypeAlias = Callable[[sqlite3.Connection, list[Append]], list[Outcome]]


class Writer:
    """Owns the connection that `connect` opens, on a thread of its own. `connect` raises what opening should raise.

    `release` is called on that thread when it ends, whether it could open or not.
    """

    def __init__(self, path: Path, connect: Callable[[], sa.Connection], commit: Commit, release: Callable[[], None]) -> None:
        self._path = path
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._commit = commit
        self._closing = threading.Lock()  # Invariant: nothing that anyone waits for is queued behind the _Stop
        self._closed = False
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Asked | _Job]] = {}  # asked for in this turn of the loop
        self._ended: ThreadFuture[None] = ThreadFuture()
        opened: ThreadFuture[None] = ThreadFuture()
        # Strategy: a daemon, so that a program that forgets close() can end; the log survives that like any other crash.
        threading.Thread(target=self._live, args=(connect, opened, release), name="turnlog-writer", daemon=True).start()
        opened.result()

    def append(self, append: Append) -> asyncio.Future[Head]:
        """Commit it, in a group with others. Cancelling the wait does not take it back."""
        future: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._put(_Asked(future, append))
        return future

    async def run(self, job: Callable[[sa.Connection], T]) -> T:
        """Run `job` in a transaction of its own, after all that was asked for before it."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Job(future, job))
        return await future

    async def close(self) -> None:
        """Finish what was asked for, checkpoint and close. Closing twice does nothing more."""
        with self._closing:
            if not self._closed:
                self._closed = True
                for items in self._gathered.values():
                    for item in items:
                        self._queue.put(item)
                self._gathered.clear()
                self._queue.put(_Stop())
        await asyncio.shield(asyncio.wrap_future(self._ended))

    def _put(self, item: _Asked | _Job) -> None:
        with self._closing:
            if self._closed:
                raise StoreError("TL410", "the store is closed", "keep it open as long as its engine runs")
            loop = item.future.get_loop()
            gathered = self._gathered.get(loop)
            if gathered is None:
                # Strategy: waking the thread is most of the price of an append, so what one turn of the loop asks for
                # is handed over together at its end.
                self._gathered[loop] = [item]
                loop.call_soon(self._hand_over, loop)
            else:
                gathered.append(item)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._closing:
            for item in self._gathered.pop(loop, ()):
                self._queue.put(item)

    # --- on the writer's thread ---

    def _live(self, connect: Callable[[], sa.Connection], opened: ThreadFuture[None], release: Callable[[], None]) -> None:
        try:
            connection = connect()
        except BaseException as error:
            release()
            opened.set_exception(error)
            return
        opened.set_result(None)
        try:
            self._run(connection)
        finally:
            connection.close()
            connection.engine.dispose()
            release()
            self._ended.set_result(None)

    def _run(self, connection: sa.Connection) -> None:
        raw = driver(connection)
        clock = CheckpointClock(self._path, lambda: self._queue.put(_Checkpoint()))
        while True:
            item = self._queue.get()
            match self._group(raw, item, clock) if isinstance(item, _Asked) else item:
                case _Job(future, run):
                    result = _run_job(connection, run)
                    clock.wrote()
                    _settle_all([(future, result)])
                case _Checkpoint():
                    _checkpoint(raw, "PASSIVE")
                case _Stop():
                    clock.stop()
                    _checkpoint(raw, "TRUNCATE")
                    return

    def _group(self, raw: sqlite3.Connection, first: _Asked, clock: CheckpointClock) -> _Job | _Checkpoint | _Stop | None:
        """Take what has gathered behind `first`, commit it, and return what ended the group, if anything did."""
        group = [first]
        rows = len(first.append.events)
        end: _Job | _Checkpoint | _Stop | None = None
        while rows < GROUP_ROWS and not self._queue.empty():  # this thread is the only one that takes
            item = self._queue.get_nowait()
            if not isinstance(item, _Asked):
                end = item
                break
            group.append(item)
            rows += len(item.append.events)
        try:
            outcomes: list[Any] = list(self._commit(raw, [asked.append for asked in group]))
        except BaseException as error:  # whatever it is, those who wait must hear of it and the thread must go on
            outcomes = [error] * len(group)
        # Strategy: before the results, because waking the event loop is what it costs most to do anything after: the
        # interpreter lock is the loop's then, and has to be waited for.
        clock.wrote()
        _settle_all([(asked.future, outcome) for asked, outcome in zip(group, outcomes, strict=True)])
        return end


def _run_job(connection: sa.Connection, run: Callable[[sa.Connection], Any]) -> Any:
    try:
        with connection.begin():
            return run(connection)
    except BaseException as error:  # handed to the caller who waits for it
        return error


def _checkpoint(raw: sqlite3.Connection, mode: str) -> None:
    try:
        raw.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    except sqlite3.Error:
        pass  # a full disk: what is committed stands in the WAL, and the next checkpoint tries again


def _settle_all(settled: list[_Settled]) -> None:
    """Hand the results to their event loops: one wake-up a loop, however many results there are."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Settled]] = {}
    for item in settled:
        by_loop.setdefault(item[0].get_loop(), []).append(item)
    for loop, items in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, items)
        except RuntimeError:
            pass  # that loop is closed: nobody waits any more


def _settle(items: list[_Settled]) -> None:
    for future, outcome in items:
        if future.done():
            continue  # cancelled by the one who waited; what was committed stays committed
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
