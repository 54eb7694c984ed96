"""A served model over the network: Realtime WebSockets, WebRTC calls, their sidebands, and client secrets. One ASGI app.

What may not come in, and what cannot be, is answered with a status and a JSON body, WebSockets before their upgrade.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ...core.errors import TurnlogError
from ...core.ports import Link
from ..callers.websocket import CallerSocket
from ..extras import load
from ..realtime.checks import Refusal
from ..realtime.session_config import default_session
from ..web.call_request import read_body, read_call
from ..web.serving import listen, serve_app, url_of
from ..webrtc.ice import IceSettings
from .client_secrets import DEFAULT_S, LONGEST_S, SHORTEST_S, ClientSecrets
from .gate import Gate, Refused, refusal
from .model_calls import Answer, Calls
from .model_server import PATH, ModelServer
from .opening import Opening, open_with

__all__ = ["HttpSettings", "serve"]

_log: Final = logging.getLogger("turnlog.providers")
_CALLS: Final = PATH + "/calls"
_SUBPROTOCOL: Final = "realtime"
_GOING_AWAY: Final = 1001
_FAILED: Final = 1011
_STATUS: Final = {"TL306": 413, "TL310": 400, "TL504": 400, "TL601": 501}  # what is not here is the machine's own: 503
_LOOPBACK_PAGES: Final = r"https?://(localhost|127(\.\d+){3}|\[::1\])(:\d+)?"


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is served; see ModelServer.serve."""

    key: str | None
    max_message_bytes: int
    ice: IceSettings

    def __repr__(self) -> str:
        return f"HttpSettings({'no ' if self.key is None else 'a '}key)"  # never the key

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("max_message_bytes", self.max_message_bytes), ("ice", self.ice)]


@asynccontextmanager
async def serve(server: ModelServer, address: str, port: int, settings: HttpSettings) -> AsyncIterator[str]:
    """Serve while the context is open; gives the URL of the WebSockets. See ModelServer.serve."""
    stop = asyncio.Event()
    with listen(address, port) as listener:
        desk = _Desk(server, settings)
        app, most = _app(desk, open_to_pages=settings.key is not None), settings.max_message_bytes
        serving = asyncio.create_task(serve_app(app, listener, stop, leave=desk.leave, max_message_bytes=most))
        try:
            yield url_of(listener).replace("http", "ws", 1) + PATH
        finally:
            stop.set()
            await serving


def _app(desk: "_Desk", *, open_to_pages: bool) -> Starlette:
    """open_to_pages: pages of any origin may call; they need a key or a client secret, which keeps the others out."""
    origins: dict[str, Any] = {"allow_origins": ["*"]} if open_to_pages else {"allow_origin_regex": _LOOPBACK_PAGES}
    exposed = ["Location", "X-Request-Id"]
    cors = Middleware(CORSMiddleware, allow_methods=["POST"], allow_headers=["*"], expose_headers=exposed, **origins)
    return Starlette(
        routes=[
            Route(PATH, _upgrade_required),
            WebSocketRoute(PATH, desk.answer_socket),
            Route(f"{PATH}/client_secrets", desk.give_secret, methods=["POST"]),
            Route(_CALLS, desk.open_call, methods=["POST"]),
            Route(f"{_CALLS}/{{call}}/hangup", desk.hang_up, methods=["POST"]),
            WebSocketRoute("/{path:path}", _no_such_socket),
        ],
        middleware=[cors],
        exception_handlers=dict.fromkeys((Refused, TurnlogError, HTTPException), _tell),
    )


class _ExpiresAfter(msgspec.Struct, frozen=True, kw_only=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, msgspec.Meta(ge=SHORTEST_S, le=LONGEST_S)] = DEFAULT_S


class _SecretWanted(msgspec.Struct, frozen=True, kw_only=True):
    expires_after: _ExpiresAfter = _ExpiresAfter()
    session: dict[str, Any] = {}


class _Desk:
    """Everything that clients of one served model ask for."""

    def __init__(self, server: ModelServer, settings: HttpSettings) -> None:
        self._server = server
        self._max_message_bytes = settings.max_message_bytes
        self._secrets = ClientSecrets(server.entropy, server.now_s)
        self._gate = Gate(settings.key, self._secrets)
        self._calls = Calls(_answering(settings.ice), server.run, lambda: f"rtc_{server.entropy(12).hex()}")
        self._links: set[CallerSocket] = set()

    async def leave(self) -> None:
        """End every session, as a server does that goes away."""
        closing = [link.close(_GOING_AWAY, "the server is going away") for link in tuple(self._links)]
        await asyncio.gather(self._calls.close(_GOING_AWAY, "the server is going away"), *closing)

    async def answer_socket(self, socket: WebSocket) -> None:
        """A session of its own, or with `?call_id=` a sideband of a call, which only a key opens."""
        call_id = socket.query_params.get("call_id")
        if call_id is None:
            opening = self._opening(socket, self._gate.admit(socket))
            await self._carry(socket, lambda link: self._server.run(link, opening))
            return
        self._gate.admit(socket, secrets=False)
        call = self._calls.find(call_id)
        if call is None:
            raise _no_such_call(call_id)
        await self._carry(socket, call.observe)

    async def give_secret(self, request: Request) -> Response:
        """A client secret that is bound to a session's configuration."""
        self._gate.admit(request, secrets=False)
        try:
            wanted = msgspec.json.decode(await read_body(request) or b"{}", type=_SecretWanted)
        except (ValueError, RecursionError) as error:
            raise Refused(400, "invalid_value", f"The body cannot be read: {error}.") from None
        opening = self._opening(request, wanted.session)
        issued = self._secrets.issue(wanted.session, wanted.expires_after.seconds)
        session = {**default_session(f"sess_{self._server.entropy(8).hex()}", opening.model, None), **opening.session}
        return _json({"value": issued.value, "expires_at": issued.expires_at, "session": session})

    async def open_call(self, request: Request) -> Response:
        """A WebRTC call: the offer is answered, and its session runs until one of the two hangs up."""
        bound = self._gate.admit(request)
        asked = await read_call(request)
        call, sdp = await self._calls.open(asked.sdp, self._opening(request, bound, asked.session))
        headers = {"Location": f"{_CALLS}/{call}", "X-Request-Id": f"req_{self._server.entropy(12).hex()}"}
        return Response(sdp, 201, headers, media_type="application/sdp")

    async def hang_up(self, request: Request) -> Response:
        """End a call; it has ended when this is answered."""
        self._gate.admit(request)
        call = request.path_params["call"]
        if not await self._calls.hang_up(call):
            raise _no_such_call(call)
        return Response()

    def _opening(self, connection: HTTPConnection, *asked: dict[str, Any]) -> Opening:
        model = connection.query_params.get("model")
        opening = open_with(self._server.name, *asked, {"model": model} if model else {})
        if isinstance(opening, Refusal):
            raise Refused(400, opening.code, opening.message, opening.param)
        return opening

    async def _carry(self, socket: WebSocket, serve: Callable[[Link], Awaitable[None]]) -> None:
        """Upgrade, and write what is queued while the link is served; however that ends, the socket is closed."""
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None)
        link = CallerSocket(socket, max_bytes=self._max_message_bytes)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(link.run())
                await _served(link, serve)
        finally:
            self._links.discard(link)


async def _served(link: CallerSocket, serve: Callable[[Link], Awaitable[None]]) -> None:
    try:
        await serve(link)
        await link.close()
    except Exception as error:
        _log.exception("a session failed")
        await link.close(_FAILED, f"the session failed: {type(error).__name__}")


def _answering(ice: IceSettings) -> Answer:
    async def answer(offer: str) -> tuple[Link, str]:
        webrtc = await asyncio.to_thread(load, "callers.webrtc", "webrtc", "answering calls over WebRTC")
        answered: tuple[Link, str] = await webrtc.WebRtcCaller.answer(offer, ice)
        return answered

    return answer


# --- answers ---


async def _upgrade_required(request: Request) -> Response:
    return refusal(Refused(426, "upgrade_required", "this address speaks WebSocket: connect to it with a Realtime client"))


async def _no_such_socket(socket: WebSocket) -> None:
    raise Refused(404, "not_found", f"there is nothing here: the Realtime API is at {PATH}")


def _no_such_call(call: str) -> Refused:
    return Refused(404, "call_id_not_found", f"there is no call {call[:100]!r}, or none any more", "call_id")


async def _tell(connection: HTTPConnection, error: Exception) -> Any:
    """The answer to what was raised; a WebSocket is sent it instead of an upgrade."""
    answer = refusal(_as_refused(error))
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(answer)
        return None
    return answer


def _as_refused(error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case HTTPException(status_code=status):  # what the router found: no such path, or no such method there
            code = HTTPStatus(status).phrase.lower().replace(" ", "_")
            return Refused(status, code, f"{error.detail}: the Realtime API is at {PATH}")
        case TurnlogError(code=code, message=message, hint=hint):
            return Refused(_STATUS.get(code, 503), code, f"{message} ({hint})" if hint else message)
    raise error


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
