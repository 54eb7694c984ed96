"""`turnlog db`."""

import sqlite3
from pathlib import Path

import pytest

from tests.cli.commands import Command, Typed
from turnlog.store.schema import REVISION


@pytest.fixture
def store(typed: Typed, turnlog_in: Command) -> Path:
    """A copy of the typed conversation's store."""
    path = turnlog_in.folder / "calls.db"
    source = sqlite3.connect(typed.folder / "out/demo.db")
    target = sqlite3.connect(path)
    source.backup(target)
    target.close()
    source.close()
    return path


def test_a_store_of_today_is_current_and_right(turnlog_in: Command, store: Path) -> None:
    """current names the revision, check finds nothing, upgrade has nothing to do and makes no copy."""
    assert turnlog_in.run("db", "current", "--db", store).stdout == f"{store}: revision {REVISION}, the newest\n"
    checked = turnlog_in.run("db", "check", "--db", f"sqlite:///{store}")
    assert (checked.returncode, checked.stdout) == (0, f"{store}: as it should be, revision {REVISION}\n")
    assert turnlog_in.run("db", "upgrade", "--db", store).stdout.endswith("nothing to do\n")
    assert list(turnlog_in.folder.glob("*.bak")) == []


def test_differences_are_listed_with_exit_code_1(turnlog_in: Command, store: Path) -> None:
    """A missing index is named."""
    raw = sqlite3.connect(store)
    raw.execute("DROP INDEX events_cause")
    raw.close()
    done = turnlog_in.run("db", "check", "--db", store)
    assert (done.returncode, done.stdout) == (1, f"  index events_cause is missing\n{store}: 1 problems\n")


def test_a_file_that_has_no_tables_yet_is_upgraded_beside_its_copy(turnlog_in: Command) -> None:
    """The copy's name is printed; afterwards the file is right."""
    path = turnlog_in.folder / "old.db"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    raw.close()
    assert "revision none yet" in turnlog_in.run("db", "current", "--db", path).stdout
    assert turnlog_in.run("db", "check", "--db", path).returncode == 1
    done = turnlog_in.run("db", "upgrade", "--db", path)
    assert done.stdout == f"{path}: from revision none to {REVISION}\nthe file as it was: {path}.empty.bak\n"
    assert Path(f"{path}.empty.bak").is_file()
    assert turnlog_in.run("db", "check", "--db", path).returncode == 0


@pytest.mark.parametrize("word", ["current", "check", "upgrade"])
def test_what_is_no_store_is_named(turnlog_in: Command, word: str) -> None:
    """A missing file, the memory store and another program's file are TL404."""
    (turnlog_in.folder / "text.db").write_text("a poem " * 100)
    for db in ("none.db", "memory://", "postgresql://x/y", "text.db"):
        done = turnlog_in.run("db", word, "--db", db)
        assert done.returncode == 1 and done.stderr.startswith("error TL404: "), db
