"""An operation of the API is declared once: its route, check of access and part of the OpenAPI document are made of that."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ...core.errors import TurnlogError
from ..access import Access, Principal
from ..access import Scope as KeyScope
from ..answers import is_fault
from .problems import ApiRefused, problem_answer, refused

__all__ = ["PREFIX", "Answer", "Operation", "Resource", "json_answer", "resources"]

PREFIX = "/v1/turnlog"
log = logging.getLogger("turnlog.server")


class Answer(NamedTuple):
    """What an operation answers with: a struct as JSON, or other media types."""

    status: int
    what: str
    shape: Any = None
    media: tuple[str, ...] = ()


class Operation(NamedTuple):
    """GET or POST of one path. query, body: the structs of what it takes. scope: what a key needs for it."""

    method: str
    path: str
    name: str
    summary: str
    scope: KeyScope
    answer: Callable[[Request, Principal], Awaitable[Response]]
    answers: Sequence[Answer]
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    headers: tuple[str, ...] = ()  # those of the request that it reads


class Resource:
    """All operations of one path, as an ASGI application: any other method is 405."""

    def __init__(self, access: Access, operations: Sequence[Operation]) -> None:
        self._access = access
        self._operations = {operation.method: operation for operation in operations}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive))
        response.headers["X-Request-Id"] = f"req_{secrets.token_hex(12)}"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            operation = self._operations.get("GET" if request.method == "HEAD" else request.method)
            if operation is None:
                allowed = ", ".join([*self._operations, *(["HEAD"] if "GET" in self._operations else [])])
                raise refused(405, f"{request.method} is not for this address", f"it takes {allowed}", {"Allow": allowed})
            return await operation.answer(request, await self._access.check(request, operation.scope))
        except ApiRefused as error:
            return problem_answer(error.error, error.status, error.headers)
        except TurnlogError as error:
            answer = problem_answer(error)
            if is_fault(error, answer.status_code):
                log.error("%s %s could not be answered: %s", request.method, request.url.path[:200], error)
            return answer


def resources(access: Access, operations: Sequence[Operation]) -> list[Route]:
    """The routes of these operations, a path each."""
    paths: dict[str, list[Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, []).append(operation)
    return [Route(path, Resource(access, of_path)) for path, of_path in paths.items()]


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A struct as JSON, which nobody keeps."""
    told = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(value), status, told, "application/json")
