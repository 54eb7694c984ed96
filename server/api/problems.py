"""Errors of the API: RFC 9457 problem details with turnlog's code and hint. What is wrong with a request itself is TL509."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

from ...core.errors import CODES, DefinitionError, TurnlogError
from ..answers import STATUS, error_headers

__all__ = ["MEDIA_TYPE", "ApiRefused", "Problem", "problem_answer", "refused"]

MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final = {
    **STATUS,
    "TL101": 409,  # a fork of what today's handler does not replay
    "TL102": 409,  # the session is there, and runs no more
    "TL105": 422,
    "TL108": 409,
    "TL109": 409,
    "TL111": 422,
    "TL204": 404,
    "TL405": 409,
    "TL407": 409,
    "TL409": 409,
    "TL411": 409,
    "TL418": 422,
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. title: what the code means; detail: what it was here; hint: what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str


class ApiRefused(Exception):
    """A request that is answered with this status and these headers, whatever the code's own status is."""

    def __init__(self, error: TurnlogError, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.status = status
        self.headers = dict(headers or {})


def refused(status: int, message: str, hint: str, headers: Mapping[str, str] | None = None) -> ApiRefused:
    """A request that is wrong in itself, as an exception: TL509."""
    return ApiRefused(TurnlogError("TL509", message, hint), status, headers)


def problem_answer(error: TurnlogError, status: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """The error as application/problem+json, under the status given, or that of its code."""
    if status is None:
        status = _STATUS.get(error.code, 422 if isinstance(error, DefinitionError) else 503)
    problem = Problem(
        type=f"urn:turnlog:error:{error.code}",
        title=CODES.get(error.code, ""),
        status=status,
        detail=error.message,
        code=error.code,
        hint=error.hint,
    )
    told = {**error_headers(error, status), **(headers or {})}
    return Response(msgspec.json.encode(problem), status, told, MEDIA_TYPE)
