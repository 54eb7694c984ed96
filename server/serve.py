"""The control plane as a process: listen, serve under uvicorn, and end every session in order when told to stop.

Strategy: left alone, uvicorn answers a signal by cutting its connections. Here the signals only set an event; the sessions
end first and close their own sockets, and then uvicorn leaves.
"""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

import msgspec
import uvicorn

from ..core.errors import TurnlogError
from ..engine.app import App
from ..engine.engine import Engine
from ..transports.callers.websocket import MAX_MESSAGE_BYTES
from .app import create_app

__all__ = ["DEFAULTS", "ServerSettings", "listen", "serve", "serve_on", "url_of"]

_GRACE_S = 5  # for connections to go after their sessions have ended
_READ_MAXIMA = 2  # a message up to here, in maxima, is read and refused in order; beyond it uvicorn hangs up


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server answers. Without keys only peers on loopback are let in."""

    keys: tuple[str, ...] = ()
    max_message_bytes: int = MAX_MESSAGE_BYTES


DEFAULTS = ServerSettings()


async def serve(
    app: App,
    host: str = "127.0.0.1",
    port: int = 8080,
    store: str = "sqlite:///turnlog.db",
    *,
    settings: ServerSettings = DEFAULTS,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve an App until SIGINT or SIGTERM, then end its sessions in order. Port 0 takes a free one.

    on_listening is given the base URL once callers can connect. Raises TurnlogError TL503 if the address cannot be had,
    and what entering an Engine raises.
    """
    stop = asyncio.Event()
    with listen(host, port) as listener, _signals(stop):
        async with Engine(app, store=store) as engine:
            await serve_on(listener, engine, stop, settings=settings, on_listening=on_listening)


async def serve_on(
    listener: socket.socket,
    engine: Engine,
    stop: asyncio.Event,
    *,
    settings: ServerSettings = DEFAULTS,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve an entered engine on a listening socket until `stop` is set. When this returns its sessions have ended."""
    config = uvicorn.Config(
        create_app(engine, keys=settings.keys, max_message_bytes=settings.max_message_bytes),
        ws="websockets-sansio",  # the implementation that sends denials and headers and is not deprecated
        ws_max_size=settings.max_message_bytes * _READ_MAXIMA,
        ws_per_message_deflate=False,  # audio in base64 costs more time to deflate than it saves
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    if on_listening is not None:
        on_listening(url_of(listener))  # the socket listens already: who connects now is answered in a moment
    with _filtered(logging.getLogger("uvicorn.error")):
        await _Server(config, engine, stop).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, stopped by an event instead of signals, and with sessions to end."""

    def __init__(self, config: uvicorn.Config, engine: Engine, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._engine = engine
        self._stop = stop

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override] # any context manager will do
        return nullcontext()

    async def main_loop(self) -> None:
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for accepting in self.servers:
            accepting.close()
        sessions = list(self._engine.sessions.values())
        for session in sessions:
            session.end("engine_stopped", drain=False)
        await asyncio.gather(*(session.ended() for session in sessions), return_exceptions=True)  # failures are logged
        await super().shutdown(sockets)


def _is_true_alarm(record: logging.LogRecord) -> bool:
    """uvicorn 0.54 takes every refusal at the upgrade for a handshake that was forgotten; this application forgets none."""
    return record.getMessage() != "ASGI callable returned without completing handshake."


@contextmanager
def _filtered(logger: logging.Logger) -> Iterator[None]:
    logger.addFilter(_is_true_alarm)
    try:
        yield
    finally:
        logger.removeFilter(_is_true_alarm)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises TurnlogError TL503."""
    try:
        if not 0 <= port <= 65535:
            raise OverflowError("a port is a number from 0 to 65535")  # getaddrinfo would take it modulo 65536
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address, family=family, backlog=2048)
    except (OSError, OverflowError, UnicodeError) as error:
        detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "stop what listens there, or choose another --port (0 takes a free one) or --host"
        raise TurnlogError("TL503", f"cannot listen on {host}:{port}: {detail}", hint) from None


def url_of(listener: socket.socket) -> str:
    """The base URL of a listening socket, e.g. http://127.0.0.1:8080."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `stop`, the first time; a second one does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        loop.call_soon_threadsafe(stop.set)

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
