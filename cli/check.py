"""`turnlog check`: reads an app's handlers for what would not replay. It runs none of them."""

import os

import click
import msgspec

from ..engine.handlers.lint import check_app
from ..engine.loading import load_app
from .options import json_option, print_json

__all__ = ["command"]


@click.command("check")
@click.argument("app", metavar="MODULE:APP")
@json_option
def command(app: str, as_json: bool) -> int:
    """Look through the handlers of an app, and what they call in their module, for what would not replay.

    Clocks, randomness, ids, blocking calls and I/O, threads, orders that differ between processes, session calls that are not
    awaited, global state, async generators left early. `# turnlog: ok REASON` on a line silences what is found there. Exit
    code 1 if anything is found.
    """
    loaded = load_app(app)
    findings = check_app(loaded)
    for found in findings:
        if as_json:
            print_json(msgspec.structs.asdict(found))
        else:
            where = f"{os.path.relpath(found.file)}:{found.line}"
            click.echo(f"{where}: {found.rule}: {found.what}, in {found.function}\n    {found.why}\n    {found.remedy}")
    if not findings and not as_json:
        click.echo(f"{app}: {len(loaded.sessions)} handlers, nothing found")
    return 1 if findings else 0
