"""Faults: each kind happens, is drawn from the seed alone, and is named where a call fails of it."""

import asyncio

import msgspec
import pytest

from tests.testing.desk import GREETING, app
from turnlog.core import events as e
from turnlog.core.errors import LinkClosed, StoreError, TurnlogError
from turnlog.core.ports import Recorded
from turnlog.testing import Call, Faults, Kit, call, run_virtual, virtual_time
from turnlog.transports.links.in_process import pair

MESSAGES = [msgspec.json.encode({"type": "x", "n": n}) for n in range(40)]


async def carried(faults: Faults) -> tuple[list[int], float]:
    """What comes of forty messages that go through a faulty link, and when the last one has come."""
    near, far = pair()
    link = faults.link(far)
    for raw in MESSAGES:
        near.send(raw)
    came: list[int] = []
    try:
        while True:
            async with asyncio.timeout(60):
                came.append(msgspec.json.decode(await link.receive())["n"])
                last_s = asyncio.get_running_loop().time()
    except (TimeoutError, LinkClosed):
        await link.close()
        return came, last_s


@pytest.mark.parametrize("seed", [1, 2])
def test_a_link_without_faults_changes_nothing(seed: int) -> None:
    """At rates of 0 every message comes once, in order, at once."""
    assert run_virtual(carried(Faults(seed))) == (list(range(40)), 0.0)


def test_messages_are_dropped() -> None:
    """Some do not come, the others do in order."""
    came, _ = run_virtual(carried(Faults(1, drop=0.3)))
    assert 0 < len(came) < 40 and came == sorted(came)


def test_messages_are_duplicated() -> None:
    """Some come twice, one behind the other."""
    came, _ = run_virtual(carried(Faults(1, duplicate=0.3)))
    assert len(came) > 40 and sorted(set(came)) == list(range(40)) and came == sorted(came)


def test_messages_are_reordered() -> None:
    """All come once, some behind one that was sent after them."""
    came, _ = run_virtual(carried(Faults(1, reorder=0.3)))
    assert sorted(came) == list(range(40)) and came != sorted(came)


def test_messages_are_delayed() -> None:
    """All come once and in order, later."""
    came, last_s = run_virtual(carried(Faults(1, delay=0.3)))
    assert came == list(range(40)) and 0 < last_s < 20


def test_links_break() -> None:
    """From some message on nothing comes any more."""
    faults = Faults(3, disconnect=0.1)
    came, _ = run_virtual(carried(faults))
    assert came == list(range(len(came))) and len(came) < 40
    assert [one.kind for one in faults.happened] == ["disconnect"]


def test_a_seed_draws_the_same_faults() -> None:
    """Equal seeds and rates make equal faults at equal times; another seed's are others."""

    def happened(seed: int) -> list[str]:
        faults = Faults(seed, drop=0.2, delay=0.2, duplicate=0.2)
        run_virtual(carried(faults))
        return [str(one) for one in faults.happened]

    assert happened(1) == happened(1) != happened(2)


async def one_turn(call: Call) -> None:
    """A greeting and an answer."""
    await call.caller.hears(GREETING, within_s=120)
    await call.caller.says("hello")
    await call.caller.hears("you said hello", within_s=120)


def test_a_provider_refuses(turnlog: Kit) -> None:
    """Refused requests are asked for again, so the call goes on."""
    faults = Faults(4, refuse=0.5)
    turnlog.run(app, "hotel.desk", one_turn, faults=faults)
    assert {one.kind for one in faults.happened} == {"refuse"}


def test_a_provider_expires(turnlog: Kit) -> None:
    """An expired session is closed with 1001; the engine learns why."""
    faults = Faults(1, expire=1.0)

    async def script(call: Call) -> None:
        call.may_fail = True
        assert (await call.ended()).reason == "provider_lost"
        assert [closed.code for closed in call.of(e.LinkClosed) if closed.link == "p1"] == [1001]

    turnlog.run(app, "hotel.desk", script, faults=faults)
    assert [one.kind for one in faults.happened] == ["expire"]


def test_a_provider_cannot_be_reached(turnlog: Kit) -> None:
    """A failed connection is an error of the provider."""
    faults = Faults(1, connect_fails=1.0)

    async def script(call: Call) -> None:
        call.may_fail = True
        assert (await call.ended()).reason == "provider_lost"

    turnlog.run(app, "hotel.desk", script, faults=faults)
    assert [one.kind for one in faults.happened] == ["connect_fails"]


def test_commits_are_slow(turnlog: Kit) -> None:
    """A slow commit delays what waits for it, and loses nothing."""
    faults = Faults(1, slow_commit=0.5, slowest_ms=300)
    quick = turnlog.run(app, "hotel.desk", one_turn)
    slow = turnlog.run(app, "hotel.desk", one_turn, faults=faults)
    assert {one.kind for one in faults.happened} == {"slow_commit"}
    assert slow.caller.received[-1].at_ms > quick.caller.received[-1].at_ms


def test_appends_fail(turnlog: Kit) -> None:
    """A failed append stops the session, and the error says whose fault it was."""
    faults = Faults(5, append_fails=0.2)

    async def script(call: Call) -> None:
        with pytest.raises(StoreError, match=r"TL406 .*failed on purpose"):
            await call.ended()

    turnlog.run(app, "hotel.desk", script, faults=faults)
    assert [one.kind for one in faults.happened] == ["append_fails"]


@virtual_time
async def test_a_call_that_fails_names_its_faults() -> None:
    """The error that leaves the call has a note with the seed and what happened."""
    with pytest.raises(AssertionError, match="did not hear") as failed:
        async with call(app, "hotel.desk", faults=Faults(77, drop=1.0)) as one:
            await one.caller.hears(GREETING)
    [note] = failed.value.__notes__
    assert note.startswith("faults of seed 77: ") and "provider 1: drop session.created" in note


def test_a_call_with_faults_is_the_same_each_time(turnlog: Kit) -> None:
    """Two calls with faults of one seed have equal logs, to the byte."""

    def log() -> list[Recorded]:
        faults = Faults(9, delay=0.3, duplicate=0.1, refuse=0.3, slow_commit=0.3)

        async def script(call: Call) -> None:
            await call.caller.hears("front", within_s=120)
            await call.caller.is_silent(30)

        done = turnlog.run(app, "hotel.desk", script, faults=faults)
        assert len({one.kind for one in faults.happened}) > 2
        return done.log

    assert log() == log()


@virtual_time
async def test_a_caller_who_is_refused_leaves_nothing_behind() -> None:
    """The link that was made for a caller of a session which is over is closed with it."""
    async with call(app, "hotel.desk", faults=Faults(1)) as one:
        one.session.end()
        await one.ended()
        await one.caller.falls_silent()
        before = asyncio.all_tasks()
        with pytest.raises(TurnlogError, match="TL102"):
            await one.calls_in()
        assert asyncio.all_tasks() <= before


def test_a_rate_is_a_probability() -> None:
    """A rate beyond 1, or one that does not exist, is refused."""
    with pytest.raises(ValueError, match=r"FaultRates\(drop=2\): between 0 and 1"):
        Faults(1, drop=2)
    with pytest.raises(TypeError, match="dorp"):
        Faults(1, dorp=0.1)
