"""What HTTP hears of an error: a status and a JSON body in the shape that OpenAI's clients read."""

import math
from typing import Final

import msgspec
from starlette.responses import Response

from ..core.errors import LimitExceeded, TurnlogError

__all__ = ["STATUS", "error_answer", "error_headers", "is_fault"]

STATUS: Final = {
    "TL102": 404,
    "TL306": 413,
    "TL310": 400,
    "TL312": 404,
    "TL314": 502,
    "TL330": 502,
    "TL331": 400,
    "TL408": 404,
    "TL501": 401,
    "TL502": 404,
    "TL504": 400,
    "TL505": 409,
    "TL506": 429,
    "TL507": 403,
    "TL508": 503,
    "TL510": 403,
    "TL601": 500,
}
"""By code; what is not here is a failure of the server's own (503): the log, a link, the machine."""
_HEADERS: Final = {
    401: {"WWW-Authenticate": "Bearer"},
    405: {"Allow": "POST"},
    426: {"Upgrade": "websocket", "Connection": "Upgrade"},
}


def error_headers(error: TurnlogError, status: int) -> dict[str, str]:
    """What an answer to this error says beside its body: how to authenticate, when to ask again."""
    headers = dict(_HEADERS.get(status, {}))
    if isinstance(error, LimitExceeded):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    if error.code == "TL508":
        headers["Retry-After"] = "1"  # somebody else is ready, or will be
    return headers


def is_fault(error: TurnlogError, status: int) -> bool:
    """Whether this server's log must tell of it: it is not the asker's affair, nor what a drain is for."""
    return status >= 500 and error.code != "TL508"


def error_answer(error: TurnlogError, status: int | None = None, *, param: str | None = None) -> Response:
    """{"error": {"type", "code", "message", "param", "hint"}} under the error's status, or the one given."""
    status = STATUS.get(error.code, 503) if status is None else status
    body = {
        "type": "invalid_request_error" if status < 500 else "server_error",
        "code": error.code,
        "message": error.message,
        "param": param,
        "hint": error.hint,
    }
    headers = error_headers(error, status)
    return Response(msgspec.json.encode({"error": body}), status, headers=headers, media_type="application/json")
