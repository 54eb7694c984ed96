"""One transaction for a group: bad data and unknown outcomes, on a real connection."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from turnlog.core.errors import Fenced, StoreError, WrongExpectedSeq
from turnlog.core.ports import Draft, Head, SessionRow
from turnlog.store import open_store
from turnlog.store.commit import ADD_EVENT, Append, commit
from turnlog.store.rows import chained

__all__: list[str] = []

Rows = Callable[..., SessionRow]
Drafts = Callable[..., Draft]


class LosesTheAnswer(sqlite3.Connection):
    """Says that a COMMIT failed: before it happened, or after."""

    before = after = 0

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> sqlite3.Cursor:  # type: ignore[override]  # all commit() calls
        """Run it, and fail as told."""
        if sql == "COMMIT" and self.before:
            self.before -= 1
            raise sqlite3.OperationalError("disk I/O error")
        done = super().execute(sql, parameters)
        if sql == "COMMIT" and self.after:
            self.after -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return done


@pytest.fixture
def heads(path: Path, row: Rows) -> list[Head]:
    """Three sessions in a file that nobody has open."""

    async def make() -> list[Head]:
        store = open_store(path)
        made = [await store.create(row(f"s{n}")) for n in range(3)]
        await store.close()
        return made

    return asyncio.run(make())


@pytest.fixture
def raw(path: Path, heads: list[Head]) -> Iterator[LosesTheAnswer]:
    """A connection to it."""
    connection = sqlite3.connect(path, isolation_level=None, factory=LosesTheAnswer)
    assert isinstance(connection, LosesTheAnswer)
    yield connection
    connection.close()


def group_of(heads: list[Head], draft: Drafts, *, spoilt: int | None = None) -> list[Append]:
    """An append for each head; the one at `spoilt` holds a number that SQLite cannot store."""
    group = []
    for number, head in enumerate(heads):
        rows, after = chained(head, [draft(at_ns=2**63 if number == spoilt else 1)])
        group.append(Append(head, after, rows, [], None, 1))
    return group


def seqs(raw: sqlite3.Connection) -> list[int]:
    """The catalogue's heads, after checking that each has as many events."""
    found = raw.execute("SELECT head_seq, (SELECT count(*) FROM events WHERE sid = id) FROM sessions ORDER BY id").fetchall()
    assert all(seq == events for seq, events in found)
    return [seq for seq, _ in found]


def test_bad_data_fails_only_its_own_append(raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path) -> None:
    """The group is written without the append that SQLite refuses."""
    group = group_of(heads, draft, spoilt=1)
    outcomes = commit(raw, group, path)
    assert [type(outcome) for outcome in outcomes] == [Head, StoreError, Head]
    assert isinstance(outcomes[1], StoreError) and outcomes[1].code == "TL406"
    assert seqs(raw) == [1, 0, 1]


def test_a_row_that_is_there_already_fails_only_its_own_append(
    raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path
) -> None:
    """A constraint that a statement of many rows breaks takes the whole group back, and all but one are written then."""
    group = []
    for head in heads:
        rows, after = chained(head, [draft() for _ in range(4)])
        group.append(Append(head, after, rows, [], None, 1))
    stray = group[1].events[2]
    raw.execute(ADD_EVENT, stray)
    outcomes = commit(raw, group, path)
    assert [type(outcome) for outcome in outcomes] == [Head, StoreError, Head]
    raw.execute("DELETE FROM events WHERE sid = ?", stray[:1])
    assert seqs(raw) == [4, 0, 4] and not raw.in_transaction


def test_a_lone_bad_append_is_refused(raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path) -> None:
    """Alone in its group it is refused as well, and the connection is out of the transaction."""
    outcomes = commit(raw, group_of(heads[:1], draft, spoilt=0), path)
    assert isinstance(outcomes[0], StoreError) and not raw.in_transaction


def test_a_commit_that_took_in_spite_of_its_error_counts(
    raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path
) -> None:
    """When the head holds our hash after a failed COMMIT, the append is acknowledged, and not written twice."""
    raw.after = 1
    group = group_of(heads, draft)
    assert commit(raw, group, path) == [append.after for append in group]
    assert seqs(raw) == [1, 1, 1]


def test_a_commit_that_did_not_take_is_tried_again(raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path) -> None:
    """When the head is where it was after a failed COMMIT, the appends are written one by one."""
    raw.before = 1
    group = group_of(heads, draft)
    assert commit(raw, group, path) == [append.after for append in group]
    assert seqs(raw) == [1, 1, 1]


def test_a_commit_that_never_takes_is_an_error(raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path) -> None:
    """When trying again fails too, nothing is written, everyone is told, and the next group goes through."""
    raw.before = 4
    outcomes = commit(raw, group_of(heads, draft), path)
    assert [type(outcome) for outcome in outcomes] == [StoreError] * 3
    assert seqs(raw) == [0, 0, 0]
    assert [type(outcome) for outcome in commit(raw, group_of(heads, draft), path)] == [Head] * 3


def test_two_appends_of_one_session_in_a_group(raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path) -> None:
    """The first takes, the second is refused with the seq that the first has made."""
    first, second = group_of([heads[0], heads[0]], draft)
    outcomes = commit(raw, [first, second], path)
    assert outcomes[0] == first.after
    assert isinstance(outcomes[1], WrongExpectedSeq) and outcomes[1].actual == 1


@pytest.mark.parametrize("failing", ["before", "after"])
def test_a_commit_that_fails_beside_a_refused_append_is_looked_at(
    raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path, failing: str
) -> None:
    """Also where a group is written one by one, as not all of its heads are as expected, the head decides what a COMMIT did."""
    group = [*group_of(heads[:2], draft), *group_of([heads[2]._replace(epoch=7)], draft)]
    setattr(raw, failing, 1)
    *good, fenced = commit(raw, group, path)
    assert good == [group[0].after, group[1].after] and isinstance(fenced, Fenced)
    assert seqs(raw) == [1, 1, 0]


def test_another_programs_transaction_is_named(raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path) -> None:
    """While another program holds the write lock the append fails with a hint at it, and goes through afterwards."""
    raw.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outcome = commit(raw, group_of(heads[:1], draft), path)[0]
    assert isinstance(outcome, StoreError) and "another program" in outcome.message
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(commit(raw, group_of(heads[:1], draft), path)[0], Head)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 16, 63, 64, 65, 100, 149])
def test_any_number_of_rows_is_written_in_order(
    raw: LosesTheAnswer, heads: list[Head], draft: Drafts, path: Path, count: int
) -> None:
    """The statements of 64, 16, 4 and one rows together lose and double nothing."""
    drafts = [draft() for _ in range(count)]
    rows, after = chained(heads[0], drafts)
    assert commit(raw, [Append(heads[0], after, rows, [], None, 1)], path) == [after]
    found = raw.execute("SELECT seq, data FROM events ORDER BY pos").fetchall()
    assert found == [(seq, draft.data) for seq, draft in enumerate(drafts, start=1)]
