"""A projection takes every event once and in order, whatever fails, and is rebuilt beside the one that is read."""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.projecting import Writer, closed, ledger, started, turn
from turnlog import DefinitionError, StoreError, catch_up, projection
from turnlog.core import events as e
from turnlog.core.ports import Draft
from turnlog.engine.projections import Projection, ProjectionContext, ProjectionStatus, folder_of, status_of
from turnlog.engine.projections.builds import Builds, opened
from turnlog.store import Store, feed, open_store
from turnlog.store.projection_folder import ProjectionFolder

__all__: list[str] = []

TABLE = "CREATE TABLE ledger (session TEXT, seq INTEGER, text TEXT)"


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    """A store in a file."""
    store = await asyncio.to_thread(open_store, tmp_path / "calls.db")
    yield Writer(store)
    await closed(store)


@pytest.fixture
def folder(writer: Writer) -> ProjectionFolder:
    """Where its projections are."""
    found = folder_of(writer.store)
    assert found is not None
    return found


def rows(folder: ProjectionFolder, name: str = "ledger") -> list[Any]:
    """All that the ledger holds, in the order in which it was entered."""
    return folder.query(name, "SELECT session, seq, text FROM ledger ORDER BY rowid")


def one_status(store: Store, folder: ProjectionFolder) -> ProjectionStatus:
    """The status of the newest build."""
    return status_of(store, folder)[0]


def picky(bad: Callable[[str], bool], on_error: str, *, version: int = 1) -> Projection:
    """A ledger that writes a row first and then cannot take some texts."""

    @projection("ledger", version=version, on=(e.TurnEnded,), tables=TABLE, on_error=on_error)  # type: ignore[arg-type]
    def apply(event: object, ctx: ProjectionContext) -> None:
        assert isinstance(event, e.TurnEnded)
        ctx.execute("INSERT INTO ledger VALUES (?, ?, ?)", (ctx.session, ctx.seq, event.text))
        if bad(event.text):
            raise ValueError(f"cannot take {event.text}")

    return apply


# --- what is taken ---


async def test_every_event_is_taken_once_in_order(writer: Writer, folder: ProjectionFolder) -> None:
    """Over several pages, sessions and catch-ups the rows are the turns, in the feed's order, and nothing lags."""
    for count in (300, 1, 0, 299):
        await asyncio.gather(writer.turns("a", count), writer.turns("b", count))
        assert catch_up(writer.store, [ledger]).path == folder.path
    order = [(entry.session, entry.recorded.seq) async for entry in feed(writer.store, follow=False)]
    assert len(order) == 1200
    assert [row[:2] for row in rows(folder)] == order
    status = one_status(writer.store, folder)
    assert (status.status, status.lag, status.serving, status.dead_letters, status.error) == ("live", 0, True, 0, "")


async def test_an_empty_log_gives_an_empty_projection(writer: Writer, folder: ProjectionFolder) -> None:
    """It can be read at once."""
    catch_up(writer.store, [ledger])
    assert rows(folder) == []


async def test_the_context_tells_where_the_event_stands(writer: Writer, folder: ProjectionFolder) -> None:
    """Session, seq, time and type are those of the log entry, and execute gives rows back."""
    seen: list[Any] = []

    @projection("ledger", tables=TABLE)
    def apply(event: object, ctx: ProjectionContext) -> None:
        ctx.execute("INSERT INTO ledger VALUES (:session, :seq, '')", {"session": ctx.session, "seq": ctx.seq})
        seen.append((ctx.session, ctx.seq, ctx.at_ns, ctx.type, ctx.execute("SELECT COUNT(*) FROM ledger")))

    await writer.write("a", started("a"), turn(1))
    catch_up(writer.store, [apply])
    first, second = writer.store.scan("a")
    assert seen == [("a", 1, first.at_ns, "SessionStarted", [(1,)]), ("a", 2, second.at_ns, "TurnEnded", [(2,)])]


async def test_lag_counts_what_was_not_looked_at(writer: Writer, folder: ProjectionFolder) -> None:
    """Every event that was committed since counts, of whatever type."""
    await writer.turns("a", 3)
    catch_up(writer.store, [ledger])
    await writer.write("a", started("a"), turn(9))
    assert one_status(writer.store, folder).lag == 2


async def test_a_log_is_read_beside_its_owner(writer: Writer, folder: ProjectionFolder, tmp_path: Path) -> None:
    """catch_up takes a URL too, while another owns the file, and another folder."""
    await writer.turns("a", 3)
    elsewhere = catch_up(f"sqlite:///{tmp_path / 'calls.db'}", [ledger], folder=tmp_path / "elsewhere")
    assert elsewhere.path == tmp_path / "elsewhere" and len(rows(elsewhere)) == 3
    assert not folder.path.exists()


async def test_a_store_in_memory_needs_a_folder(tmp_path: Path) -> None:
    """Without one it is TL417, with one it works."""
    writer = Writer(open_store("memory://"))
    await writer.turns("a", 5)
    with pytest.raises(StoreError, match="folder=") as refused:
        catch_up(writer.store, [ledger])
    assert refused.value.code == "TL417"
    assert len(rows(catch_up(writer.store, [ledger], folder=tmp_path / "p"))) == 5


# --- what was erased, and what is not known ---


async def odd_log(writer: Writer, database: Path) -> None:
    """A turn, a turn that was erased, an event of a type that nobody knows, and a turn."""
    await writer.write("a", turn(1, "one"), turn(2, "two"))
    await writer.drafts("a", [Draft("Marvelled", 1, 5, -1, bytes(20)), Draft("TurnEnded", 99, 5, -1, bytes(20))])
    await writer.write("a", turn(3, "three"))
    other = sqlite3.connect(database)
    with other:
        other.execute("UPDATE events SET data = NULL WHERE seq = 2")
    other.close()


@pytest.mark.parametrize(
    ("on", "seen"),
    [
        ((e.TurnEnded,), ["TurnEnded 1", "TurnEnded 5"]),
        ((e.TurnEnded, e.Erased), ["TurnEnded 1", "Erased 2", "TurnEnded 5"]),
        ((e.SaySettled, e.Erased), []),
        ((e.Erased,), ["Erased 2"]),
        (("TurnEnded", "Unknown"), ["TurnEnded 1", "Unknown 3", "Unknown 4", "TurnEnded 5"]),
        (None, ["TurnEnded 1", "Erased 2", "Unknown 3", "Unknown 4", "TurnEnded 5"]),
    ],
)
async def test_erased_and_unknown_events_come_only_if_asked_for(
    writer: Writer, tmp_path: Path, on: Any, seen: list[str]
) -> None:
    """By default they are passed over; named in `on`, or without an `on`, they are given."""
    await odd_log(writer, tmp_path / "calls.db")
    found: list[str] = []

    @projection("odd", on=on)
    def apply(event: object, ctx: ProjectionContext) -> None:
        found.append(f"{type(event).__name__} {ctx.seq}")

    folder = catch_up(writer.store, [apply])
    assert found == seen
    assert one_status(writer.store, folder).lag == 0


# --- what cannot be taken ---


async def test_stop_stands_before_the_event(writer: Writer, folder: ProjectionFolder) -> None:
    """What came before is taken, nothing of the poison event or after it is, and the status names it; another run tries again."""
    await writer.write("a", *(turn(n, text) for n, text in enumerate(("one", "poison", "three"))))
    with pytest.raises(StoreError, match="stopped before it was built"):
        rows(catch_up(writer.store, [picky(lambda text: text == "poison", "stop")]))
    status = one_status(writer.store, folder)
    assert (status.status, status.lag, status.serving) == ("stopped", 2, False)
    assert status.error == "event 2 (TurnEnded) of a: ValueError: cannot take poison"
    catch_up(writer.store, [picky(lambda text: text == "poison", "stop")])
    assert one_status(writer.store, folder) == status
    catch_up(writer.store, [picky(lambda text: False, "stop")])
    assert [row[2] for row in rows(folder)] == ["one", "poison", "three"]


async def test_a_stopped_projection_is_read_as_far_as_it_came(writer: Writer, folder: ProjectionFolder) -> None:
    """Once it serves, a stop leaves it readable and holds no other projection up."""
    await writer.write("a", turn(1, "one"))
    others = projection("others", on=(e.TurnEnded,), tables=TABLE)(ledger.apply)
    declared = [picky(lambda text: text == "poison", "stop"), others]
    catch_up(writer.store, declared)
    await writer.write("a", turn(2, "poison"), turn(3, "three"))
    catch_up(writer.store, declared)
    assert [row[2] for row in rows(folder)] == ["one"]
    assert [row[2] for row in rows(folder, "others")] == ["one", "poison", "three"]
    assert [(one.name, one.status, one.lag) for one in status_of(writer.store, folder)] == [
        ("ledger", "stopped", 2),
        ("others", "live", 0),
    ]


async def test_dead_letters_are_written_down_and_passed(writer: Writer, folder: ProjectionFolder) -> None:
    """Each poison event is a letter with its place and error, its own writes are taken back, the rest is taken."""
    await writer.write("a", *(turn(n, "bad" if n % 3 == 0 else "good") for n in range(1, 8)))
    catch_up(writer.store, [picky(lambda text: text == "bad", "dead_letter")])
    letters = folder.dead_letters("ledger")
    assert [(one.session, one.seq, one.type, one.error) for one in letters] == [
        ("a", 3, "TurnEnded", "ValueError: cannot take bad"),
        ("a", 6, "TurnEnded", "ValueError: cannot take bad"),
    ]
    assert [row[1] for row in rows(folder)] == [1, 2, 4, 5, 7]
    status = one_status(writer.store, folder)
    assert (status.status, status.lag, status.dead_letters) == ("live", 0, 2)


async def test_retry_goes_on_when_it_works(writer: Writer, folder: ProjectionFolder) -> None:
    """An event that fails twice is tried until it works, and then taken once."""
    failures = iter((True, True))
    await writer.write("a", turn(1, "one"), turn(2, "shaky"), turn(3, "three"))
    catch_up(writer.store, [picky(lambda text: text == "shaky" and next(failures, False), "retry")])
    assert [row[2] for row in rows(folder)] == ["one", "shaky", "three"]
    assert one_status(writer.store, folder).status == "live"


async def test_retry_gives_up_for_who_waits(writer: Writer, folder: ProjectionFolder) -> None:
    """A catch-up tries five times, then leaves it before the event and says so."""
    tries = itertools.count(1)
    await writer.write("a", turn(1, "one"), turn(2, "never"))
    catch_up(writer.store, [picky(lambda text: text == "never" and next(tries) > 0, "retry")])
    assert next(tries) == 6
    status = one_status(writer.store, folder)
    assert (status.status, status.lag) == ("retrying", 1) and "cannot take never" in status.error


async def test_a_damaged_event_is_poison(writer: Writer, folder: ProjectionFolder) -> None:
    """Bytes that do not decode go by the same rule as a function that raises."""
    await writer.drafts("a", [Draft("TurnEnded", 1, 5, -1, b"x" * 20)])
    await writer.write("a", turn(2))
    catch_up(writer.store, [picky(lambda text: False, "dead_letter")])
    assert [letter.seq for letter in folder.dead_letters("ledger")] == [1]
    assert len(rows(folder)) == 1


@pytest.mark.parametrize(
    "statement",
    ["COMMIT", " begin immediate", "ROLLBACK", "SAVEPOINT x", "release attempt", "PRAGMA user_version = 5", "vacuum",
     "ATTACH 'x' AS x", "DELETE FROM turnlog_checkpoint", "UPDATE turnlog_dead_letters SET pos = 1"],
)  # fmt: skip
async def test_a_projection_keeps_to_its_tables(writer: Writer, folder: ProjectionFolder, statement: str) -> None:
    """What would break the one transaction, or touch the checkpoint, is refused by name."""

    @projection("ledger", tables=TABLE, on_error="dead_letter")
    def apply(event: object, ctx: ProjectionContext) -> None:
        ctx.execute(statement)

    await writer.write("a", turn(1))
    catch_up(writer.store, [apply])
    assert "TL208" in folder.dead_letters("ledger")[0].error


async def test_a_full_disk_is_no_poison(writer: Writer, folder: ProjectionFolder) -> None:
    """An error of the disk buries nothing and stops nothing: the event is tried again and then taken."""
    errors = iter((full(),))

    @projection("ledger", on=(e.TurnEnded,), tables=TABLE, on_error="dead_letter")
    def apply(event: object, ctx: ProjectionContext) -> None:
        ctx.execute("INSERT INTO ledger VALUES ('', 0, '')")
        for error in errors:
            raise error

    await writer.turns("a", 3)
    catch_up(writer.store, [apply])
    assert folder.dead_letters("ledger") == []
    assert len(rows(folder)) == 3


def full() -> sqlite3.Error:
    """The error of a database that may not grow, from SQLite itself."""
    raw = sqlite3.connect(":memory:")
    raw.execute("PRAGMA max_page_count = 2")
    try:
        raw.execute("CREATE TABLE a (b)")
        raw.execute("INSERT INTO a VALUES (zeroblob(100000))")
    except sqlite3.Error as error:
        return error
    finally:
        raw.close()
    raise AssertionError("it grew")


# --- building anew ---


async def test_a_new_version_takes_over_when_it_has_caught_up(writer: Writer, folder: ProjectionFolder) -> None:
    """Until then readers see the old one; afterwards its file is gone."""
    await writer.turns("a", 600)
    catch_up(writer.store, [ledger])
    upper = projection("ledger", version=2, on=(e.TurnEnded,), tables=TABLE)(
        lambda event, ctx: ctx.execute("INSERT INTO ledger VALUES ('new', ?, ?)", (ctx.seq, event.text))
    )
    with opened(writer.store, folder, [upper]) as builds:
        assert builds.round()  # one page of three
        assert [(one.version, one.serving, one.status) for one in status_of(writer.store, folder)] == [
            (2, False, "building"),
            (1, True, "live"),
        ]
        assert {row[0] for row in rows(folder)} == {"a"}
        drain(builds)
    assert {row[0] for row in rows(folder)} == {"new"} and len(rows(folder)) == 600
    assert [(one.version, one.build) for one in status_of(writer.store, folder)] == [(2, 2)]
    assert sorted(path.name for path in folder.path.glob("ledger*")) == ["ledger.2.db"]


def drain(builds: Builds) -> None:
    """Move until there is nothing more."""
    while builds.round():
        pass


async def test_a_build_that_was_cut_short_goes_on(writer: Writer, folder: ProjectionFolder) -> None:
    """The next run takes up the unfinished build where it was, beside the one that serves."""
    await writer.turns("a", 600)
    catch_up(writer.store, [ledger])
    with opened(writer.store, folder, [ledger]) as builds:
        builds.rebuild("ledger")
        builds.round()
    assert [one.lag for one in status_of(writer.store, folder)] == [344, 0]
    with opened(writer.store, folder, [ledger]) as builds:
        assert [(build.at.number, build.pos) for build in builds.open["ledger"]] == [(1, 600), (2, 256)]
        drain(builds)
    assert [(one.build, one.lag) for one in status_of(writer.store, folder)] == [(2, 0)]
    assert [row[1] for row in rows(folder)] == list(range(1, 601))


async def test_a_rebuild_begun_again_drops_the_unfinished_one(writer: Writer, folder: ProjectionFolder) -> None:
    """Two rebuilds in a row leave one build."""
    await writer.turns("a", 300)
    catch_up(writer.store, [ledger])
    with opened(writer.store, folder, [ledger]) as builds:
        for _ in range(2):
            builds.rebuild("ledger")
            builds.round()
        with pytest.raises(StoreError, match="no projection 'nix'"):
            builds.rebuild("nix")
        drain(builds)
    assert len(folder.builds()) == 1 and len(rows(folder)) == 300


async def test_a_rebuild_amid_new_events_equals_a_fresh_build(writer: Writer, folder: ProjectionFolder, tmp_path: Path) -> None:
    """The old build moves on while the new one is made, and the swapped result is what a build from nothing gives."""
    await writer.turns("a", 700)
    catch_up(writer.store, [ledger])
    with opened(writer.store, folder, [ledger]) as builds:
        builds.rebuild("ledger")
        for n in range(4):
            await writer.turns(f"new{n}", 100)
            builds.round()
            assert len(rows(folder)) == 700 + 100 * (n + 1)  # the old one, live, while the new one comes after
        drain(builds)
    fresh = catch_up(writer.store, [ledger], folder=tmp_path / "fresh")
    assert rows(folder) == rows(fresh) and len(rows(fresh)) == 1100
    assert [one.build for one in status_of(writer.store, folder)] == [2]


async def test_a_new_build_that_stops_leaves_the_old_one(writer: Writer, folder: ProjectionFolder) -> None:
    """A version that cannot take the past never takes over."""
    await writer.write("a", turn(1, "one"), turn(2, "poison"))
    catch_up(writer.store, [ledger])
    catch_up(writer.store, [picky(lambda text: text == "poison", "stop", version=2)])
    assert [row[2] for row in rows(folder)] == ["one", "poison"]
    assert [(one.version, one.status, one.serving) for one in status_of(writer.store, folder)] == [
        (2, "stopped", False),
        (1, "live", True),
    ]


async def test_the_log_of_another_store_is_built_anew(writer: Writer, folder: ProjectionFolder, tmp_path: Path) -> None:
    """A folder whose cursors are of another feed is stale; the next run builds anew instead of mixing two logs."""
    await writer.turns("a", 5)
    catch_up(writer.store, [ledger])
    other = Writer(await asyncio.to_thread(open_store, tmp_path / "other.db"))
    await other.turns("b", 3)
    status = one_status(other.store, folder)
    assert (status.status, status.lag) == ("stale", 3) and "feed" in status.error
    catch_up(other.store, [ledger], folder=folder.path)
    assert {row[0] for row in rows(folder)} == {"b"} and len(rows(folder)) == 3
    await other.store.close()


async def test_a_build_whose_making_was_cut_short_is_dropped(writer: Writer, folder: ProjectionFolder) -> None:
    """A file without a checkpoint is not gone on with, and the next build takes another number."""
    folder.path.mkdir()
    (folder.path / "ledger.4.db").write_bytes(b"")
    await writer.turns("a", 2)
    catch_up(writer.store, [ledger])
    assert [one.number for one in folder.builds()] in ([1], [5])
    assert len(rows(folder)) == 2


async def test_one_process_builds_at_a_time(writer: Writer, folder: ProjectionFolder) -> None:
    """A second one is TL401; the lock goes when the first ends, also when it cannot begin."""
    with opened(writer.store, folder, [ledger]), pytest.raises(StoreError) as refused:
        catch_up(writer.store, [ledger])
    assert refused.value.code == "TL401"
    broken = Projection(name="x", version=1, on=None, tables=("CREATE",), on_error="stop", apply=ledger.apply)
    with pytest.raises(StoreError):
        Builds(writer.store, folder, [broken])
    catch_up(writer.store, [ledger])


# --- declaring ---


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("name", {"name": "Talk Time"}),
        ("name", {"name": ""}),
        ("version", {"version": 0}),
        ("version", {"version": True}),
        ("on_error", {"on_error": "ignore"}),
        ("on", {"on": ()}),
    ],
)
def test_a_wrong_declaration_is_named(field: str, options: dict[str, Any]) -> None:
    """Each is TL208 with the field and what to do."""
    with pytest.raises(DefinitionError) as refused:
        projection(**{"name": "talk", **options})
    assert refused.value.code == "TL208" and refused.value.field == field and refused.value.hint


def test_a_coroutine_is_no_projection() -> None:
    """An `async def` is refused when it is declared, not when the first event comes."""

    async def apply(event: object, ctx: ProjectionContext) -> None: ...

    with pytest.raises(DefinitionError, match="no ordinary function"):
        projection("talk")(apply)


async def test_what_cannot_run_together_is_refused(writer: Writer) -> None:
    """Two of one name, tables that SQLite does not accept, and what is no projection are TL208 before anything is made."""
    bad = projection("bad", tables=("CREATE TABLE a (b)", "CREATE TABLE a (b)"))(ledger.apply)
    two = projection("two", tables="CREATE TABLE a (b); CREATE TABLE c (d)")(ledger.apply)
    wrongs = (([ledger, ledger], "two projections"), ([bad], "already exists"), ([two], "one"), ([len], "no projection"))
    for wrong, said in wrongs:
        with pytest.raises(DefinitionError, match=said) as refused:
            catch_up(writer.store, wrong)  # type: ignore[arg-type] # what is under test
        assert refused.value.code == "TL208"
