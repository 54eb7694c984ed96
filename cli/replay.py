"""`turnlog replay`: today's handler on a recorded session. Nothing is asked of a provider, nothing is written."""

import asyncio
from typing import Any, NamedTuple

import click

from ..core.errors import Divergence, StoreError, TurnlogError
from ..core.ports import SessionRow
from ..engine.app import Handler
from ..engine.loading import load_handler
from ..engine.offline.replay import Replayed, refuse_unreplayable, replay
from ..engine.offline.replay_all import handler_name, recorded_start
from ..engine.offline.what_if import Unanswered, what_if
from ..store.port import Store
from .debugger import Debugger
from .fetched import fetched
from .options import db_option, find_session, json_option, open_for_reading, partial_option, print_json
from .replay_all import print_replay_all
from .what_if import print_what_if

__all__ = ["chosen_handler", "command", "identical", "recorded_handler", "speed"]

_END = "end"


def _seq(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value in (None, _END) or (value.isdecimal() and int(value) > 0):
        return value
    raise click.BadParameter(f"{value!r} is no number of an event", ctx, parameter)


@click.command("replay")
@click.argument("session", metavar="SESSION", required=False)
@db_option
@json_option
@click.option("--handler", metavar="MODULE:FUNCTION", help="The handler to run.  [default: the one that was recorded]")
@click.option("--until", type=click.IntRange(min=1), metavar="SEQ", help="Stop behind this event.")
@click.option(
    "--pdb", "stop", is_flag=False, flag_value=_END, callback=_seq, metavar="[=SEQ]",
    help="Look around with pdb where the handler stands at event SEQ, the divergence, or the end.",
)  # fmt: skip
@click.option("--what-if", "changed", is_flag=True, help="Run a changed handler on the recorded input; compare, do not stop.")
@click.option(
    "--unanswered", type=click.Choice(["stop", "fail"]), default="stop", show_default=True,
    help="With --what-if: what becomes of a call that the record has no answer for.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="All sessions of the store, each through its own handler.")
@click.option("--since", metavar="DATE|SESSION", help="With --all: only those that began then or later.")
@click.option("--target", metavar="APP.SESSION", help="With --all: only those of this target.")
@partial_option
@click.option("--engine", metavar="URL", help="Of `turnlog serve`, which has the log; SESSION is then a whole id.")
@click.option("--key", metavar="KEY", envvar="TURNLOG_KEY", default="", help="For --engine, of scope observe. Also $TURNLOG_KEY.")
def command(  # one parameter for each option
    session: str | None,
    db: str,
    as_json: bool,
    handler: str | None,
    until: int | None,
    stop: str | None,
    changed: bool,
    unanswered: Unanswered,
    everything: bool,
    since: str | None,
    target: str | None,
    partial: bool,
    engine: str | None,
    key: str,
) -> int:
    """Run a handler on a recorded session and compare what it asks for with what the log holds.

    SESSION is an id, the beginning of one, `last`, or an archive FILE.turnlog. Exit code 3, and a report on stdout, where they
    differ.
    """
    if everything == (session is not None):
        raise click.UsageError("name a SESSION, or give --all" if not everything else "either a SESSION or --all")
    if everything and engine is not None:
        raise click.UsageError("--engine replays one SESSION")
    if not everything and (since or target):
        raise click.UsageError("--since and --target choose among --all sessions")
    if sum((changed, stop is not None, everything)) > 1 or (until is not None and (everything or stop)):
        raise click.UsageError("--what-if, --pdb, --until and --all do different things: give one")
    if session is None:
        return print_replay_all(db, load_handler(handler) if handler else None, since, target, as_json)
    how = _How(handler=handler, until=until, stop=stop, changed=changed, unanswered=unanswered, as_json=as_json)
    if engine is None:
        return _one(how, *open_for_reading(db, session, partial=partial))
    with fetched(engine, session, key) as path:
        return _one(how, *open_for_reading(db, path, partial=partial))


class _How(NamedTuple):
    """What is to be done with one session."""

    handler: str | None
    until: int | None
    stop: str | None
    changed: bool
    unanswered: Unanswered
    as_json: bool


def _one(how: _How, store: Store, name: str) -> int:
    row = asyncio.run(find_session(store, name))
    chosen = chosen_handler(store, row, how.handler, warn=not how.changed)
    if how.changed:
        outcome = what_if(store.scan(row.session, until=how.until, semantic=True), chosen, unanswered=how.unanswered)
        return print_what_if(outcome, how.as_json)
    if how.stop is not None:
        debugger = Debugger(list(store.scan(row.session, semantic=True)), chosen)
        debugger.look(None if how.stop == _END else int(how.stop))
        return 3 if debugger.diverged else 0
    return _replay(store, row, chosen, how.until, how.as_json)


def _replay(store: Store, row: SessionRow, chosen: Handler, until: int | None, as_json: bool) -> int:
    try:
        done = replay(store.scan(row.session, until=until, semantic=True), chosen)
    except Divergence as error:
        if as_json:
            facts: dict[str, Any] = {"code": error.code, "message": error.message, "report": error.report}
            print_json({"session": row.session, "identical": False, **facts})
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


def chosen_handler(store: Store, row: SessionRow, given: str | None, *, warn: bool) -> Handler:
    """The handler that was given, or the recorded one. Another one than was recorded is told on stderr."""
    if given is None:
        return load_handler(recorded_handler(store, row))
    chosen = load_handler(given)
    try:
        recorded = recorded_start(store, row.session).handler
    except TurnlogError:
        recorded = ""  # the replay itself says what is wrong with the log
    if warn and recorded and recorded != handler_name(chosen):
        click.echo(f"note: recorded with {recorded}, replayed with {handler_name(chosen)}", err=True)
    return chosen


def recorded_handler(store: Store, row: SessionRow) -> str:
    """MODULE:FUNCTION of the handler that was recorded. Raises StoreError TL407 if the log names none, TL109 if none ran."""
    started = recorded_start(store, row.session)
    if started.is_proxied:
        refuse_unreplayable(started)
    if started.handler:
        return started.handler
    raise StoreError("TL407", f"the log of {row.session} does not name its handler", "name it with --handler MODULE:FUNCTION")
