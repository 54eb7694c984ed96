"""Who may do what: a request's credential becomes a principal, with scopes, a tenant and limits.

Every route asks here, with the scope that it needs. What a caller's token opens is in callers.py. The store is asked for a key
each time: one that was made or revoked a moment ago, by another process too, is known at once.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
from starlette.requests import HTTPConnection

from ..core.errors import TurnlogError
from ..core.limits import Limits
from ..core.ports import SessionRow, TakenCall
from ..core.relaying import Upgrade
from ..core.secrets import KEY_PREFIX, digest
from ..engine.app import Declared
from ..engine.engine import Engine
from ..engine.live import LiveSession
from ..engine.relay.call import RelayCall
from ..engine.relay.session import RelaySession
from ..store.access import ApiKey, ClientSecret, no_session
from ..transports.web.call_request import BODY_LIMIT
from .auth import SEND_KEY, Keys, check_local, shown_key
from .limits import Limiter
from .settings import ServerSettings

__all__ = ["ALL_SCOPES", "SECRET_PREFIX", "Access", "Principal", "Scope"]

SECRET_PREFIX: Final = "ek_"
"""What client secrets begin with, as OpenAI's do."""

Scope = Literal["admin", "start", "observe"]
ALL_SCOPES: Final[frozenset[Scope]] = frozenset({"admin", "start", "observe"})


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. key: the id of its key, "" for a key of the settings and for who is local. tenant: "" is all of them."""

    key: str = ""
    scopes: frozenset[Scope] = ALL_SCOPES
    tenant: str = ""
    limits: Limits = Limits()

    @property
    def name(self) -> str:
        """As a log may hold it."""
        return f"key {self.key}" if self.key else "key"

    def sees(self, tenant: str) -> bool:
        """Whether a session of this tenant is there for it."""
        return self.tenant in ("", tenant)


_WHOLE: Final = Principal()


class Access:
    """The credentials that open this server."""

    def __init__(self, engine: Engine, settings: ServerSettings, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._engine = engine
        self._keys = Keys(settings.keys)
        self._now_ns = now_ns
        self.limiter = Limiter(settings.limits, engine.runs)

    async def needs_key(self) -> bool:
        """Whether nobody is let in without a key; else this machine is. A revoked key is one, too: it opens no other door."""
        return bool(self._keys) or bool(await self._engine.store.access.keys())

    def is_ours(self, key: str) -> bool:
        """Whether this is a key of a server of ours, known here or not."""
        return key.startswith(KEY_PREFIX) or self._keys.has(key)

    async def check(self, connection: HTTPConnection, scope: Scope) -> Principal:
        """Who asks, if it may; it has asked once more. Raises TurnlogError TL501, TL507, LimitExceeded TL506."""
        return self._counted(connection, await self._who(connection, scope))

    async def _who(self, connection: HTTPConnection, scope: Scope) -> Principal:
        shown = shown_key(connection)
        if shown is not None and self._keys.has(shown):
            return _WHOLE
        key = None if shown is None else await self._engine.store.access.find_key(digest(shown))
        if key is not None:
            if not key.stands(self._now_ns()):
                over = "was revoked" if key.revoked_ns is not None else "has expired"
                raise TurnlogError("TL501", f"the API key {over}", "ask for another one")
            return _permitted(key, scope)
        if not await self.needs_key():
            check_local(connection)
            return _WHOLE
        if shown is None:
            raise TurnlogError("TL501", "this server needs an API key", SEND_KEY)
        raise TurnlogError("TL501", "the API key is not one of this server's", "check the key, and the server you call")

    async def holds(self, connection: HTTPConnection, scope: Scope) -> Principal | None:
        """Who asks, if it shows a key; None for who shows none that stands, on loopback too. Raises as `check` else."""
        shown = shown_key(connection)
        if shown is None:
            return None
        if self._keys.has(shown):
            return self._counted(connection, _WHOLE)
        key = await self._engine.store.access.find_key(digest(shown))
        if key is None or not key.stands(self._now_ns()):
            return None
        return self._counted(connection, _permitted(key, scope))

    async def bound(self, connection: HTTPConnection) -> tuple[Principal, ClientSecret] | None:
        """Who asks by a client secret, and what that opens; None if it shows none. It goes with the key that it was made with.

        Raises TurnlogError TL501 for one that is unknown or has expired, LimitExceeded TL506.
        """
        shown = shown_key(connection)
        if shown is None or not shown.startswith(SECRET_PREFIX):
            return None
        store, now_ns = self._engine.store.access, self._now_ns()
        secret = await store.find_secret(digest(shown), now_ns=now_ns)
        made_by = None if secret is None or not secret.key else [key for key in await store.keys() if key.id == secret.key]
        if secret is None or (made_by is not None and not any(key.stands(now_ns) for key in made_by)):
            raise TurnlogError("TL501", "the client secret has expired, or was never given out here", "ask for a new one")
        limits = made_by[0].limits if made_by else Limits()
        by = Principal(key=secret.key, scopes=frozenset({"start"}), tenant=secret.tenant, limits=limits)
        return self._counted(connection, by), secret

    async def start(
        self,
        principal: Principal,
        target: str,
        *,
        metadata: dict[str, Any] | None = None,
        overrides: Mapping[str, str] | None = None,
        caller_within_s: int | None = None,
        session: str | None = None,
    ) -> LiveSession:
        """Engine.start for who asks: as its tenant, within its limits. Raises LimitExceeded TL506, and what that raises."""
        async with self.limiter.starting(principal.key, principal.limits) as started:
            live = await self._engine.start(
                target,
                metadata=metadata,
                session=session,
                overrides=overrides,
                caller_within_s=caller_within_s,
                tenant=principal.tenant,
            )
            started(live.id)
        return live

    async def relay(
        self, principal: Principal, declared: Declared, upgrade: Upgrade, *, metadata: dict[str, Any] | None = None
    ) -> RelaySession:
        """Proxied.open for who asks, as `start`."""
        async with self.limiter.starting(principal.key, principal.limits) as started:
            session = await self._engine.proxied.open(declared, upgrade, metadata=metadata, tenant=principal.tenant)
            started(session.id)
        return session

    async def relay_call(
        self, principal: Principal, declared: Declared, offer: str, session: dict[str, Any], *, metadata: dict[str, Any]
    ) -> tuple[RelayCall, TakenCall]:
        """Proxied.call for who asks, as `start`."""
        async with self.limiter.starting(principal.key, principal.limits) as started:
            live, taken = await self._engine.proxied.call(
                declared, offer, session, metadata=metadata, tenant=principal.tenant
            )
            started(live.id)
        return live, taken

    async def check_session(self, connection: HTTPConnection, scope: Scope, session: str) -> tuple[Principal, SessionRow]:
        """Who asks, if it may, and the session's row. Raises as `check`, and StoreError TL408 for another tenant's."""
        principal = await self.check(connection, scope)
        return principal, await self.row_for(principal, session)

    async def row_for(self, principal: Principal, session: str) -> SessionRow:
        """A session's row; another tenant's is not there. Raises StoreError TL408, in the same words for both."""
        row = await self._engine.store.session(session)
        if not principal.sees(row.tenant):
            raise no_session(session)
        return row

    def asked_by_token(self, connection: HTTPConnection, session: str) -> None:
        """Count a request by a session's token, as one of the key that it was started with. Raises LimitExceeded TL506."""
        key, limits = self.limiter.started_by(session)
        self._counted(connection, Principal(key=key, limits=limits))

    def _counted(self, connection: HTTPConnection, principal: Principal) -> Principal:
        self.limiter.ask(principal.key, principal.limits)
        most = self.limiter.of(principal.limits).body_bytes
        if most is not None:
            connection.scope[BODY_LIMIT] = most
        return principal


def _permitted(key: ApiKey, scope: Scope) -> Principal:
    held = ALL_SCOPES if "admin" in key.scopes else frozenset(one for one in ALL_SCOPES if one in key.scopes)
    if scope not in held:
        hint = f"it has {', '.join(key.scopes) or 'none'}; ask for a key with the scope {scope}"
        raise TurnlogError("TL507", f"the API key lacks the scope {scope!r}", hint)
    return Principal(key=key.id, scopes=held, tenant=key.tenant, limits=key.limits)
