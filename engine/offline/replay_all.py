"""Replay over a whole store: each session through the handler it was recorded with, as that handler is today."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from ...core import events as e
from ...core.codec import decode
from ...core.divergence import DivergenceReport
from ...core.errors import Divergence, StoreError, TurnlogError
from ...core.ports import SessionRow
from ...store.port import Store
from ..app import Handler
from ..loading import load_handler
from ..naming import function_name
from .replay import Replayed, replay

__all__ = ["SessionReplay", "handler_name", "recorded_start", "replay_all", "replay_one", "rows_since"]

_PAGE = 500


class SessionReplay(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one session. `reason`: why it was skipped, or the error that it failed with."""

    session: str
    target: str
    status: Literal["identical", "diverged", "skipped", "failed"]
    replayed: Replayed | None = None
    report: DivergenceReport | None = None
    reason: str = ""


async def replay_all(
    store: Store, *, handler: Handler | None = None, target: str | None = None, since_ns: int = 0
) -> AsyncIterator[SessionReplay]:
    """Replay the sessions of a store that began at `since_ns` or later, oldest first.

    handler: only the sessions that were recorded with this one; else each with its own, by the name in its log. Sessions of
    other handlers and those with replay=False are skipped by name; one that cannot be replayed at all has failed, and the
    others go on.
    """
    for row in await rows_since(store, target=target, since_ns=since_ns):
        yield await asyncio.to_thread(_replay_one, store, row, handler)


async def rows_since(store: Store, *, target: str | None = None, since_ns: int = 0) -> list[SessionRow]:
    """The sessions that began at `since_ns` or later, oldest first."""
    found: list[SessionRow] = []
    page = await store.sessions(target=target, limit=_PAGE)
    while page:
        found += [row for row in page if row.created_ns >= since_ns]
        more = len(page) == _PAGE and page[-1].created_ns >= since_ns
        page = await store.sessions(target=target, limit=_PAGE, before=page[-1].session) if more else []
    return found[::-1]


def replay_one(store: Store, row: SessionRow, handler: Handler, *, until: int | None = None) -> SessionReplay:
    """Replay one session through this handler, whatever it was recorded with. Synchronous; never raises a TurnlogError."""
    try:
        done = replay(store.scan(row.session, until=until, semantic=True), handler)
    except Divergence as error:
        return SessionReplay(session=row.session, target=row.target, status="diverged", report=error.report)
    except TurnlogError as error:
        status: Literal["skipped", "failed"] = "skipped" if error.code == "TL109" else "failed"
        return SessionReplay(session=row.session, target=row.target, status=status, reason=f"{error.code} {error.message}")
    return SessionReplay(session=row.session, target=row.target, status="identical", replayed=done)


def _replay_one(store: Store, row: SessionRow, handler: Handler | None) -> SessionReplay:
    try:
        started = recorded_start(store, row.session)
        if not started.replayable:
            reason = "proxied: it has no handler" if started.is_proxied else "replay=False"
            return SessionReplay(session=row.session, target=row.target, status="skipped", reason=reason)
        if handler is not None and started.handler != handler_name(handler):
            reason = f"handler {started.handler or '(not named)'}"
            return SessionReplay(session=row.session, target=row.target, status="skipped", reason=reason)
        return replay_one(store, row, handler or load_handler(started.handler))
    except TurnlogError as error:
        return SessionReplay(session=row.session, target=row.target, status="failed", reason=f"{error.code} {error.message}")


def handler_name(handler: Handler) -> str:
    """module:function, as the log names it."""
    return function_name(handler)


def recorded_start(store: Store, session: str) -> e.SessionStarted:
    """The first event of a log. Raises StoreError TL407 if it is not there, TL411 if it was erased."""
    for recorded in store.scan(session, until=1):
        started = decode(recorded)
        if isinstance(started, e.SessionStarted):
            return started
        if isinstance(started, e.Erased):
            raise StoreError("TL411", f"the first event of {session} was erased", "nothing of it can be replayed")
    raise StoreError("TL407", f"the log of {session} has no SessionStarted", "it was never started, or its log is cut")
