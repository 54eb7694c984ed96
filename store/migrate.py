"""Which revision a file has, and bringing it to the newest.

A new file is made by running all migrations. An older file is upgraded when it is opened for writing: under the store's lock
and in one transaction, so it happens whole or not at all. A newer file, and a database that is no store, are refused.
"""

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from ..core.errors import StoreError
from .connect import driver
from .schema import REVISION

__all__ = ["check", "must_know", "prepare", "revision_of"]

_MIGRATIONS = Path(__file__).parent.parent / "migrations"


def prepare(connection: sa.Connection, path: Path) -> None:
    """Make or upgrade the tables. Raises StoreError TL404 (no store) or TL405 (a newer one)."""
    with connection.begin():
        revision = revision_of(driver(connection), path)
        if revision != REVISION:
            _upgrade(connection, path, revision)


def check(reader: sqlite3.Connection, path: Path) -> None:
    """For reading only: the file must be at the newest revision. Raises StoreError TL404 or TL405."""
    revision = revision_of(reader, path)
    if revision is None:
        raise StoreError("TL404", f"{path} holds no turnlog store", "open it once for writing, or check the path")
    if revision != REVISION:
        must_know(revision, path)
        raise StoreError(
            "TL404", f"{path} is at revision {revision}, this turnlog reads {REVISION}", "open it once for writing to upgrade it"
        )


def revision_of(raw: sqlite3.Connection, path: Path) -> str | None:
    """The file's revision; None for a file that holds nothing yet."""
    tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise StoreError("TL404", f"{path} is a database, but no turnlog store", "give the store a file of its own")
    row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _upgrade(connection: sa.Connection, path: Path, revision: str | None) -> None:
    # Strategy: imported here, since only a new or older file needs it and it doubles the time to import turnlog.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if revision is not None:
        must_know(revision, path)
    command.upgrade(config, "head")


def must_know(revision: str, path: Path) -> None:
    """Raises StoreError TL405 for a revision that no migration here leads to."""
    if not any(file.name.startswith(f"{revision}_") for file in (_MIGRATIONS / "versions").glob("*.py")):
        raise StoreError(
            "TL405", f"{path} is at revision {revision}; this turnlog knows none above {REVISION}", "open it with a newer turnlog"
        )
