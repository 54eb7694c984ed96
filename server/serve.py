"""The control plane as a process: listen, serve under uvicorn, and end every session in order when told to stop.

Strategy: the signals only set events. SIGTERM drains: the server goes on for the callers that it has, and starts nothing new.
Then, or at once at SIGINT, the sessions end and close their own sockets, and uvicorn leaves.
"""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from ..engine.app import App
from ..engine.draining import drained
from ..engine.engine import Engine
from ..engine.garbage import collections_when_idle
from ..transports.control_plane import ControlPlane
from ..transports.web.serving import check_tls, listen, serve_app, url_of
from ..transports.web.sockets import Sockets
from ..transports.webrtc.ice import IceSettings
from .app import create_app
from .proxied import is_proxied
from .settings import DEFAULTS, ServerSettings

__all__ = ["DEFAULTS", "ServerSettings", "listen", "serve", "serve_on", "stopped_by_signals", "url_of"]

log = logging.getLogger("turnlog.server")


async def serve(
    app: App,
    host: str = "127.0.0.1",
    port: int = 8080,
    store: str = "sqlite:///turnlog.db",
    *,
    settings: ServerSettings = DEFAULTS,
    on_listening: Callable[[str], None] | None = None,
    **engine_arguments: Any,
) -> None:
    """Serve an App until SIGINT, or SIGTERM and the drain that follows, then end its sessions in order. Port 0 takes a free one.

    on_listening is given the base URL once callers can connect. engine_arguments: further ones of Engine; without `ice` that is
    as TURNLOG_ICE_SERVERS and TURNLOG_ICE_HOSTS say. Raises TurnlogError TL503 if the address cannot be had,
    TL210 for TLS that cannot be had, and what entering an Engine raises.
    """
    if settings.tls is not None:
        check_tls(settings.tls)
    stop, drain = asyncio.Event(), asyncio.Event()
    with listen(host, port) as listener, stopped_by_signals(stop, drain):
        here = {"ice": IceSettings.from_environment(), "control_plane": ControlPlane.from_environment()}
        arguments = {**here, **engine_arguments}
        async with Engine(app, store=store, **arguments) as engine:
            with collections_when_idle(engine):
                await serve_on(listener, engine, stop, drain=drain, settings=settings, on_listening=on_listening)


async def serve_on(
    listener: socket.socket,
    engine: Engine,
    stop: asyncio.Event,
    *,
    drain: asyncio.Event | None = None,
    settings: ServerSettings = DEFAULTS,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve an entered engine on a listening socket until `stop` is set. When this returns its sessions have ended.

    drain: when it is set no session starts any more, and the server stops once all have ended, at the latest after
    `settings.drain_s`.
    """
    app = create_app(engine, settings)
    if on_listening is not None:  # the socket listens already: who connects now is answered in a moment
        on_listening(url_of(listener, secure=settings.tls is not None))
    async with asyncio.TaskGroup() as beside:
        draining = beside.create_task(_drained(engine, settings, drain, stop)) if drain else None
        leave = partial(_leave, engine)
        sockets = Sockets(partial(is_proxied, engine), settings.ping_s)
        most = settings.max_message_bytes
        await serve_app(app, listener, stop, leave=leave, max_message_bytes=most, sockets=sockets, tls=settings.tls)
        if draining:
            draining.cancel()


async def _leave(engine: Engine) -> None:
    """End what runs, and then the nodes' links: their handlers see the end of their sessions."""
    await drained([engine.sessions, engine.proxied.sessions], 0, keep=False)
    await engine.nodes.close()


async def _drained(engine: Engine, settings: ServerSettings, drain: asyncio.Event, stop: asyncio.Event) -> None:
    await drain.wait()
    running = len(engine.sessions) + len(engine.proxied.sessions)
    log.info("draining: %d sessions have %g s", running, settings.drain_s)
    await engine.drain(settings.drain_s, keep=settings.on_drain == "keep")
    stop.set()


@contextmanager
def stopped_by_signals(stop: asyncio.Event, drain: asyncio.Event | None = None) -> Iterator[None]:
    """Let SIGINT set `stop`, and SIGTERM `drain` if it is given, then `stop`; one behind that does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    first = [drain] if drain else []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and first:
            loop.call_soon_threadsafe(first.pop().set)
            return
        signal.signal(number, before[signal.Signals(number)])
        loop.call_soon_threadsafe(stop.set)

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
