"""Who may call: keys that a caller must show, and the tokens that callers get. Keys and tokens are held as digests only.

Without keys the server is open to this machine alone: to peers on loopback, and not to web pages of other origins that a
browser on this machine shows. A page whose name was made to lead here (DNS rebinding) is of the same origin, and its reads
carry none: the host that it asks for tells.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Iterable

from starlette.requests import HTTPConnection

from ..core.errors import TurnlogError
from ..core.secrets import digest
from ..transports.web.hosts import host_of

__all__ = [
    "KEY_SUBPROTOCOL", "LOOPBACK_ORIGIN", "SEND_KEY", "Keys", "check_local", "new_token", "shown_key", "shown_token",
]  # fmt: skip

LOOPBACK_ORIGIN = r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?"
"""A page of this machine: one that is let in where there are no keys."""
KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket; their clients offer the key as a subprotocol with this prefix."""

SEND_KEY = "send it as `Authorization: Bearer KEY`, `X-API-Key: KEY` or the subprotocol `openai-insecure-api-key.KEY`"


def new_token() -> str:
    """A random token that opens one session."""
    return secrets.token_urlsafe(32)


class Keys:
    """The keys of the settings. Those of the store are asked for where they are shown."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [digest(key) for key in keys if key]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._digests)

    def has(self, key: str) -> bool:
        """Whether it is one of them."""
        shown = digest(key)
        matches = [hmac.compare_digest(shown, known) for known in self._digests]  # all of them: time tells nothing
        return any(matches)


def shown_token(connection: HTTPConnection) -> str | None:
    """What a request shows that may be a caller's token: a bearer, or the browser's subprotocol."""
    return _bearer(connection) or _offered(connection)


def shown_key(connection: HTTPConnection) -> str | None:
    """What a request shows that may be a key."""
    return _bearer(connection) or connection.headers.get("x-api-key") or _offered(connection)


def _bearer(connection: HTTPConnection) -> str | None:
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    return (bearer.strip() or None) if scheme.lower() == "bearer" else None


def _offered(connection: HTTPConnection) -> str | None:
    offered = (one.removeprefix(KEY_SUBPROTOCOL) for one in _subprotocols(connection) if one.startswith(KEY_SUBPROTOCOL))
    return next(offered, None)


def _subprotocols(connection: HTTPConnection) -> list[str]:
    return list(connection.scope.get("subprotocols", []))


def check_local(connection: HTTPConnection) -> None:
    """Raises TurnlogError TL501 unless this machine asks, and no page of elsewhere."""
    peer = connection.client.host if connection.client else ""
    if not _is_loopback(peer):
        raise TurnlogError(
            "TL501",
            "this server has no keys and is open to its own machine only",
            "make a key (`turnlog keys create`, `turnlog serve --key` or TURNLOG_KEYS) and send it",
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
