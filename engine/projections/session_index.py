"""The projection session_index: a row a session. Who, when, how long, how many turns and says, how it ended."""

import msgspec

from ...core import events as e
from .declare import ProjectionContext, projection

__all__ = ["session_index"]

_TABLE = """CREATE TABLE session_index (
    session TEXT PRIMARY KEY, target TEXT NOT NULL, handler TEXT NOT NULL, metadata TEXT NOT NULL, callers INTEGER NOT NULL,
    started_ns INTEGER NOT NULL, ended_ns INTEGER, duration_ms INTEGER, turns INTEGER NOT NULL, says INTEGER NOT NULL,
    says_heard INTEGER NOT NULL, calls INTEGER NOT NULL, outcome TEXT NOT NULL, code TEXT NOT NULL)"""
_ENTER = "INSERT INTO session_index VALUES (?, ?, ?, ?, 0, ?, NULL, NULL, 0, 0, 0, 0, '', '')"
_END = """UPDATE session_index SET ended_ns = :at_ns, duration_ms = (:at_ns - started_ns) / 1000000, outcome = :outcome,
    code = :code WHERE session = :session"""
_COUNT = "UPDATE session_index SET {0} = {0} + 1 WHERE session = ?"

_READS = (
    e.SessionStarted, e.LinkOpened, e.TurnEnded, e.SayRequested, e.SaySettled, e.CallRequested, e.ToolRequested, e.SessionEnded
)  # fmt: skip


@projection("session_index", version=1, on=_READS, tables=(_TABLE, "CREATE INDEX by_start ON session_index (started_ns)"))
def session_index(event: object, ctx: ProjectionContext) -> None:
    """Fold one event."""
    match event:
        case e.SessionStarted():
            metadata = msgspec.json.encode(event.metadata).decode()
            ctx.execute(_ENTER, (ctx.session, event.target, event.handler, metadata, ctx.at_ns))
        case e.LinkOpened(side="caller"):
            ctx.execute(_COUNT.format("callers"), (ctx.session,))
        case e.TurnEnded():
            ctx.execute(_COUNT.format("turns"), (ctx.session,))
        case e.SayRequested():
            ctx.execute(_COUNT.format("says"), (ctx.session,))
        case e.SaySettled() if event.heard_ms > 0:
            ctx.execute(_COUNT.format("says_heard"), (ctx.session,))
        case e.CallRequested() | e.ToolRequested():
            ctx.execute(_COUNT.format("calls"), (ctx.session,))
        case e.SessionEnded():
            ctx.execute(_END, {"at_ns": ctx.at_ns, "outcome": event.reason, "code": event.code, "session": ctx.session})
