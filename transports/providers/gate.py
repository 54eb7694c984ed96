"""Who may open a session of a served model, and what tells those who may not.

A key is asked for where one is configured, and always from another machine: with no key configured only loopback gets in,
and of the web pages that a browser here shows only those of loopback. A client secret stands for the key.
"""

import hmac
from typing import Any, Final

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..web.hosts import host_of
from .client_secrets import PREFIX, ClientSecrets
from .dial import is_loopback

__all__ = ["Gate", "Refused", "refusal"]

_KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."
_HEADERS: Final = {401: {"WWW-Authenticate": "Bearer"}, 426: {"Upgrade": "websocket", "Connection": "Upgrade"}}


class Refused(Exception):
    """A request that is not granted: its HTTP status, and the error that the client reads."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param


def refusal(refused: Refused) -> Response:
    """{"error": {"type", "code", "message", "param"}}, as OpenAI's clients read it."""
    kind = "invalid_request_error" if refused.status < 500 else "server_error"
    error = {"type": kind, "code": refused.code, "message": refused.message, "param": refused.param}
    body = msgspec.json.encode({"error": error}) + b"\n"
    return Response(body, refused.status, _HEADERS.get(refused.status), media_type="application/json")


class Gate:
    """Who gets in."""

    def __init__(self, key: str | None, secrets: ClientSecrets) -> None:
        self._key = None if key is None else key.encode()
        self._secrets = secrets

    def admit(self, connection: HTTPConnection, *, secrets: bool = True) -> dict[str, Any]:
        """Let in whom a key or a client secret lets in: the configuration that the secret is bound to, {} for a key.

        Raises Refused 401. `secrets` False: only a key will do.
        """
        given = _given_keys(connection)
        if self._key is None:
            _check_local(connection)
        elif any(hmac.compare_digest(one.encode(errors="replace"), self._key) for one in given):
            return {}
        for one in given:
            if one.startswith(PREFIX):
                return self._bound(one, allowed=secrets)
        if self._key is None:
            return {}
        raise _unauthorized("the key is wrong" if given else "a key is missing: send Authorization: Bearer …")

    def _bound(self, secret: str, *, allowed: bool) -> dict[str, Any]:
        session = self._secrets.session_of(secret)
        if session is None:
            raise _unauthorized("the client secret has expired, or was never given out here")
        if not allowed:
            raise _unauthorized("a client secret does not open this: send the server's key")
        return session


def _check_local(connection: HTTPConnection) -> None:
    if not is_loopback(connection.client.host if connection.client else ""):
        raise _unauthorized("this server has no key configured and serves this machine only")
    for name in ("origin", "host"):  # the host of a page whose name was made to lead here is not this machine's
        given = connection.headers.get(name)
        if given is not None and not is_loopback(host_of(given)):
            raise _unauthorized(f"this server has no key configured and serves no pages of {given[:100]}")


def _given_keys(connection: HTTPConnection) -> list[str]:
    headers = connection.headers
    keys = [value.removeprefix("Bearer ").strip() for value in headers.getlist("authorization")]
    keys += headers.getlist("api-key")
    offered = ",".join(headers.getlist("sec-websocket-protocol")).split(",")
    return keys + [one.strip().removeprefix(_KEY_SUBPROTOCOL) for one in offered if one.strip().startswith(_KEY_SUBPROTOCOL)]


def _unauthorized(message: str) -> Refused:
    return Refused(401, "invalid_api_key", message)
