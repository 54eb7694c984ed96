"""Proxied sessions whose process died: their connections went with it, and nobody can go on with them, so their logs get an end.

Only for a store that no other process writes to: it is asked before the engine starts any session. What has a handler is left
alone, for its log can be taken up again.
"""

import asyncio
import logging
from typing import Final

from ...core import events as e
from ...core.codec import decode
from ...core.core import SessionCore
from ...core.ports import SessionRow
from ...store.port import Store
from ..nonces import Nonces
from ..session_log import SessionLog
from .log import RETRY_S
from .relayed import LOST

__all__ = ["end_orphans"]

_PAGE: Final = 1000
_WHY: Final = "the process that passed this session died"

log = logging.getLogger("turnlog")


async def end_orphans(store: Store, nonces: Nonces) -> int:
    """End them, with the time of the last event that each log holds; how many there were. A log that cannot be read is left."""
    ended, before = 0, None
    while rows := await store.sessions(status="active", before=before, limit=_PAGE):
        for row in rows:
            if row.engine_flags or row.code_version:  # of a handler
                continue
            try:
                ended += await _end(store, row, nonces)
            except Exception:  # whatever one log holds, the engine starts
                log.warning("session %s has no end, and cannot be given one", row.session, exc_info=True)
        before = rows[-1].session
    return ended


async def _end(store: Store, row: SessionRow, nonces: Nonces) -> bool:
    core, at_ns = await asyncio.to_thread(_read, store, row.session)
    started = core.state.life.started
    if started is None or not started.is_proxied:
        return False
    core.ending(e.SessionEnding(reason="engine_lost", code="TL323", detail=_WHY), at_ns, e.Root.HOST)
    links = core.state.links
    for link in (*links.callers, *([] if links.provider is None else [links.provider])):
        core.record(e.LinkClosed(link=link, code=LOST, reason=_WHY), core.state.life.ending_seq, at_ns)
    while not core.ended:
        core.close_when_done(at_ns)
    head = await store.claim(row.session)
    written = SessionLog(store, head, nonces, retry_s=RETRY_S)  # no observers: it began in no time of theirs
    await written.append(core.events_to_append(), ended=True)
    log.info("session %s: %s; its log has an end now", row.session, _WHY)
    return True


def _read(store: Store, session: str) -> tuple[SessionCore, int]:
    """The state at the end of a proxied session's log, and the time of its last event."""
    core, at_ns = SessionCore(), 0
    for recorded in store.scan(session):
        event, at_ns = decode(recorded), recorded.at_ns
        core.apply(recorded.seq, at_ns, event)
        if isinstance(event, e.SessionStarted) and not event.is_proxied:
            break
    return core, at_ns
