"""Who may do what: a request's credential becomes a principal, with scopes and a tenant.

Every route asks here, with the scope that it needs. What a caller's token opens is in callers.py.
"""

from typing import Final, Literal

import msgspec
from starlette.requests import HTTPConnection

from ..engine.engine import Engine
from .auth import Keys
from .settings import ServerSettings

__all__ = ["ALL_SCOPES", "Access", "Principal", "Scope"]

Scope = Literal["admin", "start", "observe"]
ALL_SCOPES: Final[frozenset[Scope]] = frozenset({"admin", "start", "observe"})


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. key: the id of its key, "" for a key of the settings and for who is local. tenant: "" is all of them."""

    key: str = ""
    scopes: frozenset[Scope] = ALL_SCOPES
    tenant: str = ""


_WHOLE: Final = Principal()


class Access:
    """The credentials that open this server."""

    def __init__(self, engine: Engine, settings: ServerSettings) -> None:
        self._engine = engine
        self._keys = Keys(settings.keys)

    @property
    def needs_key(self) -> bool:
        """Whether nobody is let in without a key; else this machine is."""
        return bool(self._keys)

    async def check(self, connection: HTTPConnection, scope: Scope) -> Principal:
        """Who asks, if it may. Raises TurnlogError TL501."""
        self._keys.check(connection)
        return _WHOLE

    async def holds(self, connection: HTTPConnection, scope: Scope) -> Principal | None:
        """Who asks, if it shows a key that has the scope; None for who shows none, on loopback too."""
        return _WHOLE if self._keys.hold(connection) else None
