"""AgentField's way to a session: start it, then offer it a call. Its routes, statuses, fields and texts, in both spellings.

What its control plane forgets is kept: the session runs and holds its metadata, the call's id is in the log, and an offer is
for a session that runs here. What the query of an offer leaves out is the session's. Errors are {"error": text}.
"""

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.definition import SessionDefinition, validate_transport
from ..core.errors import DefinitionError, LinkError
from ..engine.app import Declared
from ..engine.engine import Engine
from ..engine.live import LiveSession
from ..transports.web.call_request import read_body
from ..transports.webrtc.sdp import check_offer
from .access import Access
from .agentfield_errors import Refused, answering, body_of
from .agentfield_tools import target_of_tool, tools_of
from .asked import peer_of
from .callers import Admission, CallerTokens
from .calls import METHODS

__all__ = ["START_GRACE_S", "AgentFieldRoutes"]

START_GRACE_S: Final = 60
"""How long a session that was started here waits for its first caller."""
_CHOOSES: Final = ("openai", "azure", "openrouter")
"""The providers whose model and voice are named for each session."""


class _StartBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a start may ask for; anything else in it is ignored, as it is there."""

    provider: str | None = None
    transport: str | None = None
    model: str | None = None
    voice: str | None = None
    metadata: dict[str, Any] | None = None


class AgentFieldRoutes:
    """`POST /api/v1/session-targets/{target}/start`, `…/session-instances/{id}/realtime-offer`, and the older `…/sessions/…`."""

    def __init__(self, engine: Engine, access: Access, tokens: CallerTokens) -> None:
        self._engine = engine
        self._access = access
        self._tokens = tokens
        start, offer = answering(self.start), answering(self.offer)
        self.routes = [
            Route("/api/v1/session-targets/{target}/start", start, methods=METHODS),
            Route("/api/v1/sessions/{target}/start", start, methods=METHODS),
            Route("/api/v1/session-instances/{session}/realtime-offer", offer, methods=METHODS),
            Route("/api/v1/sessions/{session}/realtime-offer", offer, methods=METHODS),
        ]

    # --- start ---

    async def start(self, request: Request) -> Response:
        """201 and where the session takes offers and tool calls."""
        principal = await self._access.check(request, "start")
        declared = self._declared(request.path_params["target"])
        asked = body_of(await read_body(request), _StartBody)
        _check_transport(declared, asked.provider or "", asked.transport or "")
        overrides = _overrides(declared.definition, asked)
        live = await self._access.start(
            principal,
            declared.target,
            metadata=asked.metadata,
            overrides=overrides,
            caller_within_s=START_GRACE_S,
        )
        try:
            admitted = await self._tokens.admit(live)
        except BaseException:
            live.end("no_caller", drain=False)
            raise
        return Response(msgspec.json.encode(_started(live, self._targets(live))), 201, _papers(admitted), "application/json")

    def _targets(self, live: LiveSession) -> dict[str, str]:
        """Where each tool of the session runs: on its own node, or on the one that it was declared of."""
        box = tools_of(self._engine, live.target)
        return {tool: target_of_tool(box, live, tool) for tool in live.definition.tools}

    def _declared(self, target: str) -> Declared:
        node, _, name = target.partition(".")
        if not node or not name:
            raise Refused(400, "session target must be <node>.<session>")
        directory = self._engine.directory
        if node not in directory.nodes():
            raise Refused(404, "agent not found")
        if not directory.of(node):
            raise Refused(404, "agent has no registered sessions")
        try:
            return directory.resolve(target)
        except DefinitionError:
            raise Refused(404, "session not registered") from None

    # --- realtime-offer ---

    async def offer(self, request: Request) -> Response:
        """200 and the SDP answer: the caller is a caller of the session, and what it sends is in its log."""
        admitted = await self._tokens.join(request, request.path_params["session"])
        live = admitted.live
        _check_query(live, request)
        body = await read_body(request)
        if not body.strip():
            raise Refused(400, "SDP offer body is required")
        offer = check_offer(body)
        try:
            answered = await self._engine.answer(live.id, offer, peer=peer_of(request), seat=admitted.seat)
        except LinkError as error:
            raise Refused(502, error.message, **_boundary(live.definition, error)) from error
        headers = _papers(admitted) | {"Location": f"/v1/realtime/calls/{answered.call_id}", "Cache-Control": "no-store"}
        return Response(answered.sdp, 200, headers, "application/sdp")


def _check_transport(declared: Declared, provider: str, transport: str) -> None:
    """What is asked for is what was registered; what is not asked for is the registered one."""
    definition = declared.definition
    provider, transport = provider or definition.provider, transport or definition.transport
    try:
        asked = validate_transport(provider, transport)
    except DefinitionError as error:
        raise Refused(400, error.message, provider=provider, transport=transport) from None
    if asked != (definition.provider, definition.transport):
        raise Refused(400, _registered(declared.target, definition, *asked))


def _registered(target: str, definition: SessionDefinition, provider: str, transport: str) -> str:
    registered = f"registered for provider={definition.provider} transport={definition.transport}"
    return f"session {target} is {registered}; requested provider={provider} transport={transport}"


def _overrides(definition: SessionDefinition, asked: _StartBody) -> dict[str, str]:
    """Another model or voice than declared. Raises _Refused where the provider has no choice of them."""
    wanted = {key: value for key, value in (("model", asked.model), ("voice", asked.voice)) if value}
    wanted = {key: value for key, value in wanted.items() if value != getattr(definition, key)}
    for key, value in wanted.items():
        if definition.provider not in _CHOOSES:
            raise Refused(400, f"provider={definition.provider} takes no {key}; requested {key}={value[:100]}")
    return wanted


def _check_query(live: LiveSession, request: Request) -> None:
    """What the query names is the session's. transport is the offer's own: a browser calls over WebRTC, whatever lies behind."""
    definition, query = live.definition, request.query_params
    transport = query.get("transport") or "webrtc"
    if transport.strip().lower().replace("-", "_") != "webrtc":
        raise Refused(400, "realtime-offer requires transport=webrtc")
    named = {"provider": definition.provider, "target": live.target, "model": definition.model, "voice": definition.voice}
    for key, own in named.items():
        given = (query.get(key) or own or "").strip()
        if given != (own or "") and not (key == "provider" and given.lower() == own):
            raise Refused(400, f"session {live.id} is of {key}={own or ''}; requested {key}={given[:100]}")


def _boundary(definition: SessionDefinition, error: LinkError) -> dict[str, str]:
    """Where a provider has refused a call: between whom."""
    if not error.message.startswith("OpenAI realtime call failed"):
        return {}
    return {"boundary": "control-plane -> realtime provider", "provider": definition.provider}


def _papers(admitted: Admission) -> dict[str, str]:
    return {"Turnlog-Session": admitted.live.id, "Turnlog-Token": admitted.token}


def _started(live: LiveSession, tool_targets: dict[str, str]) -> dict[str, Any]:
    definition = live.definition
    chosen = {"model": definition.model, "voice": definition.voice}
    query = {**chosen, "provider": definition.provider, "target": live.target, "transport": "webrtc"}
    instance = f"/api/v1/session-instances/{live.id}"
    return {
        "session_id": live.id,
        "target": live.target,
        "provider": definition.provider,
        "transport": definition.transport,
        **{key: value or "" for key, value in chosen.items()},
        "modalities": definition.modalities,
        "tags": definition.tags,
        "tool_targets": tool_targets,
        "turn_detection": definition.turn_detection if definition.provider == "openai" else None,
        "offer_url": f"{instance}/realtime-offer?{urlencode(sorted((key, value) for key, value in query.items() if value))}",
        "tool_url": f"{instance}/tools/{{tool}}",
        "created_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
