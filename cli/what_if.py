"""`turnlog replay --what-if`: what a changed handler asks for, beside what was asked for then."""

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ..engine.offline.side_by_side import Shown, WhatIf
from .options import console, print_json

__all__ = ["print_what_if"]

_MARKS = {"equal": ("=", ""), "changed": ("~", "yellow"), "added": ("+", "green"), "missing": ("-", "red")}


def print_what_if(found: WhatIf, as_json: bool) -> int:
    """Print it. The exit code: 3 if anything differs, else 0."""
    if as_json:
        print_json(found)
    else:
        console().print(_table(found))
        click.echo(_verdict(found))
    return 3 if any(row.status != "equal" for row in found.rows) else 0


def _table(found: WhatIf) -> Table:
    table = Table(title=f"what if: {found.session}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("recorded", ratio=1, overflow="fold")
    table.add_column("", width=1)
    table.add_column("now", ratio=1, overflow="fold")
    for row in found.rows:
        mark, style = _MARKS[row.status]
        table.add_row(_cell(row.recorded), Text(mark), _cell(row.now), style=style)
    return table


def _cell(shown: Shown | None) -> Text:
    if shown is None:
        return Text("")
    where = f"  {shown.file.rpartition('/')[2]}:{shown.line}" if shown.line else ""
    return Text.assemble(f"#{shown.index} {shown.text}", (where, "dim"))


def _verdict(found: WhatIf) -> str:
    counts = {status: sum(row.status == status for row in found.rows) for status in _MARKS}
    told = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    return f"{told or 'no commands'}, up to event {found.seq}" + (f"\n{found.stopped}" if found.stopped else "")
