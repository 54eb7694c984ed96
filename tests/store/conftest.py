"""What the store's tests share: both stores behind one fixture, and makers of rows and drafts."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from turnlog.core.ports import Draft, SessionRow
from turnlog.store import Store, open_store

__all__: list[str] = []


@pytest.fixture
def row() -> Callable[..., SessionRow]:
    """A catalogue row of a new session."""

    def make(session: str = "s1", *, target: str = "hotel.desk", created_ns: int = 1_000) -> SessionRow:
        return SessionRow(session, "", target, "scripted", "in_process", "active", "3.11", "c0de", 0, 0, created_ns, None)

    return make


@pytest.fixture
def draft() -> Callable[..., Draft]:
    """An event with random data, as the codec makes them."""

    def make(type_: str = "TurnEnded", *, data: bytes | None = None, at_ns: int = 5_000, cause: int = -1) -> Draft:
        return Draft(type_, 1, at_ns, cause, os.urandom(40) if data is None else data)

    return make


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "log.db"


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Store]:
    """An empty store of each kind."""
    opened = await asyncio.to_thread(open_store, "memory://" if request.param == "memory" else path)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite(path: Path) -> AsyncIterator[Store]:
    """An empty store in a file at `path`."""
    opened = await asyncio.to_thread(open_store, path)
    yield opened
    await opened.close()
