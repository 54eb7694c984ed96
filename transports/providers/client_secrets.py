"""Client secrets (`ek_…`): what a page gets instead of a key. Each is bound to a session's configuration and expires.

Only digests are held: what this process could lose opens nothing.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

__all__ = ["DEFAULT_S", "LONGEST_S", "PREFIX", "SHORTEST_S", "ClientSecrets", "Issued"]

PREFIX: Final = "ek_"
DEFAULT_S: Final = 600
SHORTEST_S: Final = 10
LONGEST_S: Final = 7200
"""The bounds of OpenAI's service (client_secrets, expires_after.seconds)."""


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret, and when it expires (Unix time in seconds)."""

    value: str
    expires_at: int

    def __repr__(self) -> str:
        return f"Issued(expires_at={self.expires_at})"  # never the secret

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("expires_at", self.expires_at)]


class _Held(NamedTuple):
    session: dict[str, Any]
    expires_at: int


class ClientSecrets:
    """The secrets of one server. entropy(n): n random bytes; now_s(): Unix time."""

    def __init__(self, entropy: Callable[[int], bytes], now_s: Callable[[], float]) -> None:
        self._entropy = entropy
        self._now_s = now_s
        self._held: dict[bytes, _Held] = {}

    def issue(self, session: dict[str, Any], seconds: int = DEFAULT_S) -> Issued:
        """A secret that opens sessions with this configuration for so long, as many as are wanted."""
        now = self._now_s()
        self._held = {digest: held for digest, held in self._held.items() if held.expires_at > now}
        value = PREFIX + urlsafe_b64encode(self._entropy(32)).rstrip(b"=").decode()
        expires_at = int(now) + seconds
        self._held[_digest(value)] = _Held(session, expires_at)
        return Issued(value=value, expires_at=expires_at)

    def session_of(self, value: str) -> dict[str, Any] | None:
        """The configuration that a secret is bound to; None if it was never issued or has expired."""
        held = self._held.get(_digest(value))
        return None if held is None or held.expires_at <= self._now_s() else held.session


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode(errors="replace")).digest()
