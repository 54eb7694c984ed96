"""The feed gives every committed event, in the order of the commits, and its cursors are those of one store only."""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

import turnlog.migrations
from turnlog.core.errors import StoreError
from turnlog.core.ports import Draft, Head, SessionRow
from turnlog.store import FeedEntry, Store, feed, open_store, sqlite_feed
from turnlog.store.feed import NOW

__all__: list[str] = []

Rows = Callable[..., SessionRow]
Drafts = Callable[..., Draft]
PATIENCE_S = 20


async def read(store: Store, **options: object) -> list[FeedEntry]:
    """What the feed holds now."""
    return [entry async for entry in feed(store, follow=False, **options)]  # type: ignore[arg-type] # the options are feed's


def places(entries: list[FeedEntry]) -> list[tuple[str, int]]:
    """Session and seq of each entry."""
    return [(entry.session, entry.recorded.seq) for entry in entries]


async def test_the_feed_is_in_the_order_of_the_commits(store: Store, row: Rows, draft: Drafts) -> None:
    """Events of two sessions come in the order in which they were appended, as they are in their sessions."""
    a, b = await store.create(row("a")), await store.create(row("b"))
    a = await store.append(a, [draft(), draft()])
    b = await store.append(b, [draft()])
    await store.append(a, [draft()])
    entries = await read(store)
    assert places(entries) == [("a", 1), ("a", 2), ("b", 1), ("a", 3)]
    assert [entry.recorded for entry in entries if entry.session == "a"] == list(store.scan("a"))


async def test_an_empty_store_has_an_empty_feed(store: Store) -> None:
    """From the start or from now there is nothing, and no error."""
    assert await read(store) == [] == await read(store, after=NOW)


async def test_a_cursor_goes_on_behind_its_event(store: Store, row: Rows, draft: Drafts) -> None:
    """After each cursor comes exactly the rest, over more than a page."""
    await store.append(await store.create(row()), [draft() for _ in range(600)])
    entries = await read(store)
    assert len({entry.cursor for entry in entries}) == 600
    for at in (0, 255, 256, 598, 599):
        assert await read(store, after=entries[at].cursor) == entries[at + 1 :]


async def test_now_leaves_out_what_was(store: Store, row: Rows, draft: Drafts) -> None:
    """From "now" only what is committed later comes."""
    head = await store.append(await store.create(row()), [draft(), draft()])
    async with aclosing(feed(store, after=NOW)) as entries:
        following = asyncio.ensure_future(anext(entries))
        async with asyncio.timeout(PATIENCE_S):
            while not following.done():
                head = await store.append(head, [draft("Later")])
                await asyncio.sleep(0.01)
            assert (await following).recorded.type == "Later"


async def test_types_choose(store: Store, row: Rows, draft: Drafts) -> None:
    """Only the named types come, by name or by class, and a lone name is one name."""

    class Beta:
        """Stands for an event's class."""

    await store.append(await store.create(row()), [draft(name) for name in ("Alpha", "Beta", "Gamma", "Beta")])
    assert places(await read(store, types=["Alpha", Beta])) == [("s1", 1), ("s1", 2), ("s1", 4)]
    assert places(await read(store, types="Gamma")) == [("s1", 3)]
    assert await read(store, types=["Delta"]) == [] == await read(store, types=[])


async def test_a_commit_of_this_process_wakes_who_follows(store: Store, row: Rows, draft: Drafts) -> None:
    """With polling out of reach each commit is seen all the same, and the end of the store ends the feed."""
    store.tail.poll_s = 3600
    head = await store.create(row())
    seen = asyncio.Event()
    found: list[int] = []

    async def follow() -> None:
        async for entry in feed(store):
            found.append(entry.recorded.seq)
            seen.set()

    following = asyncio.create_task(follow())
    async with asyncio.timeout(PATIENCE_S):
        for n in range(1, 6):
            head = await store.append(head, [draft()])
            while found != list(range(1, n + 1)):
                seen.clear()
                await seen.wait()
        await store.close()
        await following


async def test_a_reader_of_another_process_looks_by_itself(sqlite: Store, path: Path, row: Rows, draft: Drafts) -> None:
    """A store that is opened only for reading follows commits of which nobody tells it."""
    reader = await asyncio.to_thread(open_store, path, read_only=True)
    async with aclosing(feed(reader)) as entries, asyncio.timeout(PATIENCE_S):
        following = asyncio.ensure_future(anext(entries))
        await asyncio.sleep(0.05)
        await sqlite.append(await sqlite.create(row()), [draft()])
        assert (await following).recorded.seq == 1
    await reader.close()


async def test_who_leaves_lets_go(store: Store, row: Rows, draft: Drafts) -> None:
    """A follower that is cancelled, or left in the middle of a page, is no longer woken."""
    await store.append(await store.create(row()), [draft(), draft()])

    async def follow() -> None:
        async for _ in feed(store):
            pass

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await follow()
    async with aclosing(feed(store)) as entries:
        await anext(entries)
    assert not store.tail._followers


async def test_a_slow_reader_holds_no_transaction(sqlite: Store, path: Path, row: Rows, draft: Drafts) -> None:
    """While a reader rests in the middle of a page the WAL can be emptied: it pins nothing."""
    head = await sqlite.append(await sqlite.create(row()), [draft() for _ in range(600)])
    async with aclosing(feed(sqlite)) as entries:
        await anext(entries)
        await sqlite.append(head, [draft()])
        other = sqlite3.connect(path)
        busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        other.close()
        assert busy == 0
        assert len([entry async for entry in _some(entries, 600)]) == 600


async def _some(entries: AsyncIterator[FeedEntry], count: int) -> AsyncIterator[FeedEntry]:
    for _ in range(count):
        yield await anext(entries)


async def test_large_events_make_short_pages(sqlite: Store, row: Rows, draft: Drafts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends when its data is more than PAGE_BYTES, and none is lost."""
    monkeypatch.setattr(sqlite_feed, "PAGE_BYTES", 10_000)
    await sqlite.append(await sqlite.create(row()), [draft(data=bytes(4_000)) for _ in range(20)])
    reader = sqlite.feed_reader()
    page = reader.page(0, None)
    reader.close()
    assert (len(page.entries), page.pos, page.newest) == (3, 3, 20)
    assert len(await read(sqlite)) == 20


async def test_what_is_not_wanted_is_passed_in_windows(
    sqlite: Store, path: Path, row: Rows, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page without an entry says how far it looked; where whole windows were deleted it looks on."""
    monkeypatch.setattr(sqlite_feed, "WINDOW", 10)
    types = ["Rare" if n in (0, 49) else "Common" for n in range(50)]
    await sqlite.append(await sqlite.create(row()), [draft(name) for name in types])
    reader = sqlite.feed_reader()
    first, second = reader.page(0, {"Rare"}), reader.page(10, {"Rare"})
    assert ([entry[0] for entry in first.entries], first.pos) == ([1], 10)
    assert (second.entries, second.pos) == ([], 20)
    assert second.hash == reader.hash_at(20)
    other = sqlite3.connect(path)
    with other:
        other.execute("DELETE FROM events WHERE pos BETWEEN 15 AND 45")
    other.close()
    beyond = reader.page(14, {"Rare"})
    reader.close()
    assert ([entry[0] for entry in beyond.entries], beyond.pos) == ([50], 50)
    assert places(await read(sqlite, types=["Rare"])) == [("s1", 1), ("s1", 50)]


async def test_a_cursor_of_another_store_is_refused(store: Store, row: Rows, draft: Drafts) -> None:
    """It is TL416 and names both feeds."""
    other = open_store("memory://")
    await other.append(await other.create(row()), [draft()])
    await store.append(await store.create(row()), [draft()])
    theirs, ours = (await read(other))[0].cursor, (await read(store))[0].cursor
    with pytest.raises(StoreError) as refused:
        await read(store, after=theirs)
    assert refused.value.code == "TL416" and refused.value.hint
    assert theirs.split(".")[0] in refused.value.message and ours.split(".")[0] in refused.value.message
    await other.close()


NO_CURSORS = ["", "begin", "a.b", "a.1.b.c", ".1.aa", "x.-1.aa", "x.1e3.aa", "x." + "9" * 30 + ".aa", "x.٣.aa"]


@pytest.mark.parametrize("text", NO_CURSORS)
async def test_what_is_no_cursor_is_refused(store: Store, text: str) -> None:
    """It is TL416 and says what to give."""
    with pytest.raises(StoreError, match="is no cursor") as refused:
        await read(store, after=text)
    assert refused.value.code == "TL416"


async def test_a_log_that_was_restored_refuses_cursors_of_what_it_lost(path: Path, row: Rows, draft: Drafts) -> None:
    """Put back an older copy: cursors of the common past hold, those of the lost part do not, even once others stand there."""
    store = await asyncio.to_thread(open_store, path)
    head = await store.append(await store.create(row()), [draft(), draft()])
    await store.close()
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    store = await asyncio.to_thread(open_store, path)
    await store.append(head, [draft(), draft()])
    cursors = [entry.cursor for entry in await read(store)]
    await store.close()
    shutil.copy(copy, path)
    store = await asyncio.to_thread(open_store, path)
    assert await read(store, after=cursors[1]) == []
    for appended in (0, 2):
        await store.append(await store.head("s1"), [draft() for _ in range(appended)])
        for cursor in cursors[2:]:
            with pytest.raises(StoreError, match="not in this store") as refused:
                await read(store, after=cursor)
            assert refused.value.code == "TL416"
    assert len(await read(store, after=cursors[1])) == 2
    await store.close()


async def test_a_file_made_anew_has_another_feed(path: Path) -> None:
    """Deleting a store's file and making it again changes the epoch; opening it again does not."""
    epochs = []
    for again in (False, False, True):
        if again:
            await asyncio.to_thread(path.unlink)
        store = await asyncio.to_thread(open_store, path)
        reader = store.feed_reader()
        epochs.append(reader.epoch)
        reader.close()
        await store.close()
    assert epochs[0] == epochs[1] != epochs[2]


async def test_a_feed_table_without_its_row_is_named(sqlite: Store, path: Path) -> None:
    """A store whose epoch someone deleted is TL404, not a crash."""
    other = sqlite3.connect(path)
    with other:
        other.execute("DELETE FROM feed")
    other.close()
    with pytest.raises(StoreError, match="has no feed") as refused:
        sqlite.feed_reader()
    assert refused.value.code == "TL404"


async def test_a_closed_reader_can_be_closed_again(store: Store) -> None:
    """Closing twice does nothing."""
    reader = store.feed_reader()
    reader.close()
    reader.close()


# --- many writers, many readers ---


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=12, deadline=None)
@given(
    batches=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=8), min_size=2, max_size=8),
    leaps=st.lists(st.integers(1, 60), min_size=1, max_size=4),
)
def test_concurrent_appends_are_read_whole_and_in_order(kind: str, batches: list[list[int]], leaps: list[int]) -> None:
    """While many sessions append, every reader gets all of it in one and the same order, however often it starts anew."""

    async def append(store: Store, name: str, sizes: list[int]) -> None:
        row = SessionRow(name, "", "t.s", "scripted", "in_process", "active", "3.11", "", 0, 0, 1, None)
        head: Head = await store.create(row)
        for size in sizes:
            head = await store.append(head, [Draft("A" if n % 3 else "B", 1, 1, -1, bytes(40)) for n in range(size)])

    async def follow(store: Store, leap: int, total: int) -> list[tuple[str, int]]:
        found: list[FeedEntry] = []
        while len(found) < total:  # leave after some events, and begin again behind the last
            async with aclosing(feed(store, after=found[-1].cursor if found else "start")) as entries:
                async for entry in entries:
                    found.append(entry)
                    if len(found) == total or len(found) % leap == 0:
                        break
        return places(found)

    async def play(folder: str) -> None:
        store = await asyncio.to_thread(open_store, "memory://" if kind == "memory" else Path(folder, "log.db"))
        total = sum(map(sum, batches))
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            readers = [tasks.create_task(follow(store, leap, total)) for leap in leaps]
            for n, sizes in enumerate(batches):
                tasks.create_task(append(store, f"s{n}", sizes))
        orders = [reader.result() for reader in readers]
        assert all(order == orders[0] for order in orders)
        for n, sizes in enumerate(batches):
            assert [seq for name, seq in orders[0] if name == f"s{n}"] == list(range(1, sum(sizes) + 1))
        some = places(await read(store, types=["B"]))
        assert some == [place for place, entry in zip(orders[0], await read(store), strict=True) if entry.recorded.type == "B"]
        await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(folder))


def test_a_file_of_the_first_schema_gets_a_feed(path: Path) -> None:
    """A store at revision 0001 with events in it is refused to readers, upgraded by a writer, and its events are the feed."""
    config = Config()
    config.set_main_option("script_location", str(turnlog.migrations.__path__[0]))
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO sessions VALUES (1, 's', '', 't.s', 'x', 'x', 'ended', '3.11', '', 0, 1, x'00', NULL, 1, NULL, 1, 1)"
        )
        connection.exec_driver_sql(
            "INSERT INTO events VALUES (1, 1, 1, 'TurnEnded', 1, 5, 1, -1, x'00', x'0102030405060708', x'00')"
        )
    engine.dispose()
    with pytest.raises(StoreError, match="revision 0001") as refused:
        open_store(path, read_only=True)
    assert refused.value.code == "TL404"

    async def upgraded() -> list[FeedEntry]:
        store = await asyncio.to_thread(open_store, path)
        entries = await read(store)
        await store.close()
        return entries

    [entry] = asyncio.run(upgraded())
    assert entry.session == "s" and entry.cursor.endswith(".1.0102030405060708")
