"""Following one session: what is there, what comes, and where it stops."""

import asyncio
from collections.abc import Callable

from turnlog.core.ports import Draft, SessionRow
from turnlog.store.follow import follow
from turnlog.store.memory import MemoryStore


async def test_a_session_is_followed_to_its_end(row: Callable[..., SessionRow], draft: Callable[..., Draft]) -> None:
    """Each event once and in order, those behind `after` only, and nothing after SessionEnded."""
    store = MemoryStore()
    head = await store.append(await store.create(row("s1")), [draft(), draft(), draft()])
    await store.append(await store.create(row("s2")), [draft()])
    seen: list[int] = []
    three = asyncio.Event()

    async def read() -> None:
        async for recorded in follow(store, "s1", after=1):
            assert recorded is not None
            seen.append(recorded.seq)
            if len(seen) == 2:
                three.set()

    reading = asyncio.create_task(read())
    await three.wait()
    head = await store.append(head, [draft(), draft("SessionEnded")])
    async with asyncio.timeout(5):
        await reading
    assert seen == [2, 3, 4, 5]
    await store.close()


async def test_a_pause_is_told_and_a_closed_store_ends_it(row: Callable[..., SessionRow], draft: Callable[..., Draft]) -> None:
    """None comes whenever nothing else did for so long; when the store closes the rest is read and that is all."""
    store = MemoryStore()
    await store.append(await store.create(row("s1")), [draft()])
    store.tail.poll_s = 0.01
    reading = follow(store, "s1", idle_s=0.01)
    first = await anext(reading)
    assert first is not None and first.seq == 1
    assert await anext(reading) is None
    await store.close()
    async with asyncio.timeout(5):
        assert [one async for one in reading if one is not None] == []


async def test_a_session_that_nobody_writes_any_more_is_read_to_where_it_stands(
    row: Callable[..., SessionRow], draft: Callable[..., Draft]
) -> None:
    """Its log has no end, and nothing will come: what is committed by then is all."""
    store = MemoryStore()
    await store.append(await store.create(row("s1")), [draft(), draft()])
    assert [one.seq async for one in follow(store, "s1", alive=lambda: False) if one] == [1, 2]
    await store.close()
