"""`turnlog export` and `turnlog import`: one session to one file and back. docs/reference/archive.md tells the file's format."""

import asyncio
from pathlib import Path

import click

from ..core.ports import Head, SessionRow
from ..store.archive import SUFFIX, open_archive
from ..store.archive_write import export_archive, import_archive
from ..store.open import open_store
from ..store.port import Store, VerifyReport
from ..transports.speech.installed import installed_version
from .options import db_option, find_session, json_option, open_for_reading, print_json, session_argument
from .verify import print_report

__all__ = ["export_command", "import_command", "write_archive"]


@click.command("export")
@session_argument
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="The file.  [default: SESSION.turnlog]")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@db_option
@json_option
def export_command(session: str, out: Path | None, force: bool, db: str, as_json: bool) -> int:
    """Write a session, its media included, to an archive: one file that checks itself.

    SESSION is an id, the beginning of one, or `last`. A live session is written as far as it has gone. A log that does not
    verify is written as it is, and the exit code is 1.
    """
    path, report = asyncio.run(_export(session, db, out, force))
    size = path.stat().st_size
    if as_json:
        facts = {"events": report.events, "segments": report.segments, "bytes": size, "verifies": report.ok}
        print_json({"session": report.session, "file": str(path), **facts})
    else:
        click.echo(f"{path}: {report.events} events, {report.segments} media segments, {size:,} bytes")
        if not report.ok:
            print_report(report)
    return 0 if report.ok else 1


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@db_option
@json_option
def import_command(file: Path, db: str, as_json: bool) -> None:
    """Enter an archived session in a store: the same numbers, times and hashes, verified first, whole or not at all."""
    head = asyncio.run(_import(file, db))
    if as_json:
        print_json({"session": head.session, "events": head.seq, "epoch": head.epoch, "hash": head.hash.hex()})
    else:
        click.echo(f"{head.session}: {head.seq} events verified and entered")


async def write_archive(store: Store, row: SessionRow, path: Path, *, force: bool) -> VerifyReport:
    """Export a session, and verify the file that came of it."""
    writer = f"turnlog {installed_version('turnlog') or '(not installed)'}"
    await export_archive(store, row.session, path, writer=writer, replace=force)
    archive = await asyncio.to_thread(open_archive, path)
    return await archive.verify(row.session)


async def _export(session: str, db: str, out: Path | None, force: bool) -> tuple[Path, VerifyReport]:
    store, session = await asyncio.to_thread(open_for_reading, db, session)
    try:
        row = await find_session(store, session)
        path = out or Path(f"{row.session}{SUFFIX}")
        return path, await write_archive(store, row, path, force=force)
    finally:
        await store.close()


async def _import(file: Path, db: str) -> Head:
    archive = await asyncio.to_thread(open_archive, file)  # before a store is made for it
    store = await asyncio.to_thread(open_store, db)
    try:
        return await import_archive(store, archive)
    finally:
        await store.close()
