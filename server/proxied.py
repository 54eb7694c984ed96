"""A caller of a proxied target: its upgrade is handed on to the provider, with our key in place of its own, and then its frames.

What the caller showed to get in here never leaves: neither its key nor its token, cookies or origin.
"""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from ..core.errors import TurnlogError
from ..core.relaying import Upgrade
from ..engine.app import Declared
from ..engine.engine import Engine
from ..transports.callers.frames import CallerFrames
from .access import Access, Principal
from .asked import metadata_of

__all__ = ["HANDED_ON", "OURS", "ProxiedCallers", "is_proxied", "upgrade_of"]

HANDED_ON: Final = ("openai-beta", "openai-safety-identifier", "user-agent", "x-client-request-id")
"""The headers of a caller that its provider is to see."""
OURS: Final = frozenset({"api-key", "api_key", "call_id", "metadata", "model", "session_id"})
"""The parameters that stay here; the provider gets the others. `model` names the target, and a key is never a caller's own."""
_SECRET: Final = ("openai-insecure-api-key.", "openai-organization.", "openai-project.")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")


class ProxiedCallers:
    """The way in to proxied sessions."""

    def __init__(self, access: Access, max_message_bytes: int) -> None:
        self._access = access
        self._max_message_bytes = max_message_bytes

    async def answer(self, socket: WebSocket, declared: Declared, principal: Principal) -> None:
        """Reach the provider, accept as it accepted, and carry frames until either side ends it. Raises TurnlogError."""
        session = await self._access.relay(principal, declared, upgrade_of(socket), metadata=metadata_of(socket))
        try:
            told = [(name.lower().encode(), value.encode()) for name, value in session.provider.headers]
            headers = [*told, (b"turnlog-session", session.id.encode())]
            await socket.accept(session.provider.subprotocol, headers)
        except BaseException:
            session.end("caller_gone")
            raise
        limits = self._access.limiter.of_session(session.id)
        most = min(self._max_message_bytes, limits.message_bytes or self._max_message_bytes)
        await session.carry(CallerFrames(socket, max_bytes=most, messages_s=limits.messages_s))


def is_proxied(engine: Engine, address: str) -> bool:
    """Whether an address (path and query) is that of a proxied target."""
    named = dict(parse_qsl(urlsplit(address).query)).get("model", "")
    try:
        return engine.directory.resolve(named).proxied
    except TurnlogError:
        return False


def upgrade_of(connection: HTTPConnection) -> Upgrade:
    """What of a request goes to the provider."""
    given = connection.headers
    return Upgrade(
        query=[(key, value) for key, value in connection.query_params.multi_items() if key not in OURS],
        headers=[(name, given[name]) for name in HANDED_ON if name in given and _is_plain(given[name])],
        subprotocols=[one for one in connection.scope.get("subprotocols", []) if _is_open(one)],
        compressed="permessage-deflate" in given.get("sec-websocket-extensions", ""),
    )


def _is_open(subprotocol: str) -> bool:
    return bool(_TOKEN.fullmatch(subprotocol)) and not subprotocol.startswith(_SECRET)


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()
