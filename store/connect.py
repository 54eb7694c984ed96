"""How a SQLite file is opened: for the one writer, and for short reads. Errors of sqlite3 become StoreErrors here.

Every connection is in autocommit mode and says BEGIN itself; a write says BEGIN IMMEDIATE, because a deferred one fails at
once (not after busy_timeout) when another connection has written meanwhile.
"""

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as sqlite_dialect

from ..core.errors import StoreError

__all__ = ["compiled", "driver", "fetch", "is_file", "open_reader", "open_writer", "store_error"]

BUSY_TIMEOUT_S = 5.0
PAGE_BYTES = 8192
"""Strategy: media segments fill several pages, and each page that is written is two calls of the system. Measured live, with 40
sessions that share their commits: a tenth less than with SQLite's 4 KiB; 16 KiB gains no more, 32 KiB less."""
WAL_LIMIT = 8 * 1024 * 1024  # bytes the WAL file keeps after it has been checkpointed
_STATEMENTS = 256  # kept prepared: see commit.py, which has one for each number of rows

_dialect = sqlite_dialect.dialect(paramstyle="qmark")


def open_writer(path: Path, *, durability: str) -> sa.Connection:
    """The connection that writes, for the writer's thread only; the file is made if it is not there."""

    def connect() -> sqlite3.Connection:
        address, kept = _uri(path, "rwc"), _STATEMENTS
        return sqlite3.connect(address, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S, cached_statements=kept)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)
    sa.event.listen(engine, "begin", _begin_immediate)
    connection = engine.connect()
    try:
        raw = driver(connection)
        raw.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a file that this makes; another one keeps its own
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
        raw.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        raw.execute("PRAGMA temp_store = MEMORY")  # what a savepoint may have to put back is small, and no file of its own
        # Strategy: the inline checkpoint is the tail of the append's latency; the writer's thread checkpoints between appends.
        raw.execute("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def is_file(path: Path) -> bool:
    """Whether a file is there. Raises StoreError TL404 where the system does not let one look.

    Path.is_file() raises PermissionError there, and from Python 3.14 on it says no.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        hint = "check the path, and the permissions of the folders in it"
        raise StoreError("TL404", f"{path} cannot be reached: {error.strerror}", hint) from error


def driver(connection: sa.Connection) -> sqlite3.Connection:
    """The sqlite3 connection underneath."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection for reading, usable from any one thread at a time.

    Strategy: opened "rw" with query_only, since a WAL database opened "ro" cannot be read when its -shm file is not there.
    """
    reader = sqlite3.connect(_uri(path, "rw"), uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    reader.execute("PRAGMA query_only = ON")
    return reader


async def fetch(path: Path, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """All rows of one short query. Its connection is closed when this returns, and soon after when it is cancelled.

    Strategy: an aiosqlite connection is a thread that is no daemon: left open it keeps the interpreter from ending. So the
    whole life of the connection is one task that a cancellation of the caller does not reach, only waits for.
    """
    reading = asyncio.ensure_future(_fetch(path, sql, parameters))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.exception()  # looked at: the caller is gone, nobody else will
        raise
    except sqlite3.Error as error:
        raise store_error(error, path, reading=True) from error


async def _fetch(path: Path, sql: str, parameters: Sequence[Any]) -> list[Any]:
    worker: list[threading.Thread] = []

    def connect() -> sqlite3.Connection:
        worker.append(threading.current_thread())
        return open_reader(path)

    try:
        async with aiosqlite.Connection(connect, 64) as reader:
            return list(await reader.execute_fetchall(sql, parameters))
    except BaseException:
        # Strategy: aiosqlite does not wait for its thread when connecting fails, and that thread then reports to an event
        # loop that may be closed by now.
        for thread in worker:
            await asyncio.to_thread(thread.join)
        raise


def compiled(statement: sa.Select[Any]) -> tuple[str, list[Any]]:
    """A SQLAlchemy query as text and parameters, for connections that SQLAlchemy does not drive."""
    query = statement.compile(dialect=_dialect, compile_kwargs={"render_postcompile": True})
    return str(query), [query.params[name] for name in query.positiontup or ()]


def store_error(error: Exception, path: Path, *, reading: bool = False) -> StoreError:
    """What went wrong, in a user's words."""
    original = getattr(error, "orig", None) or error  # SQLAlchemy wraps the driver's errors
    match getattr(original, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return StoreError(
                "TL404", f"{path} cannot be read: {original}", "it is damaged or no SQLite database; restore it from a copy"
            )
        case sqlite3.SQLITE_CANTOPEN:
            there, absent = "check the permissions of the file and of its folder", "the folder must exist and be writable"
            return StoreError("TL404", f"{path} cannot be opened: {original}", there if os.path.exists(path) else absent)
        case sqlite3.SQLITE_FULL:
            return StoreError(
                "TL406", f"{path} cannot grow: {original}", "free some space; the store goes on when there is some again"
            )
        case sqlite3.SQLITE_READONLY if reading:  # a database in WAL mode has files beside it, also for those who only read
            hint = "reading needs a folder that one may write to: copy the file to one, or change the permissions"
            return StoreError("TL404", f"{path} cannot be read here: {original}", hint)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PERM:
            return StoreError("TL406", f"{path} cannot be written: {original}", "check the file's permissions and its disk")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(
                "TL406", f"{path} is locked by another program: {original}", "end that program's transaction (a SQLite shell?)"
            )
    if reading:
        return StoreError("TL404", f"{path} cannot be read: {original}", "it is damaged; restore it from a copy")
    return StoreError("TL406", f"{path} refused the data: {original}", "nothing of this append was written")


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"
