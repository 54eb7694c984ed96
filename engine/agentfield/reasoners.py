"""An agent's own reasoners and skills as tools of its sessions: called in this process, by the SDK's own dispatch."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ...core import events as e
from ..tools import arguments_of, as_json, by_name, stored, tool_rules
from .answers import plain_answer
from .contexts import in_session

__all__ = ["AgentTool", "tools_of"]


class AgentTool(msgspec.Struct, frozen=True, kw_only=True):
    """One reasoner or skill. Has what Tool has; its SDK checks the types."""

    name: str
    description: str
    parameters: dict[str, Any]
    agent: Any
    rules: e.ToolRules
    timeout_s: float | None = None

    def definition(self) -> dict[str, Any]:
        """The tool as the Realtime protocol declares it in session.tools."""
        return {"type": "function", "name": self.name, "description": self.description, "parameters": self.parameters}

    async def invoke(self, args: list[Any], kwargs: dict[str, Any]) -> bytes:
        """Call it; its result as msgpack. Positional arguments go to the parameters in their order.

        Raises ArgumentError for more of them than there are, and what the SDK raises.
        """
        names = list(self.parameters.get("properties", {}))
        given = by_name(self.name, self.parameters, args, kwargs)
        # `target` is call_local's own parameter: one of that name goes by position, and so does what stands before it.
        first = [given.pop(name) for name in names[: names.index("target") + 1] if name in given] if "target" in given else []
        with in_session(self.agent):  # as the control plane's X-Session-ID tells a reasoner
            result = await self.agent.call_local(f"{self.agent.node_id}.{self.name}", *first, **given)
        return stored(plain_answer(result), self.name)

    async def invoke_json(self, arguments: str) -> str:
        """Call it with the JSON arguments of a model; the result as JSON text."""
        return as_json(await self.invoke([], arguments_of(self.name, arguments)))


def tools_of(agent: Any) -> Mapping[str, AgentTool]:
    """What the agent has, by name. A skill does not hide a reasoner of its name."""
    listed = [*getattr(agent, "skills", ()), *getattr(agent, "reasoners", ())]
    return {entry["id"]: _tool(agent, entry) for entry in listed}


def _tool(agent: Any, entry: Mapping[str, Any]) -> AgentTool:
    name: str = entry["id"]
    schema = {"type": "object", "properties": {}} | {k: v for k, v in entry.get("input_schema", {}).items() if k != "title"}
    return AgentTool(
        name=name,
        description=entry.get("description", ""),
        parameters=schema,
        agent=agent,
        rules=tool_rules(name),
    )
