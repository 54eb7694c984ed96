"""Tests for engine/handlers/host_run.py: handlers declared with replay=False, live, with everyone around them."""

import asyncio
import os
import threading
from typing import Any

import pytest

from tests.engine.living import Ledger, living
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.definition import define_session
from turnlog.core.errors import DefinitionError, HandlerError, SessionEnded, StepError, StoreError
from turnlog.engine.app import App
from turnlog.engine.handlers.handler_run import Asked
from turnlog.engine.handlers.host_run import HostRun
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay

STARTED = e.SessionStarted(
    session="sess_1", target="hotel.desk", definition=define_session("desk", provider="scripted", transport="in_process")
)


async def find(name: str) -> dict[str, str]:
    """A tool."""
    if name == "nobody":
        raise LookupError(name)
    return {"room": f"room of {name}"}


async def test_it_may_do_what_no_handler_may() -> None:
    """Threads, files, timers and streams of the host's loop: everything is logged, nothing is replayable, and the log says so."""
    heard: list[object] = []

    async def desk(session: RealtimeSession) -> None:
        where = await asyncio.to_thread(threading.get_ident)
        heard.append(where != threading.get_ident())
        with open(os.devnull) as devnull:  # noqa: ASYNC230 -- it may
            heard.append(devnull.read())
        await asyncio.sleep(0.001)
        say = await session.say("Good evening.")
        async for turn in session.turns():
            heard.append(turn.text)
            heard.append(await session.call("find", name=turn.text))
            with pytest.raises(StepError, match="nobody"):
                await session.call("find", name="nobody")
            heard.append(await session.step(os.path.basename, "/a/b"))
            break
        heard.append((await say.settled()).status)
        heard.append(session.now().year)
        await session.end("done")

    async with living(desk, tools={"find": find}, replay=False) as alive:
        await alive.until(e.SaySettled)
        alive.caller.type("Ann")
        ended = await alive.ended()
    year = heard.pop()
    assert heard == [True, "", "Ann", {"room": "room of Ann"}, "b", "played"] and isinstance(year, int) and year >= 2025
    assert ended.reason == "done"
    started = alive.of(e.SessionStarted)[0]
    assert not started.replayable and alive.of(e.TimerFired) == []
    assert len(alive.of(e.CallRequested)) == 2 and len(alive.of(e.HandlerReturned)) <= 1
    with pytest.raises(StoreError, match="replay=False") as refused:
        replay(alive.store.scan(alive.session.id), desk)
    assert refused.value.code == "TL109"


async def test_an_error_fails_the_session() -> None:
    """As on a loop of its own: HandlerFailed with type and message."""

    async def desk(session: RealtimeSession) -> None:
        await asyncio.sleep(0)
        raise ValueError("no such room")

    async with living(desk, replay=False) as alive:
        ended = await alive.ended()
    assert (ended.reason, ended.detail) == ("handler_failed", "ValueError: no such room")
    (failed,) = alive.of(e.HandlerFailed)
    assert failed.type_name == "ValueError"


async def test_a_cancellation_of_its_own_fails_it_too() -> None:
    """A CancelledError that nobody asked the handler's task for is the handler's error."""

    async def desk(session: RealtimeSession) -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    async with living(desk, replay=False) as alive:
        assert (await alive.ended()).detail.startswith("CancelledError")


async def test_returning_is_a_normal_end() -> None:
    """After the queued says."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("Goodbye.")

    async with living(desk, replay=False) as alive:
        assert (await alive.ended()).reason == "completed"
    assert alive.of(e.SaySettled)[0].status == "played"


async def test_it_is_told_the_end_before_it_is_cancelled() -> None:
    """Whoever waits for the session learns that it ended; whoever waits for something else is cancelled."""
    seen: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        async def reads() -> None:
            with pytest.raises(SessionEnded):
                await session.input()
            seen.append("told")

        reading = asyncio.create_task(reads())
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            with pytest.raises(SessionEnded):
                await session.say("too late")
            raise
        finally:
            await reading

    async with living(desk, replay=False) as alive:
        await asyncio.sleep(0)
        alive.session.end("enough", drain=False)
        assert (await alive.ended()).reason == "enough"
    assert seen == ["told", "cancelled"]


async def test_one_that_does_not_end_is_left(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some patience the session ends without its handler, and says so."""
    monkeypatch.setattr("turnlog.engine.live._PATIENCE_S", 0.05)
    may_end = asyncio.Event()

    async def desk(session: RealtimeSession) -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    async with living(desk, replay=False) as alive:
        alive.session.end("enough", drain=False)
        assert (await alive.ended()).reason == "enough"
    assert "its handler does not end" in caplog.text
    may_end.set()
    await asyncio.sleep(0.01)


async def test_a_session_belongs_to_one_loop() -> None:
    """From a thread it is refused, naming the way back."""
    refused: list[HandlerError] = []
    held: list[object] = []

    async def desk(session: RealtimeSession) -> None:
        def beside() -> None:
            with pytest.raises(HandlerError) as error:
                held.append(session.say("from a thread"))
            refused.append(error.value)

        await asyncio.to_thread(beside)

    async with living(desk, replay=False) as alive:
        await alive.ended()
    (error,) = refused
    assert error.code == "TL104" and "run_coroutine_threadsafe" in error.hint
    assert alive.of(e.SayRequested) == []


async def test_strict_is_of_no_use_to_it() -> None:
    """strict=True with replay=False is refused at the declaration, and an engine's strict=True is not meant for it."""
    app = App("hotel")

    async def desk(session: RealtimeSession) -> None:
        os.urandom(2)

    with pytest.raises(DefinitionError) as refused:
        app.session("desk", provider="scripted", transport="in_process", strict=True, replay=False)(desk)
    assert (refused.value.code, refused.value.field) == ("TL201", "strict")
    async with living(desk, replay=False, engine={"strict": True}) as alive:
        assert (await alive.ended()).reason == "completed"
    assert alive.of(e.SessionStarted)[0].engine_flags == 1


async def test_the_same_face_as_a_run_on_a_loop_of_its_own() -> None:
    """start, observe, deliver, next_timer, waits_at and close, driven by hand; commands go to `put` with their cause."""
    put: list[Asked] = []
    results: list[Any] = []
    held: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        first = asyncio.ensure_future(session.call("find", name="Ann"))
        results.append(await session.call("find", name="Bob"))
        first.cancel()
        await asyncio.wait([first])
        held.append(session.say("never awaited"))

    run = HostRun(desk, STARTED, 7)
    run.connect(put.append)
    assert run.start(1) == [] and run.next_timer() is None and run.loop.now_ns == 7
    await asyncio.sleep(0)
    assert [(one.issued.index, one.cause) for one in put] == [(1, 1), (2, 1)]
    assert run.waits_at()[-1][2].endswith("_completed")
    by_name = {one.issued.command.kwargs["name"]: one.issued.index for one in put if isinstance(one.issued.command, c.Call)}
    done = e.CallCompleted(index=by_name["Bob"], result=b"\x01")
    run.observe(5, 9, done)
    assert run.deliver(5, 9, done) == []
    assert run.deliver(6, 9, done) == []  # a second time settles nothing
    await run.stop(1)
    assert results == [1] and run.finished and run.waits_at() == [] and run.failure is None
    kinds = [type(one.issued.command) for one in put[2:]]
    assert kinds == [c.Abandon, c.Say, c.Return] and put[-1].cause == 6
    run.close()
    assert run.journal.issue(c.Return()) == 0
    future = run.loop.create_future()
    assert run.loop.settle(future, 3) and not run.loop.settle(future, 4)


async def test_the_log_can_be_read_while_it_runs() -> None:
    """Each command is in the log before the handler goes on."""
    store = Ledger()
    counts: list[int] = []

    async def desk(session: RealtimeSession) -> None:
        for _ in range(3):
            await session.say("one")
            counts.append(len([one for one in store.scan(session.session_id) if one.type == "SayRequested"]))

    async with living(desk, store=store, replay=False) as alive:
        await alive.ended()
    assert counts == [1, 2, 3]
