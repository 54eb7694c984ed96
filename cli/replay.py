"""`turnlog replay`: today's handler on a recorded session. Nothing is asked of a provider, nothing is written."""

import asyncio

import click

from ..core.codec import decode
from ..core.errors import Divergence, StoreError
from ..core.events import SessionStarted
from ..core.ports import SessionRow
from ..engine.app import load_handler
from ..engine.replay import Replayed, replay
from ..store.port import Store
from .options import db_option, find_session, json_option, open_for_reading, partial_option, print_json, session_argument

__all__ = ["command", "identical", "recorded_handler", "speed"]


@click.command("replay")
@session_argument
@db_option
@json_option
@click.option("--handler", metavar="MODULE:FUNCTION", help="The handler to run.  [default: the one that was recorded]")
@partial_option
def command(session: str, db: str, as_json: bool, handler: str | None, partial: bool) -> int:
    """Run a handler on a recorded session and compare what it asks for with what the log holds.

    SESSION is an id, the beginning of one, `last`, or an archive FILE.turnlog. Exit code 3, and a report on stdout, where they
    differ.
    """
    store, session = open_for_reading(db, session, partial=partial)
    row = asyncio.run(find_session(store, session))
    chosen = load_handler(handler or recorded_handler(store, row))
    try:
        done = replay(store.scan(row.session), chosen)
    except Divergence as error:
        if as_json:
            print_json({"session": row.session, "identical": False, "code": error.code, "message": error.message})
        else:
            click.echo(f"{error.code} {error.message}\n  {error.hint}")
        return 3
    if as_json:
        facts = {"commands": done.commands, "events": done.events, "recorded_s": done.recorded_s, "took_s": done.took_s}
        print_json({"session": done.session, "identical": True, **facts, "complete": done.complete})
    else:
        click.echo(f"{speed(done)}\n{identical(done)}")
    return 0


def speed(done: Replayed) -> str:
    """How fast the replay was, against real time."""
    times = f"{done.recorded_s / done.took_s:,.0f} times real time" if done.took_s > 0 else "at once"
    open_end = "" if done.complete else "; the log has no end (yet)"
    return f"{done.events} events, {done.recorded_s:.1f} s of conversation, replayed in {done.took_s:.3f} s: {times}{open_end}"


def identical(done: Replayed) -> str:
    """The verdict of a replay that did not diverge."""
    return f"replay: identical ({done.commands} commands)"


def recorded_handler(store: Store, row: SessionRow) -> str:
    """MODULE:FUNCTION of the handler that was recorded. Raises StoreError TL407 if the log does not name it."""
    for recorded in store.scan(row.session, until=1):
        started = decode(recorded)
        if isinstance(started, SessionStarted) and started.handler:
            return started.handler
    raise StoreError("TL407", f"the log of {row.session} does not name its handler", "name it with --handler MODULE:FUNCTION")
