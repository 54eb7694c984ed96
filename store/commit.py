"""One group of appends to one SQLite transaction. Synchronous; runs on the writer's thread only.

Results are per session: a session whose head or epoch is not as expected is refused alone, and bad data fails only its own
append. When it is not known whether a commit took, the head is read again and decides.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ..core.errors import Fenced, StoreError, WrongExpectedSeq
from ..core.ports import Head
from .connect import store_error
from .rows import EventRow, MediaRow
from .schema import EVENT_COLUMNS, MEDIA_COLUMNS

__all__ = ["ADD_EVENT", "ADD_MEDIA", "Append", "Outcome", "commit"]

Outcome = Head | StoreError

_BEGIN = "BEGIN IMMEDIATE"
_HEAD = "SELECT head_seq, head_hash, epoch FROM sessions WHERE id = ?"
_MOVE_HEAD = "UPDATE sessions SET head_seq = ?, head_hash = ? WHERE id = ? AND head_seq = ? AND epoch = ?"
_MOVE_HEADS = [
    (
        size,
        f"""UPDATE sessions SET head_seq = v.column1, head_hash = v.column2
        FROM (VALUES {", ".join(["(?, ?, ?, ?, ?)"] * size)}) AS v
        WHERE id = v.column3 AND head_seq = v.column4 AND epoch = v.column5""",
    )
    for size in (32, 8)
]
_SET_STATUS = """UPDATE sessions SET status = :status, ended = CASE WHEN :status = 'ended' THEN COALESCE(:at_ns,
    (SELECT at_ns FROM events WHERE sid = sessions.id AND seq = sessions.head_seq), created) END WHERE id = :sid"""
_EVENT_PLACES = f"({', '.join('?' * (len(EVENT_COLUMNS) + 1))})"
ADD_EVENT = f"INSERT INTO events (sid, {', '.join(EVENT_COLUMNS)}) VALUES {_EVENT_PLACES}"
# Strategy: OR ROLLBACK, which a failure of the group comes to all the same (see commit). For a statement that might have to be
# undone alone SQLite first copies each page that it changes, from 64 KiB on to a file: half of what a group wrote.
_ADD_EVENTS = [
    (rows, ADD_EVENT.replace("INSERT", "INSERT OR ROLLBACK", 1) + f", {_EVENT_PLACES}" * (rows - 1)) for rows in (64, 16, 4)
]
ADD_MEDIA = f"INSERT INTO media (sid, {', '.join(MEDIA_COLUMNS)}) VALUES ({', '.join('?' * (len(MEDIA_COLUMNS) + 1))})"

# What sqlite3 raises: its own errors, and Python's for a value that is no 64-bit integer or no UTF-8.
_DATA_ERRORS = (sqlite3.Error, OverflowError, ValueError, TypeError)


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
        raw.execute("COMMIT")
    except _DATA_ERRORS as error:
        _roll_back(raw)
        return store_error(error, path)
    return outcome


def _write(raw: sqlite3.Connection, group: Sequence[Append]) -> list[Outcome]:
    """Inside a transaction: move the heads that are as expected, and insert the rows of those sessions only."""
    outcomes: list[Outcome] = []
    events: list[EventRow] = []
    segments: list[MediaRow] = []
    moved = _move_heads(raw, group)
    for append, is_moved in zip(group, moved, strict=True):
        if is_moved:
            outcomes.append(append.after)
            events += append.events
            segments += append.segments
            if append.status is not None:
                raw.execute(_SET_STATUS, {"status": append.status, "at_ns": append.at_ns, "sid": append.head.sid})
        else:
            outcomes.append(_refusal(raw, append.head))
    _insert(raw, events)
    if segments:
        raw.executemany(ADD_MEDIA, segments)
    return outcomes


def _move_heads(raw: sqlite3.Connection, group: Sequence[Append]) -> list[bool]:
    """Move the heads that are as expected; which they were.

    Strategy: many sessions a statement, for the same reason as rows. It says only how many heads moved: if that is not all,
    what it did is undone and each is asked for alone.
    """
    moves = [(append.after.seq, append.after.hash, append.head.sid, append.head.seq, append.head.epoch) for append in group]
    at = 0
    for size, sql in _MOVE_HEADS:
        while len(moves) - at >= size:
            raw.execute("SAVEPOINT heads")
            count = raw.execute(sql, list(chain.from_iterable(moves[at : at + size]))).rowcount
            if count != size:
                raw.execute("ROLLBACK TO heads")
                raw.execute("RELEASE heads")
                return [True] * at + [raw.execute(_MOVE_HEAD, move).rowcount == 1 for move in moves[at:]]
            raw.execute("RELEASE heads")
            at += size
    return [True] * at + [raw.execute(_MOVE_HEAD, move).rowcount == 1 for move in moves[at:]]


def _insert(raw: sqlite3.Connection, events: list[EventRow]) -> None:
    # Strategy: many rows a statement. Measured for 100 events: 1.7 times as fast as executemany at 300 B, 1.2 times at 2 KB,
    # and the interpreter lock changes hands once a statement, not once a row, so a busy event loop holds the writer up less.
    at = 0
    for rows, sql in _ADD_EVENTS:
        while len(events) - at >= rows:
            raw.execute(sql, list(chain.from_iterable(events[at : at + rows])))
            at += rows
    for row in events[at:]:
        raw.execute(ADD_EVENT, row)


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
