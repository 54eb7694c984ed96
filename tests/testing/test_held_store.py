"""The store that holds time still: the same answers as the store inside, each without time passing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.testing.desk import GREETING, app
from turnlog.core.errors import StoreError
from turnlog.store.open import open_store
from turnlog.testing import Call, Kit, virtual_time
from turnlog.testing.held_store import HeldStore
from turnlog.testing.virtual_loop import running_loop

T = TypeVar("T")


@pytest.fixture
def recorded(turnlog: Kit, tmp_path: Path) -> tuple[Path, str]:
    """A file with a call in it, and the session's name."""

    async def script(call: Call) -> None:
        await call.caller.hears(GREETING)

    return tmp_path / "calls.db", turnlog.run(app, "hotel.desk", script, store=f"sqlite:///{tmp_path / 'calls.db'}").session.id


async def gathered(items: AsyncIterator[T]) -> list[T]:
    """All of them."""
    return [item async for item in items]


READS: dict[str, Callable[[Any, str], Awaitable[object]]] = {
    "session": lambda store, name: store.session(name),
    "sessions": lambda store, name: store.sessions(limit=5),
    "head": lambda store, name: store.head(name),
    "tracks": lambda store, name: store.tracks(name),
    "verify": lambda store, name: store.verify(name),
    "find_caller": lambda store, name: store.find_caller(b"none", now_ns=0),
    "read": lambda store, name: gathered(store.read(name)),
    "segments": lambda store, name: gathered(store.segments(name, "c1.out")),
}


@pytest.mark.parametrize("what", READS)
def test_reading_takes_no_time(recorded: tuple[Path, str], what: str) -> None:
    """Each reading gives what the store inside gives, and a timer that waits meanwhile does not fire."""
    path, name = recorded

    @virtual_time
    async def read() -> None:
        store = await asyncio.to_thread(open_store, path)
        sleeper = asyncio.create_task(asyncio.sleep(0.001))
        held = await READS[what](HeldStore(store), name)
        assert not sleeper.done() and running_loop().now_ns == 0
        assert held == await READS[what](store, name)
        await sleeper
        await HeldStore(store).close()

    read()


def test_the_rest_is_the_store_inside(recorded: tuple[Path, str], tmp_path: Path) -> None:
    """Scans and the feed are its own; restoring, claiming and entering callers reach it."""
    path, name = recorded

    @virtual_time
    async def use() -> None:
        store = await asyncio.to_thread(open_store, path)
        held = HeldStore(store)
        assert list(held.scan(name)) == list(store.scan(name))
        assert list(held.scan_segments(name, "c1.out")) == list(store.scan_segments(name, "c1.out")) != []
        reader = held.feed_reader()
        assert reader.newest() == len(list(store.scan(name)))
        reader.close()
        with pytest.raises(StoreError, match="TL409"):
            await held.restore(await held.session(name), await held.head(name), [], [])
        assert (await held.claim(name)).epoch == (await store.head(name)).epoch == 2
        await held.add_caller(b"hash", name, expires_ns=9)
        assert await store.find_caller(b"hash", now_ns=1) is not None
        await held.close()

    use()
