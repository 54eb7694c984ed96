"""Hosting a model behind the Realtime protocol: in this process, or as a WebSocket server at a path.

A key is asked for where one is configured, and always from another machine: with no key configured only loopback gets in.
"""

import hmac
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from ...core.errors import LinkError
from ...core.ports import Link
from ..links.in_process import InProcessLink, host
from ..links.websocket import MAX_MESSAGE_BYTES, UNLOGGED, WebSocketLink
from .dial import is_loopback
from .model import Model
from .model_session import ModelSession

__all__ = ["PATH", "Gate", "ModelServer"]

PATH: Final = "/v1/realtime"
_SUBPROTOCOL: Final = Subprotocol("realtime")
_KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."


class ModelServer:
    """Serves sessions of a model; `open_model` makes the model of one session. `name` is what session.model says.

    entropy(n): n random bytes, for the ids of a session.
    """

    def __init__(
        self, open_model: Callable[[], Awaitable[Model]], *, name: str, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._open_model = open_model
        self._entropy = entropy
        self._name = name

    def connect(self, name: str | None = None) -> Link:
        """A link to a new session in this process; closing it ends the session. `name` is the model asked for."""

        async def far(link: InProcessLink) -> None:
            await self.run(link, name)

        return host(far)

    async def run(self, link: Link, name: str | None = None) -> None:
        """Serve one link until it is closed."""
        model = await self._open_model()
        try:
            await ModelSession(link, model, _ids(self._entropy), name=name or self._name).run()
        finally:
            await model.close()

    @asynccontextmanager
    async def serve(
        self,
        address: str = "127.0.0.1",
        port: int = 8765,
        *,
        path: str = PATH,
        key: str | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> AsyncIterator[str]:
        """Listen while the context is open; gives the URL. `port` 0 takes a free one.

        Raises LinkError TL503 if it cannot listen. Leaving closes every session with 1001.
        """
        gate = Gate(path, key)
        try:
            server = await serve(
                self._handle,
                address,
                port,
                process_request=gate.check,
                select_subprotocol=_select_subprotocol,
                compression=None,
                logger=UNLOGGED,
                max_size=max_message_bytes,
                close_timeout=2,
            )
        except OSError as error:
            raise LinkError(
                "TL503", f"cannot listen on {address}:{port}: {error.strerror or error}", "choose another port or address"
            ) from error
        async with server:
            host_, port_ = next(iter(server.sockets)).getsockname()[:2]
            yield f"ws://{f'[{host_}]' if ':' in host_ else host_}:{port_}{path}"

    async def _handle(self, connection: ServerConnection) -> None:
        request = connection.request
        asked = parse_qs(urlsplit(request.path).query).get("model") if request is not None else None
        await self.run(WebSocketLink(connection), asked[0] if asked else None)


def _ids(entropy: Callable[[int], bytes]) -> Callable[[str], str]:
    """Ids that are unique in the world by a session's prefix, and cheap: there is one in every event."""
    prefix, count = entropy(8).hex(), itertools.count(1)
    return lambda kind: f"{kind}_{prefix}{next(count):05x}"


class Gate:
    """Who may open a session."""

    def __init__(self, path: str, key: str | None) -> None:
        self._path = path
        self._key = None if key is None else key.encode()

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """The refusal of an upgrade; None lets it through."""
        path = urlsplit(request.path).path
        refused = self.refusal(path, _given_keys(request), str(connection.remote_address[0]))
        return None if refused is None else _answer(connection, *refused)

    def refusal(self, path: str, given: Sequence[str], peer: str) -> tuple[HTTPStatus, str] | None:
        """Why somebody at the address `peer` who gave these keys does not get this path."""
        if path.rstrip("/") != self._path:
            return HTTPStatus.NOT_FOUND, f"the Realtime API is at {self._path}"
        if self._key is None:
            refused = "this server has no key configured and serves this machine only"
            return None if is_loopback(peer) else (HTTPStatus.UNAUTHORIZED, refused)
        if any(hmac.compare_digest(one.encode(errors="replace"), self._key) for one in given):
            return None
        return HTTPStatus.UNAUTHORIZED, "the key is wrong" if given else "a key is missing: send Authorization: Bearer …"


def _given_keys(request: Request) -> list[str]:
    keys = [value.removeprefix("Bearer ").strip() for value in request.headers.get_all("Authorization")]
    keys += request.headers.get_all("api-key")
    offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
    keys += [one.strip().removeprefix(_KEY_SUBPROTOCOL) for one in offered if one.strip().startswith(_KEY_SUBPROTOCOL)]
    return keys


def _answer(connection: ServerConnection, status: HTTPStatus, message: str) -> Response:
    body = msgspec.json.encode({"error": {"type": "invalid_request_error", "code": status.phrase.lower(), "message": message}})
    response = connection.respond(status, body.decode() + "\n")
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response


def _select_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Browsers offer `realtime` beside their key; clients that offer nothing get nothing."""
    return _SUBPROTOCOL if _SUBPROTOCOL in offered else None
