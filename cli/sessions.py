"""`turnlog sessions`: the catalogue of a store, read beside whoever owns it."""

import asyncio
from datetime import datetime

import click
from rich.table import Table

from ..core.ports import SessionRow
from ..store.open import open_store
from .options import console, db_option, json_option, print_json, session_facts

__all__ = ["command", "local_time"]


@click.command("sessions")
@db_option
@json_option
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--target", metavar="APP.SESSION", help="Only this target's.")
@click.option("--status", type=click.Choice(["active", "ended"]), help="Only those.")
def command(db: str, as_json: bool, limit: int, target: str | None, status: str | None) -> None:
    """List the sessions of a store, newest first."""
    rows = asyncio.run(_read(db, limit, target, status))
    if as_json:
        for row in rows:
            print_json(session_facts(row))
    elif rows:
        console().print(_table(rows))
    else:
        click.echo("no such session here" if target or status else "no session here yet")


async def _read(db: str, limit: int, target: str | None, status: str | None) -> list[SessionRow]:
    store = await asyncio.to_thread(open_store, db, read_only=True)
    try:
        return await store.sessions(target=target, status=status, limit=limit)
    finally:
        await store.close()


def _table(rows: list[SessionRow]) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for name in ("session", "target", "provider", "started", "status"):
        whole = name in ("session", "started")  # an id is there to be copied
        table.add_column(name, no_wrap=whole, min_width=max(len(row.session) for row in rows) if name == "session" else None)
    table.add_column("events", justify="right")
    table.add_column("length", justify="right")
    for row in rows:
        length = f"{(row.ended_ns - row.created_ns) / 1e9:.1f} s" if row.ended_ns is not None else ""
        table.add_row(
            row.session, row.target, row.provider, local_time(row.created_ns), row.status, str(row.head_seq), length
        )
    return table


def local_time(at_ns: int) -> str:
    """Date and time of day, as the clock on the wall shows it."""
    return f"{datetime.fromtimestamp(at_ns / 1e9):%Y-%m-%d %H:%M:%S}"
