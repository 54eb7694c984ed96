"""turnlog inside a Starlette application: `uvicorn turnlog.examples.embed_starlette:api --ws websockets-sansio`.

turnlog's routes are mounted below /voice, so a Realtime client has http://HOST:PORT/voice/v1 as its base URL. Beside them stands
a route of the application's own, which reads the log.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

import turnlog
from turnlog.server.app import create_app

__all__ = ["api", "hotel"]

hotel = turnlog.App("hotel")


@hotel.session("desk", provider="local", transport="in_process", modalities=["text"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """Say each turn back."""
    async for turn in session.turns():
        await session.say(f"You said: {turn.text}")


@asynccontextmanager
async def lifespan(api: Starlette) -> AsyncIterator[None]:
    """The engine lives as long as the application."""
    async with turnlog.Engine(hotel, store=os.environ.get("TURNLOG_DB", "sqlite:///turnlog.db")) as engine:
        api.state.engine = engine
        api.routes.append(Mount("/voice", create_app(engine)))
        yield


async def calls(request: Request) -> Response:
    """The newest sessions, from the log."""
    rows = await request.app.state.engine.store.sessions(limit=20)
    return JSONResponse([{"session": row.session, "target": row.target, "status": row.status} for row in rows])


api = Starlette(routes=[Route("/calls", calls)], lifespan=lifespan)
