"""`app.ai`, `app.call` and `app.memory` of an agent: inside a session's handler they are steps, elsewhere as they were.

A handler is run again in a replay, where no model, node or memory may be asked: what they answered stands in the log. Done to the
one agent, by a class of its own; never to the SDK's.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from .contexts import as_current
from .session import CURRENT, AgentSession

__all__ = ["route"]

_SCOPES = ("session", "actor", "workflow")  # of a memory: calls with an id that give a scoped one
_GLOBAL = "global_scope"  # and the one that is no call


def route(agent: Any) -> None:
    """From now on this agent's outside calls are journaled where a session's handler makes them. Twice does nothing."""
    kind = type(agent)
    if not getattr(kind, "turnlog_routes", False):
        agent.__class__ = type(kind.__name__, (kind,), _overrides(kind) | {"turnlog_routes": True, "__module__": kind.__module__})


def _overrides(kind: type) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in ("ai", "call"):
        if hasattr(kind, name):
            made[name] = _routed(kind, name)
    if isinstance(memory := getattr(kind, "memory", None), property):
        made["memory"] = property(lambda self: _Memory(self, memory, ()) if CURRENT.get() else memory.__get__(self))
    return made


def _routed(kind: type, name: str) -> Callable[..., Any]:
    original = getattr(kind, name)

    async def routed(self: Any, *args: Any, **kwargs: Any) -> Any:
        session = CURRENT.get()
        if session is None:
            return await original(self, *args, **kwargs)
        if name == "call":
            return await session.call(*args, **kwargs)
        return await _ask(session, _stepped(original, self, f"app.{name}"), args, kwargs)

    routed.__name__ = routed.__qualname__ = name
    routed.__doc__ = original.__doc__
    return routed


async def _ask(session: AgentSession, step: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run a step. A pydantic model asked for by `schema=` stands by its name in the log; the answer is made an instance of it."""
    schema = kwargs.pop("schema", None)
    if schema is None:
        return await session.realtime.step(step, *args, **kwargs)
    step = _with_schema(step, schema)
    answer = await session.realtime.step(step, *args, schema=schema.__name__, **kwargs)
    return schema.model_validate(answer) if hasattr(schema, "model_validate") else answer


def _with_schema(step: Callable[..., Any], schema: Any) -> Callable[..., Any]:
    async def asked(*args: Any, **kwargs: Any) -> Any:
        return await step(*args, **{**kwargs, "schema": schema})

    asked.__module__, asked.__qualname__ = step.__module__, step.__qualname__
    return asked


def _stepped(function: Callable[..., Any], owner: Any, name: str) -> Callable[..., Any]:
    """The function as a step: called on the host, its answer plain."""

    async def step(*args: Any, **kwargs: Any) -> Any:
        result = function(owner, *args, **kwargs)
        return plain_answer(await result if inspect.isawaitable(result) else result)

    step.__module__, step.__qualname__ = "agentfield", name  # as the log names it
    return step


def plain_answer(result: Any) -> Any:
    """An answer as values that the log can hold: models of pydantic as dicts, an answer with a text as that text."""
    if hasattr(result, "model_dump"):
        return result.model_dump(mode="json", by_alias=True)
    if isinstance(result, list | tuple):
        return [plain_answer(item) for item in result]
    if isinstance(result, dict):
        return {key: plain_answer(value) for key, value in result.items()}
    if not isinstance(result, str | bytes | int | float | bool | type(None)) and isinstance(getattr(result, "text", None), str):
        return result.text  # the SDK's multimodal response
    return result


def _memory_of(agent: Any, memory: property) -> Any:
    """The agent's memory, as of this session."""
    with as_current(agent):
        return memory.__get__(agent)


class _Memory:
    """An agent's memory, or a scope of it, inside of a handler. It is found anew in each step: in a replay there may be none."""

    def __init__(self, agent: Any, memory: property, scope: tuple[str, ...]) -> None:
        self._agent = agent
        self._memory = memory
        self._scope = scope

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"a memory has no {name!r}")
        if name == _GLOBAL and not self._scope:
            return _Memory(self._agent, self._memory, (name,))
        if name in _SCOPES and not self._scope:
            return lambda scope_id: _Memory(self._agent, self._memory, (name, scope_id))
        return self._operation(name)

    def _operation(self, name: str) -> Callable[..., Any]:
        def operate(agent: Any, *args: Any, **kwargs: Any) -> Any:
            memory: Any = _memory_of(agent, self._memory)
            if self._scope:
                scoped = getattr(memory, self._scope[0])
                memory = scoped(*self._scope[1:]) if self._scope[1:] else scoped
            return getattr(memory, name)(*args, **kwargs)

        label = ".".join(("app.memory", *self._scope[:1], name))

        async def routed(*args: Any, **kwargs: Any) -> Any:
            session = CURRENT.get()
            if session is None:
                raise RuntimeError(f"{label}() was kept from a session's handler: take app.memory anew")
            step = _stepped(operate, self._agent, label)
            return await session.realtime.step(step, *args, **kwargs)

        return routed
