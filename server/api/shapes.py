"""What the API takes and gives, as structs: the OpenAPI document has their schemas. Times are RFC 3339, in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ...core.definition import SessionDefinition
from ...core.facts import EventFacts
from ...core.ports import SessionRow

__all__ = [
    "Accepted", "EndBody", "EndFacts", "EventsPage", "EventsQuery", "ForkBody", "ListQuery", "ReplayBody", "SayBody",
    "SaysAccepted", "SessionDetail", "SessionInfo", "SessionsPage", "SignalBody", "StartBody", "Started", "StreamQuery",
    "info_of", "time_of",
]  # fmt: skip

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_Words = Annotated[str, Meta(min_length=1, max_length=100_000)]
_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Key = Annotated[str, Meta(max_length=200)]
_Seq = Annotated[int, Meta(ge=0, le=2**53)]
_Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A session of the store. running: in this server. events: how many its log has."""

    session: str
    target: str
    tenant: str
    provider: str
    transport: str
    status: str
    running: bool
    python: str
    code_version: str
    events: int
    created_at: datetime
    ended_at: datetime | None


class EndFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a session ended."""

    reason: str
    code: str = ""
    detail: str = ""


class SessionDetail(SessionInfo, frozen=True, kw_only=True):
    """A session, with what stands in its log's first and last event; null where that was erased, or is not there yet."""

    metadata: dict[str, Any] | None
    definition: SessionDefinition | None
    end: EndFacts | None


class SessionsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, newest first. next: the `cursor` of the page behind this one."""

    sessions: list[SessionInfo]
    next: str | None


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions: since is included, until is not."""

    target: str | None = None
    status: Literal["active", "ended"] | None = None
    tenant: str | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None
    cursor: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class StartBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to start. caller_within_s: it ends where no caller comes in that time; null waits for ever."""

    target: _Name
    metadata: dict[str, Any] = {}
    session: _Id | None = None
    model: _Name | None = None
    voice: _Name | None = None
    tenant: _Key = ""
    caller_within_s: Annotated[int, Meta(ge=1, le=86_400)] | None = 60


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A session that runs, and the token with which a caller joins it at `realtime_url`."""

    session: str
    target: str
    token: str
    realtime_url: str


class EndBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """drain: what is queued is said first."""

    reason: _Name = "ended"
    drain: bool = True


class SayBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words to be spoken. One `key` is said once, however often it is sent."""

    text: _Words
    when: Literal["queue", "interrupt", "drop"] = "queue"
    on_stale: Literal["hold", "drop", "speak"] = "hold"
    interruptible: bool = True
    key: _Key = ""
    metadata: dict[str, Any] = {}


class SignalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signal for the handler. One `key` is received once, however often it is sent."""

    name: _Name
    data: Any = None
    key: _Key = ""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """It was taken: what becomes of it stands in the session's log."""

    session: str


class SaysAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """It was taken: `say` is its name in the log (SayRequested, SaySettled)."""

    session: str
    say: str


class ForkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new session with the past up to event `at`, and then by the script's lines, as `turnlog fork` reads them."""

    at: Annotated[int, Meta(ge=1, le=2**53)]
    name: _Id | None = None
    script: Annotated[list[Annotated[str, Meta(max_length=10_000)]], Meta(max_length=1000)] = []


class ReplayBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """until: only up to this event."""

    until: Annotated[int, Meta(ge=1, le=2**53)] | None = None


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Events behind `after`; types: only those; wire: also the messages of the wire."""

    after: _Seq = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    types: list[str] = []
    wire: bool = False


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True):
    """As of a page; a Last-Event-ID goes before `after`."""

    after: _Seq = 0
    types: list[str] = []
    wire: bool = False


class EventsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a session's events. head: the last there is. next: the `after` of the page behind this one; null at the head."""

    events: list[EventFacts]
    next: int | None
    head: int


def time_of(at_ns: int) -> datetime:
    """A time of the log, to the microsecond."""
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def info_of(row: SessionRow, *, running: bool) -> dict[str, Any]:
    """The fields of SessionInfo."""
    return {
        "session": row.session,
        "target": row.target,
        "tenant": row.tenant,
        "provider": row.provider,
        "transport": row.transport,
        "status": row.status,
        "running": running,
        "python": row.python,
        "code_version": row.code_version,
        "events": row.head_seq,
        "created_at": time_of(row.created_ns),
        "ended_at": None if row.ended_ns is None else time_of(row.ended_ns),
    }
