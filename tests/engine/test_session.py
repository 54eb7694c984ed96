"""What a handler may rely on, and what it is refused."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.engine.living import Living, Speaker, living
from turnlog.core import events as e
from turnlog.core.errors import HandlerError, SessionEnded, StepError
from turnlog.core.turn import SessionTurn
from turnlog.engine.handlers.handles import SayOutcome
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay


def replays(alive: Living, handler: Callable[..., Any]) -> int:
    """Replay the session and every prefix of it; the number of commands."""
    events = list(alive.store.scan(alive.session.id))
    for until in range(1, len(events)):
        replay(events, handler, until=until)
    return replay(events, handler).commands


async def test_a_session_tells_who_it_is() -> None:
    """session_id, definition and metadata are the session's, the metadata as the log holds it: tuples are lists."""
    seen: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        seen.append((session.session_id, session.definition.name, session.metadata))

    given = {"room": (1, 2)}
    async with living(desk, metadata=given) as alive:
        await alive.ended()
    given["room"] = (9, 9)
    assert seen == [(alive.session.id, "desk", {"room": [1, 2]})]
    assert alive.session.target == "hotel.desk"
    assert alive.session.definition.name == "desk"


async def test_a_say_is_heard_and_settles() -> None:
    """say returns a handle once durable; settled() tells what the caller had of it, and outcome keeps it."""
    outcomes: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say("Good evening", metadata={"mood": "calm"})
        outcomes.append((handle.id, handle.text, handle.outcome))
        outcomes.append(await handle.settled())
        outcomes.append(handle.outcome)

    async with living(desk, provider=Speaker(ms=40)) as alive:
        await alive.ended()
    heard = SayOutcome(
        status="played", heard_ms=40, heard_text="Good evening", code="", generated_ms=40, source="clock", error_ms=300
    )
    assert outcomes == [("say_1", "Good evening", None), heard, heard]
    assert alive.of(e.SayRequested)[0].command.metadata == {"mood": "calm"}
    assert alive.provider.spoken == ["Good evening"]
    assert replays(alive, desk) == 2


async def test_turns_come_as_typed_and_as_spoken() -> None:
    """A typed turn has text and channel text; a spoken one its transcript, its times and the status of its words."""
    turns: list[SessionTurn] = []

    async def desk(session: RealtimeSession) -> None:
        async for turn in session.turns():
            turns.append(turn)
            if turn.channel == "audio":
                break

    async with living(desk) as alive:
        await alive.until(e.LinkReady)
        alive.caller.type("hello")
        await alive.until(e.TurnEnded)
        alive.provider.hear(" hi there ", "item_a")
        await alive.ended()
    typed, spoken = turns
    assert (typed.text, typed.transcript, typed.channel) == ("hello", None, "text")
    assert (spoken.text, spoken.transcript, spoken.channel) == ("hi there", " hi there ", "audio")
    assert spoken.metadata["item"] == "item_a"
    assert (spoken.metadata["start_ms"], spoken.metadata["end_ms"]) == (100, 600)
    assert spoken.metadata["transcript_status"] == "completed"
    assert replays(alive, desk) == 3


async def test_commands_take_their_place_at_the_call() -> None:
    """Two calls made before the first is awaited run side by side, in the order of the calls, whichever returns first."""
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "slow"

    async def quick() -> str:
        go.set()
        return "quick"

    results: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        first, second = session.call("slow"), session.call("quick")
        results.extend([await first, await second])

    async with living(desk, tools={"slow": slow, "quick": quick}) as alive:
        await alive.ended()
    assert results == ["slow", "quick"]
    assert [(one.index, one.command.target) for one in alive.of(e.CallRequested)] == [(1, "slow"), (2, "quick")]
    assert [one.index for one in alive.of(e.CallCompleted)] == [2, 1]
    assert replays(alive, desk) == 3


async def test_a_completion_waits_for_its_reader() -> None:
    """A call that completes long before it is awaited is not lost."""

    async def now() -> int:
        return 7

    results: list[int] = []

    async def desk(session: RealtimeSession) -> None:
        asked = session.call("now")
        await session.input()
        results.append(await asked)

    async with living(desk, tools={"now": now}) as alive:
        await alive.until(e.CallCompleted)
        alive.caller.type("go on")
        await alive.ended()
    assert results == [7]
    assert replays(alive, desk) == 3


async def test_results_are_values_from_the_log() -> None:
    """What call returns is decoded from the log, live too: never the tool's own object."""
    made: list[Any] = []
    given: list[Any] = []

    async def find() -> dict[str, Any]:
        made.append({"names": ("Ann", "Bo"), "at": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"\x00"})
        result: dict[str, Any] = made[0]
        return result

    async def desk(session: RealtimeSession) -> None:
        given.append(await session.call("find"))

    async with living(desk, tools={"find": find}) as alive:
        await alive.ended()
    assert given == [{"names": ["Ann", "Bo"], "at": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"\x00"}]
    assert replays(alive, desk) == 2
    assert given[1:] == [given[0]] * (len(given) - 1)
    assert given[0] is not made[0]


async def test_a_tool_that_raises_fails_the_call() -> None:
    """The handler gets a StepError with the type and the words of what the tool raised, in replay too."""
    caught: list[tuple[str, str]] = []

    async def broken() -> None:
        raise LookupError("no room \udcff")

    async def desk(session: RealtimeSession) -> None:
        for target in ("broken", "absent"):
            try:
                await session.call(target)
            except StepError as error:
                caught.append((error.type_name, error.detail))

    async with living(desk, tools={"broken": broken}) as alive:
        await alive.ended()
    live = [("LookupError", "no room \\udcff"), ("LookupError", "no tool 'absent'; there are: broken")]
    assert caught == live
    caught.clear()
    events = list(alive.store.scan(alive.session.id))
    replay(events, desk)
    assert caught == live


@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda session: session.say(""), "nothing to say"),
        (lambda session: session.say("  "), "nothing to say"),
        (lambda session: session.say(b"x"), "nothing to say"),
        (lambda session: session.say("half \ud800"), "surrogate"),
        (lambda session: session.say("x", metadata=["a"]), "no dict"),
        (lambda session: session.say("x", metadata={"who": {1}}), "say(metadata).who is set"),
        (lambda session: session.call("find", {"a": [1, object()]}), "call('find') args[0].a[1] is object"),
        (lambda session: session.call("find", guest=2**64), "call('find').guest"),
        (lambda session: session.call(print), "called by its name"),
        (lambda session: session.end(4), "no string"),
        (lambda session: session.end("\ud800"), "surrogate"),
        (lambda session: session.signal(5), "signal: 5 is no string"),
        (lambda session: session.signal("\ud800"), "surrogate"),
        (lambda session: session.patched(5), "patched: 5 is no string"),
        (lambda session: session.patched("\ud800"), "surrogate"),
        (lambda session: session.update(instructions=5), "update(instructions): 5 is no string"),
        (lambda session: session.update(voice=3), "update(voice): 3 is no string"),
        (lambda session: session.update(tools="find"), "no list of names"),
        (lambda session: session.update(tools=[1]), "no list of names"),
    ],
)
async def test_what_cannot_be_stored_is_refused_at_the_call(ask: Callable[[RealtimeSession], Any], named: str) -> None:
    """TL105 names what is wrong, no command is issued, and the session goes on."""
    refused: list[HandlerError] = []

    async def desk(session: RealtimeSession) -> None:
        try:
            ask(session)
        except HandlerError as error:
            refused.append(error)
        await session.say("Never mind")

    async with living(desk) as alive:
        await alive.ended()
    assert [error.code for error in refused] == ["TL105"]
    assert named in refused[0].message
    assert [say.index for say in alive.of(e.SayRequested)] == [1]


@pytest.mark.parametrize("limit_s", [0, -1.0, float("nan"), float("inf"), 10**400, "3", True])
async def test_input_needs_a_positive_timeout(limit_s: Any) -> None:
    """A timeout that is no positive number is a ValueError at the call."""
    raised: list[ValueError] = []

    async def desk(session: RealtimeSession) -> None:
        try:
            await session.input(timeout=limit_s)
        except ValueError as error:
            raised.append(error)

    async with living(desk) as alive:
        await alive.ended()
    assert "timeout" in str(raised[0])
    assert not alive.of(e.InputRequested)


async def test_an_input_that_times_out_loses_no_turn() -> None:
    """input(timeout=) raises TimeoutError and is abandoned in the log; the turn that comes later goes to the next input."""
    heard: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        try:
            await session.input(timeout=0.02)
        except TimeoutError:
            heard.append("(timeout)")
        heard.append((await session.input()).text)

    async with living(desk) as alive:
        await alive.until(e.TimerFired)
        alive.caller.type("late")
        await alive.ended()
    assert heard == ["(timeout)", "late"]
    assert [one.command for one in alive.of(e.CommandAbandoned)] == [1]
    fired = alive.of(e.TimerFired)
    assert len(fired) == 1
    at_ns = next(one.at_ns for one in alive.store.scan(alive.session.id) if one.type == "TimerFired")
    assert at_ns >= fired[0].deadline_ns
    assert replays(alive, desk) == 4


async def test_a_cancelled_input_loses_nothing() -> None:
    """Cancelling an input logs CommandAbandoned; the next turn goes to whoever asks next."""
    heard: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        waiting = asyncio.create_task(session.input())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        heard.append((await session.input()).text)

    async with living(desk) as alive:
        alive.caller.type("first")
        await alive.ended()
    assert heard == ["first"]
    assert [one.command for one in alive.of(e.CommandAbandoned)] == [1]
    assert replays(alive, desk) == 4


async def test_an_abandoned_call_is_recorded_and_ignored() -> None:
    """A call whose await was cancelled still completes in the log, and nobody hears of it."""
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "late"

    async def desk(session: RealtimeSession) -> str:
        try:
            async with asyncio.timeout(0.01):
                await session.call("slow")
        except TimeoutError:
            return (await session.input()).text
        return "not reached"

    async with living(desk, tools={"slow": slow}) as alive:
        await alive.until(e.CommandAbandoned)
        go.set()
        await alive.until(e.CallCompleted)
        alive.caller.type("bye")
        await alive.ended()
    assert replays(alive, desk) == 4


async def test_inputs_that_wait_get_turns_in_order() -> None:
    """Two inputs waiting at once: the first that asked gets the first turn."""
    heard: list[tuple[str, str]] = []

    async def desk(session: RealtimeSession) -> None:
        async def ask(name: str) -> None:
            heard.append((name, (await session.input()).text))

        async with asyncio.TaskGroup() as group:
            group.create_task(ask("a"))
            group.create_task(ask("b"))

    async with living(desk) as alive:
        await alive.until(e.InputRequested, 2)
        alive.caller.type("one")
        await alive.until(e.TurnEnded, 1)
        alive.provider.hear("two", "item_2")
        await alive.ended()
    assert heard == [("a", "one"), ("b", "two")]
    assert replays(alive, desk) == 3


async def test_the_caller_has_gone() -> None:
    """turns() ends, input() and say() raise SessionEnded, calls still work; the session ends as caller_gone."""
    seen: list[Any] = []

    async def note() -> str:
        return "noted"

    async def desk(session: RealtimeSession) -> None:
        seen.extend([turn.text async for turn in session.turns()])
        for ask in (session.input, lambda: session.say("Hello?"), session.end):
            try:
                await ask()
            except SessionEnded as error:
                seen.append(error.code)
        seen.append(await session.call("note"))

    async with living(desk, tools={"note": note}) as alive:
        alive.caller.type("wait")
        await alive.until(e.TurnEnded)
        await alive.caller.hang_up()
        ended = await alive.ended()
    assert seen == ["wait", "TL102", "TL102", "TL102", "noted"]
    assert ended.reason == "caller_gone"
    assert not alive.of(e.SayRequested)
    assert replays(alive, desk) == 5


async def test_turns_that_came_before_the_end_are_still_read() -> None:
    """A turn that waits in the queue when the caller hangs up is read before turns() ends."""
    seen: list[str] = []
    go = asyncio.Event()

    async def hold() -> None:
        await go.wait()

    async def desk(session: RealtimeSession) -> None:
        await session.call("hold")
        seen.extend([turn.text async for turn in session.turns()])

    async with living(desk, tools={"hold": hold}) as alive:
        alive.caller.type("last words")
        await alive.until(e.TurnEnded)
        await alive.caller.hang_up()
        await alive.until(e.CallersGone)
        go.set()
        await alive.ended()
    assert seen == ["last words"]
    assert replays(alive, desk) == 4


@pytest.mark.parametrize("in_a_group", [False, True])
async def test_an_escaping_end_is_a_normal_end(in_a_group: bool) -> None:
    """SessionEnded may leave the handler, alone or out of a TaskGroup: that is a return, no failure."""

    async def desk(session: RealtimeSession) -> None:
        if not in_a_group:
            await session.input()
        async with asyncio.TaskGroup() as group:
            group.create_task(session.input())
            group.create_task(session.input())

    async with living(desk) as alive:
        await alive.until(e.InputRequested)
        await alive.caller.hang_up()
        ended = await alive.ended()
    assert ended.reason == "caller_gone"
    assert len(alive.of(e.HandlerReturned)) == 1
    assert not alive.of(e.HandlerFailed)
    replays(alive, desk)


async def test_end_drains_what_is_queued() -> None:
    """end(reason) speaks the queued says first and ends with that reason, in order for the caller."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("One")
        await session.say("Two")
        await session.end("booked")

    async with living(desk) as alive:
        ended = await alive.ended()
        closed = await alive.caller.until_closed()
    assert ended.reason == "booked"
    assert alive.provider.spoken == ["One", "Two"]
    assert [one.status for one in alive.of(e.SaySettled)] == ["played", "played"]
    assert (closed.close_code, closed.reason) == (1000, "booked")
    assert replays(alive, desk) == 4


async def test_end_without_drain_cancels_what_is_queued() -> None:
    """end(drain=False) settles the queued says as cancelled."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("One")
        await session.say("Two")
        await session.end("enough", drain=False)

    provider = Speaker()
    provider.may_answer.clear()
    async with living(desk, provider=provider, callers=0) as alive:
        await alive.ended()
        provider.may_answer.set()
    assert [(one.say, one.status, one.code) for one in alive.of(e.SaySettled)] == [
        ("say_1", "cancelled", "enough"),
        ("say_2", "cancelled", "enough"),
    ]
    assert replays(alive, desk) == 4


async def test_what_the_handler_does_on_the_last_settlement_is_in_the_log() -> None:
    """A say that is settled by the session's end wakes the handler; what it asks for then stands before SessionEnded."""

    async def note(status: str) -> None:
        return None

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say("One moment")
        outcome = await handle.settled()
        await session.call("note", outcome.status)

    async with living(desk, tools={"note": note}, callers=0) as alive:
        await alive.until(e.SayRequested)
        alive.session.end("enough", drain=False)
        await alive.ended()
    assert alive.of(e.CallRequested)[0].command.args == ["cancelled"]
    assert isinstance(alive.story[-1], e.SessionEnded)
    replays(alive, desk)


async def test_a_call_that_is_open_at_the_end_raises() -> None:
    """When the session ends before the tool does, call raises SessionEnded; the tool is cancelled and logs nothing more."""
    stopped = asyncio.Event()
    raised: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def desk(session: RealtimeSession) -> None:
        try:
            await session.call("endless")
        except SessionEnded as error:
            raised.append(error.message)
            raise

    async with living(desk, tools={"endless": endless}) as alive:
        await alive.until(e.CallRequested)
        alive.session.end("closing time")
        await alive.ended()
    assert stopped.is_set()
    assert raised == ["the session has ended (closing time)"]
    assert isinstance(alive.story[-1], e.SessionEnded)
    assert not alive.of(e.CallCompleted) and not alive.of(e.CallFailed)
    replays(alive, desk)
