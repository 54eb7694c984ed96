"""The migrations give the schema, and a file's revision decides whether it opens."""

import asyncio
import re
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import turnlog.migrations
from turnlog.core.errors import StoreError
from turnlog.store import open_store
from turnlog.store.schema import REVISION, metadata

__all__: list[str] = []


def opened(path: Path, *, read_only: bool = False) -> None:
    """Open it and close it."""
    asyncio.run(open_store(path, read_only=read_only).close())


def shape(engine: sa.Engine) -> dict[str, str]:
    """Every table and index as SQLite would make it again, in one spelling of white space and quotes."""
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
    return {name: re.sub(r"\s+", " ", sql).replace('"', "").replace("( ", "(") for name, sql in rows if name != "alembic_version"}


def test_migrations_in_order_give_the_schema(path: Path) -> None:
    """Alembic finds no difference between a migrated file and the tables, nor does SQLite's own catalogue."""
    opened(path)
    migrated, created = sa.create_engine(f"sqlite:///{path}"), sa.create_engine("sqlite://")
    with migrated.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    metadata.create_all(created)
    assert shape(migrated) == shape(created)
    migrated.dispose()
    created.dispose()


def test_the_newest_migration_is_the_one_the_store_expects() -> None:
    """There is one line of migrations and its head is schema.REVISION."""
    config = Config()
    config.set_main_option("script_location", str(turnlog.migrations.__path__[0]))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def stamped(path: Path, revision: str | None) -> None:
    """Make a store and say that it has this revision."""
    opened(path)
    raw = sqlite3.connect(path)
    raw.execute(
        "UPDATE alembic_version SET version_num = ?" if revision else "DELETE FROM alembic_version",
        (revision,) if revision else (),
    )
    raw.commit()
    raw.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_file_is_refused(path: Path, read_only: bool) -> None:
    """A revision that is not known here gives TL405, for writing and for reading."""
    stamped(path, "9999")
    with pytest.raises(StoreError, match="9999") as refused:
        opened(path, read_only=read_only)
    assert refused.value.code == "TL405"


def test_an_older_file_is_upgraded_when_opened_for_writing(path: Path) -> None:
    """A file at no revision yet (an Alembic table, nothing else) is brought to the newest; a reader only says so."""
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match="holds no turnlog store"):
        opened(path, read_only=True)
    opened(path)
    opened(path, read_only=True)


def test_a_failed_upgrade_changes_nothing(path: Path) -> None:
    """An upgrade that fails half-way (a table of ours is there already) leaves the file as it was."""
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    raw.execute("CREATE TABLE media (mine)")
    raw.commit()
    with pytest.raises(StoreError) as refused:
        opened(path)
    assert refused.value.code in ("TL404", "TL406")
    tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}
    raw.close()
    assert tables == {"alembic_version", "media"}
