"""How AgentField's routes answer what is no success: {"error": text} under its status."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..core.errors import DefinitionError, HandlerError, TurnlogError
from .answers import STATUS, error_headers, is_fault

__all__ = ["Endpoint", "Refused", "answering", "body_of"]

T = TypeVar("T", bound=msgspec.Struct)
Endpoint = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("turnlog.server")


class Refused(Exception):
    """An answer that is no success: its status, and the fields beside "error"."""

    def __init__(self, status: int, error: str, **fields: str) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **fields}


def answering(endpoint: Endpoint, method: str = "POST") -> Endpoint:
    """The endpoint of one method, its refusals and errors answered in AgentField's shape."""

    async def answered(request: Request) -> Response:
        try:
            if request.method != method:
                raise Refused(405, f"this address takes {method} only")
            return await endpoint(request)
        except Refused as refused:
            headers = {"Allow": method} if refused.status == 405 else None
            return Response(msgspec.json.encode(refused.body), refused.status, headers, "application/json")
        except TurnlogError as error:
            status = 400 if isinstance(error, DefinitionError | HandlerError) else STATUS.get(error.code, 503)
            if is_fault(error, status):
                log.error("a session could not be served: %s", error)
            body = msgspec.json.encode({"error": error.message})
            return Response(body, status, error_headers(error, status), "application/json")

    return answered


def body_of(data: bytes, kind: type[T]) -> T:
    """A body in JSON; no body is one that asks for nothing. Raises Refused: 400."""
    try:
        return msgspec.json.decode(data if data.strip() else b"{}", type=kind)
    except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
        raise Refused(400, "invalid JSON body") from None
