"""Draining: nothing new, time for what runs, and then an end, or a log that stays open."""

import asyncio

import pytest

from tests.engine.living import PATIENCE_S, Caller, Ledger, Speaker, app_of, assert_rebuilt, of_type
from turnlog.core import events as e
from turnlog.core.errors import TurnlogError
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay


async def desk(session: RealtimeSession) -> None:
    """Greet, then listen until "bye"."""
    await session.say("hello")
    async for turn in session.turns():
        if turn.text == "bye":
            return


def engine(store: Ledger) -> Engine:
    """An engine with the desk."""
    return Engine(app_of(desk), store=store, providers={"scripted": Speaker()})


async def test_a_draining_engine_waits_for_its_sessions() -> None:
    """No session starts (TL508), callers still reach the one that runs, and the drain is over when it has ended by itself."""
    store = Ledger()
    async with engine(store) as running:
        session = await running.start("hotel.desk")
        draining = asyncio.create_task(running.drain(PATIENCE_S))
        await asyncio.sleep(0)
        with pytest.raises(TurnlogError, match="TL508"):
            await running.start("hotel.desk")
        caller = Caller()
        await running.attach(session.id, caller.theirs)
        await caller.until("session.created")
        caller.type("bye")
        await asyncio.wait_for(draining, PATIENCE_S)
        assert not running.sessions
    assert (await session.ended()).reason == "completed"


async def test_what_outlasts_the_grace_is_ended() -> None:
    """SessionEnded engine_stopped in the log, and 1001 to its callers."""
    store = Ledger()
    async with engine(store) as running:
        session, caller = await running.start("hotel.desk"), Caller()
        await running.attach(session.id, caller.theirs)
        await caller.until("session.created")
        await running.drain(0.01)
        assert (await session.ended()).reason == "engine_stopped"
        assert (await caller.until_closed()).close_code == 1001
    assert (await store.session(session.id)).status == "ended"


async def test_what_is_kept_stays_open_and_whole() -> None:
    """keep: callers get 1012, the log has no end, holds all that was received, verifies, and replays as far as it goes."""
    store = Ledger()
    async with engine(store) as running:
        session, caller = await running.start("hotel.desk"), Caller()
        await running.attach(session.id, caller.theirs)
        await caller.until("response.done")
        for _ in range(3):
            caller.append()
        await asyncio.sleep(0)  # the audio has come, and no segment of it is due
        await running.drain(0, keep=True)
        assert not session.takes_callers
        assert (await caller.until_closed()).close_code == 1012
        with pytest.raises(TurnlogError, match="TL508"):
            await session.ended()
        assert not running.sessions
    row = await store.session(session.id)
    assert row.status == "active" and (await store.verify(session.id)).ok
    assert not of_type(store, session.id, e.SessionEnding)
    assert_rebuilt(store, session.id, "c1.in", caller.sent)
    replayed = await asyncio.to_thread(replay, list(store.scan(session.id)), desk)
    assert not replayed.complete


async def test_a_session_that_begins_while_the_engine_drains_is_ended() -> None:
    """Its start was under way: it comes to its end at once, and the drain waits for it."""
    store = Ledger()
    async with engine(store) as running:
        store.may_append.clear()
        starting = asyncio.create_task(running.start("hotel.desk"))
        await store.until_held()
        running.draining = True
        store.may_append.set()
        session = await starting
        await running.drain(PATIENCE_S)
        assert (await session.ended()).reason == "engine_stopped"
