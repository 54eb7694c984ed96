"""Replay compares what a handler asks for today with the log, and touches nothing else."""

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.living import Living, Speaker, app_of, living
from turnlog.core import events as e
from turnlog.core.codec import decode, encode
from turnlog.core.errors import Divergence, SessionEnded, StepError, StoreError
from turnlog.core.ports import Recorded
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay

Handler = Callable[[RealtimeSession], Awaitable[None]]


async def find(name: str) -> dict[str, str]:
    """A tool."""
    return {"name": name.title()}


async def desk(session: RealtimeSession) -> None:
    """The handler that is recorded."""
    await session.say("Hello")
    turn = await session.input()
    guest = await session.call("find", name=turn.text)
    await session.say(f"Welcome, {guest['name']}")


async def record(handler: Handler = desk) -> list[Recorded]:
    """The log of a session with one typed turn."""
    async with living(handler, tools={"find": find}) as alive:
        alive.caller.type("ann")
        await alive.ended()
    return list(alive.store.scan(alive.session.id))


async def test_the_same_handler_is_identical() -> None:
    """The whole log replays, and says how much it was; so does every prefix of it."""
    log = await record()
    replayed = replay(log, desk)
    assert (replayed.commands, replayed.events, replayed.complete) == (5, len(log), True)
    assert replayed.session.startswith("sess_")
    assert replayed.recorded_s == pytest.approx((log[-1].at_ns - log[0].at_ns) / 1e9)
    assert replayed.took_s > 0
    for length in range(1, len(log)):
        cut = replay(log[:length], desk)
        assert cut.events == length
        assert not cut.complete
        assert cut.commands == replay(log, desk, until=length).commands


async def test_until_stops_before_what_differs() -> None:
    """A divergence behind `until` is not looked at."""

    async def changed(session: RealtimeSession) -> None:
        await session.say("Hello")
        await session.input()
        await session.say("Who?")

    log = await record()
    at = next(one.seq for one in log if one.type == "CallRequested")
    assert replay(log, changed, until=at - 1).commands == 2
    with pytest.raises(Divergence, match=f"at command 3 \\(seq {at}\\)"):
        replay(log, changed, until=at)


async def test_an_end_that_the_handler_no_longer_reaches() -> None:
    """The log says the handler returned; today it has ended before with an error, or goes on."""

    async def first(session: RealtimeSession) -> None:
        await session.say("Hello")
        raise ValueError("as ever")

    async def second(session: RealtimeSession) -> None:
        await session.say("Hello")

    log = await record(first)
    assert replay(log, first).commands == 2
    with pytest.raises(Divergence, match=r"raise ValueError\(\"as ever\"\)"):
        replay(log, second)


async def test_a_command_added_behind_the_last_one() -> None:
    """A handler that asks for more at the very end of a finished log diverges there."""

    async def recorded(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass
        await asyncio.Event().wait()

    async def now(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass
        await session.call("find", name="one more")
        await asyncio.Event().wait()

    async with living(recorded) as alive:
        await alive.until(e.LinkReady)
        alive.session.end("enough", drain=False)
        await alive.ended()
    log = list(alive.store.scan(alive.session.id))
    replay(log, recorded)
    with pytest.raises(Divergence, match="a command was added at the end"):
        replay(log, now)


async def test_a_handler_that_has_ended_already() -> None:
    """Where the log goes on after today's handler has returned, the report says so."""

    async def recorded(session: RealtimeSession) -> None:
        waiting = asyncio.create_task(session.input())
        await session.say("Hello")
        await waiting

    async def now(session: RealtimeSession) -> None:
        waiting = asyncio.create_task(session.input())
        await session.say("Hello")
        raise SessionEnded("TL102", "") if waiting.done() else ValueError("gone")

    log = await record(recorded)
    with pytest.raises(Divergence, match=r"NOW       raise ValueError"):
        replay(log, now)


@pytest.mark.parametrize("kind", ["SayRequested", "TurnEnded", "CallCompleted", "SessionStarted"])
async def test_what_the_handler_needs_must_be_there(kind: str) -> None:
    """An erased event that the handler asked for or saw is named (TL411), and the log before it replays."""
    log = await record()
    at = next(n for n, one in enumerate(log) if one.type == kind)
    erased = [*log[:at], log[at]._replace(data=None), *log[at + 1 :]]
    with pytest.raises(StoreError, match=f"event {at + 1} \\({kind}\\) was erased") as raised:
        replay(erased, desk)
    assert raised.value.code == "TL411"
    if at:
        assert f"until={at}" in raised.value.hint
        assert replay(erased, desk, until=at).events == at


async def test_what_no_handler_sees_may_be_missing() -> None:
    """Erased wire messages and types of a newer turnlog change nothing for the handler."""
    log = await record()
    thinned = [
        one._replace(data=None) if one.type in ("TransportReceived", "TransportSent", "MediaRecorded") else one for one in log
    ]
    thinned.insert(3, log[3]._replace(type="MoodNoticed"))
    assert replay(thinned, desk).commands == 5


async def test_a_newer_turnlogs_log_is_refused_by_name() -> None:
    """A newer version of a command, or scheduling rules unknown here: TL405."""
    log = await record()
    at = next(n for n, one in enumerate(log) if one.type == "SayRequested")
    newer = [*log[:at], log[at]._replace(version=99), *log[at + 1 :]]
    with pytest.raises(StoreError, match="SayRequested in version 99") as raised:
        replay(newer, desk)
    assert raised.value.code == "TL405"


@pytest.mark.parametrize(("change", "code"), [({"engine_flags": 1 << 20}, "TL405"), ({"replayable": False}, "TL109")])
async def test_a_session_that_cannot_be_replayed(change: dict[str, Any], code: str) -> None:
    """Unknown engine flags (TL405) and replay=False (TL109) are refused at the first event."""
    log = await record()
    started = decode(log[0])
    assert isinstance(started, e.SessionStarted)
    _, _, data = encode(msgspec.structs.replace(started, **change), bytes(16))
    with pytest.raises(StoreError) as raised:
        replay([log[0]._replace(data=data), *log[1:]], desk)
    assert raised.value.code == code


@pytest.mark.parametrize("start", [1, 10_000])
async def test_a_log_without_its_beginning(start: int) -> None:
    """TL407: no SessionStarted."""
    log = await record()
    with pytest.raises(StoreError) as raised:
        replay(log[start:], desk)
    assert raised.value.code == "TL407"


async def test_a_log_that_does_not_decode() -> None:
    """TL407 names the event whose bytes are broken."""
    log = await record()
    with pytest.raises(StoreError) as raised:
        replay([log[0], log[1]._replace(data=b"\x00" * 20)], desk)
    assert raised.value.code == "TL407"


async def test_replay_touches_no_tool_and_no_provider() -> None:
    """Neither is asked again, and the log does not grow."""
    ran: list[str] = []

    async def note() -> None:
        ran.append("tool")

    async def handler(session: RealtimeSession) -> None:
        await session.call("note")

    async with living(handler, tools={"note": note}) as alive:
        await alive.ended()
        log = list(alive.store.scan(alive.session.id))
        connects = alive.provider.connects
        replay(log, handler)
        assert len(list(alive.store.scan(alive.session.id))) == len(log)
        assert alive.provider.connects == connects
    assert ran == ["tool"]


ELSEWHERE = """
import sys
from turnlog.engine.offline.replay import replay
from turnlog.store.open import open_store
from tests.engine.test_replay import race
store = open_store(sys.argv[1])
print(replay(list(store.scan("raced")), race).commands)
"""


async def race(session: RealtimeSession) -> None:
    """Sets of tasks, a TaskGroup, timeouts and sleeps against each other."""

    async def ask(n: int) -> str:
        await asyncio.sleep(0.001 * (n % 3))
        found: dict[str, str] = await session.call("find", name=f"guest {n}")
        return found["name"]

    tasks = {asyncio.create_task(ask(n)) for n in range(6)}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await session.say(" ".join(task.result() for task in done))
    async with asyncio.TaskGroup() as group:
        for n in range(4):
            group.create_task(ask(n))
    try:
        await asyncio.gather(session.input(timeout=0.005), ask(9))
    except TimeoutError:
        await session.say("Nobody there")


async def test_another_process_replays_the_same(tmp_path: Path) -> None:
    """A log from a file replays in processes with other hash seeds to the same commands."""
    url = f"sqlite:///{tmp_path}/calls.db"
    async with Engine(app_of(race, {"find": find}), store=url, providers={"scripted": Speaker()}) as engine:
        session = await engine.start("hotel.desk", session="raced")
        async with asyncio.timeout(10):
            await session.ended()
        here = replay(await asyncio.to_thread(lambda: list(engine.store.scan("raced"))), race)
    for seed in ("1", "77"):
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", textwrap.dedent(ELSEWHERE), url],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.stdout.strip() == str(here.commands), ran.stderr


# --- any handler ---

LEAVES = st.sampled_from(["say", "settled", "call", "late", "fail", "input", "impatient", "sleep", "nap"])
PROGRAMS = st.recursive(
    LEAVES,
    lambda inner: st.tuples(
        st.sampled_from(["then", "gather", "group", "timeout", "first"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=7,
)


def program(node: Any) -> Handler:
    """The handler that a tree describes. It decides by nothing but what the session gives it."""

    async def leaf(session: RealtimeSession, name: str) -> None:
        match name:
            case "say":
                await session.say("Well")
            case "settled":
                outcome = await (await session.say("So")).settled()
                await session.call("find", name=outcome.status)
            case "call":
                found = await session.call("find", name="ann")
                await session.call("find", found["name"])
            case "late":
                await session.call("tarry")
            case "fail":
                try:
                    await session.call("absent")
                except StepError as error:
                    await session.call("find", name=error.type_name)
            case "input":
                await session.call("find", name=(await session.input()).text)
            case "impatient":
                try:
                    await session.input(timeout=0.002)
                except TimeoutError:
                    await session.call("find", name="nobody")
            case "sleep":
                await asyncio.sleep(0.003)
            case "nap":
                await asyncio.sleep(0)

    async def run(session: RealtimeSession, node: Any) -> None:
        if isinstance(node, str):
            await leaf(session, node)
            return
        how, parts = node
        match how:
            case "then":
                for part in parts:
                    await run(session, part)
            case "gather":
                results = await asyncio.gather(*(run(session, part) for part in parts), return_exceptions=True)
                await session.call("find", name=str([type(result).__name__ for result in results]))
            case "group":
                async with asyncio.TaskGroup() as group:
                    for part in parts:
                        group.create_task(run(session, part))
            case "timeout":
                try:
                    async with asyncio.timeout(0.004):
                        for part in parts:
                            await run(session, part)
                except TimeoutError:
                    await session.call("find", name="too late")
            case "first":
                tasks = {asyncio.create_task(run(session, part)) for part in parts}
                done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in rest:
                    task.cancel()
                await asyncio.gather(*rest, *done, return_exceptions=True)

    async def handler(session: RealtimeSession) -> None:
        await run(session, node)

    return handler


async def _live(node: Any, delays: list[int], hang_up: bool) -> tuple[list[Recorded], Handler]:
    waits = iter(delays * 100)
    handler = program(node)

    async def slow_find(name: str) -> dict[str, str]:
        for _ in range(next(waits)):
            await asyncio.sleep(0)
        return {"name": name[::-1]}

    async def tarry() -> None:
        await asyncio.sleep(0.001 * next(waits))

    async def talk(alive: Living) -> None:
        await alive.until(e.LinkReady)
        for n in range(8):
            alive.provider.hear(f"turn {n}", f"item_{n}")
            await alive.until(e.TurnEnded, n + 1)
            await asyncio.sleep(0.001 * next(waits))
        if hang_up:
            await alive.caller.hang_up()
        else:
            alive.session.end("enough", drain=False)

    async with living(handler, tools={"find": slow_find, "tarry": tarry}, provider=Speaker(ms=2)) as alive:
        talking = asyncio.create_task(talk(alive))
        await alive.ended()
        talking.cancel()
        await asyncio.wait([talking])
        report = await alive.store.verify(alive.session.id)
        assert report.ok, report.problems
    return list(alive.store.scan(alive.session.id)), handler


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(node=PROGRAMS, delays=st.lists(st.integers(0, 4), min_size=1, max_size=8), hang_up=st.booleans())
def test_any_handler_replays_identically(node: Any, delays: list[int], hang_up: bool) -> None:
    """Programs of says, calls, inputs, sleeps, groups and timeouts, with any order of completions, replay command for command."""
    log, handler = asyncio.run(_live(node, delays, hang_up))
    commands = sum(one.type in COMMANDS for one in log)
    assert replay(log, handler).commands == commands
    for length in range(1, len(log), 7):
        replay(log[:length], handler)


COMMANDS = {
    "InputRequested",
    "SayRequested",
    "CallRequested",
    "EndRequested",
    "CommandAbandoned",
    "HandlerReturned",
    "HandlerFailed",
}
