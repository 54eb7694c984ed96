"""The Realtime endpoint: a caller's WebSocket becomes a session of the target that its `model` names, or joins its `session_id`.

Everything that can be refused is refused before the upgrade, with a status and a JSON body. What the caller's messages
mean is the session's affair.
"""

import logging

from starlette.websockets import WebSocket

from ..core.errors import TurnlogError
from ..engine.engine import Engine
from ..engine.live import LiveSession
from ..transports.callers.websocket import MAX_MESSAGE_BYTES, CallerSocket
from .access import Access
from .answers import error_answer
from .asked import Refused, metadata_of, peer_of, target_of
from .callers import Admission, CallerTokens
from .proxied import ProxiedCallers

__all__ = ["RealtimeEndpoint"]

_SUBPROTOCOL = "realtime"
# the caller's own affair; what else fails is the server's
_REFUSALS = frozenset({"TL314", "TL408", "TL501", "TL502", "TL506", "TL507"})

log = logging.getLogger("turnlog.server")


class RealtimeEndpoint:
    """`GET /v1/realtime?model=<node.session>[&metadata=<JSON object>]`, or `?session_id=<session>`, as a WebSocket."""

    def __init__(self, engine: Engine, access: Access, tokens: CallerTokens, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._engine = engine
        self._access = access
        self._tokens = tokens
        self._max_message_bytes = max_message_bytes
        self._proxied = ProxiedCallers(access, max_message_bytes)

    async def answer(self, socket: WebSocket) -> None:
        """Check, start a session or find the one that is asked for, upgrade, and carry messages until either side ends it."""
        session = socket.query_params.get("session_id")
        try:
            if session is not None:
                admitted = await self._tokens.readmit(socket, session)
            else:
                principal = await self._access.check(socket, "start")
                target = target_of(self._engine.directory, socket.query_params.get("model", ""))
                declared = self._engine.directory.resolve(target)
                if declared.proxied:
                    await self._proxied.answer(socket, declared, principal)
                    return
                live = await self._access.start(principal, target, metadata=metadata_of(socket))
        except Refused as refused:
            await socket.send_denial_response(refused.answer())
        except TurnlogError as error:
            if error.code not in _REFUSALS:
                log.error("a caller could not be served: %s", error)
            await socket.send_denial_response(error_answer(error))
        else:
            await (self._begin(socket, live) if session is None else self._rejoin(socket, admitted))

    async def _begin(self, socket: WebSocket, live: LiveSession) -> None:
        """The session is running: nothing may leave here without a caller attached or the session asked to end."""
        try:
            link = await self._attach(socket, await self._tokens.admit(live))
        except BaseException:
            live.end("caller_gone", drain=False)
            raise
        await link.run()

    async def _rejoin(self, socket: WebSocket, admitted: Admission) -> None:
        try:
            link = await self._attach(socket, admitted)
        except TurnlogError as error:  # the session ended while the socket was being opened
            log.info("a caller came back too late: %s", error)
            await socket.close(1000, "session_ended")
        else:
            await link.run()

    async def _attach(self, socket: WebSocket, admitted: Admission) -> CallerSocket:
        offered = socket.scope.get("subprotocols", [])
        headers = [(b"turnlog-session", admitted.live.id.encode()), (b"turnlog-token", admitted.token.encode())]
        await socket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None, headers)
        limits = self._access.limiter.of_session(admitted.live.id)
        most = min(self._max_message_bytes, limits.message_bytes or self._max_message_bytes)
        link = CallerSocket(socket, max_bytes=most, messages_s=limits.messages_s)
        await self._engine.attach(admitted.live.id, link, transport="websocket", peer=peer_of(socket), seat=admitted.seat)
        return link
