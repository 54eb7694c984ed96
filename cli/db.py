"""`turnlog db`: the file of a store. What revision it has, whether its tables are right, and bringing it to the newest."""

from pathlib import Path

import click

from ..core.errors import StoreError
from ..store.open import store_path
from ..store.schema import REVISION
from ..store.upgrade import file_revision, schema_problems, upgrade_file
from .options import db_option

__all__ = ["command"]


@click.group("db")
def command() -> None:
    """The file of a store: its revision, its tables, its upgrade."""


@command.command("current")
@db_option
def _current(db: str) -> None:
    """Print the revision that the file has, and whether it is the newest."""
    path = _file(db)
    revision = file_revision(path)
    newest = "the newest" if revision == REVISION else f"this turnlog has {REVISION}"
    click.echo(f"{path}: revision {revision or 'none yet'}, {newest}")


@command.command("check")
@db_option
def _check(db: str) -> int:
    """Compare tables and indexes with those of a new store, and have SQLite look for damage. Exit code 1 if any differ."""
    path = _file(db)
    problems = schema_problems(path)
    for problem in problems:
        click.echo(f"  {problem}")
    click.echo(f"{path}: {f'{len(problems)} problems' if problems else f'as it should be, revision {REVISION}'}")
    return 1 if problems else 0


@command.command("upgrade")
@db_option
def _upgrade(db: str) -> None:
    """Bring the file to the newest revision; a copy of it as it was is made first. No process may have it open."""
    path = _file(db)
    before = file_revision(path)
    copy = upgrade_file(path)
    if copy is None:
        click.echo(f"{path}: revision {REVISION}, the newest; nothing to do")
    else:
        click.echo(f"{path}: from revision {before or 'none'} to {REVISION}\nthe file as it was: {copy}")


def _file(db: str) -> Path:
    if db == "memory://":
        raise StoreError("TL404", "memory:// has no file", "name a file with --db")
    return store_path(db)
