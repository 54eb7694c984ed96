"""What a changed handler does on a recorded session's input."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.engine.living import Speaker, app_of, living
from tests.engine.test_replay import PROGRAMS, _live, program
from turnlog.core import events as e
from turnlog.core.errors import StepError, StoreError
from turnlog.core.ports import Recorded
from turnlog.engine.handlers.handles import SayOutcome
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay
from turnlog.engine.offline.what_if import what_if
from turnlog.testing import Faults, Kit

Handler = Callable[[RealtimeSession], Awaitable[None]]


async def find(name: str) -> dict[str, str]:
    """A tool."""
    return {"name": name.title()}


async def desk(session: RealtimeSession) -> None:
    """The recorded handler."""
    await session.say("Hello")
    turn = await session.input()
    guest = await session.call("find", name=turn.text)
    handle = await session.say(f"Welcome, {guest['name']}")
    await handle.settled()
    await session.input()
    await session.say("Good bye")


async def record(handler: Handler = desk) -> list[Recorded]:
    """The log of a session with two typed turns."""
    async with living(handler, tools={"find": find}, provider=Speaker(ms=4)) as alive:
        alive.caller.type("ann")
        await alive.caller.until("response.done", 2)
        alive.caller.type("no, thanks")
        await alive.ended()
    return list(alive.store.scan(alive.session.id))


async def changes(now: Handler, **options: Any) -> tuple[list[tuple[str, str, str]], str]:
    """(status, recorded, now) of each row, and why the run stopped."""
    found = what_if(await record(), now, **options)
    rows = [(str(row.status), row.recorded.text if row.recorded else "", row.now.text if row.now else "") for row in found.rows]
    return rows, found.stopped


async def test_the_same_handler_asks_for_the_same() -> None:
    """Every row is equal, and the run goes to the end of the record."""
    log = await record()
    found = what_if(log, desk)
    assert [row.status for row in found.rows] == ["equal"] * 7
    assert (found.stopped, found.seq, found.session) == ("", log[-1].seq, found.session)
    assert [row.recorded for row in found.rows[:-1]] == [row.now for row in found.rows[:-1]]  # where it returned is not recorded


async def test_the_handler_sees_its_conversation_once() -> None:
    """Its outbox and conversation are what they are in a replay."""
    seen: list[list[str]] = []

    async def now(session: RealtimeSession) -> None:
        await desk(session)
        seen.append([one["text"] for one in session.outbox])
        seen.append([line.text for line in session.conversation])

    log = await record()
    replay(log, now)
    what_if(log, now)
    assert seen[0] == ["Hello", "Welcome, Ann", "Good bye"]
    assert seen[:2] == seen[2:]


async def test_other_words_change_one_row() -> None:
    """A say with other words is a change; what follows it is given the recorded input and answers."""

    async def now(session: RealtimeSession) -> None:
        await session.say("Good evening")
        guest = await session.call("find", name=(await session.input()).text)
        handle = await session.say(f"Welcome, {guest['name']}")
        assert (await handle.settled()).heard_text == "Welcome, Ann"
        assert (await session.input()).text == "no, thanks"
        await session.say("Good bye")

    rows, stopped = await changes(now)
    assert stopped == ""
    assert rows[0] == ("changed", 'say("Hello")', 'say("Good evening")')
    assert [status for status, _, _ in rows] == ["changed", *["equal"] * 6]
    assert what_if(await record(), now).rows[0].difference == 'text: "Hello" was recorded, now "Good evening"'


async def test_a_say_that_was_not_recorded_counts_as_played() -> None:
    """It ends as played, after the time its words take; what was asked for besides is added."""
    outcomes: list[SayOutcome] = []
    took: list[float] = []

    async def now(session: RealtimeSession) -> None:
        await session.say("Hello")
        handle = await session.say("How can I help you?")
        began = session.now()
        outcomes.append(await handle.settled())
        took.append(round((session.now() - began).total_seconds(), 3))
        await session.input()

    rows, _ = await changes(now)
    assert rows[:3] == [
        ("equal", 'say("Hello")', 'say("Hello")'),
        ("added", "", 'say("How can I help you?")'),
        ("equal", "input()", "input()"),
    ]
    assert (outcomes[0].status, outcomes[0].heard_text, outcomes[0].heard_ms) == ("played", "How can I help you?", 19 * 65)
    assert took == [19 * 0.065]


async def test_a_call_without_a_recorded_answer_stops_the_run() -> None:
    """Its name and line are told, with what was asked for in its place."""

    async def now(session: RealtimeSession) -> None:
        await session.say("Hello")
        await session.input()
        await session.call("find", name="bob")

    rows, stopped = await changes(now)
    line = now.__code__.co_firstlineno + 3
    assert stopped == f'the record has no answer to call("find", name="bob"), asked for at test_what_if.py:{line}'
    assert rows[-1] == ("changed", 'call("find", name="ann")', 'call("find", name="bob")')


async def test_a_call_without_a_recorded_answer_may_fail() -> None:
    """unanswered="fail" gives the handler a StepError NotRecorded, and goes on."""
    failures = []

    async def now(session: RealtimeSession) -> None:
        await session.input()
        for ask in (session.call("find", name="bob"), session.step(len, "x")):
            try:
                await ask
            except StepError as error:
                failures.append(error.type_name)
        try:
            async for _ in session.stream(iter, "x"):
                pass
        except StepError as error:
            failures.append(error.type_name)

    _, stopped = await changes(now, unanswered="fail")
    assert (failures, stopped) == (["NotRecorded"] * 3, "")


async def test_an_answer_is_found_where_the_call_moved_to() -> None:
    """A call that is asked for earlier than it was still gets its recorded answer."""
    names = []

    async def now(session: RealtimeSession) -> None:
        names.append((await session.call("find", name="ann"))["name"])
        await session.say("Hello")
        await session.input()

    rows, _ = await changes(now)
    assert names == ["Ann"]
    assert ("added", "", 'call("find", name="ann")') in rows


async def test_an_earlier_end_ends_the_run() -> None:
    """The handler returns after its first turn: the says it owes are settled, and what the record has besides is missing."""

    async def now(session: RealtimeSession) -> None:
        await session.say("Hello")
        await session.input()
        await session.end("closed")

    rows, stopped = await changes(now)
    assert stopped == ""
    assert [status for status, _, _ in rows[:2]] == ["equal", "equal"]
    assert 'end("closed")' in [today for _, _, today in rows]


async def test_the_record_may_end_before_the_handler() -> None:
    """Where the handler wants more input than there was, the run stops at the record's end and says where it waits."""

    async def now(session: RealtimeSession) -> None:
        await desk(session)
        await session.input()
        await session.say("Are you still there?")

    rows, stopped = await changes(now)
    line = now.__code__.co_firstlineno + 2
    assert stopped.endswith(f"and the handler goes on: it waits at test_what_if.py:{line}")
    assert rows[-1] == ("changed", "return", "input()")


async def test_timers_of_its_own_fire_by_the_clock_of_the_record() -> None:
    """A timer the record does not know fires at its time, before what the record has later."""
    seen = []

    async def now(session: RealtimeSession) -> None:
        await session.say("Hello")
        try:
            await session.input(timeout=1e-9)
        except TimeoutError:
            seen.append("timeout")
        seen.append((await session.input()).text)

    rows, _ = await changes(now)
    assert seen == ["timeout", "ann"]
    assert [today for _, _, today in rows[1:4]] == ["input(timeout=1e-09)", "(cancelled #2)", "input()"]


async def test_timers_that_never_end_stop_the_run() -> None:
    """A handler that sleeps for ever shorter times is stopped by name."""

    async def now(session: RealtimeSession) -> None:
        for _ in iter(int, 1):
            await asyncio.sleep(1e-12)

    _, stopped = await changes(now)
    assert stopped.startswith("the handler's timers never end: it waits at test_what_if.py:")


async def test_what_cannot_be_replayed_is_refused() -> None:
    """A log without its beginning, or with an erased turn, is refused as in a replay."""
    log = await record()
    at = next(n for n, one in enumerate(log) if one.type == "TurnEnded")
    for broken, code in ((log[1:], "TL407"), ([], "TL407"), ([*log[:at], log[at]._replace(data=None)], "TL411")):
        with pytest.raises(StoreError) as raised:
            what_if(broken, desk)
        assert raised.value.code == code


async def test_a_log_that_was_cut_runs_as_far_as_it_goes() -> None:
    """Any prefix of a record is all equal, as far as it goes."""
    log = await record()
    for length in range(1, len(log), 3):
        found = what_if(log[:length], desk)
        assert {row.status for row in found.rows if row.recorded} <= {"equal"}, length


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(node=PROGRAMS, delays=st.lists(st.integers(0, 4), min_size=1, max_size=8), hang_up=st.booleans())
@example(node=("first", ["say", ("first", ["impatient"])]), delays=[0], hang_up=False)  # a timer that outlives the handler
def test_any_unchanged_handler_asks_for_the_same(node: Any, delays: list[int], hang_up: bool) -> None:
    """Programs of says, calls, inputs, sleeps, groups and timeouts: no row differs from the record."""
    log, handler = asyncio.run(_live(node, delays, hang_up))
    found = what_if(log, handler)
    assert [row for row in found.rows if row.status != "equal"] == []
    assert found.stopped == ""


def test_what_was_asked_for_comes_before_a_timer_that_was_late() -> None:
    """The disk is slow: both timers are overdue when the first commands are entered, which take them back, as in the record."""
    handler = program(("gather", [("first", ["impatient", "say"]), ("timeout", ["nap", "say"])]))
    slow = Faults(1, slow_commit=1.0, slowest_ms=40)
    app = app_of(handler, {"find": find})
    log = Kit(0).run(app, "hotel.desk", lambda call: call.ended(), faults=slow).log
    found = what_if(log, handler)
    assert ({row.status for row in found.rows}, found.stopped) == ({"equal"}, "")


async def test_an_update_that_was_not_recorded_is_applied() -> None:
    """Nobody can refuse it offline."""
    applied = []

    async def now(session: RealtimeSession) -> None:
        await session.say("Hello")
        await session.update(instructions="Be brief")
        applied.append(True)
        await session.input()

    rows, _ = await changes(now)
    assert applied == [True] and rows[1] == ("added", "", 'update(instructions="Be brief")')


@pytest.mark.parametrize("way", ["raise", "end"])
async def test_an_end_without_a_drain_cancels_what_is_owed(way: str) -> None:
    """A handler that raises, or ends at once: its open says count as cancelled."""
    outcomes: list[SayOutcome] = []

    async def now(session: RealtimeSession) -> None:
        handle = await session.say("Please wait")
        if way == "raise":
            raise ValueError("broken")
        await session.end("closed", drain=False)
        outcomes.append(await handle.settled())

    rows, stopped = await changes(now)
    assert stopped == "" and rows[0][0] == "changed"
    assert [one.status for one in outcomes] == ([] if way == "raise" else ["cancelled"])


async def test_nobody_hears_what_is_said_after_the_caller_has_gone() -> None:
    """A say that the record does not know fails as caller_gone."""
    outcomes: list[SayOutcome] = []

    async def listens(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass
        await session.call("find", name="ann")

    async def now(session: RealtimeSession) -> None:
        handle = await session.say("a very long story " * 1000)
        async for _ in session.turns():
            pass
        outcomes.append(await handle.settled())

    async with living(listens, tools={"find": find}) as alive:
        await alive.until(e.LinkReady)
        await alive.caller.hang_up()
        await alive.ended()
    what_if(list(alive.store.scan(alive.session.id)), now)
    assert [(one.status, one.code) for one in outcomes] == [("failed", "caller_gone")]
