"""Calls over WebRTC: a caller's SDP offer becomes a session of the target that its `model` names, or joins its `session_id`.

Everything that can be refused is refused before a session is started. What was started for a call that fails is ended.
"""

import logging
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.errors import TurnlogError
from ..engine.answering import Answered
from ..engine.app import Declared
from ..engine.engine import Engine
from ..transports.web.call_request import CallRequest, read_call
from ..transports.webrtc.sdp import check_offer
from .access import Access, Principal
from .answers import STATUS, error_answer, is_fault
from .asked import Refused, metadata_of, peer_of
from .callers import Admission, CallerTokens
from .client_secrets import Opening, merged, opened, settings_of

__all__ = ["EXPOSED", "METHODS", "CallsEndpoint"]

_PATH = "/v1/realtime/calls"
EXPOSED = ("Location", "X-Request-Id", "Turnlog-Session", "Turnlog-Token", "Content-Range", "ETag", "Retry-After")
"""The headers of an answer that a page of another origin may read."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""For routes that refuse in JSON what they do not take."""

log = logging.getLogger("turnlog.server")


class CallsEndpoint:
    """`POST /v1/realtime/calls`, with `?model=<node.session>` or `?session_id=<session>`, and `…/{id}/hangup`."""

    def __init__(self, engine: Engine, access: Access, tokens: CallerTokens) -> None:
        self._engine = engine
        self._access = access
        self._tokens = tokens
        self.routes = [
            Route(_PATH, self._post(self.open), methods=METHODS),
            Route(_PATH + "/{call_id}/hangup", self._post(self.hang_up), methods=METHODS),
        ]

    async def open(self, request: Request) -> Response:
        """201, the call's id in Location, and the SDP answer."""
        session = request.query_params.get("session_id")
        admitted, opening = None, Opening(principal=Principal())
        if session is not None:
            admitted = await self._tokens.readmit(request, session)
        else:
            opening = await opened(self._access, request)
        asked = await _read(request)
        offer = check_offer(asked.sdp)
        if admitted is None and (proxied := self._proxied(request, opening, asked.session)):
            return await self._relay(request, opening, proxied, offer, asked.session)
        await self._engine.calls.installed()
        settings = settings_of(asked.session, "the part `session` of the request")
        if admitted is None:
            settings = merged(opening.settings, settings)
            admitted, answered = await self._begin(request, opening, offer, asked.session, settings)
        else:
            answered = await self._engine.answer(
                admitted.live.id, offer, peer=peer_of(request), seat=admitted.seat, settings=settings
            )
        return _answer(answered.sdp, answered.call_id, admitted.live.id, admitted.token)

    def _proxied(self, request: Request, opening: Opening, session: dict[str, Any]) -> Declared | None:
        """The target, if it is proxied."""
        target = opening.resolve(self._engine, _model(request, session), "request")
        declared = self._engine.directory.resolve(target)
        return declared if declared.proxied else None

    async def _relay(
        self, request: Request, opening: Opening, declared: Declared, offer: str, session: dict[str, Any]
    ) -> Response:
        """Pass the offer on, with what its caller configures: the provider holds the call."""
        live, taken = await self._access.relay_call(
            opening.principal, declared, offer, session, metadata=metadata_of(request)
        )
        try:
            token = await self._tokens.token(live.id)
        except BaseException:
            live.end("caller_gone")
            raise
        return _answer(taken.sdp, taken.call_id, live.id, token)

    async def _begin(
        self, request: Request, opening: Opening, offer: str, session: dict[str, Any], settings: dict[str, Any]
    ) -> tuple[Admission, Answered]:
        """Start a session for this call: nothing may leave here without the call in it or the session asked to end."""
        target = opening.resolve(self._engine, _model(request, session), "request")
        live = await self._access.start(
            opening.principal, target, metadata=metadata_of(request), overrides=opening.overrides
        )
        try:
            admitted = await self._tokens.admit(live)
            answered = await self._engine.answer(
                live.id, offer, peer=peer_of(request), seat=admitted.seat, settings=settings
            )
        except BaseException:
            live.end("caller_gone", drain=False)
            raise
        return admitted, answered

    async def hang_up(self, request: Request) -> Response:
        """200 when the call has ended: for its caller's token, or whoever may call this server."""
        call_id: str = request.path_params["call_id"]
        await self._tokens.check(request, lambda: self._engine.calls.session_of(call_id))
        await self._engine.calls.hang_up(call_id)
        return Response(status_code=200)

    def _post(self, endpoint: Any) -> Any:
        async def answered(request: Request) -> Response:
            response = await _answered(request, endpoint)
            response.headers["X-Request-Id"] = f"req_{secrets.token_hex(12)}"
            return response

        return answered


def _model(request: Request, session: dict[str, Any]) -> str:
    named = session.get("model")
    return named if isinstance(named, str) and named else request.query_params.get("model", "")


def _answer(sdp: str, call_id: str, session: str, token: str) -> Response:
    headers = {
        "Location": f"{_PATH}/{call_id}",
        "Turnlog-Session": session,
        "Turnlog-Token": token,
        "Cache-Control": "no-store",
    }
    return Response(sdp, 201, headers, media_type="application/sdp")


async def _answered(request: Request, endpoint: Any) -> Response:
    try:
        if request.method != "POST":
            raise Refused(TurnlogError("TL504", "this address takes POST only", "send the SDP offer as its body"), 405)
        response: Response = await endpoint(request)
        return response
    except Refused as refused:
        return refused.answer()
    except TurnlogError as error:
        if is_fault(error, STATUS.get(error.code, 503)):
            log.error("a call could not be answered: %s", error)
        return error_answer(error)


async def _read(request: Request) -> CallRequest:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/sdp", "multipart/form-data"):
        problem = f"a call cannot be opened with a body of type {kind[:100]!r}"
        hint = "send the offer as application/sdp, or multipart/form-data with the parts `sdp` and `session`"
        raise Refused(TurnlogError("TL504", problem, hint), 415)
    return await read_call(request)
