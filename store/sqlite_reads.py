"""Reading a SQLite store: async through short aiosqlite connections, synchronously for replay.

Strategy: reads go page by page, each page a transaction of its own. A reader that stays in one transaction pins the WAL, which
then grows until it lets go; events are immutable and numbered, so pages fit together without one.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..core.ports import Head, Recorded, Segment, SessionRow
from . import schema
from .access import no_session
from .connect import compiled, fetch, open_reader, store_error
from .port import EVER, Began, Caller, VerifyReport
from .sqlite_feed import SqliteFeedReader
from .verify import verify_log

__all__ = ["ROW_COLUMNS", "SqliteReads"]

PAGE = 256  # events a page: about 100 KB, and what a page costs is below a hundredth of reading it
MEDIA_PAGE = 32  # segments a page
_LAST = 2**63 - 1

_OF_SESSION = "sid = (SELECT id FROM sessions WHERE key = ?)"
_EVENTS = f"""SELECT {", ".join(schema.EVENT_COLUMNS)} FROM events
    WHERE {_OF_SESSION} AND seq > ? AND seq <= ? {{semantic}} ORDER BY seq LIMIT {PAGE}"""
_ALL = _EVENTS.format(semantic="")
_SEMANTIC = _EVENTS.format(semantic=f"AND {schema.SEMANTIC}")
_SEGMENTS = f"""SELECT {", ".join(schema.MEDIA_COLUMNS)} FROM media
    WHERE {_OF_SESSION} AND track = ? AND n > ? {{there}} ORDER BY n LIMIT {MEDIA_PAGE}"""
_WITH_DATA = _SEGMENTS.format(there="AND data IS NOT NULL")
_WITH_ERASED = _SEGMENTS.format(there="").replace("data", "COALESCE(data, x'') AS data")
# Strategy: whatever someone made of a blob is compared as bytes, so that verification reports it instead of failing on it.
_BYTES = ("digest", "hash", "data")
_AS_BYTES = ", ".join(f"CAST({name} AS BLOB)" if name in _BYTES else name for name in schema.EVENT_COLUMNS)
_TO_VERIFY = _ALL.replace(", ".join(schema.EVENT_COLUMNS), _AS_BYTES)
_TRACKS = f"SELECT DISTINCT track FROM media WHERE {_OF_SESSION} ORDER BY track"
_MEDIA_FACTS = (
    f"SELECT track, n, first_seq, CAST(digest AS BLOB), CAST(data AS BLOB) FROM media WHERE {_OF_SESSION} ORDER BY track, n"
)
_HEAD = "SELECT key, id, epoch, head_seq, head_hash FROM sessions WHERE key = ?"

_rows = schema.sessions.c
ROW_COLUMNS = (
    _rows.key, _rows.tenant, _rows.target, _rows.provider, _rows.transport, _rows.status, _rows.python,
    _rows.code_version, _rows.engine_flags, _rows.head_seq, _rows.created, _rows.ended,
)  # fmt: skip
"""The columns of a core.ports.SessionRow, in its order."""

# Strategy: a tuple's own __new__, bound to the class, makes a Recorded of a row without running a line of Python.
_recorded: Any = partial(tuple.__new__, Recorded)
_segment: Any = partial(tuple.__new__, Segment)


class SqliteReads:
    """The reads of a store at `path`. Each raises StoreError TL404 if the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def scan(self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False) -> Iterator[Recorded]:
        """The session's events in seq order, synchronously. `semantic` leaves the wire out. Raises StoreError TL408."""
        sql = _SEMANTIC if semantic else _ALL
        last = _LAST if until is None else until
        with _Reading(self.path) as query:
            if not (rows := query(sql, (session, after, last))):
                _must_exist(query(_HEAD, (session,)), session)
            while rows:
                yield from map(_recorded, rows)
                rows = query(sql, (session, rows[-1][0], last)) if len(rows) == PAGE else []

    async def read(
        self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False
    ) -> AsyncIterator[Recorded]:
        """The same, asynchronously. What is appended behind the reader while it reads may be read too, in order."""
        sql = _SEMANTIC if semantic else _ALL
        last = _LAST if until is None else until
        if not (rows := await fetch(self.path, sql, (session, after, last))):
            _must_exist(await fetch(self.path, _HEAD, (session,)), session)
        while rows:
            for row in rows:
                yield _recorded(row)
            rows = await fetch(self.path, sql, (session, rows[-1][0], last)) if len(rows) == PAGE else []

    def scan_segments(self, session: str, track: str, *, after: int = 0, erased: bool = False) -> Iterator[Segment]:
        """The track's segments with n > `after`, synchronously; see port.MediaReads. Raises StoreError TL408."""
        sql = _WITH_ERASED if erased else _WITH_DATA
        with _Reading(self.path) as query:
            if not (rows := query(sql, (session, track, after))):
                _must_exist(query(_HEAD, (session,)), session)
            while rows:
                yield from map(_segment, rows)
                rows = query(sql, (session, track, rows[-1][1])) if len(rows) == MEDIA_PAGE else []

    async def segments(self, session: str, track: str, *, after: int = 0) -> AsyncIterator[Segment]:
        """The same, asynchronously."""
        if not (rows := await fetch(self.path, _WITH_DATA, (session, track, after))):
            _must_exist(await fetch(self.path, _HEAD, (session,)), session)
        while rows:
            for row in rows:
                yield _segment(row)
            rows = await fetch(self.path, _WITH_DATA, (session, track, rows[-1][1])) if len(rows) == MEDIA_PAGE else []

    def feed_reader(self) -> SqliteFeedReader:
        """A reader of all sessions' events in the order of their commits. Raises StoreError TL404."""
        return SqliteFeedReader(self.path)

    async def tracks(self, session: str) -> list[str]:
        """The names of the session's tracks, sorted. Raises StoreError TL408."""
        if not (rows := await fetch(self.path, _TRACKS, (session,))):
            _must_exist(await fetch(self.path, _HEAD, (session,)), session)
        return [row[0] for row in rows]

    async def session(self, session: str) -> SessionRow:
        """A session's row. Raises StoreError TL408."""
        rows = await fetch(self.path, *compiled(sa.select(*ROW_COLUMNS).where(_rows.key == session)))
        return SessionRow(*_must_exist(rows, session))

    async def sessions(
        self,
        *,
        target: str | None = None,
        status: str | None = None,
        tenant: str | None = None,
        began: Began = EVER,
        before: str | None = None,
        limit: int = 100,
    ) -> list[SessionRow]:
        """Newest first. The next page starts `before` the last session of this one. Raises StoreError TL408 for `before`."""
        query = sa.select(*ROW_COLUMNS).order_by(_rows.id.desc()).limit(limit)
        if target is not None:
            query = query.where(_rows.target == target)
        if status is not None:
            query = query.where(_rows.status == status)
        if tenant is not None:
            query = query.where(_rows.tenant == tenant)
        if began != EVER:
            query = query.where(_rows.created >= began.since_ns, _rows.created < began.until_ns)
        if before is not None:
            query = query.where(_rows.id < (await self.head(before)).sid)
        return [SessionRow(*row) for row in await fetch(self.path, *compiled(query))]

    async def head(self, session: str) -> Head:
        """The session's committed head, in its current epoch. Raises StoreError TL408."""
        return Head(*_must_exist(await fetch(self.path, _HEAD, (session,)), session))

    async def find_caller(self, token_hash: bytes, *, now_ns: int) -> Caller | None:
        """What the token opens; None if it is unknown or has expired."""
        callers = schema.callers.c
        query = sa.select(_rows.key, callers.expires, callers.scope).select_from(
            schema.callers.join(schema.sessions, callers.sid == _rows.id)
        )
        rows = await fetch(self.path, *compiled(query.where(callers.token_hash == token_hash, callers.expires > now_ns)))
        return Caller(*rows[0]) if rows else None

    async def verify(self, session: str) -> VerifyReport:
        """Recompute every digest and the hash chain, and compare the media with their events. Raises StoreError TL408."""
        return await asyncio.to_thread(self._verify, session)

    def _verify(self, session: str) -> VerifyReport:
        with _Reading(self.path) as query:
            query("BEGIN", ())  # one picture of head, events and media, though the session may be live
            head = Head(*_must_exist(query(_HEAD, (session,)), session))
            facts = query.connection.execute(_MEDIA_FACTS, (session,))
            return verify_log(head, self._all(query, session), facts)

    def _all(self, query: "_Reading", session: str) -> Iterator[Recorded]:
        rows = query(_TO_VERIFY, (session, 0, _LAST))
        while rows:
            yield from map(_recorded, rows)
            rows = query(_TO_VERIFY, (session, rows[-1][0], _LAST)) if len(rows) == PAGE else []


class _Reading:
    """A connection for reading while the block runs; calling it gives all rows of a query."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection: sqlite3.Connection

    def __enter__(self) -> "_Reading":
        try:
            self.connection = open_reader(self.path)
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error
        return self

    def __call__(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            return self.connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise store_error(error, self.path, reading=True) from error

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def _must_exist(rows: list[Any], session: str) -> Any:
    if not rows:
        raise no_session(session)
    return rows[0]
