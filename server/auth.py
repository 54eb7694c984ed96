"""Who may call: keys that a caller must show, and the tokens that callers get. Keys and tokens are held as digests only.

Without keys the server is open to this machine alone: to peers on loopback, and not to web pages of other origins that a
browser on this machine shows. A page whose name was made to lead here (DNS rebinding) is of the same origin, and its reads
carry none: the host that it asks for tells.
"""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable

from starlette.requests import HTTPConnection

from ..core.errors import TurnlogError
from ..transports.web.hosts import host_of

__all__ = ["KEY_SUBPROTOCOL", "LOOPBACK_ORIGIN", "Keys", "digest", "new_token", "shown_token"]

LOOPBACK_ORIGIN = r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?"
"""A page of this machine: one that is let in where there are no keys."""
KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket; their clients offer the key as a subprotocol with this prefix."""

_SEND_KEY = "send it as `Authorization: Bearer KEY`, `X-API-Key: KEY` or the subprotocol `openai-insecure-api-key.KEY`"


def new_token() -> str:
    """A random token that opens one session."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is kept of a key or token."""
    return hashlib.blake2b(secret.encode(), digest_size=32).digest()


class Keys:
    """The keys that open this server."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [digest(key) for key in keys if key]

    def __bool__(self) -> bool:
        """Whether there are any: without keys only this machine is let in."""
        return bool(self._digests)

    def check(self, connection: HTTPConnection) -> None:
        """Raises TurnlogError TL501 unless this request may come in."""
        if not self._digests:
            _check_local(connection)
            return
        key = _shown_key(connection)
        if key is None:
            raise TurnlogError("TL501", "this server needs an API key", _SEND_KEY)
        if not self._has(key):
            raise TurnlogError("TL501", "the API key is not one of this server's", "check the key, and the server you call")

    def hold(self, connection: HTTPConnection) -> bool:
        """Whether this request shows one of the keys; without keys none does."""
        key = _shown_key(connection)
        return key is not None and self._has(key)

    def _has(self, key: str) -> bool:
        shown = digest(key)
        matches = [hmac.compare_digest(shown, known) for known in self._digests]  # all of them: time tells nothing
        return any(matches)


def shown_token(connection: HTTPConnection) -> str | None:
    """What a request shows that may be a caller's token: a bearer, or the browser's subprotocol."""
    return _bearer(connection) or _offered(connection)


def _shown_key(connection: HTTPConnection) -> str | None:
    return _bearer(connection) or connection.headers.get("x-api-key") or _offered(connection)


def _bearer(connection: HTTPConnection) -> str | None:
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    return (bearer.strip() or None) if scheme.lower() == "bearer" else None


def _offered(connection: HTTPConnection) -> str | None:
    offered = (one.removeprefix(KEY_SUBPROTOCOL) for one in _subprotocols(connection) if one.startswith(KEY_SUBPROTOCOL))
    return next(offered, None)


def _subprotocols(connection: HTTPConnection) -> list[str]:
    return list(connection.scope.get("subprotocols", []))


def _check_local(connection: HTTPConnection) -> None:
    peer = connection.client.host if connection.client else ""
    if not _is_loopback(peer):
        raise TurnlogError(
            "TL501",
            "this server has no keys and is open to its own machine only",
            "configure a key (`turnlog serve --key`, or TURNLOG_KEYS) and send it",
        )
    for name in ("origin", "host"):
        given = connection.headers.get(name)
        if given is not None and not _is_loopback(host_of(given)):
            raise TurnlogError(
                "TL501", f"this server has no keys and is not open to pages of {given[:100]}", "configure a key and send it"
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:127.0.0.1, before Python 3.13 not loopback by itself
    return (mapped or address).is_loopback
