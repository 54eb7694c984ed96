"""Nodes over HTTP, as AgentField's SDK registers, reports and leaves. Errors are {"error": text}, as there.

A node says where it is to be called, so only a key that may do all, of no tenant, may register one.
"""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..core.errors import DefinitionError, TurnlogError
from ..engine.engine import Engine
from ..transports.web.call_request import read_body
from .access import Access
from .answers import STATUS, error_headers

__all__ = ["NodeRegistration"]


class NodeRegistration:
    """`POST /api/v1/nodes/register`, `…/nodes/{node}/heartbeat`, `…/nodes/{node}/shutdown`, and `GET …/nodes/{node}`."""

    def __init__(self, engine: Engine, access: Access) -> None:
        self._nodes = engine.directory.registered
        self._access = access
        self.routes: list[BaseRoute] = [
            Route("/api/v1/nodes/register", self._answering(self.register), methods=["POST"]),
            Route("/api/v1/nodes/{node}/heartbeat", self._answering(self.heartbeat), methods=["POST"]),
            Route("/api/v1/nodes/{node}/shutdown", self._answering(self.shutdown), methods=["POST"]),
            Route("/api/v1/nodes/{node}", self._answering(self.look), methods=["GET"]),
        ]

    async def register(self, request: Request) -> Response:
        """201; the node's sessions can be started from here on."""
        node = self._nodes.register(await read_body(request))
        return _answer(201, success=True, message="Node registered successfully", node_id=node.name)

    async def heartbeat(self, request: Request) -> Response:
        """200; 404 where the node should register anew."""
        node = request.path_params["node"]
        return _answer(200, success=True, node_id=node) if self._nodes.heartbeat(node) else _unknown()

    async def shutdown(self, request: Request) -> Response:
        """202; none of its sessions begins any more."""
        node = request.path_params["node"]
        return _answer(202, success=True, node_id=node) if self._nodes.shutdown(node) else _unknown()

    async def look(self, request: Request) -> Response:
        """The node's sessions and whether it is there."""
        node = self._nodes.get(request.path_params["node"])
        if node is None:
            return _unknown()
        sessions = [one.definition.name for one in node.declared()]
        return _answer(200, id=node.name, lifecycle_status="ready", health_status="active", sessions=sessions)

    def _answering(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            try:
                principal = await self._access.check(request, "admin")
                if principal.tenant:
                    raise TurnlogError("TL507", "a key of one tenant registers no node", "ask for a key without a tenant")
                return await answer(request)
            except DefinitionError as error:
                return _answer(400, error=error.message)
            except TurnlogError as error:
                status = STATUS.get(error.code, 503)
                return _answer(status, error_headers(error, status), error=error.message)

        return answered


def _unknown() -> Response:
    return _answer(404, error="agent not found")


def _answer(status: int, headers: dict[str, str] | None = None, /, **body: object) -> Response:
    return Response(msgspec.json.encode(body), status, headers=headers, media_type="application/json")
