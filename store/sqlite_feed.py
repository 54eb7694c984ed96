"""Reading the feed of a SQLite file: all sessions' events in the order of their commits.

Strategy: there is one writer, so positions become visible in order and a snapshot that holds one holds all before it. Each page
is one short statement, and none looks at more than WINDOW positions: a reader that stays in a transaction would keep the WAL
from being reused. How far a page may claim to have read is asked *before* its events are, so it never claims too much.
"""

import sqlite3
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..core.errors import StoreError
from ..core.ports import Recorded
from . import schema
from .connect import open_reader, store_error
from .port import FeedPage

__all__ = ["SqliteFeedReader"]

PAGE = 256  # events
PAGE_BYTES = 4 * 1024 * 1024  # of data: with large messages a page ends earlier
WINDOW = 20_000  # positions: some 20 ms where no type in it is wanted

_NEWEST = "SELECT pos, hash FROM events ORDER BY pos DESC LIMIT 1"
_AT = "SELECT hash FROM events WHERE pos = ?"
_UP_TO = "SELECT pos, hash FROM events WHERE pos <= ? ORDER BY pos DESC LIMIT 1"
# Strategy: CROSS JOIN keeps SQLite from walking the sessions first, which would give another order and sort it.
_PAGE = f"""SELECT e.pos, s.key, {", ".join(f"e.{name}" for name in schema.EVENT_COLUMNS)}
    FROM events AS e CROSS JOIN sessions AS s ON s.id = e.sid
    WHERE e.pos > ? AND e.pos <= ? {{types}} ORDER BY e.pos LIMIT {PAGE}"""


class SqliteFeedReader:
    """One connection for reading, usable from any one thread at a time; close() waits for a page that is being read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._using = threading.Lock()
        try:
            self._connection = open_reader(path)
        except sqlite3.Error as error:
            raise store_error(error, path, reading=True) from error
        try:
            self.epoch: str = self._one("SELECT epoch FROM feed")[0]
        except BaseException:
            self.close()
            raise

    def page(self, after: int, types: Collection[str] | None) -> FeedPage:
        """The next events after a position; all types, or only those. Raises StoreError TL404."""
        newest, newest_hash = self._one(_NEWEST, default=(0, b""))
        if newest <= after:
            return FeedPage([], after, self.hash_at(after) or b"", newest)
        end = after
        while True:
            start, end = end, min(newest, end + WINDOW)
            entries, full = self._entries(start, end, types)
            if full:
                return FeedPage(entries, entries[-1][0], entries[-1][2].hash, newest)
            pos, hash_ = (newest, newest_hash) if end == newest else self._one(_UP_TO, end, default=(0, b""))
            if pos > after:  # else there is not one event in this window: they were deleted
                return FeedPage(entries, pos, hash_, newest)

    def newest(self) -> int:
        """The newest committed position, 0 in an empty store."""
        pos: int = self._one(_NEWEST, default=(0, b""))[0]
        return pos

    def hash_at(self, pos: int) -> bytes | None:
        """The hash of the event at a position; None where there is none."""
        found: bytes | None = self._one(_AT, pos, default=(None,))[0]
        return found

    def close(self) -> None:
        """Close the connection."""
        with self._using:
            self._connection.close()

    def _entries(self, after: int, end: int, types: Collection[str] | None) -> tuple[list[tuple[int, str, Recorded]], bool]:
        """What is wanted between two positions, and whether there may be more of it."""
        wanted = sorted(types) if types is not None else []
        sql = _PAGE.format(types="" if types is None else f"AND e.type IN ({', '.join('?' * len(wanted))})")
        entries: list[tuple[int, str, Recorded]] = []
        size = 0
        try:
            with self._using:
                rows = self._connection.execute(sql, (after, end, *wanted))
                for pos, session, *event in rows:
                    entries.append((pos, session, Recorded(*event)))
                    size += len(event[-1] or b"")
                    if size > PAGE_BYTES:
                        rows.close()  # ends the transaction
                        return entries, True
        except sqlite3.Error as error:
            raise store_error(error, self._path, reading=True) from error
        return entries, len(entries) == PAGE

    def _one(self, sql: str, *parameters: int, default: Any = None) -> Any:
        try:
            with self._using:
                row = self._connection.execute(sql, parameters).fetchone()
        except sqlite3.Error as error:
            raise store_error(error, self._path, reading=True) from error
        if row is None and default is None:
            raise StoreError("TL404", f"{self._path} has no feed", "it was changed by another program; restore it from a copy")
        return default if row is None else row
