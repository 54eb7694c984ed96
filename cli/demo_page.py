"""`turnlog demo --page`: the hotel's front desk for a browser on this machine. Needs the extras server and webrtc."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from ..core.errors import MissingExtra
from ..core.ports import Provider
from ..engine.app import App
from ..engine.engine import Engine
from ..server.serve import listen, serve_on, stopped_by_signals
from ..transports.speech.installed import installed_version
from ..transports.webrtc.ice import IceSettings

__all__ = ["Desk", "hold_page"]

_HOST = "127.0.0.1"
_ASK = "a room for two nights? breakfast? the pool? goodbye"


class Desk(NamedTuple):
    """What is served: an app, who listens and speaks for it, and where its log goes."""

    app: App
    providers: Mapping[str, Provider]
    db: Path


async def hold_page(desk: Desk, port: int, say: Callable[[str], None] = click.echo) -> bool:
    """Serve the page until Ctrl-C or SIGTERM; whether the log holds a session then.

    Raises MissingExtra, TurnlogError TL503 if the port is taken.
    """
    if not installed_version("aiortc"):
        raise MissingExtra("webrtc", "a call from a browser (aiortc is not installed)")

    def listening(url: str) -> None:
        say(f"\n{url}/  open this in a browser on this machine, press Connect, allow the microphone,")
        say(f"and ask ({_ASK}). Interrupt as you like; reload the page, and the call goes on. Ctrl-C ends it.")

    stop = asyncio.Event()
    with listen(_HOST, port) as listener, stopped_by_signals(stop):
        ice = IceSettings.from_environment()
        async with Engine(desk.app, store=str(desk.db), providers=desk.providers, ice=ice) as engine:
            await serve_on(listener, engine, stop, on_listening=listening)
            return bool(await engine.store.sessions())
