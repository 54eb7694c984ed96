"""Full garbage collections wait for moments without a session; what sessions leave is freed nevertheless."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from tests.engine.living import Caller, Speaker, app_of
from turnlog import collections_when_idle
from turnlog.core.definition import SessionDefinition
from turnlog.core.ports import Link
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.live import LiveSession

PATIENCE_S = 10


async def waits(session: RealtimeSession) -> None:
    """Until the session ends."""
    await session.input()


class Lines:
    """A provider that keeps nothing, with a speaker of its own for each session."""

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """As a speaker does."""
        return await Speaker().connect(definition, session)


def engine_of() -> Engine:
    """An engine in memory."""
    return Engine(app_of(waits), store="memory://", providers={"scripted": Lines()})


async def ended(engine: Engine) -> "weakref.ref[LiveSession]":
    """A session that has run and ended, if it is still there."""
    live = await engine.start("hotel.desk")
    live.end(drain=False)
    await live.ended()
    return weakref.ref(live)


@contextmanager
def full_collections() -> Iterator[list[asyncio.Event]]:
    """How many there are meanwhile; the last entry is set by the next one."""
    seen = [asyncio.Event()]

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "stop" and about["generation"] == 2:
            seen[-1].set()
            seen.append(asyncio.Event())

    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)


async def test_ended_sessions_are_freed_once_none_runs() -> None:
    """Though their objects refer to each other in circles: one full collection, a moment after the last has ended."""
    async with engine_of() as engine:
        with collections_when_idle(engine, idle_s=0.02), full_collections() as seen:
            sessions = [await ended(engine) for _ in range(5)]
            assert any(one() is not None for one in sessions), "they are freed at once: nothing is left to be shown"
            await asyncio.wait_for(seen[0].wait(), PATIENCE_S)
            assert len(seen) == 2
            assert [one() for one in sessions] == [None] * 5


async def test_a_session_that_runs_is_not_stopped_for_those_that_have_ended() -> None:
    """No full collection while one runs, until as many have ended as the engine was told; then its memory does not grow."""
    async with engine_of() as engine:
        with collections_when_idle(engine, idle_s=0, most_ended=6), full_collections() as seen:
            await engine.start("hotel.desk")
            sessions = [await ended(engine) for _ in range(5)]
            await asyncio.sleep(0)
            assert len(seen) == 1
            sessions += [await ended(engine) for _ in range(7)]
            assert len(seen) == 3
            assert [one() for one in sessions[:-1]] == [None] * 11  # at that moment the tasks of the last one still held it


async def test_the_settings_of_the_process_are_put_back() -> None:
    """What was there is frozen and Python's own full collections are rare meanwhile; behind it all is as before."""
    before = gc.get_threshold()
    async with engine_of() as engine:
        with collections_when_idle(engine):
            assert gc.get_freeze_count() > 10_000
            assert gc.get_threshold()[:2] == before[:2] and gc.get_threshold()[2] >= before[2]
        assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before)
        with full_collections() as seen:
            await ended(engine)
            await asyncio.sleep(0)
            assert len(seen) == 1


async def test_an_ended_session_leaves_little_in_circles() -> None:
    """It is freed when it ends: what only a collection finds of one that was heard is some 90 objects, where it was 330."""
    provider, many = Speaker(ms=20), 20
    app = app_of(greets)
    async with Engine(app, store="memory://", providers={"scripted": provider}) as engine:
        await heard(engine)
        gc.collect()
        gc.disable()
        try:
            for _ in range(many):
                await heard(engine)
            assert (left := gc.collect()) < 150 * many, left
        finally:
            gc.enable()


async def greets(session: RealtimeSession) -> None:
    """Says something, and waits."""
    await session.say("Hello")
    await session.input()


async def heard(engine: Engine) -> None:
    """A session whose caller hears what it says; then it ends."""
    live = await engine.start("hotel.desk")
    caller = Caller()
    await engine.attach(live.id, caller.theirs)
    await caller.until("response.done")
    live.end(drain=False)
    await live.ended()
    await caller.until_closed()
