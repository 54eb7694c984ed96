"""Group commit, and what a caller who goes away leaves behind."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turnlog.core.errors import StoreError, WrongExpectedSeq
from turnlog.core.ports import Draft, Head, SessionRow
from turnlog.store import Store
from turnlog.store import sqlite as sqlite_module
from turnlog.store.commit import Append, Outcome, commit

__all__: list[str] = []

Rows = Callable[..., SessionRow]
Drafts = Callable[..., Draft]


class Gate:
    """Stands before the real commit: holds it while shut, and counts the sizes of the groups."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.arrived = threading.Event()
        self.groups: list[int] = []

    def __call__(self, raw: sqlite3.Connection, group: list[Append], path: Path) -> list[Outcome]:
        """Wait, count, and commit for real."""
        self.arrived.set()
        assert self.open.wait(10)
        self.groups.append(len(group))
        return commit(raw, group, path)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The gate, in place in every store opened from now on."""
    made = Gate()
    monkeypatch.setattr(sqlite_module, "commit", made)
    return made


async def held(gate: Gate, store: Store, head: Head, draft: Drafts) -> asyncio.Task[Head]:
    """Start an append and return when its commit is in flight, held by the shut gate."""
    gate.arrived.clear()
    gate.open.clear()
    task = asyncio.create_task(store.append(head, [draft()]))
    assert await asyncio.to_thread(gate.arrived.wait, 10)
    return task


async def test_appends_gather_while_a_commit_is_in_flight(gate: Gate, sqlite: Store, row: Rows, draft: Drafts) -> None:
    """49 appends that come during a commit go as one transaction after it."""
    heads = [await sqlite.create(row(f"s{n}")) for n in range(50)]
    first = await held(gate, sqlite, heads[0], draft)
    others = [asyncio.create_task(sqlite.append(head, [draft(), draft()])) for head in heads[1:]]
    await asyncio.sleep(0)
    gate.open.set()
    assert (await first).seq == 1
    assert [(await other).seq for other in others] == [2] * 49
    assert gate.groups == [1, 49]


async def test_a_cancelled_append_leaves_a_head_that_is_true(gate: Gate, sqlite: Store, row: Rows, draft: Drafts) -> None:
    """Cancelled in flight it is committed all the same: head() says so, and the old head is refused."""
    head = await sqlite.create(row())
    waiting = await held(gate, sqlite, head, draft)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open.set()
    with pytest.raises(WrongExpectedSeq):
        await sqlite.append(head, [draft()])
    now = await sqlite.head("s1")
    assert now.seq == 1
    assert (await sqlite.append(now, [draft()])).seq == 2
    assert (await sqlite.verify("s1")).ok


async def test_close_finishes_what_was_asked_for(gate: Gate, sqlite: Store, row: Rows, draft: Drafts) -> None:
    """An append that waits when close() comes is committed, one that comes later is refused."""
    one, two = await sqlite.create(row("s1")), await sqlite.create(row("s2"))
    first = await held(gate, sqlite, one, draft)
    second = asyncio.create_task(sqlite.append(two, [draft()]))
    await asyncio.sleep(0)
    closing = asyncio.create_task(sqlite.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match="closed"):
        await sqlite.append(two, [draft()])
    gate.open.set()
    await closing
    assert ((await first).seq, (await second).seq) == (1, 1)


async def test_a_defect_in_the_commit_reaches_those_who_wait(
    monkeypatch: pytest.MonkeyPatch, sqlite: Store, row: Rows, draft: Drafts
) -> None:
    """Whatever the commit raises is raised by the append, and the writer goes on."""
    head = await sqlite.create(row())

    def broken(*_: Any) -> list[Outcome]:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_module, "commit", broken)
        with pytest.raises(ZeroDivisionError):
            await sqlite.append(head, [draft()])
    assert (await sqlite.append(head, [draft()])).seq == 1


def test_a_result_for_a_loop_that_has_closed_is_dropped(gate: Gate, path: Path, row: Rows, draft: Drafts) -> None:
    """The writer survives a loop that closed while it waited for an append."""
    store = sqlite_module.SqliteStore(path)

    async def left() -> None:
        await held(gate, store, await store.create(row()), draft)

    asyncio.run(left())
    gate.open.set()

    async def after() -> int:
        try:
            return (await store.append(await store.claim("s1"), [draft()])).seq
        finally:
            await store.close()

    assert asyncio.run(after()) == 2


async def test_one_turn_of_the_loop_is_one_group(gate: Gate, sqlite: Store, row: Rows, draft: Drafts) -> None:
    """Appends that start in the same turn of the event loop are committed together, also the first of them."""
    heads = [await sqlite.create(row(f"s{n}")) for n in range(20)]
    await asyncio.gather(*(sqlite.append(head, [draft()]) for head in heads))
    assert gate.groups == [20]


async def test_close_takes_what_the_same_turn_asked_for(sqlite: Store, row: Rows, draft: Drafts) -> None:
    """An append that has not even reached the writer when close() comes is committed all the same."""
    head = await sqlite.create(row())
    append = asyncio.create_task(sqlite.append(head, [draft()]))
    await asyncio.sleep(0)
    await sqlite.close()
    assert (await append).seq == 1
