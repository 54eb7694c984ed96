"""What an operator asks of a store's file."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import turnlog.migrations
from turnlog.core.errors import StoreError
from turnlog.store import open_store
from turnlog.store.lock import FileLock
from turnlog.store.schema import REVISION
from turnlog.store.upgrade import file_revision, schema_problems, upgrade_file

__all__: list[str] = []


def change(path: Path, *statements: str) -> None:
    """Do this to the database."""
    raw = sqlite3.connect(path)
    for statement in statements:
        raw.execute(statement)
    raw.commit()
    raw.close()


@pytest.fixture
def file(path: Path) -> Path:
    """A new store."""
    asyncio.run(open_store(path).close())
    return path


@pytest.fixture
def older(path: Path) -> Path:
    """A store of the first revision, with a session in it."""
    engine = sa.create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(turnlog.migrations.__path__[0]))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    change(path, "INSERT INTO sessions VALUES (1,'s1','','a.b','p','t','active','3.11','',0,0,zeroblob(32),NULL,1,NULL,5,NULL)")
    return path


def test_a_new_file_is_as_it_should_be(file: Path) -> None:
    """The newest revision, no problem, and nothing to upgrade."""
    assert file_revision(file) == REVISION
    assert schema_problems(file) == []
    assert upgrade_file(file) is None
    assert list(file.parent.glob("*.bak")) == []


def test_an_older_file_is_upgraded_beside_its_copy(older: Path) -> None:
    """The copy has the old revision, the file the newest one, and both have the session."""
    assert file_revision(older) == "0001"
    assert schema_problems(older) == [f"revision 0001, this turnlog has {REVISION}"]
    copy = upgrade_file(older)
    assert copy == older.with_name(f"{older.name}.0001.bak")
    assert file_revision(copy) == "0001" and file_revision(older) == REVISION
    assert schema_problems(older) == []
    for one in (older, copy):
        raw = sqlite3.connect(one)
        assert raw.execute("SELECT key FROM sessions").fetchall() == [("s1",)]
        raw.close()


def test_a_second_copy_does_not_replace_the_first(older: Path) -> None:
    """A name that is taken is left alone."""
    older.with_name(f"{older.name}.0001.bak").write_text("mine")
    assert upgrade_file(older) == older.with_name(f"{older.name}.0001-2.bak")
    assert older.with_name(f"{older.name}.0001.bak").read_text() == "mine"


def test_each_difference_is_named(file: Path) -> None:
    """A missing index, a table of someone else's and a changed table."""
    change(file, "DROP INDEX events_cause", "CREATE TABLE mine (x)", "ALTER TABLE api_keys ADD COLUMN note TEXT")
    problems = schema_problems(file)
    assert problems[:2] == ["index events_cause is missing", "table mine is not of turnlog"]
    assert len(problems) == 3 and problems[2].startswith("table api_keys differs: CREATE TABLE api_keys")


def test_damaged_pages_are_found(file: Path) -> None:
    """What SQLite's own check says stands among the problems, or opening says that it cannot be read."""
    data = bytearray(file.read_bytes())
    for at in range(4096 * 3, len(data)):
        data[at] = 0xAA
    file.write_bytes(bytes(data))
    try:
        assert schema_problems(file)
    except StoreError as error:
        assert error.code == "TL404"


def test_a_newer_or_foreign_or_missing_file_is_refused_without_a_copy(file: Path, tmp_path: Path) -> None:
    """TL405 for a revision of the future, TL404 for what is no store; no copy is made."""
    change(file, "UPDATE alembic_version SET version_num = '9999'")
    (tmp_path / "text.db").write_text("a poem, long enough to be read as a header of something" * 20)
    change(tmp_path / "other.db", "CREATE TABLE mine (x)")
    assert file_revision(file) == "9999"
    for name, code in ((file.name, "TL405"), ("text.db", "TL404"), ("other.db", "TL404"), ("no.db", "TL404")):
        with pytest.raises(StoreError) as refused:
            upgrade_file(tmp_path / name)
        assert refused.value.code == code, name
    assert list(tmp_path.glob("*.bak")) == []


def test_a_file_in_use_is_not_upgraded(older: Path, tmp_path: Path) -> None:
    """While a process owns the store the upgrade is TL401, and there is no copy."""
    lock = FileLock(older.resolve())
    with pytest.raises(StoreError, match="TL401"):
        upgrade_file(older)
    lock.release()
    assert list(tmp_path.glob("*.bak")) == []
    assert upgrade_file(older) is not None
