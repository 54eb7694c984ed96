"""Declaring a projection: what it reads, the tables it keeps, and the function that takes one event after the other.

A projection is a fold of the feed into tables of its own. It is given committed events only, each once and in order; what it
writes and how far it has read are committed together. It must depend on nothing but the events, for it is built again.
"""

import inspect
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from ...core.errors import DefinitionError
from ...core.events import Erased, Event, Unknown
from ...store.feed import type_names

__all__ = ["Apply", "OnError", "Projection", "ProjectionContext", "check", "projection"]

OnError: TypeAlias = Literal["stop", "dead_letter", "retry"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NOT_ALLOWED = re.compile(
    r"\s*(?:BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|ATTACH|DETACH|PRAGMA|VACUUM)\b|.*\bturnlog_(?:checkpoint|dead_letters)\b",
    re.IGNORECASE | re.DOTALL,
)


class ProjectionContext:
    """Where an event stands, and the projection's tables. Valid while `apply` runs."""

    __slots__ = ("_execute", "at_ns", "seq", "session", "type")

    def __init__(self, session: str, seq: int, at_ns: int, type_: str, execute: Callable[[str, Any], list[Any]]) -> None:
        self.session = session
        self.seq = seq
        self.at_ns = at_ns  # ns since the Unix epoch
        self.type = type_
        self._execute = execute

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Run one statement on the projection's own tables, in its transaction; returns all rows.

        Raises DefinitionError TL208 for statements that begin or end transactions or reach out of the projection.
        """
        if _NOT_ALLOWED.match(sql):
            raise DefinitionError(
                "TL208",
                f"a projection may not run: {sql.strip()[:80]}",
                "its writes and its checkpoint are one transaction, which turnlog begins and ends; keep to tables of your own",
            )
        return self._execute(sql, parameters)


Apply: TypeAlias = Callable[[Any, ProjectionContext], object]  # what it returns is of no interest


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """A declared projection; made by @projection."""

    name: str
    version: int
    on: frozenset[str] | None  # None: all events
    tables: tuple[str, ...]
    on_error: OnError
    apply: Apply

    @property
    def types(self) -> frozenset[str] | None:
        """What to ask the feed for: the event types, or None for all."""
        if self.on is None or "Unknown" in self.on or self.on == {"Erased"}:
            return None
        return self.on - {"Erased"}

    def wants(self, event: Event | Unknown | Erased) -> bool:
        """Whether `apply` is to see it: what was erased, or is not known to this version, only if that was asked for."""
        if self.on is None:
            return True
        if isinstance(event, Erased):
            return "Erased" in self.on and (self.on == {"Erased"} or event.type in self.on)
        return type(event).__name__ in self.on


def projection(
    name: str,
    *,
    version: int = 1,
    on: Collection[str | type] | None = None,
    tables: str | Sequence[str] = (),
    on_error: OnError = "stop",
) -> Callable[[Apply], Projection]:
    """Declare a projection: decorates `def apply(event, ctx)`, which may be an ordinary function only.

    on: event types, by class or name, None for all; Erased and Unknown are given only if they are named (Erased: for the other
    types named). tables: CREATE statements, one a string. version: a new one is built beside the old and takes over when it has
    caught up; raise it whenever `tables` or what `apply` does changes. on_error, when `apply` raises: "stop" before that event,
    "dead_letter" writes it down and goes on, "retry" tries it again until it works. Raises DefinitionError TL208.
    """
    if not _NAME.fullmatch(name):
        raise _bad("name", f"the name {name!r} is not valid", "use a to z, 0 to 9 and _, a letter first, at most 64")
    if type(version) is not int or version < 1:
        raise _bad("version", f"the version {version!r} of {name!r} is not valid", "count 1, 2, 3…")
    if on_error not in get_args(OnError):
        raise _bad("on_error", f"on_error={on_error!r} of {name!r} is not known", f"use one of {', '.join(get_args(OnError))}")
    names = type_names(on)
    if names is not None and not names:
        raise _bad("on", f"projection {name!r} reads no event", "name event types, or leave `on` out for all")
    made = (tables,) if isinstance(tables, str) else tuple(tables)

    def declare(apply: Apply) -> Projection:
        if inspect.iscoroutinefunction(apply):
            raise _bad("apply", f"projection {name!r} is no ordinary function", "write it as `def`: it runs on its own thread")
        return Projection(name=name, version=version, on=names, tables=made, on_error=on_error, apply=apply)

    return declare


def check(projections: Iterable[Projection]) -> None:
    """Raise DefinitionError TL208 for what is no projection, two of one name, or tables that SQLite does not accept."""
    names: set[str] = set()
    for one in projections:
        if not isinstance(one, Projection):
            raise _bad("projections", f"{one!r} is no projection", "decorate its function with @turnlog.projection(…)")
        if one.name in names:
            raise _bad("name", f"two projections are named {one.name!r}", "rename one")
        names.add(one.name)
        with closing(sqlite3.connect(":memory:")) as trial:
            for statement in one.tables:
                try:
                    trial.execute(statement)
                except (sqlite3.Error, sqlite3.Warning) as error:
                    raise _bad(
                        "tables",
                        f"projection {one.name!r}: SQLite {sqlite3.sqlite_version} does not accept its tables: {error}",
                        f"correct, one CREATE statement a string: {statement}",
                    ) from error


def _bad(field: str, message: str, hint: str) -> DefinitionError:
    return DefinitionError("TL208", message, hint, field=field)
