"""Replay over a whole store."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tests.engine.living import Ledger, living
from turnlog.core import events as e
from turnlog.core.codec import encode
from turnlog.core.definition import define_session
from turnlog.core.ports import Draft, SessionRow
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay_all import SessionReplay, handler_name, replay_all, replay_one


async def greets(session: RealtimeSession) -> None:
    await session.say("Hello")


async def asks(session: RealtimeSession) -> None:
    await session.say("Who is it?")


async def record(store: Ledger, handler: Callable[[RealtimeSession], Awaitable[None]]) -> str:
    """A session of this handler in the store; returns its id."""
    async with living(handler, store=store) as alive:
        await alive.ended()
    return alive.session.id


async def enter(store: Ledger, session: str, **change: Any) -> None:
    """A session that only has its first event."""
    definition = define_session("desk", provider="scripted", transport="in_process")
    started = msgspec.structs.replace(e.SessionStarted(session=session, target="hotel.desk", definition=definition), **change)
    row = SessionRow(session, "", "hotel.desk", "scripted", "in_process", "active", "3.11", "", 0, 0, 2**62, None)
    type_, version, data = encode(started, bytes(16))
    await store.append(await store.create(row), [Draft(type_, version, 2**62, e.Root.START, data)])


async def all_of(store: Ledger, **options: Any) -> list[SessionReplay]:
    """What replay_all gives."""
    return [one async for one in replay_all(store, **options)]


async def test_each_session_runs_through_its_own_handler() -> None:
    """Oldest first; the handler is found by the name in the log; what cannot be imported has failed by name."""
    store = Ledger()
    first = await record(store, greets)
    second = await record(store, asks)
    await enter(store, "lost", handler="no_such_module:fn")
    found = await all_of(store)
    assert [(one.session, one.status) for one in found] == [(first, "identical"), (second, "identical"), ("lost", "failed")]
    assert found[0].replayed is not None and found[0].replayed.commands == 2
    assert found[2].reason.startswith("TL206 cannot import 'no_such_module:fn'")


async def test_with_a_handler_only_its_own_sessions_are_replayed() -> None:
    """Sessions of other handlers are skipped by name."""
    store = Ledger()
    await record(store, greets)
    await record(store, asks)
    skipped, done = await all_of(store, handler=asks)
    assert (skipped.status, skipped.reason) == ("skipped", f"handler {handler_name(greets)}")
    assert done.status == "identical"


async def test_a_changed_handler_is_reported_and_the_others_go_on() -> None:
    """The whole report of each session that differs."""
    store = Ledger()
    await record(store, greets)
    module, _, function = handler_name(greets).partition(":")
    globals()[function], kept = asks, greets
    try:
        (found,) = await all_of(store)
    finally:
        globals()[function] = kept
    assert module == __name__ and found.status == "diverged"
    assert found.report is not None and found.report.difference == 'text: "Hello" was recorded, now "Who is it?"'


async def test_sessions_with_replay_false_are_skipped() -> None:
    """They were logged, and cannot be replayed: no failure. Nor is a proxied session, which has no handler."""
    store = Ledger()
    await enter(store, "free", replayable=False, handler="hotel:desk")
    await enter(store, "passed", replayable=False)
    free, passed = sorted(await all_of(store), key=lambda one: one.session)
    assert (free.status, free.reason) == ("skipped", "replay=False")
    assert (passed.status, passed.reason) == ("skipped", "proxied: it has no handler")


async def test_since_and_target_choose() -> None:
    """Only sessions that began at since_ns or later, of one target."""
    store = Ledger()
    await record(store, greets)
    await enter(store, "later", replayable=False)
    assert [one.session for one in await all_of(store, since_ns=2**62)] == ["later"]
    assert await all_of(store, target="hotel.other") == []


async def test_a_log_without_its_beginning_has_failed() -> None:
    """TL407, with the session's name."""
    store = Ledger()
    row = SessionRow("empty", "", "hotel.desk", "scripted", "in_process", "active", "3.11", "", 0, 0, 2**62, None)
    await store.create(row)
    (found,) = await all_of(store)
    assert (found.status, found.reason) == ("failed", "TL407 the log of empty has no SessionStarted")


async def test_one_session_is_replayed_through_any_handler() -> None:
    """Whatever it was recorded with: what came of it is told, and none of it raised."""
    store = Ledger()
    greeted = await store.session(await record(store, greets))
    await enter(store, "unreplayable", replayable=False)
    assert replay_one(store, greeted, greets).status == "identical"
    assert replay_one(store, greeted, asks, until=1).status == "identical"  # there is nothing to compare yet
    diverged = replay_one(store, greeted, asks)
    assert diverged.status == "diverged" and diverged.report and diverged.report.kind == "arguments"
    skipped = replay_one(store, await store.session("unreplayable"), greets)
    assert skipped.status == "skipped" and skipped.reason.startswith("TL109")
