"""The log in one SQLite file: what the parts beside this one (writer, commit, connect, migrate, lock) make together.

Writes go through the writer's thread. Only one process may own a file; `SqliteReadOnly` reads it beside its owner.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from ..core.chain import GENESIS
from ..core.errors import StoreError
from ..core.ports import Draft, Head, Recorded, Segment, SessionRow
from .access import no_session
from .commit import ADD_EVENT, ADD_MEDIA, Append, Outcome, commit
from .connect import driver, is_file, open_reader, open_writer, store_error
from .lock import FileLock
from .migrate import check, prepare
from .restore import enter
from .rows import chained, placed
from .schema import callers, sessions
from .sqlite_access import SqliteAccess
from .sqlite_reads import SqliteReads
from .tail import Tail
from .writer import Writer

__all__ = ["SqliteReadOnly", "SqliteStore"]

T = TypeVar("T")


class SqliteStore(SqliteReads):
    """A store in the file at `path`, which this process owns until close().

    `durability="full"` makes an acknowledged append survive power loss; "normal" makes it survive a crash of the process.
    Raises StoreError TL401 (another owner), TL404 (unreadable), TL405 (newer), TL406 (read-only, disk full).
    """

    def __init__(self, path: Path, *, durability: str = "normal") -> None:
        super().__init__(path)
        self.tail = Tail()
        self.access = SqliteAccess(path, self._job)
        lock = FileLock(path.resolve())

        def connect() -> sa.Connection:
            return _open(path, durability)

        def write(raw: sqlite3.Connection, group: Sequence[Append]) -> list[Outcome]:
            outcomes = commit(raw, group, path)
            self.tail.moved()
            return outcomes

        self._writer = Writer(path, connect, write, lock.release)

    async def create(self, row: SessionRow) -> Head:
        """Enter a new session (head_seq 0) in epoch 1. Raises StoreError TL409 if the name is taken."""

        head = await self._job(lambda connection: _list(connection, row, Head(row.session, 0, 1, 0, GENESIS)))
        if head is None:
            raise StoreError("TL409", f"session {row.session!r} exists already", "give the new session another name")
        return head

    async def restore(self, row: SessionRow, head: Head, events: Iterable[Recorded], segments: Iterable[Segment]) -> Head:
        """Enter a recorded session verbatim, verified and whole or not at all: see port.Restores. Raises TL407, TL409.

        The iterables are read on the writer's thread, in one transaction: appends of other sessions wait for it.
        """

        def put(connection: sa.Connection) -> Head | None:
            listed = _list(connection, row, head)
            if listed is not None:
                execute = driver(connection).executemany
                enter(
                    listed, events, segments,
                    lambda page: execute(ADD_EVENT, [(listed.sid, *event) for event in page]),
                    lambda page: execute(ADD_MEDIA, [(listed.sid, *part[:-1], part.data or None) for part in page]),
                )  # fmt: skip
            return listed

        listed = await self._job(put)
        if listed is None:
            raise StoreError("TL409", f"session {row.session!r} exists already", "it cannot be entered twice")
        self.tail.moved()
        return listed

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """Append in one transaction with CAS on (seq, epoch); returns the new head once it is committed.

        Raises WrongExpectedSeq, Fenced, StoreError TL406, TL408, TL410. Cancelled while it waits, it may have been
        committed or not: ask head().
        """
        rows, after = chained(head, events)
        at_ns = events[-1].at_ns if events else None
        placed_segments = placed(head, after, segments) if segments else []
        return await self._writer.append(Append(head, after, rows, placed_segments, status, at_ns))

    async def claim(self, session: str, *, owner: str = "") -> Head:
        """Take the session over: a new epoch, so that every writer of an older one is Fenced. Raises StoreError TL408."""

        def take(connection: sa.Connection) -> Head | None:
            columns = sessions.c
            row = connection.execute(
                sa.update(sessions)
                .where(columns.key == session)
                .values(epoch=columns.epoch + 1, owner=owner)
                .returning(columns.key, columns.id, columns.epoch, columns.head_seq, columns.head_hash)
            ).one_or_none()
            return Head(*row) if row else None

        head = await self._job(take)
        if head is None:
            raise no_session(session)
        return head

    async def add_caller(self, token_hash: bytes, session: str, *, expires_ns: int, scope: str = "attach") -> None:
        """Enter a token's hash, or replace what it opened before. Raises StoreError TL408."""
        sid = (await self.head(session)).sid

        def enter(connection: sa.Connection) -> None:
            connection.execute(sa.delete(callers).where(callers.c.token_hash == token_hash))
            connection.execute(sa.insert(callers).values(token_hash=token_hash, sid=sid, expires=expires_ns, scope=scope))

        await self._job(enter)

    async def close(self) -> None:
        """Finish what was asked for, then let go of the file. Closing twice does nothing; later writes raise TL410."""
        await self._writer.close()
        self.tail.close()

    async def _job(self, job: Callable[[sa.Connection], T], /) -> T:
        try:
            return await self._writer.run(job)
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OverflowError, ValueError) as error:
            raise store_error(error, self.path) from error


class SqliteReadOnly(SqliteReads):
    """The same file for reading, beside the process that owns it or without one. Every write raises StoreError TL410."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.tail = Tail(poll_s=0.2)  # who writes is another process
        self.access = SqliteAccess(path, self._refuse)
        if not is_file(path):
            hint = "check the path (--db, TURNLOG_DB); a file is made when it is opened for writing"
            raise StoreError("TL404", f"{path} is not there", hint)
        try:
            with closing(open_reader(path)) as reader:
                check(reader, path)
        except sqlite3.Error as error:
            raise store_error(error, path, reading=True) from error

    async def create(self, row: SessionRow) -> Head:
        """Refused."""
        raise self._refusal()

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """Refused."""
        raise self._refusal()

    async def restore(self, row: SessionRow, head: Head, events: Iterable[Recorded], segments: Iterable[Segment]) -> Head:
        """Refused."""
        raise self._refusal()

    async def claim(self, session: str, *, owner: str = "") -> Head:
        """Refused."""
        raise self._refusal()

    async def add_caller(self, token_hash: bytes, session: str, *, expires_ns: int, scope: str = "attach") -> None:
        """Refused."""
        raise self._refusal()

    async def close(self) -> None:
        """Nothing to let go of but those who follow the feed: every read closes its own connection."""
        self.tail.close()

    async def _refuse(self, job: Callable[[sa.Connection], T], /) -> T:
        raise self._refusal()

    def _refusal(self) -> StoreError:
        return StoreError("TL410", f"{self.path} is open only for reading", "open the store without read_only to write to it")


def _list(connection: sa.Connection, row: SessionRow, head: Head) -> Head | None:
    """Enter the session in the catalogue, its log ending at `head`; None if its name is taken."""
    values = row._asdict()
    entry = {
        "key": values.pop("session"), "created": values.pop("created_ns"), "ended": values.pop("ended_ns"),
        **values, "head_seq": head.seq, "head_hash": head.hash, "epoch": head.epoch,
    }  # fmt: skip
    if connection.scalar(sa.select(sessions.c.id).where(sessions.c.key == row.session)) is not None:
        return None
    return head._replace(sid=connection.scalar(sa.insert(sessions).values(entry).returning(sessions.c.id)))


def _open(path: Path, durability: str) -> sa.Connection:
    try:
        connection = open_writer(path, durability=durability)
        try:
            prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise store_error(error, path) from error
    return connection
