"""`turnlog show`: a session's log, one event a line. Works beside the process that writes it."""

import asyncio

import click

from ..core.codec import decode
from ..core.events import WIRE_TYPES
from ..core.ports import Recorded, SessionRow
from ..store.port import Store
from .essence import cause_name, essence, event_facts
from .options import WIDTH, db_option, find_session, json_option, open_for_reading, partial_option, print_json, session_argument
from .sessions import local_time

__all__ = ["command"]


@click.command("show")
@session_argument
@db_option
@json_option
@click.option("--wire", is_flag=True, help="Also the messages of the wire and the media segments.")
@partial_option
def command(session: str, db: str, as_json: bool, wire: bool, partial: bool) -> None:
    """A session's events: number, ms since the start, cause, type, and what matters of it.

    SESSION is an id, the beginning of one, `last`, or an archive FILE.turnlog. A cause is the number of the event it follows
    from, or where it came from: wire, timer, api, start, host.
    """
    asyncio.run(_show(session, db, as_json, wire, partial))


async def _show(session: str, db: str, as_json: bool, wire: bool, partial: bool) -> None:
    store, session = await asyncio.to_thread(open_for_reading, db, session, partial=partial)
    try:
        row = await find_session(store, session)
        if not as_json:
            click.echo(_heading(row))
        await _events(store, row, as_json, wire)
    finally:
        await store.close()


async def _events(store: Store, row: SessionRow, as_json: bool, wire: bool) -> None:
    hidden = 0
    started_ns: int | None = None
    async for recorded in store.read(row.session):
        started_ns = recorded.at_ns if started_ns is None else started_ns
        if recorded.type in WIRE_TYPES and not wire:
            hidden += 1
        elif as_json:
            print_json(event_facts(recorded, started_ns))
        else:
            click.echo(_line(recorded, started_ns))
    if hidden and not as_json:
        click.echo(f"({hidden} events of the wire are not shown; --wire shows them)")


def _heading(row: SessionRow) -> str:
    facts = f"{row.session}  {row.target}  {row.provider} {row.transport}  {row.status}  {local_time(row.created_ns)}"
    return f"{facts}\n{'seq':>5} {'ms':>8}  {'cause':<6} {'event':<23} what"


def _line(recorded: Recorded, started_ns: int) -> str:
    ms = (recorded.at_ns - started_ns) // 1_000_000
    line = f"{recorded.seq:>5} {ms:>8}  {cause_name(recorded.cause):<6} {recorded.type:<23} {essence(decode(recorded))}"
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
