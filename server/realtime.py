"""The Realtime endpoint: a caller's WebSocket becomes a session of the target that its `model` names, or joins its `session_id`.

With `call_id` it is a sideband of a call that was answered here. Everything that can be refused is refused before the
upgrade, with a status and a JSON body. What the caller's messages mean is the session's affair.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from starlette.websockets import WebSocket

from ..core.errors import TurnlogError
from ..core.limits import Limits
from ..engine.engine import Engine
from ..engine.live import LiveSession
from ..transports.callers.opened import configured
from ..transports.callers.watched_call import WatchedCall
from ..transports.callers.websocket import MAX_MESSAGE_BYTES, CallerSocket
from .access import Access
from .answers import error_answer
from .asked import Refused, metadata_of, peer_of
from .callers import Admission, CallerTokens
from .client_secrets import opened
from .proxied import ProxiedCallers

__all__ = ["RealtimeEndpoint"]

_SUBPROTOCOL = "realtime"
# the caller's own affair; what else fails is the server's
_REFUSALS = frozenset({"TL312", "TL314", "TL408", "TL501", "TL502", "TL505", "TL506", "TL507", "TL508"})

log = logging.getLogger("turnlog.server")


class RealtimeEndpoint:
    """`GET /v1/realtime?model=<node.session>[&metadata=<JSON object>]`, `?session_id=<session>` or `?call_id=<call>`."""

    def __init__(self, engine: Engine, access: Access, tokens: CallerTokens, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._engine = engine
        self._access = access
        self._tokens = tokens
        self._max_message_bytes = max_message_bytes
        self._proxied = ProxiedCallers(access, max_message_bytes)

    async def answer(self, socket: WebSocket) -> None:
        """Check, start a session or find the one that is asked for, upgrade, and carry messages until either side ends it."""
        try:
            carry = await self._asked(socket)
        except Refused as refused:
            await socket.send_denial_response(refused.answer())
        except TurnlogError as error:
            if error.code not in _REFUSALS:
                log.error("a caller could not be served: %s", error)
            await socket.send_denial_response(error_answer(error))
        else:
            if carry is not None:
                await carry

    async def _asked(self, socket: WebSocket) -> Coroutine[Any, Any, None] | None:
        """What is to be done for who may ask for it; None if it is done. Raises Refused and TurnlogError."""
        query = socket.query_params
        if (session := query.get("session_id")) is not None:
            return self._rejoin(socket, await self._tokens.readmit(socket, session))
        if (call_id := query.get("call_id")) is not None:
            await self._tokens.check(socket, lambda: self._engine.calls.session_of(call_id))
            limits = self._access.limiter.of_session(self._engine.calls.session_of(call_id))
            return self._watch(socket, self._engine.calls.watched(call_id), limits)
        opening = await opened(self._access, socket)
        target = opening.resolve(self._engine, query.get("model", ""))
        declared = self._engine.directory.resolve(target)
        if declared.proxied:
            await self._proxied.answer(socket, declared, opening.principal)
            return None
        live = await self._access.start(
            opening.principal, target, metadata=metadata_of(socket), overrides=opening.overrides
        )
        return self._begin(socket, live, opening.settings)

    async def _begin(self, socket: WebSocket, live: LiveSession, settings: dict[str, Any]) -> None:
        """The session is running: nothing may leave here without a caller attached or the session asked to end."""
        try:
            link = await self._attach(socket, await self._tokens.admit(live), settings)
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

    async def _watch(self, socket: WebSocket, call: WatchedCall, limits: Limits) -> None:
        """A sideband: it hears nothing and is no caller, so it keeps no session alive."""
        link = await self._accept(socket, [], limits)
        async with asyncio.TaskGroup() as both:
            both.create_task(link.run())
            both.create_task(call.watch(link))

    async def _attach(
        self, socket: WebSocket, admitted: Admission, settings: dict[str, Any] | None = None
    ) -> CallerSocket:
        live = admitted.live.id
        headers = [(b"turnlog-session", live.encode()), (b"turnlog-token", admitted.token.encode())]
        link = await self._accept(socket, headers, self._access.limiter.of_session(live))
        opened_link = configured(link, settings or {})
        await self._engine.attach(live, opened_link, transport="websocket", peer=peer_of(socket), seat=admitted.seat)
        return link

    async def _accept(
        self, socket: WebSocket, headers: list[tuple[bytes, bytes]], limits: Limits
    ) -> CallerSocket:
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None, headers)
        most = min(self._max_message_bytes, limits.message_bytes or self._max_message_bytes)
        return CallerSocket(socket, max_bytes=most, messages_s=limits.messages_s)
