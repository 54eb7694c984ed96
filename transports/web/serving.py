"""Listening, and an ASGI application under uvicorn until an event is set. Who serves what is not known here.

Strategy: left alone, uvicorn answers a signal by cutting its connections. Here it takes no signals; when `stop` is set it
accepts nobody any more, whoever owns the connections ends them in order (`leave`), and then uvicorn goes.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import uvicorn
from starlette.types import ASGIApp

from ...core.errors import TurnlogError
from .patience import HEAD_S, patient
from .sockets import Sockets, socket_protocol

__all__ = ["Tls", "check_tls", "listen", "serve_app", "url_of"]

_GRACE_S = 5  # for connections to go after their owner has ended them
_SOCKETS = Sockets()
_READ_MAXIMA = 2  # a message up to here, in maxima, is read and refused in order; beyond it uvicorn hangs up


class Tls(NamedTuple):
    """Files in PEM: the certificate with its chain, and its private key, which has no password."""

    certificate: str
    key: str


def check_tls(tls: Tls) -> Tls:
    """The same, if a server can be run with it. Raises TurnlogError TL210."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        detail = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        hint = "both are files in PEM: the certificate with its chain, and the private key that belongs to it, without a password"
        raise TurnlogError("TL210", f"no TLS with {tls.certificate} and {tls.key}: {detail}", hint) from None
    return tls


def _no_password() -> str:
    raise ValueError("the private key has a password")  # OpenSSL would ask for it at the terminal


async def serve_app(
    app: ASGIApp,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    leave: Callable[[], Awaitable[None]],
    max_message_bytes: int,
    sockets: Sockets = _SOCKETS,
    head_s: float = HEAD_S,
    tls: Tls | None = None,
) -> None:
    """Serve on a listening socket until `stop` is set and `leave` has ended what was connected.

    head_s: how long the head of a request may take to come. Raises TurnlogError TL210 for files of `tls` that are not right.
    """
    if tls is not None:
        check_tls(tls)
    config = uvicorn.Config(
        app,
        http=patient(head_s),
        ws=socket_protocol(sockets.deflates),
        ws_ping_interval=sockets.ping_s,
        ws_ping_timeout=sockets.ping_s,
        ws_max_size=max_message_bytes * _READ_MAXIMA,
        ws_per_message_deflate=False,  # audio in base64 costs more time to deflate than it saves; see `sockets`
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    with _filtered(logging.getLogger("uvicorn.error")):
        await _Server(config, stop, leave).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, stopped by an event instead of signals, and with connections that somebody ends."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event, leave: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._stop = stop
        self._leave = leave

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override] # any context manager will do
        return nullcontext()

    async def main_loop(self) -> None:
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for accepting in self.servers:
            accepting.close()
        await self._leave()
        await super().shutdown(sockets)


@contextmanager
def _filtered(logger: logging.Logger) -> Iterator[None]:
    """Without what must not be in a log, and without a false alarm.

    At DEBUG stand all headers, keys included. And uvicorn 0.54 takes every refusal at the upgrade for a handshake that was
    forgotten; these applications forget none.
    """

    def may_be_told(record: logging.LogRecord) -> bool:
        false_alarm = record.getMessage() == "ASGI callable returned without completing handshake."
        return record.levelno > logging.DEBUG and not false_alarm

    logger.addFilter(may_be_told)  # one for each server: they may serve in one process, and not leave together
    try:
        yield
    finally:
        logger.removeFilter(may_be_told)


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


def url_of(listener: socket.socket, *, secure: bool = False) -> str:
    """The base URL of a listening socket, e.g. http://127.0.0.1:8080."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
