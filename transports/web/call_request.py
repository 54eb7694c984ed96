"""What a WebRTC client posts to open a call: its SDP offer, and the session that it asks for.

Both forms that OpenAI's clients use: multipart/form-data with the parts `sdp` and `session` (a file or a field, either), and
the bare offer as application/sdp. The offer itself is looked at where it is answered.
"""

import asyncio
from typing import Any, Final

import msgspec
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from ...core.errors import ProtocolError

__all__ = ["BODY_LIMIT", "BODY_S", "MAX_BODY_BYTES", "CallRequest", "read_body", "read_call", "read_object"]

MAX_BODY_BYTES: Final = 1024 * 1024
BODY_LIMIT: Final = "turnlog.body_limit"
"""In a request's scope: a lower maximum of its own, in bytes, where whoever let it in has put one."""
BODY_S: Final = 10.0
"""How long a client may take to send a body: an offer has a few KB."""
_HINT: Final = "send the offer as application/sdp, or multipart/form-data with the parts `sdp` and `session`"


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An offer, and the session object that came with it."""

    sdp: str
    session: dict[str, Any] = {}


async def read_call(request: Request) -> CallRequest:
    """The body of POST …/realtime/calls. Raises ProtocolError TL504 (another form) or TL306 (too large)."""
    body = await read_body(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return CallRequest(sdp=_text(body))
    if kind != "multipart/form-data":
        raise ProtocolError("TL504", f"a call cannot be opened with a body of type {kind[:100]!r}", _HINT)
    parts = await _parts(request, body)
    if "sdp" not in parts:
        raise ProtocolError("TL504", "the form has no part `sdp`", _HINT)
    return CallRequest(sdp=_text(parts["sdp"]), session=read_object(parts.get("session", b""), "the part `session`"))


async def read_body(request: Request) -> bytes:
    """The whole body. Raises ProtocolError TL306 over the maximum, TL504 for one that does not come."""
    most = min(MAX_BODY_BYTES, request.scope.get(BODY_LIMIT, MAX_BODY_BYTES))
    body = bytearray()
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said[:20]) > most:  # it need not be sent to be refused
        raise ProtocolError("TL306", f"the body is larger than {most} bytes")
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise ProtocolError("TL306", f"the body is larger than {most} bytes")
    except TimeoutError:
        raise ProtocolError("TL504", f"the body did not come within {BODY_S:g} s", "send it whole") from None
    except ClientDisconnect:
        raise ProtocolError("TL504", "the client left before all of its body had come") from None
    return bytes(body)


def read_object(data: bytes, where: str) -> dict[str, Any]:
    """A JSON object; nothing at all is an empty one. Raises ProtocolError TL504."""
    if not data.strip():
        return {}
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise ProtocolError("TL504", f"{where} is no JSON object: {error}") from None


async def _parts(request: Request, body: bytes) -> dict[str, bytes]:
    async def once() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        async with Request(request.scope, once).form(max_files=4, max_fields=16, max_part_size=MAX_BODY_BYTES) as form:
            return {
                name: await part.read() if isinstance(part, UploadFile) else part.encode(errors="replace")
                for name, part in form.multi_items()
            }
    except HTTPException as error:
        raise ProtocolError("TL504", f"the form cannot be read: {error.detail}", _HINT) from None


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
