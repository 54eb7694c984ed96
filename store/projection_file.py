"""One build of one projection: a SQLite file with the projection's tables, its checkpoint and its dead letters.

Invariant: what a projection wrote and how far it has read change in one transaction. Nothing here knows what an event means.
The file is derived from the log, so it is never migrated: another form or version is built anew beside it.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import StoreError
from .connect import open_reader

__all__ = ["Checkpoint", "DeadLetter", "ProjectionFile", "file_error", "is_poison", "read_checkpoint", "read_dead_letters"]

FORM = 1  # of the tables below, kept in user_version
BUSY_TIMEOUT_S = 5.0

_TABLES = (
    """CREATE TABLE turnlog_checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL, version INTEGER NOT NULL,
    feed_epoch TEXT NOT NULL, cursor TEXT NOT NULL, status TEXT NOT NULL, error TEXT NOT NULL, serving INTEGER NOT NULL)""",
    """CREATE TABLE turnlog_dead_letters (pos INTEGER PRIMARY KEY, session TEXT NOT NULL, seq INTEGER NOT NULL,
    type TEXT NOT NULL, error TEXT NOT NULL, created_ns INTEGER NOT NULL)""",
    f"PRAGMA user_version = {FORM}",
)
_SAVE = "INSERT OR REPLACE INTO turnlog_checkpoint VALUES (1, ?, ?, ?, ?, ?, ?, ?)"
_LOAD = "SELECT name, version, feed_epoch, cursor, status, error, serving FROM turnlog_checkpoint"
_BURY = "INSERT OR REPLACE INTO turnlog_dead_letters VALUES (?, ?, ?, ?, ?, ?)"
_LETTERS = "SELECT pos, session, seq, type, error, created_ns FROM turnlog_dead_letters ORDER BY pos"

# What fails for every event alike; all else that SQLite says is about the statement, and so about the event.
_OF_THE_DISK = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM,
}  # fmt: skip


class Checkpoint(NamedTuple):
    """How far a build has read. status: building, live, stopped (by `error`) or retrying; serving: whether readers use it."""

    name: str
    version: int
    feed_epoch: str
    cursor: str
    status: str = "building"
    error: str = ""
    serving: bool = False


class DeadLetter(NamedTuple):
    """An event that the projection could not take, and why. `pos` is its place in the feed."""

    pos: int
    session: str
    seq: int
    type: str
    error: str
    created_ns: int


class ProjectionFile:
    """The one connection that writes a build. Used from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._raw = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
            try:
                self._raw.execute("PRAGMA journal_mode = WAL")
                self._raw.execute("PRAGMA synchronous = NORMAL")
            except sqlite3.Error:
                self._raw.close()
                raise
        except sqlite3.Error as error:
            raise file_error(error, path) from error

    def make(self, tables: Sequence[str], checkpoint: Checkpoint) -> None:
        """Make the tables of a new build, whole or not at all."""
        with self.transaction():
            for statement in _TABLES:
                self._raw.execute(statement)
            for statement in tables:
                self._raw.execute(statement)
            self.save(checkpoint)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is done inside."""
        try:
            self._raw.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._raw.execute("COMMIT")
            except BaseException:
                if self._raw.in_transaction:  # SQLite rolls back by itself for some errors
                    self._raw.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise file_error(error, self.path) from error

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Inside a transaction: what is done here is taken back alone if it raises."""
        self._raw.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK TO attempt")
                self._raw.execute("RELEASE attempt")
            raise
        self._raw.execute("RELEASE attempt")

    def execute(self, sql: str, parameters: Any = ()) -> list[Any]:
        """One statement; all its rows."""
        return self._raw.execute(sql, parameters).fetchall()

    def save(self, checkpoint: Checkpoint) -> None:
        """Write how far it has read, in the transaction that is open."""
        self._raw.execute(_SAVE, checkpoint)

    def bury(self, letter: DeadLetter) -> None:
        """Write down an event that could not be taken, in the transaction that is open."""
        self._raw.execute(_BURY, letter)

    def close(self) -> None:
        """Everything goes into the one file: a reader that opens it late needs no other."""
        try:
            self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            pass  # a full disk: what is committed stands in the WAL
        self._raw.close()


def read_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint of a build's file; None if it was never finished making, or is of another form."""
    try:
        reader = open_reader(path)
    except sqlite3.Error:
        return None
    try:
        if reader.execute("PRAGMA user_version").fetchone()[0] != FORM:
            return None
        row = reader.execute(_LOAD).fetchone()
        return Checkpoint(*row)._replace(serving=bool(row[-1])) if row else None
    except sqlite3.Error:
        return None
    finally:
        reader.close()


def read_dead_letters(path: Path) -> list[DeadLetter]:
    """The dead letters of a build, in the order of the feed."""
    try:
        reader = open_reader(path)
    except sqlite3.Error as error:
        raise file_error(error, path) from error
    try:
        return [DeadLetter(*row) for row in reader.execute(_LETTERS)]
    except sqlite3.Error as error:
        raise file_error(error, path) from error
    finally:
        reader.close()


def is_poison(error: Exception) -> bool:
    """Whether an error is the event's; a disk that is full or gone is not, and would fail the next event just the same."""
    return not (isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_DISK)


def file_error(error: sqlite3.Error, path: Path) -> StoreError:
    """What went wrong with a build's file, in a user's words."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_BUSY:
            return StoreError("TL406", f"{path} cannot be written: {error}", "check the disk; the projection goes on when it can")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreError("TL404", f"{path} is damaged: {error}", "delete it: it is built again from the log")
    return StoreError("TL404", f"{path} cannot be used: {error}", "check the statement; if the file is damaged, delete it")
