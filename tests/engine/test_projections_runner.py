"""An engine's projections follow its calls on a thread of their own, and end in order."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.living import PATIENCE_S, Caller, Speaker, app_of
from tests.engine.projecting import Writer, closed, ledger, turn
from turnlog import BUILT_IN_PROJECTIONS, DefinitionError, Engine, RealtimeSession, StoreError, TurnlogError, projection
from turnlog.core import events as e
from turnlog.core.ports import Draft
from turnlog.engine.projections import ProjectionContext, Projections, folder_of, search
from turnlog.engine.projections.builds import Builds, opened
from turnlog.store import Store, open_store
from turnlog.store.sqlite_feed import SqliteFeedReader

__all__: list[str] = []


async def desk(session: RealtimeSession) -> None:
    """Answers one turn."""
    got = await session.input()
    await session.say(f"You said {got.text}")


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store of each kind."""
    opened_ = await asyncio.to_thread(open_store, "memory://" if request.param == "memory" else tmp_path / "calls.db")
    yield opened_
    await closed(opened_)


async def texts(projections: Projections) -> list[str]:
    """What the ledger holds, once it has caught up."""
    async with asyncio.timeout(PATIENCE_S):
        await projections.caught_up()
    return [row[0] for row in await projections.query("ledger", "SELECT text FROM ledger ORDER BY rowid")]


async def test_a_live_call_is_projected(store: Store) -> None:
    """Index, transcript, usage and a user's own are those of the call, while the engine runs; and its feed is the log."""
    projections = [*BUILT_IN_PROJECTIONS, ledger]
    engine = Engine(app_of(desk), store=store, providers={"scripted": Speaker()}, projections=projections)
    async with engine, asyncio.timeout(PATIENCE_S):
        session = await engine.start("hotel.desk", metadata={"room": "12"})
        caller = Caller()
        await engine.attach(session.id, caller.theirs)
        caller.type("a room")
        assert (await session.ended()).reason == "completed"
        assert await texts(engine.projections) == ["a room"]
        found = await asyncio.to_thread(search, engine.projections.folder, ["room"])
        assert [(one.session, one.who) for one in found] == [(session.id, "handler"), (session.id, "user")]
        rows = await engine.projections.query("session_index", "SELECT metadata, turns, says, outcome FROM session_index")
        assert rows == [('{"room":"12"}', 1, 1, "completed")]
        [(responses, spoken)] = await engine.projections.query("usage", "SELECT responses, spoken_ms FROM usage")
        assert responses == 1 and spoken == 40
        assert [one.status for one in await engine.projections.status()] == ["live"] * len(projections)
        entries = [entry async for entry in engine.feed(follow=False)]
        assert [entry.recorded for entry in entries] == list(store.scan(session.id))
        after = [entry async for entry in engine.feed(after=entries[4].cursor, types=[e.TurnEnded], follow=False)]
        assert [entry.recorded.type for entry in after] == ["TurnEnded"]
        await caller.hang_up()


async def test_leaving_the_engine_takes_what_is_committed(tmp_path: Path) -> None:
    """SessionEnded of a call that the engine's end ended is in the index, and the files are whole without the engine."""
    app, store = app_of(desk), f"sqlite:///{tmp_path / 'calls.db'}"
    async with Engine(app, store=store, providers={"scripted": Speaker()}, projections=BUILT_IN_PROJECTIONS) as engine:
        await engine.start("hotel.desk")
    assert engine.projections.folder.query("session_index", "SELECT outcome FROM session_index") == [("engine_stopped",)]
    assert sorted(path.name for path in engine.projections.folder.path.glob("*-wal")) == []
    for thread in [thread for thread in threading.enumerate() if thread.name == "turnlog-writer"]:
        await asyncio.to_thread(thread.join)


async def test_an_engine_without_projections_makes_nothing(tmp_path: Path) -> None:
    """No thread, no folder; waiting for them says that none run."""
    async with Engine(app_of(desk), store=f"sqlite:///{tmp_path / 'calls.db'}") as engine:
        assert all(thread.name != "turnlog-projections" for thread in threading.enumerate())
        assert await engine.projections.status() == []
        with pytest.raises(StoreError, match="no projection 'usage'"):
            await engine.projections.query("usage", "SELECT 1")
        with pytest.raises(StoreError, match="declared: none"):
            engine.projections.rebuild("usage")
    assert not (tmp_path / "calls.db-projections").exists()
    for thread in [thread for thread in threading.enumerate() if thread.name == "turnlog-writer"]:
        await asyncio.to_thread(thread.join)


async def test_what_cannot_be_declared_is_refused_with_the_engine() -> None:
    """Before anything runs."""
    with pytest.raises(DefinitionError) as refused:
        Engine(app_of(desk), store="memory://", projections=[ledger, ledger])
    assert refused.value.code == "TL208"


async def test_appends_are_followed(store: Store) -> None:
    """What is appended while it runs is taken, page after page, woken by the commits."""
    store.tail.poll_s = 3600
    writer, projections = Writer(store), Projections(store, [ledger])
    projections.start()
    for n in range(3):
        await asyncio.gather(writer.turns(f"a{n}", 300), writer.turns(f"b{n}", 10))
        assert len(await texts(projections)) == 310 * (n + 1)
    await projections.stop()
    await projections.stop()


async def test_a_rebuild_is_made_while_it_runs(store: Store) -> None:
    """It is waited for like everything else; another number then serves, with the same rows."""
    writer, projections = Writer(store), Projections(store, [ledger])
    projections.start()
    await writer.turns("a", 700)
    before = await texts(projections)
    projections.rebuild("ledger")
    await writer.turns("a", 50)
    assert len(await texts(projections)) == 750 and len(before) == 700
    assert [(one.build, one.lag, one.status) for one in await projections.status()] == [(2, 0, "live")]
    with pytest.raises(StoreError, match="declared: ledger"):
        projections.rebuild("nix")
    await projections.stop()


async def test_a_poison_event_holds_up_nobody_else(store: Store) -> None:
    """The stopped one is left where it is, the others are waited for, and its error is to be seen."""
    stopped = projection("stopped", on=(e.TurnEnded,))(lambda event, ctx: 1 / 0)
    writer, projections = Writer(store), Projections(store, [stopped, ledger])
    projections.start()
    await writer.turns("a", 5)
    assert len(await texts(projections)) == 5
    by_name = {one.name: one for one in await projections.status()}
    assert by_name["stopped"].status == "stopped" and "ZeroDivisionError" in by_name["stopped"].error
    await projections.stop()


async def test_retry_goes_on_once_its_cause_is_gone(store: Store) -> None:
    """The event is tried again by itself, and dead letters can be asked for."""
    works = threading.Event()
    failed = threading.Event()

    @projection("ledger", on=(e.TurnEnded,), tables="CREATE TABLE ledger (text TEXT)", on_error="retry")
    def shaky(event: Any, ctx: ProjectionContext) -> None:
        if not works.is_set():
            failed.set()
            raise ConnectionError("not yet")
        ctx.execute("INSERT INTO ledger VALUES (?)", (event.text,))

    writer, projections = Writer(store), Projections(store, [shaky])
    projections.start()
    await writer.turns("a", 2)
    await asyncio.to_thread(failed.wait, PATIENCE_S)
    works.set()
    assert len(await texts(projections)) == 2
    assert await projections.dead_letters("ledger") == []
    await projections.stop()


async def test_it_waits_for_another_that_writes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While a command of another process builds, an engine's projections wait, and go on afterwards."""
    store = await asyncio.to_thread(open_store, tmp_path / "calls.db")
    writer, projections = Writer(store), Projections(store, [ledger])
    await writer.turns("a", 3)
    folder = folder_of(store)
    assert folder is not None
    with opened(store, folder, [ledger]):
        projections.start()
        async with asyncio.timeout(PATIENCE_S):
            while "TL401" not in caplog.text:
                await writer.turns("a", 1)
    assert len(await texts(projections)) == writer.heads["a"].seq
    await projections.stop()
    await closed(store)


async def test_it_stops_while_it_waits(tmp_path: Path) -> None:
    """An engine that ends before it could write ends at once."""
    store = await asyncio.to_thread(open_store, tmp_path / "calls.db")
    folder = folder_of(store)
    assert folder is not None
    with opened(store, folder, [ledger]):
        projections = Projections(store, [ledger])
        projections.start()
        async with asyncio.timeout(PATIENCE_S):
            await projections.stop()
    await closed(store)


async def test_a_fault_of_ours_ends_no_call(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Should the thread die it says so in the log, who waits hears of it, and appends go on."""

    def broken(self: Builds) -> bool:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Builds, "round", broken)
    writer, projections = Writer(store), Projections(store, [ledger])
    projections.start()
    await writer.write("a", turn(1))
    with pytest.raises(TurnlogError) as refused:
        await projections.caught_up()
    assert refused.value.code == "TL410" and "a fault" in caplog.text
    await writer.write("a", turn(2))
    await projections.stop()


async def test_a_log_that_cannot_be_read_for_a_while_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk delays, and is told once; nothing is skipped."""
    store = await asyncio.to_thread(open_store, tmp_path / "calls.db")
    writer = Writer(store)
    await writer.drafts("a", [Draft("TurnEnded", 1, 5, -1, bytes(16) + b"\x80")])
    failures = iter([sqlite3.OperationalError("disk I/O error")])

    def shaky(self: Any, after: int, types: Any) -> Any:
        for error in failures:
            raise StoreError("TL404", str(error))
        return page(self, after, types)

    page = SqliteFeedReader.page
    monkeypatch.setattr(SqliteFeedReader, "page", shaky)

    @projection("ledger", tables="CREATE TABLE ledger (text TEXT)", on_error="dead_letter")
    def types(event: object, ctx: ProjectionContext) -> None:
        ctx.execute("INSERT INTO ledger VALUES (?)", (ctx.type,))

    projections = Projections(store, [types])
    projections.start()
    await writer.write("a", turn(2))
    assert await texts(projections) == ["TurnEnded"]
    assert [letter.seq for letter in await projections.dead_letters("ledger")] == [1]
    await projections.stop()
    await closed(store)
