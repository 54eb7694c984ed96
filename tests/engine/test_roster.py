"""Tests for engine/handlers/roster.py."""

import asyncio
import gc
from collections.abc import AsyncGenerator

from turnlog.engine.handlers.handler_loop import HandlerLoop
from turnlog.engine.handlers.roster import AsyncGens, Roster

START = 1_760_000_000_000_000_000


async def numbers() -> AsyncGenerator[int, None]:
    """0, 1, 2…"""
    number = 0
    while True:
        yield number
        number += 1


async def begun(gens: AsyncGens) -> AsyncGenerator[int, None]:
    """A generator halfway through, known to `gens` alone."""
    agen = numbers()
    gens.begun(agen)
    await agen.asend(None)
    return agen


def test_futures_hash_by_creation_and_equal_only_themselves() -> None:
    """Hashes grow by one; equality is identity."""
    roster = Roster(HandlerLoop(START), START)
    first, second = roster.future(), roster.future()
    assert hash(second) == hash(first) + 1
    assert first != second
    assert [first, second].index(second) == 1


def test_the_same_start_gives_the_same_hashes_and_another_gives_others() -> None:
    """A replay repeats the hashes of its session; another session's do not collide with them."""
    loop = HandlerLoop(START)
    assert hash(Roster(loop, START).future()) == hash(Roster(loop, START).future())
    assert hash(Roster(loop, START).future()) != hash(Roster(loop, START + 1_000_000).future())


def test_the_first_futures_of_a_session_walk_a_set_in_order_of_creation() -> None:
    """What asyncio.wait and TaskGroup keep in sets comes out the same each time, at first even as it was made."""
    roster = Roster(HandlerLoop(START), START)
    made = [roster.future() for _ in range(6)]
    backwards = made[::-1]
    assert list(set(backwards)) == made


def test_tasks_are_named_and_kept_until_done() -> None:
    """A task nobody holds survives; once done it is forgotten. Names count by session."""
    gc.collect()  # what other tests have left: closing it may make tasks in the loop that runs
    loop = HandlerLoop(START)
    seen: list[str] = []

    async def child(name: str, gate: asyncio.Event) -> None:
        await gate.wait()
        seen.append(name)

    async def handler() -> None:
        gate = asyncio.Event()
        asyncio.create_task(child("a", gate))  # noqa: RUF006 -- that nobody holds it is the point
        asyncio.create_task(child("b", gate), name="mine")  # noqa: RUF006
        await asyncio.sleep(0)
        gc.collect()
        seen.extend(task.get_name() for task in loop._roster.unfinished())
        gate.set()

    loop.start(handler())
    loop.drain()
    assert seen == ["Task-1", "Task-2", "mine", "a", "b"]
    assert loop._roster.unfinished() == []
    assert loop._roster._open == {}
    loop.close_all()


async def test_leftover_generators_come_in_order_of_creation() -> None:
    """Those still held and those kept after being dropped are sorted by their first iteration, and given once."""
    gens = AsyncGens()
    first, second, third = [await begun(gens) for _ in range(3)]
    gens.keep(second)
    gens.forget(third)
    assert gens.take_leftovers() == [first, second]
    assert gens.take_leftovers() == []
    for agen in (first, second, third):
        await agen.aclose()


async def test_finished_generators_are_not_remembered_for_ever() -> None:
    """A session that iterates a generator a turn holds a bounded number of entries."""
    gens = AsyncGens()
    alive = await begun(gens)
    for _ in range(20):
        batch = [await begun(gens) for _ in range(50)]
        for agen in batch:
            await agen.aclose()
        del agen, batch
    assert len(gens._known) <= 102
    assert gens.take_leftovers() == [alive]
    await alive.aclose()
