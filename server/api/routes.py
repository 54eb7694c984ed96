"""All routes of the API: where its operations are put together, and nowhere else."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...engine.engine import Engine
from ..access import Access, Principal
from ..callers import CallerTokens
from .events import Events
from .media import Media
from .offline import Offline
from .openapi import openapi
from .operations import PREFIX, Answer, Operation, resources
from .problems import problem_answer, refused
from .sessions import SESSIONS, Sessions

__all__ = ["ApiRoutes"]


class ApiRoutes:
    """turnlog's own API over one engine: docs/reference/api.md."""

    def __init__(self, engine: Engine, access: Access, tokens: CallerTokens) -> None:
        one_at_a_time = asyncio.Semaphore(1)
        parts = (
            Sessions(engine, access, tokens),
            Events(engine, access),
            Media(engine, access, one_at_a_time),
            Offline(engine, access, one_at_a_time),
        )
        operations: list[Operation] = [operation for part in parts for operation in part.operations]
        document = Operation(
            "GET", PREFIX + "/openapi.json", "getOpenApi", "This document", "observe", self.document,
            (Answer(200, "OpenAPI 3.1.", None, ("application/json",)),),
        )  # fmt: skip
        self._document = msgspec.json.encode(openapi(operations))
        self.routes = [
            *resources(access, [document, *operations]),
            Route(SESSIONS + "/{path:path}", _nothing),
        ]

    async def document(self, request: Request, principal: Principal) -> Response:
        """200: what this API is."""
        return Response(self._document, 200, {"Cache-Control": "no-cache"}, "application/json")


async def _nothing(request: Request) -> Response:
    error = refused(404, f"there is nothing at {request.url.path[:200]}", f"see {PREFIX}/openapi.json").error
    return problem_answer(error, 404)
