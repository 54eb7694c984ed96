"""`turnlog search`: what was said, in all sessions of a store. The index is brought up to date first, if nobody else does that.

It reads the log beside its owner and writes to the folder of projections beside it, never to the log.
"""

import click
from rich.text import Text

from ..core.errors import StoreError
from ..engine.projections import Found, Projection, catch_up, folder_of, search, transcripts
from ..store.open import open_store
from ..store.port import Store
from ..store.projection_folder import ProjectionFolder
from .options import console, db_option, json_option, print_json
from .sessions import local_time

__all__ = ["command", "current"]

_MARKS = ("\x02", "\x03")  # never in a text that was said


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@db_option
@json_option
@click.option("--session", metavar="SESSION", help="Only in this session (its whole id).")
@click.option("--who", type=click.Choice(["user", "handler", "model"]), help="Only what this side said.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
def command(words: tuple[str, ...], db: str, as_json: bool, session: str | None, who: str | None, limit: int) -> int:
    """Find what was said with all of the WORDS in it, newest first.

    Quotes make a phrase ("sea view"), a star at the end finds beginnings ('break*'). Exit code 1 if nothing was found.
    """
    folder = current(open_store(db, read_only=True), [transcripts])
    found = search(folder, words, session=session, who=who, limit=limit, marks=_MARKS)
    for one in found:
        if as_json:
            print_json({**one._asdict(), "snippet": _plain(one.snippet)})
        else:
            console().print(_line(one), soft_wrap=True)
    if not found and not as_json:
        click.echo("nothing was said with these words")
    return 0 if found else 1


def current(store: Store, projections: list[Projection]) -> ProjectionFolder:
    """The projections, up to date: brought so now, or by the running engine that writes them."""
    try:
        return catch_up(store, projections)
    except StoreError as error:
        folder = folder_of(store)
        if error.code != "TL401" or folder is None:
            raise
        return folder


def _line(found: Found) -> Text:
    minutes, ms = divmod(found.ms, 60_000)
    line = Text(f"{found.session}  {local_time(found.at_ns)}  {minutes:3}:{ms / 1000:04.1f}  {found.who:<7}  ")
    for n, part in enumerate(" ".join(found.snippet.split()).split(_MARKS[0])):
        hit, mark, rest = part.partition(_MARKS[1])
        line.append(hit, "bold" if n and mark else "").append(rest)
    return line


def _plain(snippet: str) -> str:
    return snippet.replace(_MARKS[0], "[").replace(_MARKS[1], "]")
