"""Tools of a session, called by its client as AgentField's control plane takes them, and executions asked for by their id.

A client may call what its session names and nothing else, in its own session only. A tool of this process runs here; one of
another node is asked of the control plane, whose answer is passed on as it came.
"""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..core import events as e
from ..core.errors import LinkError, MissingExtra, TurnlogError
from ..engine.engine import Engine
from ..engine.executions import Execution
from ..engine.live import LiveSession
from ..engine.nodes.registered import RegisteredNode
from ..engine.outside_calls import OutsideCall
from ..engine.toolbox import ReasonerTool, Toolbox
from ..engine.tools import AnyTool
from ..transports.control_plane import Submitted
from ..transports.web.call_request import read_body
from .access import Access
from .agentfield_errors import Refused, answering, body_of
from .asked import peer_of
from .callers import CallerTokens
from .calls import METHODS

__all__ = ["CARRIED", "ToolRoutes", "target_of_tool", "tools_of"]

CARRIED: Final = (
    *("X-Caller-Agent-ID", "X-Caller-DID", "X-Actor-ID", "X-API-Key"),
    *("X-Run-ID", "X-Parent-Execution-ID", "X-Parent-VC-ID"),
)
"""The headers of a client that its execution is asked for with."""
SIGNATURE: Final = "X-AgentField-Signature"
_EXECUTIONS: Final = "/api/v1/executions/{execution}"


class _ToolBody(msgspec.Struct, frozen=True, kw_only=True):
    target: str | None = None
    input: dict[str, Any] | None = None


class _Taken(msgspec.Struct, frozen=True, kw_only=True):
    execution_id: str = ""


class ToolRoutes:
    """`POST …/{session}/tools/{tool}` in both spellings, `POST /api/v1/execute/async/{target}`, `GET /api/v1/executions/{id}`."""

    def __init__(self, engine: Engine, access: Access, tokens: CallerTokens) -> None:
        self._engine = engine
        self._access = access
        self._tokens = tokens
        call = answering(self.call)
        self.routes = [
            Route("/api/v1/session-instances/{session}/tools/{tool}", call, methods=METHODS),
            Route("/api/v1/sessions/{session}/tools/{tool}", call, methods=METHODS),
            Route("/api/v1/execute/async/{target}", answering(self.execute), methods=METHODS),
            Route(_EXECUTIONS, answering(self.look, "GET"), methods=METHODS),
            Route("/api/v1/turnlog/executions", answering(self.arrive), methods=METHODS),
        ]

    async def call(self, request: Request) -> Response:
        """202 and the execution of a tool that the session names, for the session's token or a key."""
        session, name = request.path_params["session"], request.path_params["tool"]
        caller = await self._tokens.check(request, lambda: session)
        live = self._running(session)
        asked = body_of(await read_body(request), _ToolBody)
        box = tools_of(self._engine, live.target)
        target = asked.target or (target_of_tool(box, live, name) if name in box else _own(live, name))
        node, _, reasoner = target.partition(".")
        if not node or not reasoner:
            raise Refused(400, "session tool target must be <node>.<reasoner>")
        if name not in live.definition.tools or target not in (_own(live, name), target_of_tool(box, live, name)):
            raise Refused(403, f"session {live.id} has no tool {name[:100]!r} with the target {target[:200]!r}")
        is_gone = self._engine.directory.home(live.target) is None and not self._engine.directory.is_own(live.target)
        if name not in box or is_gone:  # the node is away: a tool of ours by that name is another one
            raise Refused(404, f"tool {name[:100]!r} runs at its node only, for the session's handler and model")
        tenant = (await self._engine.store.session(live.id)).tenant
        one = self._engine.executions.new(target, session=live.id, tenant=tenant, run=request.headers.get("x-run-id", ""))
        return await self._run(request, box[name], asked, one, caller)

    async def execute(self, request: Request) -> Response:
        """202 and the execution of any tool of this server, for a key."""
        principal = await self._access.check(request, "start")
        asked = body_of(await read_body(request), _ToolBody)
        target = request.path_params["target"]
        try:
            tool = tools_of(self._engine, target).find(target)
        except LookupError:
            raise Refused(404, f"no reasoner {target[:200]!r} is here") from None
        session = request.headers.get("x-session-id", "")
        session = session if session.isascii() else ""
        if session and principal.tenant:
            await self._access.row_for(principal, session)
        run = request.headers.get("x-run-id", "")
        one = self._engine.executions.new(target, session=session, tenant=principal.tenant, run=run)
        return await self._run(request, tool, asked, one, principal.name)

    async def look(self, request: Request) -> Response:
        """200 and how an execution stands, for a key that may start one."""
        principal = await self._access.check(request, "start")
        execution = request.path_params["execution"]
        if (one := self._engine.executions.find(execution)) is not None and principal.sees(one.tenant):
            return _json(_told(one), 200)
        if one is None and execution.strip(".") and not principal.tenant and self._engine.tools.elsewhere.plane is not None:
            return _passed_on(await self._elsewhere(execution).look(execution, self._carried(request)))
        raise Refused(404, f"no execution {execution[:200]!r} is known here")

    async def arrive(self, request: Request) -> Response:
        """200 for a webhook of our control plane, which its signature shows."""
        if self._engine.tools.elsewhere.plane is None:
            raise Refused(404, "no control plane tells anything here")
        self._elsewhere("").arrived(await read_body(request), request.headers.get(SIGNATURE, ""))
        return _json({"received": True}, 200)

    # --- running ---

    async def _run(self, request: Request, tool: AnyTool, asked: _ToolBody, one: Execution, caller: str) -> Response:
        given = asked.input or {}
        entered = await self._entered(request, one, given, caller)
        if not isinstance(tool, ReasonerTool):
            self._engine.executions.start(one, tool, given, *([entered.ended] if entered else []))
            return _json(_begun(one), 202)
        headers = self._carried(request) | ({"X-Session-ID": one.session} if one.session else {})
        try:
            answer = await self._elsewhere(one.target).submit(one.target, msgspec.json.encode({"input": given}), headers)
        except (LinkError, Refused) as error:
            words = error.message if isinstance(error, LinkError) else str(error)
            if entered:
                entered.failed(words)
            raise Refused(502, words) from None
        if entered and (taken := _execution_of(answer)):
            entered.passed_on(taken)
        elif entered:
            entered.failed(f"the control plane answered {answer.status}")
        return _passed_on(answer)

    async def _entered(self, request: Request, one: Execution, given: dict[str, Any], caller: str) -> OutsideCall | None:
        """The call in the log of its session, if that runs here."""
        live = self._engine.sessions.get(one.session)
        if live is None:
            return None
        event = e.OutsideCallRequested(
            execution=one.id,
            target=one.target,
            arguments=msgspec.json.encode(given).decode(),
            caller=caller,
            peer=peer_of(request),
            agent=request.headers.get("x-caller-agent-id", "")[:200],
        )
        entered = OutsideCall(live, event)
        await entered.enter(self._engine.observers)
        return entered

    def _elsewhere(self, target: str) -> Any:
        try:
            return self._engine.tools.elsewhere.reasoners(target)
        except LookupError as error:
            raise Refused(502, str(error.args[0])) from None
        except MissingExtra as error:
            raise Refused(502, error.message) from None

    def _carried(self, request: Request) -> dict[str, str]:
        """The client's own headers. A key of this server is nobody else's: another control plane has keys of its own."""
        given = {name: value for name in CARRIED if (value := request.headers.get(name, "")) and value.isascii()}
        if self._access.is_ours(given.get("X-API-Key", "")):
            del given["X-API-Key"]
        return given

    def _running(self, session: str) -> LiveSession:
        live = self._engine.sessions.get(session)
        if live is None:
            raise TurnlogError("TL408", f"session {session[:200]!r} is not running here", "it has ended: start another one")
        return live


def tools_of(engine: Engine, target: str) -> Toolbox:
    """The tools that run for a session, or of a node, by target: this app's, or those that a node has registered over HTTP."""
    match engine.directory.home(target):
        case None:
            return engine.tools.box
        case RegisteredNode() as home:
            return home.tools
        case home:
            return Toolbox(home.name, {})  # they run at the node, by its link


def target_of_tool(box: Toolbox, live: LiveSession, name: str) -> str:
    """<node>.<reasoner> of a session's tool: what it was declared of, or the session's own node's."""
    tool = box.get(name)
    return tool.target if isinstance(tool, ReasonerTool) else _own(live, name)


def _own(live: LiveSession, name: str) -> str:
    return f"{live.target.partition('.')[0]}.{name}"


def _begun(one: Execution) -> dict[str, Any]:
    own = {"execution_id": one.id, "run_id": one.run, "workflow_id": one.run, "status": "queued", "target": one.target}
    return {**own, "type": "reasoner", "created_at": _time(one.started_ns)}


def _told(one: Execution) -> dict[str, Any]:
    told: dict[str, Any] = {"execution_id": one.id, "run_id": one.run, "target": one.target, "status": one.status}
    told["started_at"] = _time(one.started_ns)
    if one.ended_ns:
        told |= {"completed_at": _time(one.ended_ns), "duration_ms": (one.ended_ns - one.started_ns) // 1_000_000}
    if one.status == "succeeded":
        told["result"] = one.result
    elif one.error:
        told |= {"error": one.error, "error_message": one.error}
    return told


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json", headers={"Cache-Control": "no-store"})


def _execution_of(answer: Submitted) -> str:
    """What a control plane calls the execution that it has taken; "" where it has taken none."""
    try:
        taken = msgspec.json.decode(answer.body, type=_Taken)
    except (ValueError, RecursionError):
        return ""
    return taken.execution_id if answer.status < 300 else ""


def _passed_on(answer: Submitted) -> Response:
    return Response(answer.body, answer.status, media_type=answer.content_type)
