"""`turnlog projections`: how far each projection is, and building one anew."""

import os
import pkgutil
import sys

import click
from rich.table import Table

from ..core.errors import DefinitionError, StoreError
from ..engine.projections import BUILT_IN_PROJECTIONS, Projection, ProjectionStatus, catch_up, folder_of, status_of
from ..store.open import open_store
from ..store.projection_folder import ProjectionFolder
from .options import console, db_option, json_option, print_json

__all__ = ["command"]


@click.group("projections", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Tables that are made of the log, in the folder beside it. Without a word more: their status."""
    if ctx.invoked_subcommand is None:
        # Strategy: not ctx.invoke, which would not look at the environment for --db.
        with status.make_context("status", [], parent=ctx) as below:
            status.invoke(below)


@command.command("status")
@db_option
@json_option
def status(db: str, as_json: bool) -> None:
    """Each projection's version, status, lag (events that it has not looked at) and error."""
    store = open_store(db, read_only=True)
    folder = folder_of(store)
    found = status_of(store, folder) if folder is not None else []
    if as_json:
        for one in found:
            print_json(one)
    elif found:
        console().print(_table(found))
        for one in found:
            if one.error:
                click.echo(f"{one.name}: {one.error}")
    else:
        click.echo("no projection here yet: `turnlog search` makes one, and so does an engine with projections=[…]")


@command.command("rebuild")
@click.argument("name")
@db_option
@click.option("--declared", metavar="MODULE:NAME", help="Where the projection is declared, if it is not a built-in one.")
def rebuild(name: str, db: str, declared: str | None) -> int:
    """Build a projection anew from the log, beside the old one, which is read until the new one is complete.

    An engine that writes the projections of this store must do it itself: engine.projections.rebuild(NAME).
    """
    store = open_store(db, read_only=True)
    folder = catch_up(store, [_declared(name, declared)], rebuild=[name])
    now = next(one for one in status_of(store, folder) if one.name == name)  # the newest build
    if not now.serving or now.error:
        raise StoreError("TL417", f"{name} was not rebuilt: {now.error or 'it is not complete'}", _what_serves(folder, name))
    click.echo(f"{name}: version {now.version}, build {now.build}, lag {now.lag}, dead letters {now.dead_letters}")
    return 0


def _declared(name: str, where: str | None) -> Projection:
    if where is None:
        for one in BUILT_IN_PROJECTIONS:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in BUILT_IN_PROJECTIONS)
        hint = f"built in: {known}; for your own: --declared MODULE:NAME"
        raise StoreError("TL417", f"{name!r} is no built-in projection", hint)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = pkgutil.resolve_name(where)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "give MODULE:NAME, and run it from the folder of the module"
        raise DefinitionError("TL206", f"cannot import {where!r}: {error}", hint) from None
    if not isinstance(found, Projection) or found.name != name:
        raise DefinitionError("TL208", f"{where!r} is not the projection {name!r}", "name what @turnlog.projection made")
    return found


def _what_serves(folder: ProjectionFolder, name: str) -> str:
    try:
        return f"build {folder.serving(name).number} goes on to be read; correct the projection and rebuild it again"
    except StoreError:
        return "correct the projection and rebuild it again"


def _table(found: list[ProjectionStatus]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for title in ("projection", "version", "build", "status", "lag", "dead letters"):
        table.add_column(title, justify="left" if title in ("projection", "status") else "right")
    for one in found:
        told = one.status if one.serving or one.status == "building" else f"{one.status}, not read"
        table.add_row(one.name, str(one.version), str(one.build), told, str(one.lag), str(one.dead_letters))
    return table
