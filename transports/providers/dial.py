"""Opening a WebSocket to a provider, and saying in plain words why it did not open.

Invariant: a secret given here reaches the peer and nothing else: no message, log, repr or chained exception (P8). So the
library's own log of handshakes is off, its exceptions are never chained, a redirect is never followed with the secret,
and what the peer answers is shown only after the secret has been cut out of it.
"""

import ipaddress
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from ...core.errors import LinkError
from ...core.relaying import Upgrade
from ..links.direct import DirectConnection
from ..links.frames import FrameConnection
from ..links.websocket import LIMIT_BYTES, MAX_MESSAGE_BYTES, UNLOGGED, WebSocketLink

__all__ = ["PING_S", "Credential", "DialSettings", "dial", "dial_frames", "is_loopback"]

_BODY_SHOWN: Final = 300  # characters
PING_S: Final = 20.0
_QUEUED: Final = 8  # frames that wait for a caller who does not read, before the provider has to wait


class Credential:
    """A secret with the header that carries it and the place where a user sets it."""

    __slots__ = ("_secret", "header", "prefix", "source")

    def __init__(self, secret: str, *, header: str, prefix: str = "", source: str) -> None:
        """`source` is what a hint names, e.g. "OPENAI_API_KEY"."""
        self._secret = secret.strip()
        self.header = header
        self.prefix = prefix
        self.source = source

    def headers(self) -> dict[str, str]:
        """The header to send. Raises LinkError TL303 for a secret that no header can carry."""
        if not (self._secret and self._secret.isascii() and self._secret.isprintable()):
            raise LinkError(
                "TL303", f"{self.source} is blank or holds characters that no key has", f"set {self.source} again, on one line"
            )
        return {self.header: self.prefix + self._secret}

    def redact(self, text: str) -> str:
        """The text without the secret."""
        return text.replace(self._secret, "[key]")


class DialSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a connection. limit_bytes: what may wait for a peer that does not read. ping_s: see dial."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    open_timeout_s: float = 10.0
    close_timeout_s: float = 2.0
    limit_bytes: int = LIMIT_BYTES
    ping_s: float = PING_S


class _Direct(connect):
    """A connection attempt that takes a redirect for the refusal that it is."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address means this machine."""
    if host is None or host == "localhost":
        return host is not None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


async def dial(
    url: str, credential: Credential | None = None, settings: DialSettings | None = None, *, absent: str = "TL301"
) -> WebSocketLink:
    """An open link, pinged every ping_s and lost if a ping is not answered for as long.

    Raises LinkError TL303 (the peer answered 401 or 403), `absent` (404) or TL301 (what else kept it shut).
    """
    settings = DialSettings() if settings is None else settings
    outcome = await _try(url, credential, settings, absent, create_connection=DirectConnection, compression=None)
    if isinstance(outcome, LinkError):
        raise outcome  # outside the except block: the library's exception is not its context
    return WebSocketLink(outcome, limit_bytes=settings.limit_bytes)


async def dial_frames(
    url: str, credential: Credential | None, upgrade: Upgrade, settings: DialSettings | None = None
) -> FrameConnection:
    """A connection that carries frames as they are, with what a caller asked of it. Raises as `dial`."""
    outcome = await _try(
        url,
        credential,
        DialSettings() if settings is None else settings,
        headers=upgrade.headers,
        subprotocols=upgrade.subprotocols or None,
        compression="deflate" if upgrade.compressed else None,
        user_agent_header=None,
        max_queue=_QUEUED,
    )
    if isinstance(outcome, LinkError):
        raise outcome
    return FrameConnection(outcome)


async def _try(
    url: str,
    credential: Credential | None,
    settings: DialSettings,
    absent: str = "TL301",
    headers: list[tuple[str, str]] | None = None,
    **options: Any,
) -> ClientConnection | LinkError:
    host = urlsplit(url).hostname
    try:
        return await _Direct(
            url,
            additional_headers=[*(headers or ()), *({} if credential is None else credential.headers()).items()],
            logger=UNLOGGED,
            proxy=None if is_loopback(host) else True,
            max_size=settings.max_message_bytes,
            open_timeout=settings.open_timeout_s,
            close_timeout=settings.close_timeout_s,
            ping_interval=settings.ping_s,
            ping_timeout=settings.ping_s,
            **options,
        )
    except InvalidStatus as error:
        return _refused(error, host, credential, absent)
    except (InvalidHandshake, InvalidURI, OSError, ValueError) as error:  # OSError: DNS, TCP, TLS and TimeoutError
        return _unreachable(_reason(error), host, credential)


def _refused(error: InvalidStatus, host: str | None, credential: Credential | None, absent: str) -> LinkError:
    status = error.response.status_code
    body = " ".join((error.response.body or b"")[:4096].decode(errors="replace").split())
    if credential is not None:
        body = credential.redact(body)  # before it is cut: half a key is a secret too
    answer = f"{host} answered HTTP {status} {error.response.reason_phrase}{': ' + body[:_BODY_SHOWN] if body else ''}"
    if status not in (401, 403):
        return _unreachable(answer, host, credential, absent if status == 404 else "TL301")
    if credential is None:
        return LinkError("TL303", answer, "this provider wants a key and none is configured")
    return LinkError("TL303", credential.redact(answer), f"check {credential.source}: the key, and what it may use")


def _unreachable(reason: str, host: str | None, credential: Credential | None, code: str = "TL301") -> LinkError:
    text = f"no connection to {host}: {reason}"
    hint = "check the base URL, the network and any proxy settings"
    return LinkError(code, text if credential is None else credential.redact(text), hint)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out while opening the connection"
    if isinstance(error, InvalidURI):
        return "the base URL is not valid"  # the library's text shows the URL, which may hold a password
    cause = error.__cause__
    text = str(error) or type(error).__name__
    return f"{text} ({cause})" if cause is not None and str(cause) and str(cause) not in text else text
