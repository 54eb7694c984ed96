"""Which addresses a peer offers and which STUN and TURN servers it asks: values only.

No server is asked unless one is named: aiortc's own default is a public STUN server, which a call must not depend on.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ...core.errors import LinkError

__all__ = ["IceServer", "IceSettings"]

_SERVERS: Final = "TURNLOG_ICE_SERVERS"
_HOSTS: Final = "TURNLOG_ICE_HOSTS"
# RFC 7064 and RFC 7065; user:password@ is ours, for the environment variable only.
_URL: Final = re.compile(
    r"(?P<scheme>stun|turns?):((?P<user>[^:@]+):(?P<password>[^@]+)@)?(?P<rest>[^?:@\s]+(:\d{1,5})?(\?transport=(udp|tcp))?)"
)
_HINT: Final = "write stun:host:port, turn:host:port or turns:host:port?transport=tcp"


class IceServer(msgspec.Struct, frozen=True, kw_only=True):
    """A STUN or TURN server: `url` is stun:host[:port], turn:host[:port][?transport=udp|tcp] or turns:…?transport=tcp.

    `username` and `credential` are for TURN. Raises LinkError TL311 for another url.
    """

    url: str
    username: str = ""
    credential: str = ""

    def __post_init__(self) -> None:
        found = _URL.fullmatch(self.url)
        if found is None or found["user"] is not None:
            raise LinkError("TL311", f"{_shown(self.url)} is no STUN or TURN server", _HINT)
        if found["scheme"] == "stun" and "?" in self.url:
            raise LinkError("TL311", f"{self.url}: a STUN server has no transport", _HINT)
        if found["scheme"] != "stun" and not (self.username and self.credential):
            raise LinkError("TL311", f"{self.url} needs a user name and a password", "TURN servers relay for known users only")

    def __repr__(self) -> str:
        return f"IceServer({self.url})"  # never the password

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", self.url)]


class IceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`servers`: asked for candidates beside the own ones; the first STUN and the first TURN server count. Empty: none.

    `hosts`: the only own addresses to offer. Empty: those of the interfaces, and loopback where there is no other.
    """

    servers: tuple[IceServer, ...] = ()
    hosts: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "IceSettings":
        """TURNLOG_ICE_SERVERS (comma separated, turn:user:password@host) and TURNLOG_ICE_HOSTS. Raises LinkError TL311."""
        servers = tuple(_server(url) for url in _listed(environment.get(_SERVERS, "")))
        return cls(servers=servers, hosts=tuple(_listed(environment.get(_HOSTS, ""))))


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _server(text: str) -> IceServer:
    found = _URL.fullmatch(text)
    if found is None:
        hint = _HINT.replace("turn:", "turn:user:password@")
        raise LinkError("TL311", f"{_SERVERS}: {_shown(text)} is no STUN or TURN server", hint)
    return IceServer(url=f"{found['scheme']}:{found['rest']}", username=found["user"] or "", credential=found["password"] or "")


def _shown(url: str) -> str:
    """What may be printed of a text that can hold a password."""
    return repr(re.sub(r":[^@]*@", ":…@", url, count=1))
