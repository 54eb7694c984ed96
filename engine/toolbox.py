"""Where a tool is found by the name that a handler or a model calls it by: here, or on another node.

A name without a dot is a tool of this engine. "node.name" is this app's own tool where the node is this one, else a reasoner that
a control plane runs.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from ..core import events as e
from ..core.errors import DefinitionError
from ..transports import extras
from ..transports.control_plane import ControlPlane, Executions, Headers
from .handlers.current import CALL, SESSION
from .propagation import trace_headers
from .tools import AnyTool, arguments_of, as_json, checked_timeout, stored, tool_rules

__all__ = ["Elsewhere", "ReasonerTool", "Toolbox", "declare_reasoner"]

_ANYTHING: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": True}


class Elsewhere:
    """Where other nodes' tools are run: at nodes that are registered here, else by a control plane, if there is one.

    The control plane is opened when a reasoner is first called. registered: finds a tool by node and name.
    """

    def __init__(self, plane: ControlPlane | None) -> None:
        self.plane = plane
        self.registered: Callable[[str, str], AnyTool | None] = lambda node, name: None
        self._reasoners: Executions | None = None

    def reasoners(self, target: str) -> Executions:
        """Raises LookupError without a control plane, MissingExtra without its library."""
        if self.plane is None:
            raise LookupError(f"no control plane is named that could run {target!r}: set AGENTFIELD_SERVER")
        if self._reasoners is None:
            self._reasoners = extras.load("reasoners", "http", "reasoners of other nodes").Reasoners(self.plane)
        return self._reasoners

    def left(self, session: str, call: str) -> None:
        """A call is over here: what runs for it at the control plane is cancelled there."""
        if self._reasoners is not None:
            self._reasoners.left(_once(session, call))

    async def close(self) -> None:
        """Let go of its connections."""
        if self._reasoners is not None:
            await self._reasoners.close()


_NOWHERE = Elsewhere(None)


class ReasonerTool(msgspec.Struct, frozen=True, kw_only=True):
    """A reasoner or skill of another node, as a tool. Has what Tool has; its node checks the types.

    elsewhere: where it is run; an engine gives its own.
    """

    target: str
    name: str
    description: str
    parameters: dict[str, Any]
    rules: e.ToolRules
    timeout_s: float | None = None
    elsewhere: Elsewhere = _NOWHERE

    def definition(self) -> dict[str, Any]:
        """The tool as the Realtime protocol declares it in session.tools."""
        return {"type": "function", "name": self.name, "description": self.description, "parameters": self.parameters}

    async def invoke(self, args: list[Any], kwargs: dict[str, Any]) -> bytes:
        """Run it there; its result as msgpack.

        Arguments by position go as arg_0, arg_1…, as AgentField's SDK sends them: its node knows the names. Raises LinkError
        TL330, ExecutionFailed.
        """
        given = {f"arg_{n}": value for n, value in enumerate(args)} | kwargs
        result = await self.elsewhere.reasoners(self.target).run(self.target, given, headers_of(SESSION.get(), CALL.get()))
        return stored(result, self.target)

    async def invoke_json(self, arguments: str) -> str:
        """Run it with the JSON arguments of a model; the result as JSON text."""
        return as_json(await self.invoke([], arguments_of(self.target, arguments)))


def headers_of(session: str, call: str) -> Headers:
    """What a control plane is told of a call: its session, a key that is the same on every attempt, and the trace."""
    own = {"X-Session-ID": session, "Idempotency-Key": _once(session, call)} if session else {}
    return {**own, **trace_headers()}


def _once(session: str, call: str) -> str:
    return f"{session}:{call}"


def declare_reasoner(
    target: str,
    *,
    name: str = "",
    description: str = "",
    parameters: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    rules: e.ToolRules | None = None,
) -> ReasonerTool:
    """A tool of another node: `target` is "node.reasoner". Raises DefinitionError TL201 for what cannot be one."""
    node, _, reasoner = target.partition(".")
    if not node or not reasoner:
        raise DefinitionError("TL201", f"{target!r} is no target of a reasoner", "write it as node.reasoner", field="target")
    name = name or reasoner.replace(".", "_")
    return ReasonerTool(
        target=target,
        name=name,
        description=description,
        parameters=dict(parameters) if parameters is not None else _ANYTHING,
        rules=msgspec.structs.replace(rules or tool_rules(name), name=name),
        timeout_s=checked_timeout(timeout),
    )


class Toolbox(Mapping[str, AnyTool]):
    """The tools of an engine by name. `find` also finds those of its own node, and of other nodes, by target."""

    def __init__(self, node: str, tools: Mapping[str, AnyTool], elsewhere: Elsewhere = _NOWHERE) -> None:
        self._node = node
        self._tools = {name: _run_by(tool, elsewhere) for name, tool in tools.items()}
        self._elsewhere = elsewhere

    def __getitem__(self, name: str) -> AnyTool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def left(self, session: str, call: str) -> None:
        """A call is over here, however it ended; see Elsewhere."""
        self._elsewhere.left(session, call)

    def find(self, target: str) -> AnyTool:
        """The tool of a name or target. Raises LookupError, naming what there is."""
        node, _, name = target.partition(".")
        if tool := self._tools.get(target) or (self._tools.get(name) if node == self._node else None):
            return tool
        if name and (tool := self._elsewhere.registered(node, name)):
            return tool
        if name and node != self._node and self._elsewhere.plane is not None:
            return _run_by(declare_reasoner(target), self._elsewhere)
        raise LookupError(f"no tool {target!r}; there are: {', '.join(self._tools) or 'none'}")


def _run_by(tool: AnyTool, elsewhere: Elsewhere) -> AnyTool:
    return msgspec.structs.replace(tool, elsewhere=elsewhere) if isinstance(tool, ReasonerTool) else tool
