"""Which web pages may ask: the CORS headers of every answer, and a refusal where the origins are configured.

A WebSocket is not covered by CORS, so where origins are configured every request that names one is held to them. Without,
keys decide: no cookie is taken for one, so a page that has no key learns nothing; without keys, this machine's pages may ask.
"""

import re
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..core.errors import TurnlogError
from ..transports.web.hosts import host_of
from .access import Access
from .answers import error_answer
from .auth import LOOPBACK_ORIGIN
from .calls import EXPOSED

__all__ = ["Origins"]

_LOOPBACK: Final = re.compile(LOOPBACK_ORIGIN)


class Origins(CORSMiddleware):
    """allowed: scheme://host[:port] as browsers send it, "*" for all; none leaves it to the keys."""

    def __init__(self, app: ASGIApp, *, access: Access, allowed: Collection[str] = ()) -> None:
        super().__init__(app, allow_methods=["*"], allow_headers=["*"], expose_headers=EXPOSED)
        self._access = access
        self._allowed = frozenset(one.rstrip("/").lower() for one in allowed)
        self._needs_key = False  # as of the last request that named an origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on and put the headers to the answer."""
        origin = Headers(scope=scope).get("origin") if scope["type"] in ("http", "websocket") else None
        if origin is not None:
            if self._allowed and not self._may_ask(origin, scope):
                await _refuse(origin, scope, receive, send)
                return
            self._needs_key = bool(self._allowed) or await self._access.needs_key()
        await super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether an answer may be read by this origin's pages."""
        if self._allowed:
            return "*" in self._allowed or origin.lower() in self._allowed
        return self._needs_key or _LOOPBACK.fullmatch(origin) is not None

    def _may_ask(self, origin: str, scope: Scope) -> bool:
        host = Headers(scope=scope).get("host", "")
        own = origin.partition("://")[2].lower() == host.lower() and host_of(origin) != ""
        return own or self.is_allowed_origin(origin)


async def _refuse(origin: str, scope: Scope, receive: Receive, send: Send) -> None:
    error = TurnlogError("TL510", f"pages of {origin[:100]} may not ask", "name the origin in the server's allow_origins")
    answer = error_answer(error)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await answer(scope, receive, send)
