"""The log in one SQLite file: what the parts beside this one (writer, commit, connect, migrate, lock) make together.

Writes go through the writer's thread. Only one process may own a file; `SqliteReadOnly` reads it beside its owner.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from ..core.chain import GENESIS
from ..core.errors import StoreError
from ..core.ports import Draft, Head, Segment, SessionRow
from .commit import Append, Outcome, commit
from .connect import open_reader, open_writer, store_error
from .lock import FileLock
from .migrate import check, prepare
from .rows import chained, placed
from .schema import callers, sessions
from .sqlite_reads import SqliteReads, no_session
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
        lock = FileLock(path.resolve())

        def connect() -> sa.Connection:
            return _open(path, durability)

        def write(raw: sqlite3.Connection, group: Sequence[Append]) -> list[Outcome]:
            return commit(raw, group, path)

        self._writer = Writer(path, connect, write, lock.release)

    async def create(self, row: SessionRow) -> Head:
        """Enter a new session (head_seq 0) in epoch 1. Raises StoreError TL409 if the name is taken."""

        def enter(connection: sa.Connection) -> int | None:
            values = row._asdict()
            entry = {
                "key": values.pop("session"), "created": values.pop("created_ns"), "ended": values.pop("ended_ns"),
                **values, "head_seq": 0, "head_hash": GENESIS, "epoch": 1,
            }  # fmt: skip
            if connection.scalar(sa.select(sessions.c.id).where(sessions.c.key == row.session)) is not None:
                return None
            sid: int | None = connection.scalar(sa.insert(sessions).values(entry).returning(sessions.c.id))
            return sid

        sid = await self._job(enter)
        if sid is None:
            raise StoreError("TL409", f"session {row.session!r} exists already", "give the new session another name")
        return Head(row.session, sid, 1, 0, GENESIS)

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """Append in one transaction with CAS on (seq, epoch); returns the new head once it is committed.

        Raises WrongExpectedSeq, Fenced, StoreError TL406, TL408, TL410. Cancelled while it waits, it may have been
        committed or not: ask head().
        """
        rows, after = chained(head, events)
        at_ns = events[-1].at_ns if events else None
        return await self._writer.append(Append(head, after, rows, placed(head, after, segments), status, at_ns))

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

    async def _job(self, job: Callable[[sa.Connection], T]) -> T:
        try:
            return await self._writer.run(job)
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OverflowError, ValueError) as error:
            raise store_error(error, self.path) from error


class SqliteReadOnly(SqliteReads):
    """The same file for reading, beside the process that owns it or without one. Every write raises StoreError TL410."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if not path.is_file():
            raise StoreError("TL404", f"{path} is not there", "check the path; a file is made when it is opened for writing")
        try:
            with closing(open_reader(path)) as reader:
                check(reader, path)
        except sqlite3.Error as error:
            raise store_error(error, path) from error

    async def create(self, row: SessionRow) -> Head:
        """Refused."""
        raise self._refusal()

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """Refused."""
        raise self._refusal()

    async def claim(self, session: str, *, owner: str = "") -> Head:
        """Refused."""
        raise self._refusal()

    async def add_caller(self, token_hash: bytes, session: str, *, expires_ns: int, scope: str = "attach") -> None:
        """Refused."""
        raise self._refusal()

    async def close(self) -> None:
        """Nothing to let go of: every read closes its own connection."""

    def _refusal(self) -> StoreError:
        return StoreError("TL410", f"{self.path} is open only for reading", "open the store without read_only to write to it")


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
