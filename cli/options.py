"""What the commands share: the options --db, --json and --partial, and finding a session by what a person types."""

import sys
from typing import Any

import click
import msgspec
from rich.console import Console

from ..core.errors import StoreError
from ..core.ports import SessionRow
from ..store.archive import SUFFIX, open_archive
from ..store.open import open_store
from ..store.port import Store

__all__ = [
    "WIDTH", "config_option", "console", "db_option", "find_session", "json_option", "open_for_reading", "partial_option",
    "print_json", "session_argument", "session_facts",
]  # fmt: skip

WIDTH = 100
"""Columns of output that is no terminal; a terminal may be wider."""
_PAGE = 200

db_option = click.option(
    "--db",
    metavar="URL",
    envvar="TURNLOG_DB",
    default="sqlite:///turnlog.db",
    show_default=True,
    help="The store: sqlite:///calls.db, or a path. Also $TURNLOG_DB.",
)
config_option = click.option(
    "--config",
    metavar="FILE",
    envvar="TURNLOG_CONFIG",
    help="The configuration.  [default: turnlog.toml, if it is there] Also $TURNLOG_CONFIG.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON, one object a line, instead of text.")
session_argument = click.argument("session", metavar="SESSION")
partial_option = click.option("--partial", is_flag=True, help="Read a cut or altered archive up to its damage.")


def console() -> Console:
    """Where text goes. Never wraps what is redirected at the width of a terminal that is not there."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, soft_wrap=False)


def print_json(value: Any) -> None:
    """One JSON object on a line of its own."""
    click.echo(msgspec.json.encode(value).decode())


def open_for_reading(db: str, session: str, *, partial: bool = False) -> tuple[Store, str]:
    """The store to read, and the session to find in it. A SESSION that is a file NAME.turnlog is a store of its own.

    Raises StoreError as open_store and open_archive do.
    """
    if session.endswith(SUFFIX):
        archive = open_archive(session, partial=partial)
        return archive, archive.row.session
    return open_store(db, read_only=True), session


async def find_session(store: Store, given: str) -> SessionRow:
    """The session of this id, of this beginning of an id, or the newest one for "last". Raises StoreError TL408."""
    if given == "last":
        newest = await store.sessions(limit=1)
        if not newest:
            raise StoreError("TL408", "this store holds no session yet", "start one, or name another store with --db")
        return newest[0]
    try:
        return await store.session(given)
    except StoreError as error:
        if error.code != "TL408":
            raise
    found, page = [], await store.sessions(limit=_PAGE)
    while page:
        found += [row for row in page if row.session.startswith(given)]
        page = await store.sessions(limit=_PAGE, before=page[-1].session) if len(page) == _PAGE else []
    match found:
        case [row]:
            return row
        case []:
            raise StoreError("TL408", f"no session begins with {given!r}", "`turnlog sessions` lists them; `last` is the newest")
    names = ", ".join(row.session for row in found[:3])
    raise StoreError("TL408", f"{len(found)} sessions begin with {given!r}: {names}…", "type more of the id")


def session_facts(row: SessionRow) -> dict[str, Any]:
    """A session's row as JSON shows it; times in ns since the Unix epoch."""
    return row._asdict()
