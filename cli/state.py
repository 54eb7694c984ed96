"""`turnlog state`: what stood at one place of a session: links, turns, says, tools, the handler, the words so far."""

import asyncio
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from ..core.explain import picture
from .options import db_option, json_option, partial_option, print_json, session_argument
from .timeline import clip, load_trail

__all__ = ["command"]

_EMPTY: tuple[Any, ...] = (None, "", [], {})


@click.command("state")
@session_argument
@click.option("--at", "seq", type=int, metavar="SEQ", help="After this event.  [default: the last one]")
@partial_option
@db_option
@json_option
def command(session: str, seq: int | None, partial: bool, db: str, as_json: bool) -> None:
    """The state of a session after an event, folded from its log, and who was to act next.

    SESSION is an id, the beginning of one, `last`, or an archive FILE.turnlog.
    """
    _, trail = asyncio.run(load_trail(db, session, partial=partial))
    seen = picture(trail, seq=seq)
    if as_json:
        print_json(seen)
        return
    click.echo(f"{seen['session']['id']}  {seen['session']['target']}  after event {seen['seq']}, at {seen['ms']} ms")
    for name, value in seen.items():
        if name not in ("seq", "ms", "conversation"):
            for line in _lines(name.replace("_", " "), value):
                click.echo(clip(line))
    for spoken in seen["conversation"]:
        click.echo(clip(f"  {spoken['seq']:>5}  {spoken['role']:<9} {spoken['text']}"))


def _lines(name: str, value: Any) -> Iterator[str]:
    """A part of the picture: a heading with its plain value, or a line for each of its members that is not empty."""
    match value:
        case dict():
            yield name
            for key, item in value.items():
                if item not in _EMPTY:
                    yield f"  {key.replace('_', ' '):<20} {_value(item)}"
        case list() if value:
            yield name
            for item in value:
                yield "  " + (_fields(item) if isinstance(item, dict) else str(item))
        case _:
            yield f"{name:<22} {'none' if value in _EMPTY else value}"


def _fields(fields: dict[str, Any]) -> str:
    return "  ".join(f"{key}={_value(value)}" for key, value in fields.items() if value not in _EMPTY)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
