"""An AgentField agent as an App: its sessions with their own handlers, its reasoners and skills as tools."""

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import msgspec

from ...core.definition import Answers
from ...core.errors import DefinitionError
from ..app import App, Handler
from ..handlers.session import RealtimeSession
from ..toolbox import declare_reasoner
from .reasoners import tools_of
from .routed import route
from .session import CURRENT, AgentSession

__all__ = ["adapt_agent", "adapt_handler", "is_agent"]

_FIELDS = ("provider", "transport", "model", "modalities", "voice", "tools", "tags", "metadata", "turn_detection")
_DECLARED = "_agentfield_session"  # what the SDK sets on a session's handler


def is_agent(found: object) -> bool:
    """Whether this is an agent of AgentField's SDK."""
    return isinstance(getattr(found, "_session_registry", None), dict) and isinstance(getattr(found, "node_id", None), str)


def adapt_agent(agent: Any, *, answers: Answers = "handler") -> App:
    """The agent's declarations. Its app.ai, app.call and app.memory are steps from now on where a session's handler uses them.

    answers: AgentField has no word for who does; where the model does, the handler runs beside it.

    Raises DefinitionError TL201 to TL203 for what a session is declared to be, TL206 for a handler that is no coroutine function.
    """
    app = App(agent.node_id)
    app.tools.update(tools_of(agent))
    for name, entry in agent._session_registry.items():
        definition = entry["definition"]
        options = {field: getattr(definition, field) for field in _FIELDS}
        options["tools"] = [_named(app, tool) for tool in definition.tools]
        if not inspect.iscoroutinefunction(entry["handler"]):
            problem = f"the handler of session {name!r} is no coroutine function"
            raise DefinitionError("TL206", problem, "write it as `async def`: AgentField takes any, and never calls it")
        app.session(name, answers=answers, **options)(_adapted(agent, definition, entry["handler"]))
        app.sessions[name] = msgspec.structs.replace(
            app.sessions[name],
            definition=msgspec.structs.replace(
                app.sessions[name].definition,
                proposed_tags=list(definition.proposed_tags),
                approved_tags=list(definition.approved_tags),
            ),
        )
    route(agent)
    return app


def _named(app: App, tool: str) -> str:
    """A tool that a session names: one of this agent's, or, by target, one that a control plane runs."""
    node, _, name = tool.partition(".")
    if not name or node == app.name:
        return name or tool
    declared = declare_reasoner(tool)
    app.tools.setdefault(declared.name, declared)
    return declared.name


def adapt_handler(handler: Any) -> Handler:
    """A session's handler of an agent as turnlog runs it; any other as it is. Raises DefinitionError TL206 without its agent."""
    definition = getattr(handler, _DECLARED, None)
    if definition is None:
        loaded: Handler = handler
        return loaded
    for module in _around(handler.__module__):
        for found in list(vars(module).values()):
            if is_agent(found) and any(entry["handler"] is handler for entry in found._session_registry.values()):
                route(found)
                return _adapted(found, definition, handler)
    name = f"{handler.__module__}:{handler.__qualname__}"
    problem = f"no agent of module {handler.__module__} has the handler {name}"
    raise DefinitionError("TL206", problem, "name it in the agent's own module")


def _around(name: str) -> list[ModuleType]:
    """Where a handler's agent may be: in its own module, in those that it imports, in those of its package."""
    own, package = sys.modules[name], name.partition(".")[0]
    imported = [found for found in vars(own).values() if isinstance(found, ModuleType)]
    beside = [module for key, module in list(sys.modules.items()) if key.partition(".")[0] == package]
    return [own, *imported, *beside]


def _adapted(agent: Any, definition: Any, handler: Callable[[Any], Awaitable[Any]]) -> Handler:
    @functools.wraps(handler)
    async def adapted(session: RealtimeSession) -> Any:
        facing = AgentSession(agent, definition, session)
        CURRENT.set(facing)  # of the handler's own context, which its tasks inherit
        return await handler(facing)

    return adapted
