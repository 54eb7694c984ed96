"""The control plane as an ASGI application. Its host enters the Engine: a mounted application's lifespan does not run."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ..core.errors import TurnlogError
from ..engine.engine import Engine
from .access import Access
from .agentfield import AgentFieldRoutes
from .agentfield_tools import ToolRoutes
from .answers import error_answer
from .api.routes import ApiRoutes
from .archives import Archives
from .callers import CallerTokens
from .calls import METHODS, CallsEndpoint
from .client_secrets import ClientSecretsEndpoint
from .health import Health
from .metrics import Metrics
from .nodes import NodeSockets
from .origins import Origins
from .page import Page
from .realtime import RealtimeEndpoint
from .registration import NodeRegistration
from .settings import DEFAULTS, ServerSettings

__all__ = ["create_app"]


def create_app(engine: Engine, settings: ServerSettings = DEFAULTS) -> Starlette:
    """The routes of docs/reference/server.md over an engine that is entered."""
    access = Access(engine, settings)
    tokens = CallerTokens(engine, access, token_s=settings.caller_token_s)
    realtime = RealtimeEndpoint(engine, access, tokens, settings.max_message_bytes)
    return Starlette(
        routes=[
            *Health(engine).routes,
            Route("/v1/realtime", _upgrade_required),
            WebSocketRoute("/v1/realtime", realtime.answer),
            *CallsEndpoint(engine, access, tokens).routes,
            *ClientSecretsEndpoint(engine, access).routes,
            *AgentFieldRoutes(engine, access, tokens).routes,
            *ToolRoutes(engine, access, tokens).routes,
            *Metrics(engine, access).routes,
            *NodeSockets(engine, access, settings).routes,
            *Archives(engine, access).routes,
            *NodeRegistration(engine, access).routes,
            *Page(engine, access).routes,
            *tokens.routes,
            *ApiRoutes(engine, access, tokens).routes,
            Route("/{path:path}", _not_found, methods=METHODS),
            WebSocketRoute("/{path:path}", _no_such_socket),
        ],
        middleware=[Middleware(Origins, access=access, allowed=settings.allow_origins)],
    )


async def _upgrade_required(request: Request) -> Response:
    error = TurnlogError("TL504", "this address speaks WebSocket", "connect to it with a Realtime client")
    return error_answer(error, 426)


async def _not_found(request: Request) -> Response:
    return error_answer(_unknown(request.scope["path"]), 404)


async def _no_such_socket(socket: WebSocket) -> None:
    await socket.send_denial_response(error_answer(_unknown(socket.scope["path"]), 404))


def _unknown(path: str) -> TurnlogError:
    return TurnlogError("TL504", f"there is nothing at {path[:200]}", "the Realtime endpoint is /v1/realtime")
