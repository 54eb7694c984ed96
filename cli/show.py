"""`turnlog show`: a session's log, one event a line. Works beside the process that writes it."""

import asyncio

import click

from ..core.codec import decode
from ..core.facts import event_facts
from ..core.ports import SessionRow
from ..store.port import Store
from .options import db_option, find_session, json_option, open_for_reading, partial_option, print_json, session_argument
from .sessions import local_time
from .timeline import COLUMNS, Filter, Side, event_line, event_type

__all__ = ["command", "heading"]

_LAST = 2**63 - 1


@click.command("show")
@session_argument
@db_option
@json_option
@click.option("--wire", is_flag=True, help="Also the messages of the wire and the media segments.")
@click.option("--type", "types", multiple=True, callback=event_type, metavar="TYPE", help="Only this type; may be repeated.")
@click.option("--side", type=click.Choice(["provider", "caller", "handler"]), help="Only what is from or to that side.")
@click.option("--since", type=click.IntRange(min=1), default=1, metavar="SEQ", help="From this event on.")
@click.option("--until", type=click.IntRange(min=1), default=_LAST, metavar="SEQ", help="Up to this event.", show_default=False)
@partial_option
def command(  # one parameter for each option
    session: str,
    db: str,
    as_json: bool,
    wire: bool,
    types: frozenset[str],
    side: Side | None,
    since: int,
    until: int,
    partial: bool,
) -> None:
    """A session's events: number, ms since the start, cause, type, and what matters of it.

    SESSION is an id, the beginning of one, `last`, or an archive FILE.turnlog. A cause is the number of the event it follows
    from, or where it came from: wire, timer, api, start, host.
    """
    asyncio.run(_show(session, db, as_json, Filter(types, side, wire), (since, until), partial))


async def _show(session: str, db: str, as_json: bool, chosen: Filter, span: tuple[int, int], partial: bool) -> None:
    store, session = await asyncio.to_thread(open_for_reading, db, session, partial=partial)
    try:
        row = await find_session(store, session)
        if not as_json:
            click.echo(heading(row))
        hidden = await _events(store, row, as_json, chosen, span)
        if hidden > 0 and not as_json and chosen == Filter():
            click.echo(f"({hidden} events of the wire are not shown; --wire shows them)")
    finally:
        await store.close()


async def _events(store: Store, row: SessionRow, as_json: bool, chosen: Filter, span: tuple[int, int]) -> int:
    """Print what is chosen; returns how many events of the wire were passed over unread."""
    since, until = span
    started_ns = [first.at_ns async for first in store.read(row.session, until=1)]
    read = 0
    async for recorded in store.read(row.session, after=since - 1, until=until, semantic=not chosen.wants_wire):
        read += 1
        event = decode(recorded)
        if not chosen.passes(event):
            continue
        if as_json:
            print_json(event_facts(recorded, started_ns[0]))
        else:
            click.echo(event_line(recorded.seq, (recorded.at_ns - started_ns[0]) // 1_000_000, recorded.cause, event))
    return min(until, row.head_seq) - since + 1 - read


def heading(row: SessionRow) -> str:
    """What session this is, and the columns."""
    facts = f"{row.session}  {row.target}  {row.provider} {row.transport}  {row.status}  {local_time(row.created_ns)}"
    return f"{facts}\n{COLUMNS}"
