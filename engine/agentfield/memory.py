"""`app.memory` inside of a session's handler: each operation is a step. Without a scope it is this session's."""

import inspect
from collections.abc import Callable
from typing import Any

from .answers import plain_answer
from .contexts import as_current
from .session import CURRENT

__all__ = ["Memory"]

_SCOPES = ("session", "actor", "workflow")  # calls with an id that give a scoped one
_GLOBAL = "global_scope"  # and the one that is no call


def _memory_of(agent: Any, memory: property) -> Any:
    """The agent's memory, as of this session."""
    with as_current(agent):
        return memory.__get__(agent)


class Memory:
    """An agent's memory, or a scope of it. It is found anew in each step: in a replay there may be none."""

    def __init__(self, agent: Any, memory: property, scope: tuple[str, ...]) -> None:
        self._agent = agent
        self._memory = memory
        self._scope = scope

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"a memory has no {name!r}")
        if name == _GLOBAL and not self._scope:
            return Memory(self._agent, self._memory, (name,))
        if name in _SCOPES and not self._scope:
            return lambda scope_id: Memory(self._agent, self._memory, (name, scope_id))
        return self._operation(name)

    def _operation(self, name: str) -> Callable[..., Any]:
        label = ".".join(("app.memory", *self._scope[:1], name))

        async def operate(*args: Any, **kwargs: Any) -> Any:
            memory: Any = _memory_of(self._agent, self._memory)
            if self._scope:
                scoped = getattr(memory, self._scope[0])
                memory = scoped(*self._scope[1:]) if self._scope[1:] else scoped
            result = getattr(memory, name)(*args, **kwargs)
            return plain_answer(await result if inspect.isawaitable(result) else result)

        operate.__module__, operate.__qualname__ = "agentfield", label  # as the log names it

        async def routed(*args: Any, **kwargs: Any) -> Any:
            session = CURRENT.get()
            if session is None:
                raise RuntimeError(f"{label}() was kept from a session's handler: take app.memory anew")
            return await session.realtime.step(operate, *args, **kwargs)

        return routed
