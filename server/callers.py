"""Caller tokens: each opens one session, until it expires, and nothing else. The store has their digests only.

Whoever starts a session for a caller gives it the token that `admit` makes; whoever comes back shows it to `readmit`. What a
bad token asks for is never looked at, so it learns nothing of what there is.
"""

import hmac
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..core.errors import StoreError, TurnlogError
from ..core.secrets import digest
from ..engine.engine import Engine
from ..engine.live import LiveSession
from .access import Access, Principal
from .answers import error_answer
from .auth import new_token, shown_token
from .settings import DEFAULTS

__all__ = ["TOKEN_S", "Admission", "CallerTokens"]

TOKEN_S: Final = DEFAULTS.caller_token_s
"""How long a caller's token opens its session, unless the settings say otherwise; each return with it begins that anew."""
_PURGE_S: Final = 600
"""Forgetting what has expired is asked for no more often."""
_SHOW_TOKEN = "send its Turnlog-Token as `Authorization: Bearer TOKEN` or as the subprotocol `openai-insecure-api-key.TOKEN`"


class Admission(NamedTuple):
    """Who may be attached to a session.

    token: goes back to the caller as Turnlog-Token. seat: for Engine.attach: who comes with the same token takes its place over.
    """

    live: LiveSession
    token: str
    seat: str

    def __repr__(self) -> str:
        return f"Admission({self.live.id})"  # never the token

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("session", self.live.id)]


class CallerTokens:
    """The tokens of one engine's sessions."""

    def __init__(
        self, engine: Engine, access: Access, *, token_s: int = TOKEN_S, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._engine = engine
        self._access = access
        self._token_s = token_s
        self._now_ns = now_ns
        self._purged_ns = 0
        self.routes = [Route("/v1/turnlog/sessions/{session}/tokens", self._revoke, methods=["DELETE"])]

    async def admit(self, live: LiveSession) -> Admission:
        """A new token for a caller of this session. Raises StoreError."""
        token = await self.token(live.id)
        return Admission(live, token, digest(token).hex())

    async def token(self, session: str) -> str:
        """A new token that opens this session. Raises StoreError."""
        now_ns = self._now_ns()
        if now_ns - self._purged_ns > _PURGE_S * 1_000_000_000:
            self._purged_ns = now_ns
            await self._engine.store.access.purge(now_ns=now_ns)
        token = new_token()
        await self._engine.store.add_caller(digest(token), session, expires_ns=self._expires_ns())
        return token

    async def readmit(self, connection: HTTPConnection, session: str) -> Admission:
        """Let a caller back to its session by its token, or, beside who is there, whoever has a key of this server.

        Raises TurnlogError TL501 for a token that is wrong, has expired or is another session's, TL408 for a session that
        does not run here or takes no callers any more.
        """
        shown = shown_token(connection)
        if shown is not None and await self._opens(shown, session):
            self._access.asked_by_token(connection, session)
            return await self._back(shown, session)
        principal = await self._access.holds(connection, "start")
        if principal is None:
            raise _not_shown()
        return await self.admit(await self._running_for(principal, session))

    async def join(self, connection: HTTPConnection, session: str) -> Admission:
        """As `readmit`, and also for whoever may call this server: where none has a key, for who is local."""
        shown = shown_token(connection)
        if shown is not None and await self._opens(shown, session):
            self._access.asked_by_token(connection, session)
            return await self._back(shown, session)
        principal = await self._access.check(connection, "start")
        return await self.admit(await self._running_for(principal, session))

    async def check(self, connection: HTTPConnection, session: Callable[[], str]) -> str:
        """Let in who may do this with a session: by its token, or whoever may call this server. Returns "token" or its name.

        session: finds it, and raises where there is none, which only those learn who may know. Raises TurnlogError TL501, TL507,
        TL408 for another tenant's session, and what `session` raises.
        """
        shown = shown_token(connection)
        if shown is not None and await self._access.holds(connection, "start") is None:
            try:
                own = session()
                opens = await self._opens(shown, own)
            except TurnlogError:
                opens = False
            if opens:
                self._access.asked_by_token(connection, own)
                return "token"
        principal = await self._access.check(connection, "start")
        if principal.tenant:
            await self._access.row_for(principal, session())
        return principal.name

    async def _revoke(self, request: Request) -> Response:
        """200 and how many tokens of the session there were. Callers that are attached stay; none comes back with one."""
        session: str = request.path_params["session"]
        try:
            await self._access.check_session(request, "start", session)
            revoked = await self._engine.store.access.revoke_callers(session)
        except TurnlogError as error:
            return error_answer(error)
        return JSONResponse({"session": session, "revoked": revoked})

    async def _back(self, token: str, session: str) -> Admission:
        live, hashed = self._running(session), digest(token)
        if not await self._engine.store.access.extend_caller(hashed, expires_ns=self._expires_ns()):
            raise _not_shown()  # revoked since it was looked at
        return Admission(live, token, hashed.hex())

    def _expires_ns(self) -> int:
        return self._now_ns() + self._token_s * 1_000_000_000

    async def _opens(self, token: str, session: str) -> bool:
        caller = await self._engine.store.find_caller(digest(token), now_ns=self._now_ns())
        return caller is not None and hmac.compare_digest(caller.session.encode(), session.encode())

    async def _running_for(self, principal: Principal, session: str) -> LiveSession:
        live = self._running(session)
        try:
            await self._access.row_for(principal, session)
        except StoreError as error:
            raise (_not_running(session) if error.code == "TL408" else error) from None
        return live

    def _running(self, session: str) -> LiveSession:
        live = self._engine.sessions.get(session)
        if live is None or not live.takes_callers:
            raise _not_running(session)
        return live


def _not_running(session: str) -> TurnlogError:
    return TurnlogError("TL408", f"session {session[:200]!r} is not running here", "it has ended: start another one")


def _not_shown() -> TurnlogError:
    return TurnlogError("TL501", "no token of this session was shown", _SHOW_TOKEN)
