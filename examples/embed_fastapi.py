"""turnlog inside a FastAPI application: `uvicorn turnlog.examples.embed_fastapi:api --ws websockets-sansio`.

The application's lifespan enters the engine, since that of a mounted application does not run. Its own routes come first and use
the engine; the mounted ones are turnlog's: a Realtime client calls ws://HOST:PORT/v1/realtime?model=hotel.desk.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

import turnlog
from turnlog.server.app import create_app

__all__ = ["api", "hotel"]

hotel = turnlog.App("hotel")


@hotel.session("desk", provider="local", transport="in_process", modalities=["text"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """Answer each turn, until somebody says goodbye."""
    async for turn in session.turns():
        if "bye" in turn.text.lower():
            await session.say("Have a good journey.")
            return
        await session.say(f"You said: {turn.text}")


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    """The engine lives as long as the application."""
    async with turnlog.Engine(hotel, store=os.environ.get("TURNLOG_DB", "sqlite:///turnlog.db")) as engine:
        api.state.engine = engine
        api.mount("/", create_app(engine))  # last: it answers all that nobody has answered before
        yield


api = FastAPI(lifespan=lifespan)


@api.post("/taxis/{session}")
async def taxi(session: str) -> dict[str, str]:
    """A taxi has come for the guest who is in this session: its handler need not know."""
    live = api.state.engine.sessions.get(session)
    if live is None:
        raise HTTPException(404, "nobody is on that line")
    return {"say": live.say("Your taxi is here.", key="taxi")}
