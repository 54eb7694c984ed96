"""`POST /v1/realtime/client_secrets`: an `ek_…` for a page or an app that must not have a key.

A secret opens new sessions of one target, configured in one way, at /v1/realtime and /v1/realtime/calls, until it expires or the
key that it was made with does. It opens no session that runs, and no other address. The store has its digest only.
"""

import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.errors import TurnlogError
from ..core.secrets import digest
from ..engine.engine import Engine
from ..store.access import ClientSecret
from ..transports.realtime.checks import Refusal
from ..transports.realtime.session_config import default_session, merge_session
from ..transports.realtime.session_wire import caller_session
from ..transports.web.call_request import read_body
from .access import SECRET_PREFIX, Access, Principal
from .answers import error_answer
from .asked import Refused, target_of

__all__ = ["DEFAULT_S", "LONGEST_S", "SHORTEST_S", "ClientSecretsEndpoint", "Opening", "merged", "opened", "settings_of"]

DEFAULT_S: Final = 600
SHORTEST_S: Final = 10
LONGEST_S: Final = 7200
"""The bounds of OpenAI's service (client_secrets, expires_after.seconds)."""
_EXAMPLE: Final = 'for example {"session": {"type": "realtime", "model": "hotel.desk"}, "expires_after": {"seconds": 60}}'
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may start. target: "" leaves it to the request. settings: of the session, from the client secret."""

    principal: Principal
    target: str = ""
    settings: dict[str, Any] = {}

    @property
    def overrides(self) -> dict[str, str]:
        """What a session is started with in place of what was declared: a voice holds for the very first word."""
        voice = self.settings.get("audio", {}).get("output", {}).get("voice")
        return {"voice": voice} if isinstance(voice, str) else {}

    def resolve(self, engine: Engine, model: str, where: str = "query") -> str:
        """The target, with the `model` that the request names, "" for none. Raises Refused: 400 for another than the secret's."""
        if not self.target:
            return target_of(engine.directory, model, where)
        if model and target_of(engine.directory, model, where) != self.target:
            problem = f"the client secret opens {self.target}, and the {where} names {model[:200]!r}"
            raise Refused(TurnlogError("TL504", problem, "leave `model` out, or ask for another secret"), 400, "model")
        return target_of(engine.directory, self.target, "client secret")


async def opened(access: Access, connection: HTTPConnection) -> Opening:
    """What a request may start by its client secret, or by a key. Raises TurnlogError as Access.check."""
    bound = await access.bound(connection)
    if bound is None:
        return Opening(principal=await access.check(connection, "start"))
    principal, secret = bound
    return Opening(principal=principal, target=secret.target, settings=msgspec.json.decode(secret.session))


def settings_of(session: dict[str, Any], where: str) -> dict[str, Any]:
    """What a session object asks for beside the target; {} if nothing. Raises Refused: 400, by name."""
    asked = {"type": "realtime", **{key: value for key, value in session.items() if key != "model"}}
    checked = merge_session(default_session("", "", None), asked, voice_locked=False)
    if isinstance(checked, Refusal):
        raise Refused(TurnlogError("TL504", checked.message, f"see {where}"), 400, checked.param)
    return asked if len(asked) > 1 else {}


def merged(bound: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for over what its secret is bound to: objects field by field, and what is none is replaced."""
    both = dict(bound)
    for name, value in asked.items():
        below = both.get(name)
        both[name] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


class _ExpiresAfter(msgspec.Struct, frozen=True, kw_only=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, msgspec.Meta(ge=SHORTEST_S, le=LONGEST_S)] = DEFAULT_S


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    expires_after: _ExpiresAfter = _ExpiresAfter()
    session: dict[str, Any] = {}


class ClientSecretsEndpoint:
    """Gives out secrets to whoever may start sessions."""

    def __init__(self, engine: Engine, access: Access, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._engine = engine
        self._access = access
        self._now_ns = now_ns
        self.routes = [Route("/v1/realtime/client_secrets", self._answer, methods=_METHODS)]

    async def _answer(self, request: Request) -> Response:
        try:
            if request.method != "POST":
                raise Refused(TurnlogError("TL504", "this address takes POST only", _EXAMPLE), 405)
            return await self._give(request)
        except Refused as refused:
            return refused.answer()
        except TurnlogError as error:
            return error_answer(error)

    async def _give(self, request: Request) -> Response:
        principal = await self._access.check(request, "start")
        wanted = _read(await read_body(request))
        named = wanted.session.get("model", request.query_params.get("model", ""))
        target = target_of(self._engine.directory, named if isinstance(named, str) else repr(named), "session")
        settings = settings_of(wanted.session, "`session` of the request")
        if settings and self._engine.directory.resolve(target).proxied:
            problem = f"{target} is proxied: what passes there is not changed, and a secret can add nothing to it"
            hint = "leave all but `type` and `model` out of `session`, and have the client send its own session.update"
            raise Refused(TurnlogError("TL504", problem, hint), 400, "session")
        expires_s = self._now_ns() // 1_000_000_000 + wanted.expires_after.seconds
        value = SECRET_PREFIX + secrets.token_urlsafe(32)
        held = ClientSecret(
            target, msgspec.json.encode(settings), expires_s * 1_000_000_000, principal.tenant, principal.key
        )
        await self._engine.store.access.add_secret(digest(value), held)
        answer = {"value": value, "expires_at": expires_s, "session": self._session(target, settings)}
        return Response(msgspec.json.encode(answer), media_type="application/json", headers={"Cache-Control": "no-store"})

    def _session(self, target: str, settings: dict[str, Any]) -> dict[str, Any]:
        """The session object as its callers will find it, under `target` as its model."""
        declared = caller_session(self._engine.directory.resolve(target).definition, {})
        session = default_session(f"sess_{secrets.token_hex(12)}", target, None)
        for asked in ({"type": "realtime", **declared}, settings):
            with_it = merge_session(session, asked, voice_locked=False) if asked else session
            session = session if isinstance(with_it, Refusal) else with_it
        return {**session, "model": target}


def _read(body: bytes) -> _Wanted:
    try:
        return msgspec.json.decode(body or b"{}", type=_Wanted)
    except (ValueError, RecursionError) as error:
        raise Refused(TurnlogError("TL504", f"the body cannot be read: {error}", _EXAMPLE), 400) from None
