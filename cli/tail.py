"""`turnlog tail`: a session's events as they are committed, read beside the process that writes them, to the session's end."""

import asyncio

import click

from ..core.codec import decode
from ..core.facts import event_facts
from ..store.follow import follow
from ..store.port import Store
from .options import db_option, find_session, json_option, open_for_reading, print_json, session_argument
from .show import heading
from .timeline import Filter, Side, event_line, event_type

__all__ = ["command"]

_POLL_S = 0.2


@click.command("tail")
@session_argument
@db_option
@json_option
@click.option("--wire", is_flag=True, help="Also the messages of the wire and the media segments.")
@click.option("--type", "types", multiple=True, callback=event_type, metavar="TYPE", help="Only this type; may be repeated.")
@click.option("--side", type=click.Choice(["provider", "caller", "handler"]), help="Only what is from or to that side.")
def command(session: str, db: str, as_json: bool, wire: bool, types: frozenset[str], side: Side | None) -> None:
    """Show a session's events, and go on with each as it is committed, until the session ends.

    SESSION is an id, the beginning of one, or `last`. Ctrl-C stops looking; the session goes on.
    """
    asyncio.run(_tail(session, db, as_json, Filter(types, side, wire)))


async def _tail(session: str, db: str, as_json: bool, chosen: Filter) -> None:
    store, name = await asyncio.to_thread(open_for_reading, db, session)
    try:
        row = await find_session(store, name)
        if not as_json:
            click.echo(heading(row))
        await _follow(store, row.session, as_json, chosen, live=name == session)
    finally:
        await store.close()


async def _follow(store: Store, session: str, as_json: bool, chosen: Filter, *, live: bool) -> None:
    """Print what is there, then what comes. An archive (not `live`) grows no more: its end is the end."""
    started_ns = 0
    store.tail.poll_s = _POLL_S
    reading = follow(store, session) if live else store.read(session)
    async for recorded in reading:
        assert recorded is not None  # nothing is asked for where nothing comes
        started_ns = started_ns or recorded.at_ns
        event = decode(recorded)
        if not chosen.passes(event):
            continue
        if as_json:
            print_json(event_facts(recorded, started_ns))
        else:
            click.echo(event_line(recorded.seq, (recorded.at_ns - started_ns) // 1_000_000, recorded.cause, event))
