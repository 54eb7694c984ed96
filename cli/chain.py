"""`turnlog chain`: what an event came from, step by step, and all that came of it, as a tree."""

import asyncio
from collections.abc import Iterator
from typing import Any

import click

from ..core.explain import Entry, Trail
from ..core.explain.trail import AnyEvent
from ..core.facts import cause_name
from .essence import essence
from .options import db_option, json_option, partial_option, print_json, session_argument
from .timeline import clip, load_trail, type_name

__all__ = ["command"]


@click.command("chain")
@session_argument
@click.argument("seq", type=int)
@click.option("--depth", type=click.IntRange(min=0), metavar="N", help="At most so many steps down.")
@partial_option
@db_option
@json_option
def command(session: str, seq: int, depth: int | None, partial: bool, db: str, as_json: bool) -> None:
    """The causes of event SEQ, back to what came from outside, and its effects.

    SESSION is an id, the beginning of one, `last`, or an archive FILE.turnlog. A step marked ~ is not in the log as a cause:
    a deadline passed, and that event had set it.
    """
    _, trail = asyncio.run(load_trail(db, session, partial=partial))
    links = trail.chain(seq)
    below = [one for one in _effects(trail, seq) if depth is None or one[0] <= depth]
    if as_json:
        causes = [{**_facts(trail, link.entry), "inferred": link.inferred} for link in links[1:]]
        effects = [{**_facts(trail, entry), "depth": level} for level, entry in below]
        print_json({"event": _facts(trail, links[0].entry), "causes": causes, "effects": effects})
        return
    click.echo(f"(from outside: {cause_name(links[-1].entry.cause)})")
    for n, link in enumerate(reversed(links)):
        by_rule = n > 0 and links[len(links) - n].inferred  # the step from the cause above to this one
        click.echo(_line(trail, link.entry, n, "~" if by_rule else ""))
    for level, entry in below:
        click.echo(_line(trail, entry, len(links) - 1 + level, ""))


def _effects(trail: Trail, seq: int) -> Iterator[tuple[int, Entry[AnyEvent]]]:
    """What came of an event, depth first, in order; how many steps down each is."""
    pending = [(1, one) for one in reversed(trail.effects(seq))]
    while pending:
        level, entry = pending.pop()
        yield level, entry
        pending += [(level + 1, one) for one in reversed(trail.effects(entry.seq))]


def _line(trail: Trail, entry: Entry[AnyEvent], level: int, mark: str) -> str:
    ms = (entry.at_ns - trail.first.at_ns) // 1_000_000
    return clip(f"{ms:>8} ms  {'  ' * min(level, 20)}{mark}{entry.seq} {type_name(entry.event)}  {essence(entry.event)}")


def _facts(trail: Trail, entry: Entry[AnyEvent]) -> dict[str, Any]:
    cause = entry.cause if entry.cause > 0 else cause_name(entry.cause)
    ms = round((entry.at_ns - trail.first.at_ns) / 1e6, 3)
    return {"seq": entry.seq, "ms": ms, "cause": cause, "type": type_name(entry.event), "what": essence(entry.event)}
