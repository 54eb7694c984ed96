"""What a server is told at its start. Values only: who reads them checks nothing again.

A field that is added here is an option of turnlog.toml ([server]) and of the environment (TURNLOG_<NAME>), see config_fields.py.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ..core.errors import TurnlogError
from ..core.limits import Limits
from ..engine.nodes.hub import GRACE_S
from ..engine.nodes.pace import MESSAGES_S
from ..transports.callers.websocket import MAX_MESSAGE_BYTES
from ..transports.web.serving import Tls
from ..transports.web.sockets import PING_S

__all__ = ["DEFAULTS", "ServerSettings"]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server answers. Without keys only peers on loopback are let in.

    on_drain: "keep" leaves what runs then without an end, as a crash would, but whole. limits: of each key
    that has none of its own.
    """

    keys: Annotated[tuple[str, ...], Meta(description="keys, one of which callers must show")] = ()
    max_message_bytes: Annotated[int, Meta(ge=1024, description="the largest message of a caller")] = MAX_MESSAGE_BYTES
    drain_s: Annotated[float, Meta(ge=0, le=86400, description="how long sessions may run on after SIGTERM")] = 20.0
    on_drain: Annotated[Literal["end", "keep"], Meta(description="what becomes of those that run then still")] = "end"
    node_grace_s: Annotated[float, Meta(ge=0, le=86400, description="how long the sessions of a lost node wait for it")] = GRACE_S
    node_messages_s: Annotated[
        float, Meta(gt=0, le=1e9, description="messages a second of one node; what it sends beyond that waits at the node")
    ] = MESSAGES_S
    ping_s: Annotated[
        float, Meta(ge=0.05, le=3600, description="how often a WebSocket is pinged, and how long its peer may take to answer")
    ] = PING_S
    limits: Limits = Limits()
    caller_token_s: Annotated[int, Meta(ge=1, description="how long a caller's token opens its session")] = 7200
    allow_origins: Annotated[
        tuple[str, ...], Meta(description='web pages that may ask (https://app.example, or "*"); none leaves it to the keys')
    ] = ()
    tls_cert: Annotated[str, Meta(description="serve https and wss: the certificate with its chain, a file in PEM")] = ""
    tls_key: Annotated[str, Meta(description="its private key, a file in PEM", extra={"secret": False})] = ""

    def __post_init__(self) -> None:
        """Raises TurnlogError TL210 for a key without a letter: what was to be closed would stand open."""
        if not all(key.strip() for key in self.keys):
            raise TurnlogError("TL210", "one of the keys is empty", "give it, or leave it out: then only this machine gets in")

    @property
    def tls(self) -> Tls | None:
        """The two files, or None. Raises TurnlogError TL210 for one without the other."""
        if not (self.tls_cert or self.tls_key):
            return None
        if not (self.tls_cert and self.tls_key):
            given, absent = ("tls_cert", "tls_key") if self.tls_cert else ("tls_key", "tls_cert")
            raise TurnlogError("TL210", f"{given} is set and {absent} is not", "TLS needs a certificate and its private key")
        return Tls(self.tls_cert, self.tls_key)

    def __repr__(self) -> str:
        return f"ServerSettings({len(self.keys)} keys, max_message_bytes={self.max_message_bytes})"  # never a key

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("max_message_bytes", self.max_message_bytes)]


DEFAULTS: Final = ServerSettings()
