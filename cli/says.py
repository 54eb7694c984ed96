"""`turnlog says`: how the handlers' words fared: played, interrupted, heard, misspoken. The table is brought up to date first."""

import click
from rich.table import Table

from ..engine.projections import Said, said, says
from ..store.open import open_store
from .options import console, db_option, json_option, print_json
from .search import current

__all__ = ["command"]


@click.command("says")
@db_option
@json_option
@click.option("--by", type=click.Choice(["session", "target", "day"]), default="session", show_default=True, help="A row each.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
def command(db: str, as_json: bool, by: str, limit: int) -> None:
    """What became of the says of a store's sessions, newest first.

    heard: the share of what was generated that was heard. alike: how alike spoken and asked words were in the mean, and
    misspoken: how many times they were less alike than 0.8.
    """
    found = said(current(open_store(db, read_only=True), [says]), by=by, limit=limit)
    if as_json:
        for one in found:
            print_json({by: one.group, **{key: value for key, value in one._asdict().items() if key not in ("group", by)}})
    elif found:
        console().print(_table(found, by))
    else:
        click.echo("nothing was said here yet")


def _table(found: list[Said], by: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column(by, no_wrap=True)
    for title in ("says", "played", "interrupted", "cancelled", "failed", "heard", "alike", "misspoken"):
        table.add_column(title, justify="right")
    for one in found:
        counts = map(str, (one.says, one.played, one.interrupted, one.cancelled, one.failed))
        table.add_row(one.group, *counts, _share(one.heard_share), _share(one.similarity), f"{one.mismatched}/{one.compared}")
    return table


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"
