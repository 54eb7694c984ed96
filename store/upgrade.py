"""What an operator asks of a store's file: its revision, whether its tables are as they should be, and an upgrade with a copy.

Opening a store for writing upgrades it too (migrate.prepare); this does it on purpose, and keeps the file as it was beside it.
"""

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from ..core.errors import StoreError
from .connect import driver, is_file, open_reader, store_error
from .lock import FileLock
from .migrate import must_know, prepare, revision_of
from .schema import REVISION
from .sqlite import SqliteStore

__all__ = ["file_revision", "schema_problems", "upgrade_file"]

_SHAPES = """SELECT type || ' ' || name, sql FROM sqlite_master
    WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"""


def file_revision(path: Path) -> str | None:
    """The revision of a file; None for one that is to become a store. Raises StoreError TL404 for what is no store."""
    with closing(_open(path)) as reader:
        try:
            return revision_of(reader, path)
        except sqlite3.Error as error:
            raise store_error(error, path, reading=True) from error


def schema_problems(path: Path) -> list[str]:
    """What is missing, different or not ours among the tables and indexes, and what SQLite finds damaged. Raises TL404."""
    found_revision = file_revision(path)
    if found_revision != REVISION:
        return [f"revision {found_revision}, this turnlog has {REVISION}"]
    with closing(_open(path)) as reader:
        try:
            found = _shapes(reader)
            damaged = [str(line) for (line,) in reader.execute("PRAGMA quick_check") if line != "ok"]
        except sqlite3.Error as error:
            raise store_error(error, path, reading=True) from error
    wanted = _wanted()
    problems = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} is not of turnlog" for name in sorted(found.keys() - wanted.keys())]
    problems += [f"{name} differs: {found[name]}" for name in sorted(wanted.keys() & found.keys()) if found[name] != wanted[name]]
    return problems + damaged


def upgrade_file(path: Path) -> Path | None:
    """Bring a file to the newest revision; returns where the copy of it stands, None if there was nothing to do.

    Raises StoreError TL401 (a process has it open), TL404 (no store), TL405 (newer), TL406 (no room for the copy).
    """
    revision = file_revision(path)
    if revision == REVISION:
        return None
    if revision is not None:
        must_know(revision, path)
    copy = _free_name(path, revision or "empty")
    lock = FileLock(path.resolve())
    try:
        with closing(_open(path)) as reader, closing(sqlite3.connect(copy)) as target:
            reader.backup(target)
    except sqlite3.Error as error:
        raise store_error(error, copy) from error
    finally:
        lock.release()
    asyncio.run(SqliteStore(path).close())
    return copy


def _free_name(path: Path, revision: str) -> Path:
    names = (path.with_name(f"{path.name}.{revision}{n}.bak") for n in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(name for name in names if not name.exists())


def _open(path: Path) -> sqlite3.Connection:
    if not is_file(path):
        raise StoreError("TL404", f"{path} is not there", "check the path")
    try:
        return open_reader(path)
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def _wanted() -> dict[str, str]:
    """The shapes of a new store."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        prepare(connection, Path("(new)"))
        shapes = _shapes(driver(connection))
    engine.dispose()
    return shapes


def _shapes(raw: sqlite3.Connection) -> dict[str, str]:
    """Tables and indexes as SQLite would make them again, in one spelling of white space and quotes."""
    return {name: re.sub(r"\s+", " ", sql).replace('"', "").replace("( ", "(") for name, sql in raw.execute(_SHAPES)}
