"""One handler driven by events, with nobody else around."""

import asyncio
from typing import Any

from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import SessionEnded
from turnlog.engine.handlers.handler_run import HandlerRun, words_of
from turnlog.engine.handlers.session import RealtimeSession

STARTED = e.SessionStarted(
    session="s", target="hotel.desk", definition=SessionDefinition(name="desk", provider="scripted", transport="in_process")
)
S = 1_000_000_000


def run_of(handler: Any) -> HandlerRun:
    """A run that begins at second 1."""
    return HandlerRun(handler, STARTED, S)


async def driven(function: Any, *args: Any) -> Any:
    """Call from a callback of the host's loop, as the live loop does."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    loop.call_soon(lambda: done.set_result(function(*args)))
    return await done


def commands(asked: list[Any]) -> list[c.Command]:
    """What was asked for."""
    return [one.issued.command for one in asked]


def test_commands_carry_the_seq_that_woke_them() -> None:
    """Each drain's commands are caused by the event that was delivered; the site is the handler's line."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("One")
        await session.call("two")

    run = run_of(desk)
    (first,) = run.start(1)
    assert (first.cause, first.issued.index, first.issued.command) == (1, 1, c.Say(text="One"))
    assert first.issued.site == c.Site(__file__, desk.__code__.co_firstlineno + 1)
    requested = e.SayRequested(index=1, say="say_1", command=c.Say(text="One"), site=c.Site("", 0))
    (second,) = run.deliver(5, 2 * S, requested)
    assert (second.cause, second.issued.command) == (5, c.Call(target="two"))
    assert any(function.endswith("desk") for _, _, function in run.waits_at())
    run.close()


def test_timers_are_told_and_fired_once() -> None:
    """next_timer names the earliest; its TimerFired wakes the handler; a second one, or after the end, does nothing."""

    async def desk(session: RealtimeSession) -> None:
        await asyncio.sleep(2)
        await asyncio.sleep(3)

    run = run_of(desk)
    assert run.start(1) == []
    assert run.next_timer() == (1, 3 * S)
    assert run.deliver(2, 3 * S + 5, e.TimerFired(timer=1, deadline_ns=3 * S)) == []
    assert run.next_timer() == (2, 6 * S + 5)
    assert run.deliver(3, 4 * S, e.TimerFired(timer=1, deadline_ns=3 * S)) == []
    assert commands(run.deliver(4, 7 * S, e.TimerFired(timer=2, deadline_ns=6 * S + 5))) == [c.Return()]
    assert run.finished
    run.close()


def test_a_finished_handler_has_no_timers_and_stands_nowhere() -> None:
    """What its tasks left behind sleep for ever: after the return only the session's end comes."""

    async def desk(session: RealtimeSession) -> None:
        session.kept = asyncio.create_task(asyncio.sleep(9))  # type: ignore[attr-defined] # keeps it alive

    run = run_of(desk)
    assert commands(run.start(1)) == [c.Return()]
    assert run.next_timer() is None
    assert run.waits_at() == []
    run.close()


def test_commands_of_the_teardown_are_swallowed() -> None:
    """A handler that is closed may still call in its finally blocks; nothing of it is asked."""
    reached: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        try:
            await session.input()
        finally:
            reached.append("finally")
            await session.say("Goodbye")

    run = run_of(desk)
    assert len(run.start(1)) == 1
    run.close()
    assert reached == ["finally"]
    assert run.journal.asking.issued == []
    assert not run.finished


def test_a_say_after_the_end_is_refused() -> None:
    """Once CallersGone, SessionEnding or SessionEnded was delivered, say raises SessionEnded."""
    for end in (e.CallersGone(), e.SessionEnding(reason="x"), e.SessionEnded(reason="x")):

        async def desk(session: RealtimeSession) -> None:
            try:
                await session.input()
            except SessionEnded:
                await session.say("Still there?")

        run = run_of(desk)
        run.start(1)
        assert commands(run.deliver(2, 2 * S, end)) == [c.Return()]
        run.close()


def test_a_failure_carries_its_place() -> None:
    """Fail holds the type and the words; the site is where it was raised; a raised class without words has none."""

    async def desk(session: RealtimeSession) -> None:
        raise KeyError

    run = run_of(desk)
    (asked,) = run.start(1)
    assert c.compared(asked.issued.command) == c.compared(c.Fail(type_name="KeyError", message=""))
    assert asked.issued.site == c.Site(__file__, desk.__code__.co_firstlineno + 1)
    assert isinstance(run.failure, KeyError)
    run.close()


def test_a_handler_may_be_any_callable() -> None:
    """A handler without a code object, as a method of a C extension would be, returns like others."""

    class Desk:
        async def __call__(self, session: RealtimeSession) -> None:
            return None

    run = run_of(Desk())
    (asked,) = run.start(1)
    assert (asked.issued.command, asked.issued.site) == (c.Return(), c.Site("", 0))
    run.close()


def test_words_of_any_error_can_be_stored() -> None:
    """Half characters are escaped, and an error that cannot be printed has words all the same."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert words_of(ValueError("a \udcff b")) == "a \\udcff b"
    assert words_of(Mute()) == "(its message cannot be read)"


async def test_it_runs_inside_a_host_loop() -> None:
    """Driven from a callback of a running loop, the handler's loop is the running one for its code, the host's after it."""
    host = asyncio.get_running_loop()
    seen: list[bool] = []

    async def desk(session: RealtimeSession) -> None:
        seen.append(asyncio.get_running_loop() is not host)

    run = run_of(desk)
    assert commands(await driven(run.start, 1)) == [c.Return()]
    assert seen == [True]
    assert asyncio.get_running_loop() is host
    await driven(run.close)
