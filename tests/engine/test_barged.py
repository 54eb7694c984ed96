"""A session with barge-in, streams, keys and cancels is read again: decided anew, replayed, forked, and asked what if."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.golden.record_golden import load_handlers
from tests.golden.record_talk import SCRIPTS, provider
from turnlog import App, RealtimeSession, replay
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.core.events import WIRE_TYPES
from turnlog.core.explain import Trail, why_late, why_silent, why_stopped
from turnlog.engine.offline.fork import fork
from turnlog.engine.offline.fork_rest import parse_script
from turnlog.engine.offline.rederive import rederive
from turnlog.engine.offline.what_if import what_if
from turnlog.store.memory import MemoryStore
from turnlog.testing import Kit
from turnlog.testing.calls import Call

app = load_handlers(Path(__file__).parent.parent / "golden" / "v0_1_talk").app
each_call = pytest.mark.parametrize("name", SCRIPTS)


async def held(kit: Kit, name: str, **options: Any) -> Call:
    """A call like that of the golden log of this name, as it goes today."""
    async with kit.call(app, f"golden.{name}", provider=provider(), **options) as call:
        await SCRIPTS[name](call)
        await call.ended()
    return call


@each_call
async def test_its_turns_are_decided_the_same_again(turnlog: Kit, name: str) -> None:
    """Echoes, nods and interruptions are decided from what sounded then: rederive finds no difference."""
    store = MemoryStore()
    call = await held(turnlog, name, store=store)
    again = await asyncio.to_thread(rederive, store, call.session.id)
    assert again.differences == []
    turns = [event for event in call.events if isinstance(event, e.TurnEnded | e.TurnDiscarded)]
    assert again.equal == len(turns) >= 3


@each_call
async def test_each_prefix_of_it_replays(turnlog: Kit, name: str) -> None:
    """A log that is cut anywhere replays as far as it goes."""
    call = await held(turnlog, name)
    log, handler = call.log, app.resolve(call.session.target).handler

    def every() -> None:
        for n in range(1, len(log) + 1):
            assert replay(log[:n], handler).complete == (n == len(log))

    await asyncio.to_thread(every)


@each_call
async def test_an_unchanged_handler_asks_for_the_same(turnlog: Kit, name: str) -> None:
    """What-if of the handler itself: each row is equal, to the end of the record."""
    call = await held(turnlog, name)
    found = await asyncio.to_thread(what_if, call.log, app.resolve(call.session.target).handler)
    different = [row for row in found.rows if str(row.status) != "equal"]
    assert (different, found.stopped, found.seq) == ([], "", len(call.log))


async def test_a_changed_handler_hears_of_its_own_says(turnlog: Kit) -> None:
    """What-if gives it what was heard under the name that the say has here, and nothing of says that it does not ask for."""
    hotel = App("hotel")

    @hotel.session("desk", provider="openai", transport="websocket")
    async def desk(session: RealtimeSession) -> None:
        heard = session.utterances()
        await session.say("Good morning")
        await session.say(f"{(await anext(heard)).say} was heard")

    async def changed(session: RealtimeSession) -> None:
        heard = session.utterances()
        await session.update(instructions="One command more")
        await session.say("Good morning")
        await session.say(f"{(await anext(heard)).say} was heard")

    async with turnlog.call(hotel, "hotel.desk") as call:
        await call.ended()
    found = await asyncio.to_thread(what_if, call.log, changed)
    assert [row.now.text for row in found.rows if row.now][-3:-1] == ['say("Good morning")', 'say("say_2 was heard")']


async def test_a_changed_handler_speaks_a_stream_by_its_words(turnlog: Kit) -> None:
    """What-if: a streamed say that has another place than in the record counts as played with what its stream brought."""
    hotel = App("hotel")

    async def pieces() -> AsyncIterator[str]:
        yield "Room twelve is free. "
        yield "It costs ninety euros."

    @hotel.session("desk", provider="openai", transport="websocket")
    async def desk(session: RealtimeSession) -> None:
        said = await session.say(session.stream(pieces))
        await session.say((await said.settled()).heard_text)

    async def changed(session: RealtimeSession) -> None:
        await session.say("One command more")
        said = await session.say(session.stream(pieces))
        await session.say((await said.settled()).heard_text)

    async with turnlog.call(hotel, "hotel.desk") as call:
        await call.ended()
    found = await asyncio.to_thread(what_if, call.log, changed)
    assert [row.now.text for row in found.rows if row.now][-2] == 'say("Room twelve is free. It costs ninety euros.")'


@each_call
async def test_it_can_be_forked_anywhere(turnlog: Kit, name: str) -> None:
    """At each event that is no message's: what is stored verifies and replays, and each of its says is settled once."""
    store = MemoryStore()
    call = await held(turnlog, name, store=store)

    async def every() -> None:
        handler = app.resolve(call.session.target).handler
        for at in [one.seq for one in call.log[:-1] if one.type not in WIRE_TYPES]:
            into = MemoryStore()
            script = parse_script("and bye")
            forked = await fork(store, call.session.id, at, handler, name="fork", script=script, into=into)
            assert forked.past == at and (await into.verify("fork")).ok
            events = [decode(one) for one in into.scan("fork")]
            asked = [event.say for event in events if isinstance(event, e.SayRequested)]
            assert sorted(event.say for event in events if isinstance(event, e.SaySettled)) == sorted(asked)

    await asyncio.to_thread(asyncio.run, every())  # a handler's loop of its own


async def test_a_fork_speaks_a_stream_by_its_words(turnlog: Kit) -> None:
    """A say of a stream that the past does not hold counts as played with all that the record's stream brings."""
    hotel = App("hotel")

    async def pieces() -> AsyncIterator[str]:
        yield "Room twelve is free. "
        yield "It costs ninety euros."

    @hotel.session("desk", provider="openai", transport="websocket")
    async def desk(session: RealtimeSession) -> None:
        async for _ in session.turns():
            said = await session.say(session.stream(pieces))
            await said.settled()

    async def changed(session: RealtimeSession) -> None:
        async for _ in session.turns():
            await session.say("One command more")
            said = await session.say(session.stream(pieces))
            await said.settled()

    store, into = MemoryStore(), MemoryStore()
    async with turnlog.call(hotel, "hotel.desk", store=store) as call:
        await call.caller.gets("session.created")
        await call.caller.says("any rooms")
        await call.caller.hears("ninety euros")
        call.session.end("enough")
        await call.ended()
    at = next(one.seq for one in call.log if one.type == "LinkReady")
    script = parse_script("any rooms")
    await asyncio.to_thread(asyncio.run, fork(store, call.session.id, at, changed, name="fork", script=script, into=into))
    (_, settled) = [event for event in map(decode, into.scan("fork")) if isinstance(event, e.SaySettled)]
    assert (settled.status, settled.heard_text) == ("played", "Room twelve is free. It costs ninety euros.")
    assert settled.heard_ms > 1_000


@each_call
async def test_it_can_be_explained_everywhere(turnlog: Kit, name: str) -> None:
    """One waiter after each event, an outcome of each say with its outside cause, and no ms of a gap unexplained."""
    call = await held(turnlog, name)
    trail = Trail.of(call.log)
    assert {why_silent(trail, seq=entry.seq).name for entry in trail.entries} >= {"playout", "speaking", "ended"}
    for settled in call.of(e.SaySettled):
        assert why_stopped(trail, settled.say).outside in ("wire", "timer", "start", "host")
    for turn in call.of(e.TurnEnded):
        late = why_late(trail, turn.turn)
        assert late.unexplained_ms == 0 and sum(one.ms for one in late.stretches) == late.gap_ms
