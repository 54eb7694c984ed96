"""`turnlog rederive`: the turns of a session, decided anew from its messages by today's rules."""

import asyncio

import click

from ..core.divergence import clip
from ..engine.offline.rederive import TurnFact, rederive
from .options import WIDTH, db_option, find_session, json_option, open_for_reading, partial_option, print_json, session_argument

__all__ = ["command"]


@click.command("rederive")
@session_argument
@db_option
@json_option
@partial_option
def command(session: str, db: str, as_json: bool, partial: bool) -> int:
    """Decide a session's turns anew from the messages it received, and compare them with what was decided live.

    SESSION is an id, the beginning of one, `last`, or an archive FILE.turnlog. Exit code 3 where they differ.
    """
    store, name = open_for_reading(db, session, partial=partial)
    row = asyncio.run(find_session(store, name))
    found = rederive(store, row.session)
    if as_json:
        print_json(found)
    else:
        for then, today in found.differences:
            click.echo(f"  LIVE   {_told(then)}\n  TODAY  {_told(today)}")
        differ = f"{len(found.differences)} differ" if found.differences else "none differs"
        click.echo(f"rederive: {found.equal} turns are the same, {differ} ({found.messages} messages)")
    return 3 if found.differences else 0


def _told(fact: TurnFact | None) -> str:
    if fact is None:
        return "(no turn)"
    times = f" {fact.start_ms}-{fact.end_ms} ms" if fact.start_ms is not None else ""
    status = f" ({fact.status})" if fact.status not in ("", "completed", "none") else ""
    return clip(f'seq {fact.seq} {fact.what} "{fact.text}"{times}{status} {fact.item}'.rstrip(), WIDTH - 9)
