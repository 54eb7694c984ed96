"""The Realtime endpoint: a caller's WebSocket becomes a session of the target that its `model` names.

Everything that can be refused is refused before the upgrade, with a status and a JSON body. What the caller's messages
mean is the session's affair.
"""

import logging
import time
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from ..core.errors import DefinitionError, TurnlogError
from ..engine.engine import Engine
from ..engine.live import LiveSession
from ..transports.callers.websocket import MAX_MESSAGE_BYTES, CallerSocket
from .answers import error_answer
from .auth import Keys, digest, new_token

__all__ = ["TOKEN_S", "RealtimeEndpoint"]

TOKEN_S = 24 * 3600
"""How long a caller's token opens its session."""
_SUBPROTOCOL = "realtime"

log = logging.getLogger("turnlog.server")


class RealtimeEndpoint:
    """`GET /v1/realtime?model=<node.session>[&metadata=<JSON object>]` as a WebSocket."""

    def __init__(self, engine: Engine, keys: Keys, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._engine = engine
        self._keys = keys
        self._max_message_bytes = max_message_bytes

    async def answer(self, socket: WebSocket) -> None:
        """Check, start a session, upgrade, and carry messages until either side ends it."""
        try:
            self._keys.check(socket)
            target = self._target(socket)
            live = await self._engine.start(target, metadata=_metadata(socket))
        except _Refused as refused:
            await socket.send_denial_response(error_answer(refused.error, refused.status, param=refused.param))
        except TurnlogError as error:
            if error.code not in ("TL501", "TL502"):
                log.error("a caller could not be served: %s", error)
            await socket.send_denial_response(error_answer(error))
        else:
            await self._carry(socket, live)

    def _target(self, socket: WebSocket) -> str:
        target = socket.query_params.get("model", "")
        declared = ", ".join(session.target for session in self._engine.app.sessions.values()) or "none"
        hint = f"sessions of this server: {declared}"
        if not target:
            raise _Refused(TurnlogError("TL504", "the query has no `model`, which names the session target", hint), 400, "model")
        try:
            return self._engine.app.resolve(target).target
        except DefinitionError:
            unknown = TurnlogError("TL502", f"no session {target[:200]!r} is declared", hint)
            raise _Refused(unknown, 404, "model") from None

    async def _carry(self, socket: WebSocket, live: LiveSession) -> None:
        """The session is running: nothing may leave here without a caller attached or the session asked to end."""
        try:
            token = new_token()
            expires_ns = time.time_ns() + TOKEN_S * 1_000_000_000
            await self._engine.store.add_caller(digest(token), live.id, expires_ns=expires_ns)
            offered = socket.scope.get("subprotocols", [])
            headers = [(b"turnlog-session", live.id.encode()), (b"turnlog-token", token.encode())]
            await socket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None, headers)
            link = CallerSocket(socket, max_bytes=self._max_message_bytes)
            await self._engine.attach(live.id, link, transport="websocket", peer=_peer(socket))
        except BaseException:
            live.end("caller_gone", drain=False)
            raise
        await link.run()


class _Refused(Exception):
    """A request that is wrong in a way of its own: the error, its status, and the parameter at fault."""

    def __init__(self, error: TurnlogError, status: int, param: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.status = status
        self.param = param


def _metadata(socket: WebSocket) -> dict[str, Any]:
    text = socket.query_params.get("metadata")
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text.encode(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        wrong = TurnlogError("TL504", f"the query's `metadata` is no JSON object: {error}", 'for example metadata={"room":"12"}')
        raise _Refused(wrong, 400, "metadata") from None


def _peer(socket: WebSocket) -> str:
    return f"{socket.client.host}:{socket.client.port}" if socket.client else ""
