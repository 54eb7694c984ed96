"""What an agent does outside of itself: inside a session's handler it is a step or a call, or refused; elsewhere as it was.

A handler is run again in a replay, where no model, node or memory may be asked: what they answered stands in the log. Done to the
one agent, by a class of its own; never to the SDK's.
"""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from ...core.errors import HandlerError
from .answers import Chunks, given_back, kept, plain_answer
from .contexts import in_session
from .memory import Memory
from .session import CURRENT

__all__ = ["route"]

_ASKED = (
    *("ai", "ai_with_audio", "ai_with_vision", "ai_with_multimodal", "harness"),
    *("ai_generate_image", "ai_generate_audio", "ai_generate_music", "ai_generate_video"),
)
"""What asks a model: steps."""
_WAIT = "wait with `await session.signal(name)`, which whoever approves sends to the session"
_REFUSED = {
    "pause": _WAIT,
    "wait_for_resume": _WAIT,
    "discover": "ask before the session, or in a reasoner that the handler calls",
    "harness_doctor": "ask before the session, or in a reasoner that the handler calls",
}

log = logging.getLogger("turnlog")


def route(agent: Any) -> None:
    """From now on this agent's outside calls are journaled where a session's handler makes them. Twice does nothing."""
    kind = type(agent)
    if not getattr(kind, "turnlog_routes", False):
        agent.__class__ = type(kind.__name__, (kind,), _overrides(kind) | {"turnlog_routes": True, "__module__": kind.__module__})
        tracking: Any = getattr(agent, "workflow_handler", None)
        if hasattr(tracking, "execute_with_tracking"):  # what a decorated reasoner does where it is called as a function
            tracking.execute_with_tracking = _tracked(agent, tracking.execute_with_tracking)


def _overrides(kind: type) -> dict[str, Any]:
    made: dict[str, Any] = {name: _asking(kind, name) for name in _ASKED if hasattr(kind, name)}
    made |= {name: _refusing(kind, name) for name in _REFUSED if hasattr(kind, name)}
    others = {"call": _call, "call_local": _call_local, "note": _note}
    made |= {name: _named(override(getattr(kind, name)), kind, name) for name, override in others.items() if hasattr(kind, name)}
    if isinstance(memory := getattr(kind, "memory", None), property):
        made["memory"] = property(lambda self: Memory(self, memory, ()) if CURRENT.get() else memory.__get__(self))
    if isinstance(ctx := getattr(kind, "ctx", None), property):  # else it is that of whatever reasoner runs meanwhile
        made["ctx"] = property(lambda self: None if CURRENT.get() else ctx.__get__(self))
    return made


def _named(routed: Callable[..., Any], kind: type, name: str) -> Callable[..., Any]:
    routed.__name__ = routed.__qualname__ = name
    routed.__doc__ = getattr(kind, name).__doc__
    return routed


# --- calls ---


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    async def routed(self: Any, target: str, *args: Any, **kwargs: Any) -> Any:
        session = CURRENT.get()
        if session is None:
            return await original(self, target, *args, **kwargs)
        return await session.call(target, *args, **kwargs)

    return routed


def _call_local(original: Callable[..., Any]) -> Callable[..., Any]:
    async def routed(self: Any, target: str, *args: Any, **kwargs: Any) -> Any:
        session, node = CURRENT.get(), target.rpartition(".")[0].partition(".")[0]
        if session is None or node not in ("", self.node_id):  # of another node: the SDK says what it thinks of it
            return await original(self, target, *args, **kwargs)
        return await session.call(target, *args, **kwargs)

    return routed


def _tracked(agent: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """A reasoner that a handler calls as the function that it is: a call, as by its name; its result is of its own type."""

    async def tracked(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        session, known = CURRENT.get(), getattr(agent, "_reasoner_registry", {}).values()
        entry = next((one for one in known if one.func is function), None)
        if session is None or entry is None:
            return await original(function, args, kwargs)
        answer = await session.call(f"{agent.node_id}.{entry.id}", *plain_answer(args), **plain_answer(kwargs or {}))
        return given_back(answer, entry.output_type)

    return tracked


def _note(original: Callable[..., Any]) -> Callable[..., Any]:
    """Nobody waits for a note and none fails: a step whose end nobody looks at."""

    def routed(self: Any, message: str, tags: list[str] | None = None) -> None:
        session = CURRENT.get()
        if session is None:
            original(self, message, tags)
            return

        async def noted(message: str, tags: list[str] | None) -> None:
            try:
                with in_session(self):
                    original(self, message, tags)
            except Exception:
                log.warning("session %s: app.note() failed", session.session_id, exc_info=True)

        session.realtime.step(_as_step(noted, "app.note"), message, tags).close()

    return routed


def _refusing(kind: type, name: str) -> Callable[..., Any]:
    original = getattr(kind, name)

    def routed(self: Any, *args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is None:
            return original(self, *args, **kwargs)
        problem = f"app.{name}() inside a session's handler: what comes of it cannot be kept in the log"
        raise HandlerError("TL112", problem, _REFUSED[name])

    return _named(routed, kind, name)


# --- models ---


def _asking(kind: type, name: str) -> Callable[..., Any]:
    original = getattr(kind, name)

    async def routed(self: Any, *args: Any, **kwargs: Any) -> Any:
        session = CURRENT.get()
        if session is None:
            return await original(self, *args, **kwargs)
        schema = kwargs.get("schema")
        given = kwargs | ({"schema": schema.__name__} if isinstance(schema, type) else {})
        if name == "ai" and _is_streamed(self, kwargs):
            return Chunks(session.realtime.stream(_as_step(_streamed(original, self, schema), f"app.{name}"), *args, **given))
        answer = await session.realtime.step(_as_step(_asked(original, self, schema), f"app.{name}"), *args, **given)
        return given_back(answer, schema)

    return _named(routed, kind, name)


def _is_streamed(agent: Any, kwargs: dict[str, Any]) -> bool:
    """As the SDK decides it: what is asked for, else what the agent is configured to do."""
    asked = kwargs.get("stream")
    return bool(getattr(getattr(agent, "ai_config", None), "stream", False) if asked is None else asked)


def _asked(function: Callable[..., Any], owner: Any, schema: Any) -> Callable[..., Any]:
    """Asks on the host. A pydantic model asked for by `schema=` stands by its name in the log."""

    async def asked(*args: Any, **kwargs: Any) -> Any:
        return kept(await function(owner, *args, **_with(schema, kwargs)))

    return asked


def _streamed(function: Callable[..., Any], owner: Any, schema: Any) -> Callable[..., Any]:
    async def streamed(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        made = await function(owner, *args, **_with(schema, kwargs))
        if not hasattr(made, "__aiter__"):
            raise TypeError(f"app.ai(stream=True) gave {type(made).__name__}, which is no stream")
        try:
            async for chunk in made:
                yield kept(chunk)
        finally:
            if close := getattr(made, "aclose", None):
                await close()

    return streamed


def _with(schema: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs | {"schema": schema} if schema is not None else kwargs


def _as_step(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function under the name that the log has for it."""
    function.__module__, function.__qualname__ = "agentfield", name
    return function
