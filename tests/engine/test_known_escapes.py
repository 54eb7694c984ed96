"""Every known way out of a replayable handler, in live sessions: closed, refused by name, or stopped; and what replays of it."""

import asyncio
import contextvars
import gc
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.engine.living import Living, Speaker, app_of, living, of_type
from turnlog.core import events as e
from turnlog.core.errors import Divergence, HandlerError
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.handler_run import STRICT
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.handlers.watchdog import HandlerLimits
from turnlog.engine.offline.replay import replay
from turnlog.store.memory import MemoryStore

QUICK = HandlerLimits(report_ms=50, stuck_ms=150)


def replays(alive: Living, handler: Callable[..., Any]) -> int:
    """Replay the session; the number of commands."""
    return replay(alive.store.scan(alive.session.id), handler).commands


async def test_an_async_generator_left_by_break() -> None:
    """Its cleanup runs at once, in the same drain, and what it asks for is in the log in its place."""
    seen: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        async def numbers() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                await session.say("tidied up")
                seen.append("tidied up")

        async for _ in numbers():
            break
        await asyncio.sleep(0.01)
        await session.say("went on")

    async with living(desk) as alive:
        await alive.ended()
    assert [said.command.text for said in alive.of(e.SayRequested)] == ["tidied up", "went on"]
    assert replays(alive, desk) == 3 and seen == ["tidied up"] * 2


async def test_an_async_generator_in_a_cycle() -> None:
    """One that only the collector could find is closed at the session's end, whenever that runs; its words are too late."""
    closed: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        async def numbers(held: list[Any]) -> AsyncIterator[int]:
            try:
                yield len(held)
            finally:
                closed.append("closed")
                await session.say("too late")

        cycle: list[Any] = []
        cycle.append(numbers(cycle))
        await anext(cycle[0])
        del cycle
        for _ in range(3):
            await session.call("collect")

    def collect() -> int:
        return gc.collect()

    async with living(desk, tools={"collect": collect}) as alive:
        await alive.ended()
    assert closed == ["closed"] and alive.of(e.SayRequested) == []
    assert replays(alive, desk) == 4


async def test_an_event_set_from_outside() -> None:
    """The host cannot wake a handler behind the log's back: the host gets the error, the handler goes on by its own events."""
    doors: list[asyncio.Event] = []

    async def desk(session: RealtimeSession) -> None:
        door = asyncio.Event()
        doors.append(door)
        opening = asyncio.create_task(door.wait())
        await session.say("The door is closed.")
        turn = await session.input()
        opening.cancel()
        await session.say(f"You said {turn.text}.")

    async with living(desk) as alive:
        await alive.until(e.SaySettled)
        with pytest.raises(HandlerError, match=r"call_soon\(\)") as refused:
            doors[0].set()
        assert refused.value.code == "TL104"
        alive.caller.type("hello")
        assert (await alive.ended()).reason == "completed"
    assert replays(alive, desk) == 4


async def test_a_future_of_the_host() -> None:
    """A handler cannot await what only the host's loop can settle: asyncio itself says so, and the session fails by name."""
    theirs: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def desk(session: RealtimeSession) -> None:
        await theirs

    async with living(desk) as alive:
        ended = await alive.ended()
    assert ended.reason == "handler_failed" and "different loop" in ended.detail


async def test_a_task_that_nobody_holds() -> None:
    """It runs to its end, whenever the collector runs."""

    async def desk(session: RealtimeSession) -> None:
        async def later() -> None:
            await session.call("collect")
            await session.say("still here")

        asyncio.create_task(later())  # noqa: RUF006 -- what must not matter
        await session.input()

    def collect() -> int:
        return gc.collect()

    async with living(desk, tools={"collect": collect}) as alive:
        await alive.until(e.SaySettled)
        alive.caller.type("bye")
        await alive.ended()
    assert alive.of(e.SaySettled)[0].status == "played"
    assert replays(alive, desk) == 4


MOOD = contextvars.ContextVar("MOOD", default="nobody's")


async def test_context_variables_stay_where_they_were_set() -> None:
    """A handler sees nothing of the host's, the host and other sessions nothing of a handler's; tasks inherit within it."""
    seen: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        seen.append(MOOD.get())
        MOOD.set("the handler's")
        await session.say("Good evening.")
        await asyncio.create_task(child())

    async def child() -> None:
        seen.append(MOOD.get())
        MOOD.set("the child's")

    MOOD.set("the host's")
    async with living(desk) as alive:
        await alive.ended()
        again = await alive.engine.start("hotel.desk")
        await alive.engine.attach(again.id, (await _caller(alive)).theirs)
        await again.ended()
    assert seen == ["nobody's", "the handler's"] * 2
    assert MOOD.get() == "the host's"
    assert replays(alive, desk) == 2 and MOOD.get() == "the host's"


async def _caller(alive: Living) -> Any:
    caller = type(alive.caller)()
    alive.callers.append(caller)
    return caller


@pytest.mark.parametrize("strict", [False, True])
async def test_a_write_on_a_stream_of_the_host(strict: bool) -> None:
    """The bytes leave: this is what no loop can catch, and docs/reference/handlers.md says so. Strict mode does catch it."""
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)

    async def desk(session: RealtimeSession) -> None:
        writer.write(b"hello")

    async with living(desk, strict=strict) as alive:
        ended = await alive.ended()
    writer.close()
    await writer.wait_closed()
    theirs.setblocking(False)
    assert theirs.recv(10) == (b"" if strict else b"hello")
    theirs.close()
    assert ended.reason == ("handler_failed" if strict else "completed")
    assert ("TL104 asyncio.streams.write()" in ended.detail) is strict


async def test_blocking_calls_and_clocks_in_strict_mode() -> None:
    """The session fails with TL104 at the handler's line; its replay, which is strict too, fails in the same way."""

    async def desk(session: RealtimeSession) -> None:
        try:
            time.time()
        except HandlerError as error:
            await session.say(error.code)
        open(os.devnull)  # noqa: ASYNC230 -- what must be refused

    async with living(desk, strict=True) as alive:
        ended = await alive.ended()
    line = desk.__code__.co_firstlineno + 5
    assert ended.reason == "handler_failed"
    assert ended.detail.startswith(f"HandlerError: TL104 open() at {__file__}:{line}: ")
    assert [said.command.text for said in alive.of(e.SayRequested)] == ["TL104"]
    assert alive.of(e.SessionStarted)[0].engine_flags & STRICT
    assert replays(alive, desk) == 2


async def test_strict_is_the_engines_choice_unless_declared() -> None:
    """Engine(strict=True) holds every handler to it whose declaration does not say strict=False."""

    async def desk(session: RealtimeSession) -> None:
        time.time()

    reasons = []
    declared: list[dict[str, Any]] = [{}, {"strict": False}, {"strict": True}]
    for options in declared:
        async with living(desk, engine={"strict": True}, **options) as alive:
            reasons.append((await alive.ended()).reason)
    async with living(desk) as alive:
        reasons.append((await alive.ended()).reason)
    assert reasons == ["handler_failed", "completed", "handler_failed", "completed"]


async def test_strict_can_be_asked_of_any_replay() -> None:
    """It is strict as the log says, or as asked."""

    async def desk(session: RealtimeSession) -> None:
        time.time()

    async with living(desk) as alive:
        await alive.ended()
    log = list(alive.store.scan(alive.session.id))
    for strict in (None, False):
        assert replay(log, desk, strict=strict).complete
    with pytest.raises(Divergence, match=r"time\.time\(\)"):
        replay(log, desk, strict=True)


async def for_ever(session: RealtimeSession) -> None:
    """Say something, then never yield again."""
    await session.say("Good evening.")
    while True:
        pass


async def test_one_bad_handler_does_not_silence_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """It is reported by its line and stopped; its session ends in order, the other goes on, and both replay."""
    app = app_of(for_ever)

    @app.session("good", provider="scripted", transport="in_process")
    async def good(session: RealtimeSession) -> None:
        for n in range(5):
            await session.say(f"number {n}")
            await asyncio.sleep(0.05)

    store = MemoryStore()
    async with Engine(app, store=store, providers={"scripted": Speaker()}, limits=QUICK) as engine:
        bad = await engine.start("hotel.desk")
        fine = await engine.start("hotel.good")
        assert (await bad.ended()).detail.startswith("HandlerStuck: TL108 the handler did not yield")
        (failed,) = of_type(store, bad.id, e.HandlerFailed)
        assert failed.type_name == "HandlerStuck"
        fine.end("seen", drain=False)
        await fine.ended()
    assert [said.command.text for said in of_type(store, fine.id, e.SayRequested)][:1] == ["number 0"]
    line = for_ever.__code__.co_firstlineno + 3
    assert f"{__file__}:{line} for_ever" in caplog.text or f"{__file__}:{line + 1} for_ever" in caplog.text
    assert replay(store.scan(bad.id), for_ever).commands == 2
    replay(store.scan(fine.id), good)


async def test_a_handler_that_no_longer_sticks_diverges() -> None:
    """That it did not yield is a command like any other end."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("Good evening.")

    async with living(for_ever, engine={"limits": QUICK}) as alive:
        await alive.ended()
    with pytest.raises(Divergence, match="HandlerStuck"):
        replays(alive, desk)


@pytest.mark.parametrize("finished", [True, False])
async def test_a_task_that_does_not_yield(finished: bool) -> None:
    """A task beside the handler is stopped as well; if the handler has returned already, that stays how it ended."""

    async def desk(session: RealtimeSession) -> None:
        async def sticks() -> None:
            with suppress(Exception):
                while True:
                    pass

        beside = asyncio.create_task(sticks())
        if not finished:
            await beside

    async with living(desk, engine={"limits": QUICK}) as alive:
        ended = await alive.ended()
    assert ended.reason == ("completed" if finished else "handler_failed")
    assert len(alive.of(e.HandlerReturned)) == finished and len(alive.of(e.HandlerFailed)) == (not finished)


async def test_a_handler_that_returns_after_it_was_interrupted() -> None:
    """It has failed all the same: what it does after HandlerStuck is not to be trusted."""

    async def desk(session: RealtimeSession) -> None:
        try:
            await for_ever(session)
        except HandlerError:
            return

    async with living(desk, engine={"limits": QUICK}) as alive:
        assert (await alive.ended()).reason == "handler_failed"
    assert alive.of(e.HandlerReturned) == []


async def test_without_limits_there_is_no_watchdog() -> None:
    """Engine(limits=None) starts no thread, and a handler may take its time."""
    threads: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        threads.extend(thread.name for thread in threading.enumerate())

    async with living(desk, engine={"limits": None}) as alive:
        await alive.ended()
    assert "turnlog watchdog" not in threads
    async with living(desk) as alive:
        await alive.ended()
    assert "turnlog watchdog" in threads
