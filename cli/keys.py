"""`turnlog keys`: the API keys of a store's file, also while a server holds it. A key is shown once, when it is made."""

import asyncio
import re
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from ..core.errors import StoreError, TurnlogError
from ..core.limits import Limits
from ..core.secrets import KEY_PREFIX, digest
from ..store.access import ApiKey
from ..store.connect import is_file
from ..store.open import open_store, store_path
from ..store.sqlite_access import KeyFile
from .options import console, db_option, json_option, print_json

__all__ = ["command"]

_SCOPES: Final = ("admin", "start", "observe")
_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}


@click.group("keys")
def command() -> None:
    """The API keys of a store. A server that has its file open knows a new or revoked key at once."""


@command.command("create")
@click.option("--name", default="", help="What the key is for.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(_SCOPES), default=("start", "observe"), show_default=True,
    help="What it may do: start (sessions, and join them), observe (read), admin (all). May be repeated.",
)  # fmt: skip
@click.option("--tenant", default=None, help="Whose sessions it starts and sees; without it those of all.")
@click.option("--expires", metavar="TIME", default=None, help="In 30m, 12h or 90d, or a date (2027-01-31). Default: never.")
@click.option("--requests-s", type=float, help="At most so many requests a second.")
@click.option("--sessions", type=int, help="At most so many sessions at a time.")
@click.option("--body-bytes", type=int, help="The largest body of a request.")
@click.option("--message-bytes", type=int, help="The largest message over a WebSocket.")
@click.option("--messages-s", type=float, help="At most so many messages a second over one WebSocket.")
@db_option
@json_option
def _create(
    db: str, as_json: bool, name: str, scopes: Sequence[str], tenant: str | None, expires: str | None, **limits: Any
) -> None:
    """Make a key and print it: this once only, the store keeps its digest."""
    if tenant is not None and not tenant.strip():  # a variable that was not set: the key would open those of all
        raise click.BadParameter("it is empty", param_hint="--tenant")
    now_ns = time.time_ns()
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        f"key_{secrets.token_hex(5)}", name, tuple(one for one in _SCOPES if one in scopes), tenant or "", now_ns,
        None if expires is None else _expiry(expires, now_ns), None, Limits(**limits),
    )  # fmt: skip
    asyncio.run(KeyFile(_file(db)).add_key(digest(secret), key))
    if as_json:
        print_json({**_facts(key), "key": secret})
    else:
        click.echo(secret)
        click.echo(f"{key.id}: {_scopes_of(key)}; it is not shown again", err=True)


@command.command("list")
@db_option
@json_option
def _list(db: str, as_json: bool) -> None:
    """List the keys, the oldest first: never the keys themselves."""
    store = open_store(db, read_only=True)
    keys = asyncio.run(store.access.keys())
    if as_json:
        for key in keys:
            print_json(_facts(key))
        return
    if not keys:
        click.echo("no keys in this store")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "scopes", "made", "state"):
        table.add_column(column)
    now_ns = time.time_ns()
    for key in keys:
        table.add_row(key.id, key.name, _scopes_of(key), _day(key.created_ns), _state(key, now_ns))
    console().print(table)


@command.command("revoke")
@click.argument("key_id", metavar="KEY_ID")
@db_option
def _revoke(key_id: str, db: str) -> None:
    """From now on the key opens nothing. Sessions that were started with it go on."""
    path = _file(db)
    if not is_file(path):
        raise StoreError("TL404", f"{path} is not there", "check the path (--db, TURNLOG_DB)")
    key = asyncio.run(KeyFile(path).revoke_key(key_id, now_ns=time.time_ns()))
    click.echo(f"{key.id}: {_state(key, time.time_ns())}")


def _file(db: str) -> Path:
    if db == "memory://":
        raise StoreError("TL404", "memory:// has no file", "name a file with --db")
    return store_path(db)


def _expiry(text: str, now_ns: int) -> int:
    if spelled := re.fullmatch(r"(\d{1,6})([mhd])", text):
        when_ns = now_ns + int(spelled[1]) * _UNITS[spelled[2]] * 1_000_000_000
    else:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is neither 30m, 12h or 90d nor a date", param_hint="--expires") from None
        when_ns = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()) * 1_000_000_000
    if when_ns <= now_ns:
        raise TurnlogError("TL504", f"--expires {text} is in the past", "name a time to come")
    if when_ns >= 1 << 63:  # what the store can hold
        raise TurnlogError("TL504", f"--expires {text} is too far away", "name a time before 2262, or leave it out")
    return when_ns


def _scopes_of(key: ApiKey) -> str:
    return " ".join(key.scopes) + (f" of tenant {key.tenant}" if key.tenant else "")


def _state(key: ApiKey, now_ns: int) -> str:
    if key.revoked_ns is not None:
        return f"revoked {_day(key.revoked_ns)}"
    if key.expires_ns is None:
        return "stands"
    return f"{'until' if key.stands(now_ns) else 'expired'} {_day(key.expires_ns)}"


def _day(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M}Z"


def _facts(key: ApiKey) -> dict[str, Any]:
    return key._asdict()
