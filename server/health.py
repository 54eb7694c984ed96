"""What probes ask: whether the process lives, and whether it is to be sent new callers. Open to everybody, and tells no more."""

import asyncio
import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..core.errors import TurnlogError
from ..engine.engine import Engine

__all__ = ["Health"]

_STORE_S = 2.0  # how long the store may take to answer a probe

log = logging.getLogger("turnlog.server")


class Health:
    """`GET /healthz` and `GET /readyz`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.routes = [Route("/healthz", self.alive), Route("/readyz", self.ready)]

    async def alive(self, request: Request) -> Response:
        """200 while the event loop answers. A process that does not is to be started anew."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """200 where a new session could start; 503 while the engine drains, or its store does not answer."""
        if self._engine.draining:
            return _unready("draining")
        try:
            async with asyncio.timeout(_STORE_S):
                await self._engine.store.sessions(limit=1)
        except (TurnlogError, TimeoutError) as error:
            log.error("not ready: the store does not answer: %s", error)
            return _unready("store")
        return JSONResponse({"status": "ready"})


def _unready(status: str) -> Response:
    return JSONResponse({"status": status}, 503, {"Retry-After": "1"})
