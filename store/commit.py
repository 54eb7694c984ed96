"""One group of appends to one SQLite transaction. Synchronous; runs on the writer's thread only.

Results are per session: a session whose head or epoch is not as expected is refused alone, and bad data fails only its own
append. When it is not known whether a commit took, the head is read again and decides.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..core.errors import Fenced, StoreError, WrongExpectedSeq
from ..core.ports import Head
from .connect import store_error
from .rows import EventRow, MediaRow
from .schema import EVENT_COLUMNS, MEDIA_COLUMNS

__all__ = ["ADD_EVENT", "ADD_MEDIA", "Append", "Outcome", "commit"]

Outcome = Head | StoreError
_Row = TypeVar("_Row", bound=tuple[Any, ...])

_BEGIN = "BEGIN IMMEDIATE"
_HEAD = "SELECT head_seq, head_hash, epoch FROM sessions WHERE id = ?"
_MOVE_HEAD = "UPDATE sessions SET head_seq = ?, head_hash = ? WHERE id = ? AND head_seq = ? AND epoch = ?"
_SET_STATUS = """UPDATE sessions SET status = :status, ended = CASE WHEN :status = 'ended' THEN COALESCE(:at_ns,
    (SELECT at_ns FROM events WHERE sid = sessions.id AND seq = sessions.head_seq), created) END WHERE id = :sid"""
_EVENT_PLACES = f"({', '.join('?' * (len(EVENT_COLUMNS) + 1))})"
ADD_EVENT = f"INSERT INTO events (sid, {', '.join(EVENT_COLUMNS)}) VALUES {_EVENT_PLACES}"
_MEDIA_PLACES = f"({', '.join('?' * (len(MEDIA_COLUMNS) + 1))})"
ADD_MEDIA = f"INSERT INTO media (sid, {', '.join(MEDIA_COLUMNS)}) VALUES {_MEDIA_PLACES}"
# So many rows a statement at most, each number of them a statement of its own that the connection keeps prepared.
_EVENTS, _SEGMENTS, _HEADS = 64, 16, 32

# What sqlite3 raises: its own errors, and Python's for a value that is no 64-bit integer or no UTF-8.
_DATA_ERRORS = (sqlite3.Error, OverflowError, ValueError, TypeError)


class _Contested(Exception):
    """Not all sessions of a group are where their appends expect them."""


class Append(NamedTuple):
    """An append, chained already: all that is left is to write it."""

    head: Head
    after: Head
    events: list[EventRow]
    segments: list[MediaRow]
    status: str | None
    at_ns: int | None  # of its last event: when the session ended, if `status` says so


def commit(raw: sqlite3.Connection, group: Sequence[Append], path: Path) -> list[Outcome]:
    """Write the group as one transaction, or each append as its own if that fails. The results stand in the group's order."""
    # Strategy: plain tuples straight to sqlite3. SQLAlchemy's exec_driver_sql adds about 10 us a statement, which is little
    # for a batch of 100 but doubles the price of a lone event, and lone events are what a live call consists of.
    try:
        raw.execute(_BEGIN)
        outcomes = _write(raw, group)
    except _Contested:
        _roll_back(raw)
        return [_alone(raw, append, path, maybe_done=False) for append in group]
    except _DATA_ERRORS as error:
        _roll_back(raw)
        if len(group) == 1:
            return [store_error(error, path)]
        return [_alone(raw, append, path, maybe_done=False) for append in group]
    try:
        raw.execute("COMMIT")
    except sqlite3.Error:
        _roll_back(raw)
        return [_alone(raw, append, path, maybe_done=True) for append in group]
    return outcomes


def _alone(raw: sqlite3.Connection, append: Append, path: Path, *, maybe_done: bool) -> Outcome:
    """One append as its own transaction; `maybe_done` when an earlier commit may have taken it in after all."""
    try:
        raw.execute(_BEGIN)
        if maybe_done and append.events and raw.execute(_HEAD, (append.head.sid,)).fetchone()[1] == append.after.hash:
            raw.execute("ROLLBACK")
            return append.after
        outcome = _write(raw, (append,))[0]
    except _DATA_ERRORS as error:
        _roll_back(raw)
        return store_error(error, path)
    try:
        raw.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(raw)
        return store_error(error, path) if maybe_done else _alone(raw, append, path, maybe_done=True)
    return outcome


def _write(raw: sqlite3.Connection, group: Sequence[Append]) -> list[Outcome]:
    """Inside a transaction: move the heads, insert the rows. Raises _Contested if some heads of a group are not as expected."""
    if len(group) == 1:
        (append,) = group
        if raw.execute(_MOVE_HEAD, _move(append)).rowcount != 1:
            return [_refusal(raw, append.head)]
    else:
        # Strategy: many sessions a statement, for the same reason as rows. It says only how many heads moved.
        for moves in _chunks([_move(append) for append in group], _HEADS):
            if raw.execute(_move_heads(len(moves)), list(chain.from_iterable(moves))).rowcount != len(moves):
                raise _Contested
    events = group[0].events if len(group) == 1 else [row for append in group for row in append.events]
    for rows in _chunks(events, _EVENTS):
        raw.execute(_add(ADD_EVENT, _EVENT_PLACES, len(rows)), list(chain.from_iterable(rows)))
    for segments in _chunks([row for append in group for row in append.segments], _SEGMENTS):
        raw.execute(_add(ADD_MEDIA, _MEDIA_PLACES, len(segments)), list(chain.from_iterable(segments)))
    for append in group:
        if append.status is not None:
            raw.execute(_SET_STATUS, {"status": append.status, "at_ns": append.at_ns, "sid": append.head.sid})
    return [append.after for append in group]


def _move(append: Append) -> tuple[int, bytes, int, int, int]:
    return append.after.seq, append.after.hash, append.head.sid, append.head.seq, append.head.epoch


def _chunks(rows: list[_Row], size: int) -> Iterator[list[_Row]]:
    return (rows[at : at + size] for at in range(0, len(rows), size)) if len(rows) > size else iter([rows] if rows else [])


@cache
def _move_heads(sessions: int) -> str:
    return f"""UPDATE sessions SET head_seq = v.column1, head_hash = v.column2
        FROM (VALUES {", ".join(["(?, ?, ?, ?, ?)"] * sessions)}) AS v
        WHERE id = v.column3 AND head_seq = v.column4 AND epoch = v.column5"""


@cache
def _add(insert: str, places: str, rows: int) -> str:
    """The same for many rows.

    Strategy: measured for 100 events: 1.7 times as fast as executemany at 300 B, 1.2 times at 2 KB, and the interpreter lock
    changes hands once a statement, not once a row, so a busy event loop holds the writer up less. OR ROLLBACK, which a failure of
    the group comes to all the same (see commit): for a statement that might have to be undone alone SQLite first copies each page
    that it changes, from 64 KiB on to a file: half of what a group wrote.
    """
    return insert if rows == 1 else insert.replace("INSERT", "INSERT OR ROLLBACK", 1) + f", {places}" * (rows - 1)


def _refusal(raw: sqlite3.Connection, head: Head) -> StoreError:
    row = raw.execute(_HEAD, (head.sid,)).fetchone()
    if row is None:
        return StoreError("TL408", f"session {head.session} is not in this store", "was the head read from another store?")
    seq, _, epoch = row
    return Fenced(head.session, head.epoch, epoch) if epoch != head.epoch else WrongExpectedSeq(head.session, head.seq, seq)


def _roll_back(raw: sqlite3.Connection) -> None:
    if raw.in_transaction:  # SQLite rolls back by itself for some errors, a full disk among them
        try:
            raw.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the next BEGIN says what is wrong, to a caller who can hear it
