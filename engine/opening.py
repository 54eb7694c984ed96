"""How a session's log begins: its first event, and its entry in the catalogue."""

import sys
from typing import Any

import msgspec

from ..core import events as e
from ..core.commands import plain
from ..core.ports import SessionRow
from .app import Declared, code_version
from .handlers.handler_run import ENGINE_FLAGS, STRICT
from .naming import function_name

__all__ = ["row_of", "started_of"]


def started_of(
    declared: Declared, session: str, metadata: dict[str, Any], tools: list[e.ToolRules], *, strict: bool = False
) -> e.SessionStarted:
    """The first event of a session. Raises HandlerError TL105 for metadata that cannot be stored."""
    handler = declared.handler
    started = e.SessionStarted(
        session=session,
        target=declared.target,
        definition=declared.definition,
        metadata=plain(metadata, "metadata"),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        code_version="" if declared.proxied else code_version(handler),
        handler="" if declared.proxied else function_name(handler),
        engine_flags=0 if declared.proxied else ENGINE_FLAGS | (STRICT if strict and declared.replay else 0),
        replayable=declared.replay,
        tools=tools,
    )
    # What the handler is given is what a replay will give it: the value as the log holds it.
    return msgspec.msgpack.decode(msgspec.msgpack.encode(started), type=e.SessionStarted)


def row_of(started: e.SessionStarted, now_ns: int, tenant: str) -> SessionRow:
    """Its entry in the store's catalogue."""
    return SessionRow(
        session=started.session,
        tenant=tenant,
        target=started.target,
        provider=started.definition.provider,
        transport=started.definition.transport,
        status="active",
        python=started.python,
        code_version=started.code_version,
        engine_flags=started.engine_flags,
        head_seq=0,
        created_ns=now_ns,
        ended_ns=None,
    )
