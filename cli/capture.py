"""`turnlog capture`: a recorded session becomes a test. A pytest file, and beside it the archive that it replays."""

import asyncio
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from string import Template

import click

from ..core.errors import Divergence, StoreError
from ..core.ports import SessionRow
from ..engine.loading import load_handler
from ..engine.offline.replay import replay
from ..store.archive import SUFFIX
from .archive import write_archive
from .options import db_option, find_session, open_for_reading, session_argument
from .replay import identical, recorded_handler
from .verify import print_report

__all__ = ["command"]

_TEST = Template('''\
"""A session of $target, recorded on $date: its handler goes on asking for the same things.

Made by `turnlog capture`. If the handler is meant to answer this call in another way now, remove both files.
Run pytest where the handler's module can be imported: its folder, or with it installed.
"""

from pathlib import Path

from turnlog import replay
from turnlog.engine.loading import load_handler
from turnlog.store import open_archive

HANDLER = "$handler"


def test_$name() -> None:
    """Today's handler issues every recorded command, and no other."""
    recorded = open_archive(Path(__file__).with_suffix("$suffix"))
    replay(recorded.scan(), load_handler(HANDLER))
''')


@click.command("capture")
@session_argument
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE.py", help="[default: tests/test_SESSION.py]")
@click.option("--handler", metavar="MODULE:FUNCTION", help="The handler to test.  [default: the one that was recorded]")
@click.option("--force", is_flag=True, help="Replace the files if they are there.")
@db_option
def command(session: str, out: Path | None, handler: str | None, force: bool, db: str) -> int:
    """Write a pytest file that replays a session, and the session's archive beside it.

    SESSION is an id, the beginning of one, `last`, or an archive FILE.turnlog. The exit code is 3 if the handler, as it is
    today, diverges: then the test fails until it is corrected.
    """
    store, session = open_for_reading(db, session)
    row = asyncio.run(find_session(store, session))
    spec = handler or recorded_handler(store, row)
    chosen = load_handler(spec)
    test = out or Path("tests", f"test_{_word(row.session)}.py")
    if test.suffix != ".py":
        raise click.UsageError(f"{test} is no Python file: name FILE.py")
    if os.path.exists(test) and not force:
        raise StoreError("TL406", f"{test} is there already", "name another file with -o, or give --force")
    archive = test.with_suffix(SUFFIX)
    _make_folder(test.parent)
    report = asyncio.run(write_archive(store, row, archive, force=force))
    test.write_text(_text(row, spec), encoding="utf-8")
    click.echo(f"{test}\n{archive}: {report.events} events, {report.segments} media segments")
    if not report.ok:
        print_report(report)
        return 1
    try:
        click.echo(identical(replay(store.scan(row.session), chosen)))
    except Divergence as error:
        click.echo(f"{error.code} {error.message}\nThe test fails until the handler is corrected.")
        return 3
    return 0


def _text(row: SessionRow, handler: str) -> str:
    date = datetime.fromtimestamp(row.created_ns / 1e9, UTC)
    return _TEST.substitute(
        target=re.sub(r"[^\w.]", "_", row.target),
        date=f"{date:%Y-%m-%d}",
        handler=handler,
        name=f"{_word(row.session)}_replays",
        suffix=SUFFIX,
    )


def _word(name: str) -> str:
    """The name as a part of Python source: letters, digits and underscores."""
    return re.sub(r"\W", "_", name)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError("TL406", f"{folder}: {error.strerror or error}", "choose another place with -o") from error
