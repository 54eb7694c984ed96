"""The projection says: how the handler's words fared, by session and day (UTC): settled, heard, interrupted, misspoken.

Figures are sums, so that any group of rows can be added up: `said` makes shares and a mean of them. A say counts on the day it
was settled, a comparison of asked and spoken words (SaySpoken; a retried say has several) on the day it was made.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from ...core import events as e
from ...store.projection_folder import ProjectionFolder
from .declare import ProjectionContext, projection

__all__ = ["ALIKE", "Said", "said", "says"]

ALIKE = 0.8
"""Words that are less alike than this were misspoken."""

_COUNTS = ("says", "played", "interrupted", "cancelled", "failed", "generated_ms", "heard_ms", "compared", "mismatched")
_TABLES = (
    "CREATE TABLE sessions (session TEXT PRIMARY KEY, target TEXT NOT NULL)",
    f"""CREATE TABLE says (session TEXT NOT NULL, day TEXT NOT NULL, target TEXT NOT NULL,
    {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in _COUNTS)}, similarity REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (session, day))""",
    "CREATE INDEX says_by_day ON says (day)",
)
_ENTER = "INSERT INTO sessions VALUES (?, ?)"
_ROW = """INSERT OR IGNORE INTO says (session, day, target)
    SELECT :session, :day, COALESCE(MAX(target), '') FROM sessions WHERE session = :session"""
_SUMS = f"""SELECT {{group}}, MAX(target), {", ".join(f"SUM({name})" for name in (*_COUNTS, "similarity"))}
    FROM says GROUP BY 1 ORDER BY MAX(day) DESC, 1 LIMIT ?"""


@projection("says", version=1, on=(e.SessionStarted, e.SaySettled, e.SaySpoken), tables=_TABLES)
def says(event: object, ctx: ProjectionContext) -> None:
    """Fold one event."""
    match event:
        case e.SessionStarted():
            ctx.execute(_ENTER, (ctx.session, event.target))
        case e.SaySettled():
            heard_ms = min(event.heard_ms, event.generated_ms)
            _count(ctx, {"says": 1, event.status: 1, "generated_ms": event.generated_ms, "heard_ms": heard_ms})
        case e.SaySpoken():
            _count(ctx, {"compared": 1, "mismatched": int(event.similarity < ALIKE), "similarity": event.similarity})


def _count(ctx: ProjectionContext, counts: dict[str, float]) -> None:
    day = f"{datetime.fromtimestamp(ctx.at_ns / 1e9, UTC):%Y-%m-%d}"
    ctx.execute(_ROW, {"session": ctx.session, "day": day})
    sums = ", ".join(f"{name} = {name} + ?" for name in counts)
    ctx.execute(f"UPDATE says SET {sums} WHERE session = ? AND day = ?", (*counts.values(), ctx.session, day))


class Said(NamedTuple):
    """The says of a session, a target or a day. Shares and means are None where there was nothing to measure."""

    group: str
    target: str
    says: int
    played: int
    interrupted: int
    cancelled: int
    failed: int
    heard_share: float | None  # of the milliseconds generated
    compared: int
    mismatched: int
    similarity: float | None  # the mean


def said(folder: ProjectionFolder, *, by: str = "session", limit: int = 20) -> list[Said]:
    """The figures by "session", "target" or "day", newest first. Raises StoreError TL417 while the projection is not built."""
    if by not in ("session", "target", "day"):
        raise ValueError(f"by={by!r} is none of session, target, day")
    rows = folder.query("says", _SUMS.format(group=by), (limit,))
    return [_figures(*row) for row in rows]


def _figures(group: str, target: str, *sums: float) -> Said:
    *outcomes, generated_ms, heard_ms, compared, mismatched, similarity = sums
    count, played, interrupted, cancelled, failed = map(int, outcomes)
    return Said(
        group, target, count, played, interrupted, cancelled, failed,
        heard_ms / generated_ms if generated_ms else None,
        int(compared), int(mismatched), similarity / compared if compared else None,
    )  # fmt: skip
