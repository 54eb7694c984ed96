"""Nodes that registered over HTTP, as AgentField's SDK does: the model answers in their sessions, with their reasoners as tools.

A node whose heartbeats stay away is not there any more: none of its sessions begins, and those that run go on.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ...core import events as e
from ...core.definition import DEFAULT_MODELS, define_session
from ...core.errors import DefinitionError
from ...transports import extras
from ..app import Declared
from ..effects import Effects
from ..handlers.current import CALL, SESSION
from ..handlers.handler_run import HandlerRun
from ..handlers.session import RealtimeSession
from ..toolbox import Toolbox, headers_of
from ..tools import NAME, AnyTool, arguments_of, as_json, by_name, stored, tool_rules

__all__ = ["LOST_S", "NodeTool", "Registered", "RegisteredNode", "answered_by_model"]

LOST_S: Final = 30.0
"""Without a heartbeat for so long a node is gone; the SDK sends one every 2 s."""
_MOST: Final = 1000  # nodes
_FIELDS: Final = ("model", "modalities", "voice", "tags", "metadata", "turn_detection")


async def answered_by_model(session: RealtimeSession) -> None:
    """The handler of a session whose node runs none here: the model answers until the caller goes."""
    async for _ in session.turns():
        pass


class NodeTool(msgspec.Struct, frozen=True, kw_only=True):
    """A reasoner or skill of a registered node, as a tool. Has what Tool has; its node checks the types."""

    name: str
    path: str
    base_url: str
    description: str
    parameters: dict[str, Any]
    rules: e.ToolRules
    timeout_s: float | None = None

    def definition(self) -> dict[str, Any]:
        """The tool as the Realtime protocol declares it in session.tools."""
        return {"type": "function", "name": self.name, "description": self.description, "parameters": self.parameters}

    async def invoke(self, args: list[Any], kwargs: dict[str, Any]) -> bytes:
        """Run it at its node; its result as msgpack. Raises ArgumentError, LinkError TL320, NodeRefused, MissingExtra."""
        given = by_name(self.name, self.parameters, args, kwargs)
        node = extras.load("node_http", "http", "reasoners of other nodes").NodeHttp(self.base_url)
        headers = headers_of(SESSION.get(), CALL.get())
        return stored(await node.run(self.path, given, headers, self.timeout_s), self.name)

    async def invoke_json(self, arguments: str) -> str:
        """Run it with the JSON arguments of a model; the result as JSON text."""
        return as_json(await self.invoke([], arguments_of(self.name, arguments)))


class _Component(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    input_schema: dict[str, Any] | None = None
    description: str = ""


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """What a registration says that matters here; all else is ignored."""

    id: str
    base_url: str
    reasoners: list[_Component] = []
    skills: list[_Component] = []
    metadata: dict[str, Any] = {}


class RegisteredNode:
    """One node: where it is, what it declares, and when it was last heard of."""

    def __init__(self, name: str, sessions: list[Declared], tools: Mapping[str, AnyTool], heard_s: float) -> None:
        self.name = name
        self.heard_s = heard_s
        self._sessions = sessions
        self.tools = Toolbox(name, tools)

    def declared(self) -> list[Declared]:
        """The node's sessions."""
        return self._sessions

    def rules(self) -> list[e.ToolRules]:
        """Of the node's tools."""
        return [tool.rules for tool in self.tools.values()]

    def signed(self, started: e.SessionStarted) -> e.SessionStarted:
        """As it is: the handler is one of turnlog's own."""
        return started

    def open(self, started: e.SessionStarted, now_ns: int) -> tuple[HandlerRun, Effects]:
        """What runs a session: a handler that leaves the answers to the model, and the node's tools."""
        return HandlerRun(answered_by_model, started, now_ns), Effects(self.tools)


class Registered:
    """Registered nodes by name. own: the name of the engine's own app, which no node may have."""

    def __init__(self, own: str, *, lost_s: float = LOST_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.lost_s = lost_s
        self._own = own
        self._clock = clock
        self._nodes: dict[str, RegisteredNode] = {}

    def names(self) -> list[str]:
        """The nodes that are there."""
        return [name for name in self._nodes if self.get(name)]

    def get(self, node: str) -> RegisteredNode | None:
        """A node that is there."""
        found = self._nodes.get(node)
        return found if found and self._clock() - found.heard_s <= self.lost_s else None

    def register(self, body: bytes) -> RegisteredNode:
        """Take a registration in, in place of the node's last one. Raises DefinitionError TL201, TL202 or TL203."""
        try:
            said = msgspec.json.decode(body, type=_Body)
        except (ValueError, RecursionError) as error:
            problem = f"the registration cannot be read: {error}"
            raise DefinitionError("TL201", problem, "send what AgentField's SDK sends") from None
        if not said.id or "." in said.id or said.id == self._own:
            raise DefinitionError("TL201", f"a node cannot be called {said.id!r} here", "name it otherwise", field="id")
        if not said.base_url.startswith(("http://", "https://")):
            problem = f"base_url={said.base_url!r} is no http(s) URL"
            raise DefinitionError("TL201", problem, "say where the node is", field="base_url")
        known = self._nodes.keys() | {said.id}
        if len(known) > _MOST:
            self._nodes = {name: node for name, node in self._nodes.items() if self.get(name)}
            if len(self._nodes) >= _MOST:
                raise DefinitionError("TL201", f"{_MOST} nodes are registered", "no more can be", field="id")
        tools = _tools(said)
        node = RegisteredNode(said.id, _sessions(said, tools), tools, self._clock())
        self._nodes[said.id] = node
        return node

    def heartbeat(self, node: str) -> bool:
        """It is there still. False for one that is not known, which should register anew."""
        found = self._nodes.get(node)
        if found:
            found.heard_s = self._clock()
        return found is not None

    def shutdown(self, node: str) -> bool:
        """It has left. False for one that is not known."""
        return self._nodes.pop(node, None) is not None


def _tools(said: _Body) -> dict[str, AnyTool]:
    found: dict[str, AnyTool] = {}
    for kind, components in (("reasoners", said.reasoners), ("skills", said.skills)):
        for one in components:
            if NAME.fullmatch(one.id):  # another cannot be a function's name for a model
                found[one.id] = NodeTool(
                    name=one.id,
                    path=f"{kind}/{one.id}",
                    base_url=said.base_url,
                    description=one.description,
                    parameters=one.input_schema or {"type": "object", "properties": {}},
                    rules=tool_rules(one.id),
                )
    return found


def _sessions(said: _Body, tools: Mapping[str, AnyTool]) -> list[Declared]:
    custom = said.metadata.get("custom")
    listed = custom.get("sessions") if isinstance(custom, dict) else None
    return [_session(said.id, one, tools) for one in listed] if isinstance(listed, list) else []


def _session(node: str, one: Any, tools: Mapping[str, AnyTool]) -> Declared:
    if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("name", "provider", "transport")):
        problem = "a session needs a name, a provider and a transport"
        raise DefinitionError("TL201", problem, "see AgentField's SDK", field="sessions")
    options = {key: one[key] for key in _FIELDS if one.get(key) is not None}
    for key in ("tools", "tags"):
        if not isinstance(one.get(key) or [], list):
            raise DefinitionError("TL201", f"session {one['name']!r}: {key} is no list", "see AgentField's SDK", field=key)
    named = [str(tool).removeprefix(f"{node}.") for tool in one.get("tools") or []]
    if missing := [tool for tool in named if tool not in tools]:
        problem = f"session {one['name']!r} names the tool {missing[0]!r}, which the node does not have"
        raise DefinitionError("TL201", problem, f"its tools: {', '.join(tools) or 'none'}", field="tools")
    definition = define_session(
        one["name"], provider=one["provider"], transport=one["transport"], tools=named, answers="model", **options
    )
    if definition.model is None:
        definition = msgspec.structs.replace(definition, model=DEFAULT_MODELS[definition.provider])
    return Declared(target=f"{node}.{one['name']}", definition=definition, handler=answered_by_model)
