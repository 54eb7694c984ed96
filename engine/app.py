"""App: what a developer declares. Nothing here runs anything."""

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from ..core.definition import DEFAULT_MODELS, SessionDefinition, define_session
from ..core.errors import DefinitionError, TurnlogError
from .handlers.session import RealtimeSession
from .mcp_servers import McpSource, declare_source
from .toolbox import declare_reasoner
from .tools import AnyTool, declare_tool, tool_rules

__all__ = ["App", "Declared", "Handler", "code_version"]

Handler = Callable[[RealtimeSession], Awaitable[Any]]
_OVERRIDES = ("model", "voice")
_PROXIED = ("openai", "azure")
_PROXY_OPTIONS = frozenset({"metadata", "proposed_tags", "tags"})
H = TypeVar("H", bound=Callable[..., Any])


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A declared session: its definition and the coroutine function that handles it. strict: None is as the engine says.

    proxied: what its callers and its provider say passes unchanged, and no handler runs.
    """

    target: str
    definition: SessionDefinition
    handler: Handler
    strict: bool | None = None
    replay: bool = True
    proxied: bool = False

    def override(self, values: Mapping[str, str]) -> "Declared":
        """The same with another `model` or `voice`. Raises DefinitionError TL201 for anything else."""
        for key, value in values.items():
            if key not in _OVERRIDES or type(value) is not str or not value:
                known = " and ".join(_OVERRIDES)
                problem = f"{key}={value!r} cannot be chosen where a session is started"
                raise DefinitionError("TL201", problem, f"{known} can, by a name", field=key)
        return msgspec.structs.replace(self, definition=msgspec.structs.replace(self.definition, **values)) if values else self


class App:
    """A node's declarations: sessions and tools under one name.

    `name` becomes the node part of every session target, `<name>.<session>`.
    """

    def __init__(self, name: str) -> None:
        if not name or "." in name:
            raise DefinitionError("TL201", f"app name {name!r} must be a word without dots", "rename it", field="name")
        self.name = name
        self.sessions: dict[str, Declared] = {}
        self.tools: dict[str, AnyTool] = {}
        self.mcp_sources: list[McpSource] = []

    def session(
        self,
        name: str,
        *,
        provider: str,
        transport: str,
        strict: bool | None = None,
        replay: bool = True,
        **options: Any,
    ) -> Callable[[H], H]:
        """Declare a session handler: an `async def` with one parameter, the RealtimeSession.

        options: model, modalities, voice, tools, tags, metadata, turn_detection, instructions, answers, transcription,
        language (see SessionDefinition). strict: clocks, randomness and blocking calls raise in the handler; None is as the
        engine says. replay=False: the handler runs on the host's own loop, where all is allowed; what happens is logged, and
        cannot be replayed. Raises DefinitionError TL201, TL202, TL203 or TL206.
        """

        def declare(handler: H) -> H:
            if not inspect.iscoroutinefunction(handler):
                raise DefinitionError(
                    "TL206", f"the handler of session {name!r} is no coroutine function", "write it as `async def`"
                )
            if strict and not replay:
                message = f"session {name!r}: strict=True holds a handler to what can be replayed, and replay=False gives that up"
                raise DefinitionError("TL201", message, "leave one of them out", field="strict")
            if name in self.sessions:
                raise DefinitionError("TL201", f"session {name!r} is declared twice in app {self.name!r}", "rename one")
            definition = _with_model(define_session(name, provider=provider, transport=transport, **options))
            target = f"{self.name}.{name}"
            self.sessions[name] = Declared(
                target=target, definition=definition, handler=handler, strict=strict, replay=replay
            )
            return handler

        return declare

    def proxy(self, name: str, *, provider: str, transport: str, model: str | None = None, **options: Any) -> None:
        """Declare a session that is passed through: callers and the provider speak with each other, and all of it is recorded.

        No handler runs, and no byte of what passes is changed. provider: openai or azure. model: the one that the provider is
        asked for, whatever callers name. options: tags and metadata. Raises DefinitionError TL201 and TL202.
        """
        if name in self.sessions:
            raise DefinitionError("TL201", f"session {name!r} is declared twice in app {self.name!r}", "rename one")
        if unknown := sorted(set(options) - _PROXY_OPTIONS):
            known = ", ".join(("model", *sorted(_PROXY_OPTIONS)))
            problem = f"proxy {name!r}: {unknown[0]}= has no meaning where the caller configures the session itself"
            raise DefinitionError("TL201", problem, f"known: {known}", field=unknown[0])
        definition = define_session(name, provider=provider, transport=transport, answers="model", model=model, **options)
        if definition.provider not in _PROXIED:
            problem = f"proxy {name!r}: provider {definition.provider!r} cannot be passed through"
            raise DefinitionError("TL202", problem, f"proxied are: {', '.join(_PROXIED)}", field="provider")
        target = f"{self.name}.{name}"
        self.sessions[name] = Declared(
            target=target, definition=_with_model(definition), handler=_no_handler, replay=False, proxied=True
        )

    def tool(
        self,
        function: H | None = None,
        *,
        name: str | None = None,
        timeout: float | None = None,
        filler: str = "",
        after_ms: int = 700,
        cancel_on_interruption: bool = False,
    ) -> Any:
        """Declare a tool, as `@app.tool` or `@app.tool(name=…, …)`.

        timeout: seconds of one attempt (a call of the model's has 60 without it). filler: words that are spoken when it has run
        for `after_ms` and nothing sounds. cancel_on_interruption: it is stopped when the user speaks meanwhile. Raises
        DefinitionError TL205 without a JSON Schema, TL201 for options that cannot be.
        """
        rules = tool_rules(name or "", filler, after_ms, cancel_on_interruption)

        def declare(tool_function: H) -> H:
            tool = declare_tool(tool_function, name, rules=rules, timeout_s=timeout)
            if tool.name in self.tools:
                raise DefinitionError("TL201", f"tool {tool.name!r} is declared twice in app {self.name!r}", "rename one")
            self.tools[tool.name] = tool
            return tool_function

        return declare(function) if function is not None else declare

    def mcp(
        self,
        name: str,
        *,
        command: Sequence[str] | None = None,
        url: str | None = None,
        env: Mapping[str, str] | None = None,
        prefix: str = "",
        **options: Any,
    ) -> None:
        """Take the tools of an MCP server, as `app.mcp("files", command=["my-server"])` or with the url of one that runs.

        The engine starts it, lists its tools when it is entered, and offers them under their names behind `prefix` (what no
        tool's name may hold becomes "_"). env: of a command, beside the few variables that it inherits. options: timeout,
        filler, after_ms and cancel_on_interruption of `tool`, for each of them. Raises DefinitionError TL201.
        """
        if any(source.name == name for source in self.mcp_sources):
            raise DefinitionError("TL201", f"MCP server {name!r} is declared twice in app {self.name!r}", "rename one")
        self.mcp_sources.append(declare_source(name, command, url, env, prefix, **options))

    def reasoner(
        self,
        target: str,
        *,
        name: str = "",
        description: str = "",
        parameters: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **rules: Any,
    ) -> None:
        """Declare a reasoner or skill of another node, "node.name", as a tool that a model may call.

        It is run by the engine's control plane (`Engine(control_plane=…)`, AGENTFIELD_SERVER under `turnlog serve`). name:
        what the model calls it by, else the target's last part. parameters: its JSON Schema; without one, anything. rules:
        filler, after_ms and cancel_on_interruption of `tool`. A handler may also call a target that is not declared. Raises
        DefinitionError TL201.
        """
        tool = declare_reasoner(
            target,
            name=name,
            description=description,
            parameters=parameters,
            timeout=timeout,
            rules=tool_rules(name, **rules),
        )
        if tool.name in self.tools:
            raise DefinitionError("TL201", f"tool {tool.name!r} is declared twice in app {self.name!r}", "give it a name=")
        self.tools[tool.name] = tool

    def resolve(self, target: str) -> Declared:
        """The session of a target `<app>.<session>`. Raises DefinitionError TL204, listing what there is."""
        node, _, name = target.partition(".")
        declared = self.sessions.get(name) if node == self.name else None
        if declared is None:
            known = ", ".join(session.target for session in self.sessions.values()) or "none"
            raise DefinitionError("TL204", f"no session {target!r} is declared", f"declared: {known}", field="target")
        return declared

    def check_tools(self, tools: Collection[str] | None = None) -> None:
        """Raise DefinitionError TL204 if a session names a tool that is not declared. tools: all that there are."""
        there = self.tools if tools is None else tools
        for session in self.sessions.values():
            for tool in session.definition.tools:
                if tool not in there:
                    known = ", ".join(there) or "none"
                    raise DefinitionError(
                        "TL204", f"session {session.target!r} names the tool {tool!r}, which is not declared", f"tools: {known}"
                    )


def _with_model(definition: SessionDefinition) -> SessionDefinition:
    if definition.model is not None:
        return definition
    return msgspec.structs.replace(definition, model=DEFAULT_MODELS[definition.provider])


async def _no_handler(session: RealtimeSession) -> None:
    raise TurnlogError("TL504", "a proxied session has no handler", "declare one with @app.session")


def code_version(handler: Handler) -> str:
    """Eight hex digits of the handler's source, "" where there is no source."""
    try:
        source = inspect.getsource(handler)
    except (OSError, TypeError):
        return ""
    return hashlib.blake2b(source.encode(), digest_size=4).hexdigest()
