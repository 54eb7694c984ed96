"""Async reads leave no thread and no connection behind."""

import asyncio
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from turnlog.core.errors import StoreError
from turnlog.store import Store
from turnlog.store.connect import compiled, fetch
from turnlog.store.schema import sessions

__all__: list[str] = []

SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n"


async def test_a_cancelled_read_closes_its_connection(path: Path, sqlite: Store) -> None:
    """Wherever the cancellation falls, the connection's thread has ended soon after; none outlives it."""
    before = set(threading.enumerate())
    for delay_ms in (0, 1, 2, 5, 20):
        reading = asyncio.create_task(fetch(path, SLOW))
        await asyncio.sleep(delay_ms / 1000)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive() or thread.daemon or thread.name.startswith("asyncio"), thread


async def test_a_read_of_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """TL404, and no file is made."""
    with pytest.raises(StoreError) as refused:
        await fetch(tmp_path / "none.db", "SELECT 1")
    assert refused.value.code == "TL404"
    assert not (tmp_path / "none.db").exists()


async def test_an_abandoned_read_holds_nothing(sqlite: Store, path: Path) -> None:
    """Between two pages of a read no connection is open."""
    before = threading.active_count()
    assert await fetch(path, "SELECT 1") == [(1,)]
    assert threading.active_count() <= before + 1


def test_queries_compile_to_text_and_parameters() -> None:
    """A SQLAlchemy query becomes what sqlite3 takes, parameters in order."""
    sql, parameters = compiled(
        sa.select(sessions.c.id).where(sessions.c.target == "t", sessions.c.status.in_(["a", "b"])).limit(5)
    )
    assert sql.count("?") == len(parameters)
    assert parameters[:3] == ["t", "a", "b"] and 5 in parameters
