"""A call in a test: fast, the same each time, and checked when it is over."""

import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.testing.desk import GREETING, app
from turnlog import App, Divergence, RealtimeSession
from turnlog.core import events as e
from turnlog.core.ports import Recorded
from turnlog.store.memory import MemoryStore
from turnlog.testing import Call, Kit


async def an_hour(call: Call) -> None:
    """Mostly silent."""
    caller = call.caller
    await caller.hears(GREETING)
    for minute in range(0, 60, 15):
        await caller.says(f"it is minute {minute}")
        await caller.hears(f"you said it is minute {minute}")
        await caller.is_silent(15 * 60)
    await caller.says("bye now")
    await caller.hears("bye now")
    await call.ended()


def test_an_hour_takes_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    """A call of sixty mostly silent minutes is over in a moment, and its log says that it took an hour."""
    began = time.perf_counter()
    call = Kit(0).run(app, "hotel.desk", an_hour)
    took_s = time.perf_counter() - began
    with capsys.disabled():
        print(f" [an hour in {took_s:.2f} s]", end="")
    assert call.log[-1].at_ns - call.log[0].at_ns > 3600 * 10**9
    assert [turn.text for turn in call.of(e.TurnEnded)][-1] == "bye now"
    assert took_s < 30  # a machine under load; the figure printed is the one to look at


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{folder}/calls.db"])
def test_equal_calls_have_equal_logs(tmp_path: Path, store: str) -> None:
    """Two calls of one seed have the same events to the byte, hashes included, in memory and in a file; another seed's differ."""

    def log(name: str, seed: int) -> list[Recorded]:
        (tmp_path / name).mkdir()
        return Kit(seed).run(app, "hotel.desk", an_hour, store=store.format(folder=tmp_path / name)).log

    one = log("one", 1)
    assert len(one) > 100
    assert one == log("again", 1)
    assert one[0].hash != log("other", 2)[0].hash


async def greeted(call: Call) -> None:
    """The call's end, however it comes."""
    await call.ended()


def app_of(handler: Callable[[RealtimeSession], Awaitable[None]], **options: Any) -> App:
    """An app of one session."""
    made = App("one")
    made.session("desk", provider="openai", transport="websocket", **options)(handler)
    return made


async def fails(session: RealtimeSession) -> None:
    """A handler with a bug."""
    raise KeyError("room")


async def reads_the_clock(session: RealtimeSession) -> None:
    """A handler that no replay can repeat."""
    time.time()


_calls = count()


async def says_another_thing_each_time(session: RealtimeSession) -> None:
    """A handler that keeps a count of its own, which strict mode cannot see."""
    await session.say(f"This is call {next(_calls)}")


def test_a_handler_that_fails_fails_its_test(turnlog: Kit) -> None:
    """What the handler raised is what the test fails with, unless it is meant to."""
    with pytest.raises(AssertionError, match="the handler failed: KeyError: 'room'"):
        turnlog.run(app_of(fails), "one.desk", greeted)

    async def meant(call: Call) -> None:
        call.may_fail = True
        assert (await call.ended()).reason == "handler_failed"

    turnlog.run(app_of(fails), "one.desk", meant)


def test_handlers_are_strict_here(turnlog: Kit) -> None:
    """A handler that reads the clock fails with the line and the remedy; with strict off it does not."""
    with pytest.raises(AssertionError, match=r"TL104.*time\.time\(\)"):
        turnlog.run(app_of(reads_the_clock), "one.desk", greeted)
    turnlog.run(app_of(reads_the_clock), "one.desk", greeted, engine={"strict": False})


def test_a_call_is_replayed_when_it_is_over(turnlog: Kit) -> None:
    """A handler that would do something else in a replay fails its test with the divergence, unless it is not asked to replay."""
    with pytest.raises(Divergence, match="TL101"):
        turnlog.run(app_of(says_another_thing_each_time), "one.desk", greeted)

    async def not_replayed(call: Call) -> None:
        call.replays = False
        await call.ended()

    turnlog.run(app_of(says_another_thing_each_time), "one.desk", not_replayed)
    turnlog.run(app_of(says_another_thing_each_time, replay=False), "one.desk", greeted)


async def test_several_callers_hear_the_same(turnlog: Kit) -> None:
    """A second caller on the session hears what is said from then on."""
    async with turnlog.call(app, "hotel.desk") as call:
        second = await call.calls_in()
        for caller in (call.caller, second):
            await caller.hears("front desk")


async def test_a_turn_can_be_committed_by_hand(turnlog: Kit) -> None:
    """Without turn detection speech is a turn when the caller says so, whoever hears it."""

    async def repeats(session: RealtimeSession) -> None:
        turn = await session.input()
        await session.say(f"I heard {turn.text}")

    async with turnlog.call(app_of(repeats, turn_detection=None), "one.desk") as call:
        await call.caller.gets("session.created")
        await call.caller.says("push to talk", commits=True)
        await call.caller.hears("i heard push to talk")


async def test_waiting_for_a_message_that_does_not_come_is_named(turnlog: Kit) -> None:
    """gets() fails after its time with what came, and at once when the link has closed."""
    async with turnlog.call(app, "hotel.desk") as call:
        with pytest.raises(AssertionError, match=r"the caller got 0 response\.cancelled within 3 s, not 1"):
            await call.caller.gets("response.cancelled", within_s=3)
        await call.caller.hangs_up()
        with pytest.raises(AssertionError, match=r"the link closed after 0 response\.cancelled"):
            await call.caller.gets("response.cancelled")


async def test_a_given_store_stays_open(turnlog: Kit) -> None:
    """A store that the test made is written to and not closed."""
    store = MemoryStore()
    async with turnlog.call(app, "hotel.desk", store=store) as call:
        await call.caller.hears("front desk")
    assert list(store.scan(call.session.id)) == call.log
    await store.claim(call.session.id)
