"""What opens each address of the server: the table that tests/server/test_server_credentials.py holds every route to.

A new route needs a line here. Kinds: "open" (everybody may ask, there is nothing to learn), "key" (a key with the scope),
"whole" (such a key of no tenant), "session" (such a key, and only of the session's own tenant), "caller" (the same, or the token
of that session).
"""

from typing import Literal, NamedTuple

__all__ = ["TABLE", "Rule"]


class Rule(NamedTuple):
    """Who may ask at an address, and the scope that a key needs for it."""

    kind: Literal["open", "key", "whole", "session", "caller"]
    scope: str = ""


TABLE: dict[str, Rule] = {
    "GET /": Rule("open"),
    "GET /static/{name}": Rule("open"),
    "GET /healthz": Rule("open"),
    "GET /readyz": Rule("open"),
    "GET /v1/realtime": Rule("open"),  # that it speaks WebSocket
    "GET /metrics": Rule("whole", "observe"),
    "WS /v1/turnlog/node": Rule("whole", "admin"),
    "GET /v1/turnlog/sessions/{session}/archive": Rule("session", "observe"),
    "POST /api/v1/nodes/register": Rule("whole", "admin"),
    "POST /api/v1/nodes/{node}/heartbeat": Rule("whole", "admin"),
    "POST /api/v1/nodes/{node}/shutdown": Rule("whole", "admin"),
    "GET /api/v1/nodes/{node}": Rule("whole", "admin"),
    "GET /v1/turnlog/targets": Rule("key", "start"),
    "WS /v1/realtime?model=hotel.desk": Rule("key", "start"),
    "WS /v1/realtime?session_id={session}": Rule("caller", "start"),
    "WS /v1/realtime?call_id=rtc_0": Rule("key", "start"),
    "POST /v1/realtime/client_secrets": Rule("key", "start"),
    "POST /v1/realtime/calls": Rule("key", "start"),
    "POST /v1/realtime/calls?session_id={session}": Rule("caller", "start"),
    "POST /v1/realtime/calls/{call_id}/hangup": Rule("key", "start"),
    "POST /api/v1/session-targets/{target}/start": Rule("key", "start"),
    "POST /api/v1/sessions/{target}/start": Rule("key", "start"),
    "POST /api/v1/session-instances/{session}/realtime-offer": Rule("caller", "start"),
    "POST /api/v1/sessions/{session}/realtime-offer": Rule("caller", "start"),
    "POST /api/v1/session-instances/{session}/tools/{tool}": Rule("caller", "start"),
    "POST /api/v1/sessions/{session}/tools/{tool}": Rule("caller", "start"),
    "POST /api/v1/execute/async/{target}": Rule("key", "start"),
    "GET /api/v1/executions/{execution}": Rule("key", "start"),
    "POST /api/v1/turnlog/executions": Rule("open"),  # what is not signed is refused
    "DELETE /v1/turnlog/sessions/{session}/tokens": Rule("session", "start"),
    "GET /v1/turnlog/openapi.json": Rule("key", "observe"),
    "GET /v1/turnlog/sessions": Rule("key", "observe"),
    "POST /v1/turnlog/sessions": Rule("key", "start"),
    "GET /v1/turnlog/sessions/{session}": Rule("session", "observe"),
    "GET /v1/turnlog/sessions/{session}/events": Rule("session", "observe"),
    "GET /v1/turnlog/sessions/{session}/events/stream": Rule("session", "observe"),
    "GET /v1/turnlog/sessions/{session}/transcript": Rule("session", "observe"),
    "GET /v1/turnlog/sessions/{session}/audio": Rule("session", "observe"),
    "POST /v1/turnlog/sessions/{session}/end": Rule("session", "start"),
    "POST /v1/turnlog/sessions/{session}/say": Rule("session", "start"),
    "POST /v1/turnlog/sessions/{session}/signal": Rule("session", "start"),
    "POST /v1/turnlog/sessions/{session}/fork": Rule("session", "admin"),
    "POST /v1/turnlog/sessions/{session}/replay": Rule("session", "admin"),
    "GET /v1/turnlog/sessions/{path:path}": Rule("open"),  # 404
    "GET /{path:path}": Rule("open"),  # 404
    "WS /{path:path}": Rule("open"),  # 404
}
"""By method (WS: an upgrade) and path. A path stands here twice where its query decides what it asks for."""
