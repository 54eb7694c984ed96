"""`turnlog verify`: does a log say what was written? Reads only; beside the process that writes it, too."""

import asyncio
from collections.abc import AsyncIterator

import click

from ..store.port import Store, VerifyReport
from .options import db_option, find_session, json_option, open_for_reading, partial_option, print_json

__all__ = ["command", "print_report"]

_PAGE = 200


@click.command("verify")
@click.argument("session", metavar="[SESSION]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every session of the store.")
@partial_option
@db_option
@json_option
def command(session: str | None, everything: bool, partial: bool, db: str, as_json: bool) -> int:
    """Recompute every digest and the hash chain, look for gaps, and compare the media with the events that name them.

    SESSION is an id, the beginning of one, `last`, or an archive FILE.turnlog. Exit code 1 if anything is wrong.
    """
    if (session is None) != everything:
        raise click.UsageError("name a SESSION, or --all")
    return asyncio.run(_verify(session, partial, db, as_json))


def print_report(report: VerifyReport) -> None:
    """One line if all is well, and one for each problem if not."""
    erased = f", {report.erased} erased" if report.erased else ""
    verdict = "verifies" if report.ok else f"DOES NOT VERIFY: {len(report.problems)} problems"
    click.echo(f"{report.session}  {report.events} events{erased}, {report.segments} media segments  {verdict}")
    for problem in report.problems:
        click.echo(f"  seq {problem.seq}  {problem.kind}: {problem.detail}")


async def _verify(session: str | None, partial: bool, db: str, as_json: bool) -> int:
    store, name = await asyncio.to_thread(open_for_reading, db, session or "", partial=partial)
    wrong = 0
    try:
        names = [(await find_session(store, name)).session] if session else [one async for one in _names(store)]
        for one in names:
            report = await store.verify(one)
            wrong += not report.ok
            if as_json:
                print_json(_facts(report))
            else:
                print_report(report)
    finally:
        await store.close()
    if not names and not as_json:
        click.echo("no session here yet")
    return 1 if wrong else 0


async def _names(store: Store) -> AsyncIterator[str]:
    page = await store.sessions(limit=_PAGE)
    while page:
        for row in page:
            yield row.session
        page = await store.sessions(limit=_PAGE, before=page[-1].session)


def _facts(report: VerifyReport) -> dict[str, object]:
    return {**report._asdict(), "problems": [problem._asdict() for problem in report.problems], "ok": report.ok}
