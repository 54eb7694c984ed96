"""`/v1/turnlog/node`: the WebSocket by which a node (`turnlog run`) runs the handlers of its sessions for this engine.

What is said over it is engine/nodes' affair. A key of the scope admin opens it, and none of a tenant: a node answers for all.
"""

import asyncio
from typing import Final

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from ..core.errors import TurnlogError
from ..engine.engine import Engine
from ..transports.callers.websocket import CallerSocket
from .access import Access
from .answers import error_answer
from .settings import ServerSettings

__all__ = ["NodeSockets"]

_UNREAD: Final = 256 * 1024 * 1024  # a node that comes back reads the past of all its sessions at once


class NodeSockets:
    """The route for nodes, as the settings want it: how long sessions wait for one, how its messages are bounded."""

    def __init__(self, engine: Engine, access: Access, settings: ServerSettings) -> None:
        engine.nodes.grace_s = settings.node_grace_s
        engine.nodes.max_bytes = settings.max_message_bytes
        engine.nodes.messages_s = settings.node_messages_s
        self._engine = engine
        self._access = access
        self.routes: list[BaseRoute] = [WebSocketRoute("/v1/turnlog/node", self.answer)]

    async def answer(self, socket: WebSocket) -> None:
        """Let a node in, and carry its messages until either side ends it."""
        try:
            principal = await self._access.check(socket, "admin")
            if principal.tenant:
                hint = "ask for a key without a tenant"
                raise TurnlogError("TL507", "a key of one tenant opens no node", hint)
        except TurnlogError as error:
            await socket.send_denial_response(error_answer(error))
            return
        await socket.accept()
        link = CallerSocket(socket, max_bytes=self._engine.nodes.max_bytes, limit_bytes=_UNREAD)
        async with asyncio.TaskGroup() as beside:
            beside.create_task(self._engine.nodes.serve(link))
            await link.run()
