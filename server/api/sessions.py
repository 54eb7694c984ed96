"""Sessions by the API: which there are, one of them, a new one, and what is asked of one that runs."""

from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ...core import events as e
from ...core.codec import decode
from ...core.errors import StoreError, TurnlogError
from ...core.ports import SessionRow
from ...engine.engine import Engine
from ...engine.live import LiveSession
from ...store.port import Began
from ..access import Access, Principal
from ..callers import CallerTokens
from .operations import PREFIX, Answer, Operation, json_answer
from .problems import ApiRefused, refused
from .reading import body_of, query_of
from .shapes import (
    Accepted,
    EndBody,
    EndFacts,
    ListQuery,
    SayBody,
    SaysAccepted,
    SessionDetail,
    SessionInfo,
    SessionsPage,
    SignalBody,
    StartBody,
    Started,
    info_of,
    time_of,
)

__all__ = ["ONE", "SESSIONS", "Sessions"]

SESSIONS: Final = PREFIX + "/sessions"
ONE: Final = SESSIONS + "/{session}"
_EPOCH: Final = time_of(0)


class Sessions:
    """Operations on the sessions of one engine."""

    def __init__(self, engine: Engine, access: Access, tokens: CallerTokens) -> None:
        self._engine = engine
        self._access = access
        self._tokens = tokens
        accepted = (Answer(202, "Taken.", Accepted),)
        self.operations = [
            Operation(
                "GET", SESSIONS, "listSessions", "The sessions of the store, newest first", "observe", self.list,
                (Answer(200, "A page of them.", SessionsPage),), query=ListQuery,
            ),
            Operation(
                "POST", SESSIONS, "startSession", "Start a session, and get a caller's token for it", "start", self.start,
                (Answer(201, "It runs.", Started),), body=StartBody,
            ),
            Operation(
                "GET", ONE, "getSession", "One session", "observe", self.get, (Answer(200, "The session.", SessionDetail),)
            ),
            Operation("POST", ONE + "/end", "endSession", "End a running session", "start", self.end, accepted, body=EndBody),
            Operation(
                "POST", ONE + "/say", "say", "Have something said to the callers of a running session", "start", self.say,
                (Answer(202, "Taken.", SaysAccepted),), body=SayBody,
            ),
            Operation(
                "POST", ONE + "/signal", "signal", "Send the handler of a running session a signal", "start", self.signal,
                accepted, body=SignalBody,
            ),
        ]  # fmt: skip

    # --- what there is ---

    async def list(self, request: Request, principal: Principal) -> Response:
        """200: a page of the catalogue, of the key's tenant if it has one."""
        asked = query_of(request, ListQuery)
        tenant = principal.tenant or asked.tenant
        if principal.tenant and asked.tenant not in (None, principal.tenant):
            raise TurnlogError("TL507", "the key is of another tenant", "leave `tenant` out")
        if asked.cursor is not None:
            try:
                await self._access.row_for(principal, asked.cursor)
            except StoreError as error:
                raise refused(400, "the cursor is none of this list", "give the `next` of the page before") from error
        began = Began(
            since_ns=_ns(asked.since) if asked.since else 0, until_ns=_ns(asked.until) if asked.until else Began().until_ns
        )
        rows = await self._engine.store.sessions(
            target=asked.target, status=asked.status, tenant=tenant, began=began, before=asked.cursor, limit=asked.limit + 1
        )
        shown = rows[: asked.limit]
        more = shown[-1].session if len(rows) > asked.limit else None
        return json_answer(SessionsPage(sessions=[SessionInfo(**self._info(row)) for row in shown], next=more))

    async def get(self, request: Request, principal: Principal) -> Response:
        """200: the row, and what the first and the last event tell."""
        row = await self._access.row_for(principal, request.path_params["session"])
        started, ended = await self._event(row, 1), await self._event(row, row.head_seq)
        begun = started if isinstance(started, e.SessionStarted) else None
        end = EndFacts(reason=ended.reason, code=ended.code, detail=ended.detail) if isinstance(ended, e.SessionEnded) else None
        detail = SessionDetail(
            **self._info(row),
            metadata=begun.metadata if begun else None,
            definition=begun.definition if begun else None,
            end=end,
        )
        return json_answer(detail)

    async def _event(self, row: SessionRow, seq: int) -> object:
        async for recorded in self._engine.store.read(row.session, after=max(0, seq - 1), until=seq):
            return decode(recorded)
        return None

    def _info(self, row: SessionRow) -> dict[str, Any]:
        return info_of(row, running=self._engine.runs(row.session))

    # --- what is asked of one ---

    async def start(self, request: Request, principal: Principal) -> Response:
        """201, and the token that lets a caller in."""
        asked = await body_of(request, StartBody)
        if principal.tenant and asked.tenant not in ("", principal.tenant):
            raise TurnlogError("TL507", "the key is of another tenant", "leave `tenant` out")
        overrides = {key: value for key in ("model", "voice") if (value := getattr(asked, key))}
        live = await self._access.start(
            msgspec.structs.replace(principal, tenant=principal.tenant or asked.tenant),
            asked.target,
            metadata=asked.metadata,
            overrides=overrides,
            caller_within_s=asked.caller_within_s,
            session=asked.session,
        )
        try:
            admitted = await self._tokens.admit(live)
        except BaseException:
            live.end("no_caller", drain=False)
            raise
        where = f"/v1/realtime?session_id={live.id}"
        begun = Started(session=live.id, target=live.target, token=admitted.token, realtime_url=where)
        return json_answer(begun, 201, {"Location": f"{SESSIONS}/{live.id}"})

    async def end(self, request: Request, principal: Principal) -> Response:
        """202: the session is to end."""
        row = await self._access.row_for(principal, request.path_params["session"])
        running = self._engine.sessions.get(row.session) or self._engine.proxied.sessions.get(row.session)
        if running is None:
            raise _not_running(row)
        asked = await body_of(request, EndBody)
        running.end(asked.reason, drain=asked.drain)
        return json_answer(Accepted(session=row.session), 202)

    async def say(self, request: Request, principal: Principal) -> Response:
        """202: the words are owed to the callers."""
        live = await self._running(request, principal)
        asked = await body_of(request, SayBody)
        options = msgspec.structs.asdict(asked)
        say = live.say(options.pop("text"), **options)
        return json_answer(SaysAccepted(session=live.id, say=say), 202)

    async def signal(self, request: Request, principal: Principal) -> Response:
        """202: the signal is the handler's."""
        live = await self._running(request, principal)
        asked = await body_of(request, SignalBody)
        live.signal(asked.name, asked.data, key=asked.key)
        return json_answer(Accepted(session=live.id), 202)

    async def _running(self, request: Request, principal: Principal) -> LiveSession:
        row = await self._access.row_for(principal, request.path_params["session"])
        live = self._engine.sessions.get(row.session)
        if live is None and row.session in self._engine.proxied.sessions:
            nobody = TurnlogError("TL102", f"session {row.session} is proxied: no handler answers in it", "end it, or let it be")
            raise ApiRefused(nobody, 409)
        if live is None:
            raise _not_running(row)
        return live


def _not_running(row: SessionRow) -> ApiRefused:
    what = "has ended" if row.status == "ended" else "is not running in this server"
    return ApiRefused(TurnlogError("TL102", f"session {row.session} {what}", "only a running session can be asked"), 409)


def _ns(at: datetime) -> int:
    since = at - _EPOCH
    return max(0, min(Began().until_ns, (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000))
