"""`turnlog fork`: a new session that begins with another one's past and goes on by a script. Offline."""

import asyncio
import secrets
from pathlib import Path

import click

from ..core.errors import StoreError
from ..engine.offline.fork import Forked, fork
from ..engine.offline.fork_rest import Line, parse_script
from ..store.archive import SUFFIX
from ..store.open import open_store
from .options import db_option, find_session, json_option, open_for_reading, print_json, session_argument
from .replay import chosen_handler

__all__ = ["command"]


@click.command("fork")
@session_argument
@click.option("--at", type=click.IntRange(min=1), required=True, metavar="SEQ", help="The last event of the past.")
@click.option("--script", type=click.Path(path_type=Path), metavar="FILE", help="What happens then.  [default: the end]")
@click.option("--name", metavar="ID", help="The new session's id.  [default: SESSION_fork_xxxx]")
@click.option("--handler", metavar="MODULE:FUNCTION", help="The handler to run.  [default: the one that was recorded]")
@db_option
@json_option
def command(session: str, at: int, script: Path | None, name: str | None, handler: str | None, db: str, as_json: bool) -> None:
    """Store a new session that begins with the first SEQ events of SESSION and goes on by a script, offline.

    A line of the script is a turn's words, `/signal NAME [JSON]`, `/wait SECONDS` or `/hangup`; empty lines and lines that
    begin with # are left out. Calls and steps get the record's next answer to an equal one, or fail as NotRecorded; says count
    as played. What is stored verifies and replays; it has no provider, and nobody was called.
    """
    lines = parse_script(_read(script)) if script else []
    done = asyncio.run(_fork(session, db, at, handler, name, lines))
    if as_json:
        print_json(done)
        return
    past = f"{done.past} events of {done.forked_from}"
    click.echo(f"{done.session}: {past}, {done.events - done.past} more, {done.commands} commands")
    for what in done.not_recorded:
        click.echo(f"no recorded answer: {what}")


async def _fork(session: str, db: str, at: int, handler: str | None, name: str | None, lines: list[Line]) -> Forked:
    into = await asyncio.to_thread(open_store, db)
    try:
        store, given = await asyncio.to_thread(open_for_reading, db, session) if session.endswith(SUFFIX) else (into, session)
        row = await find_session(store, given)
        chosen = await asyncio.to_thread(chosen_handler, store, row, handler, warn=True)
        made = name or f"{row.session}_fork_{secrets.token_hex(2)}"
        return await fork(store, row.session, at, chosen, name=made, script=lines, into=into)
    finally:
        await into.close()


def _read(script: Path) -> str:
    try:
        return script.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError("TL404", f"the script {script} cannot be read: {error}", "name a text file in UTF-8") from None
