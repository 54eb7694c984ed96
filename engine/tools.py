"""Tools: functions a handler calls by name, and the JSON Schema by which a model may call them.

The parameters' schema comes from the type hints, through msgspec; the same types check what arrives.
"""

import asyncio
import inspect
import re
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Protocol, get_type_hints

import msgspec

from ..core import events as e
from ..core.errors import DefinitionError

__all__ = [
    "NAME",
    "AnyTool",
    "ArgumentError",
    "JsonError",
    "Tool",
    "arguments_of",
    "as_json",
    "by_name",
    "checked_timeout",
    "declare_tool",
    "run_stored",
    "stored",
    "tool_rules",
]

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what the Realtime protocol takes as a function's name
_PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, dict})  # what is surely no awaitable
_FIELD = re.compile(r"field `([^`]+)`|at `\$\.?([^`]*)`|argument:? '([^']+)'")
_MOST_MS = 3_600_000


class ArgumentError(TypeError):
    """Arguments that a tool does not take. `field`: the path of the one at fault, "" where it is none alone."""

    def __init__(self, tool: str, problem: str) -> None:
        super().__init__(f"{tool}: {problem}")
        paths = [next(filter(None, found.groups()), "") for found in _FIELD.finditer(problem)]
        self.field = ".".join(path for path in reversed(paths) if path)  # a missing field is named before its parent


class JsonError(ValueError):
    """Arguments of a model that are no JSON."""


class AnyTool(Protocol):
    """What the engine needs of a tool, wherever it is."""

    @property
    def rules(self) -> e.ToolRules:
        """What it wants while it runs; its name."""

    @property
    def timeout_s(self) -> float | None:
        """Of one attempt."""

    def definition(self) -> dict[str, Any]:
        """As the Realtime protocol declares it."""

    async def invoke(self, args: list[Any], kwargs: dict[str, Any]) -> bytes:
        """Run it; its result as msgpack."""

    async def invoke_json(self, arguments: str) -> str:
        """Run it for a model; its result as JSON text."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A declared tool. `parameters` is the JSON Schema of its arguments, `accepts` the struct that checks them."""

    name: str
    description: str
    parameters: dict[str, Any]
    accepts: type[msgspec.Struct]
    function: Callable[..., Any]
    signature: inspect.Signature  # of the function: reading it anew would be a tenth of what a call costs
    rules: e.ToolRules
    timeout_s: float | None = None  # of one attempt

    def definition(self) -> dict[str, Any]:
        """The tool as the Realtime protocol declares it in session.tools."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }

    async def invoke(self, args: list[Any], kwargs: dict[str, Any]) -> bytes:
        """Run the tool and encode its result as msgpack. Plain functions run in a thread.

        Raises ArgumentError (arguments that do not fit), TypeError (a result that cannot be stored), and whatever the
        function raises.
        """
        arguments = kwargs
        try:
            if args:
                arguments = self.signature.bind(*args, **kwargs).arguments
            given = msgspec.convert(arguments, self.accepts)
        except (TypeError, msgspec.ValidationError) as error:
            raise ArgumentError(self.name, self._misfit(args, kwargs) or str(error)) from None
        values = {name: getattr(given, name) for name in arguments}
        return await run_stored(self.function, [], values, self.name)

    def _misfit(self, args: list[Any], kwargs: dict[str, Any]) -> str:
        """A name that is missing or unknown, in Python's own words."""
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            return str(error)
        return ""

    async def invoke_json(self, arguments: str) -> str:
        """Run the tool with the JSON arguments of a model; the result as JSON text.

        Raises JsonError for what is no JSON, else as `invoke`.
        """
        return as_json(await self.invoke([], arguments_of(self.name, arguments)))


def arguments_of(tool: str, arguments: str) -> dict[str, Any]:
    """A model's arguments; no text is none. Raises JsonError, and ArgumentError for what is no object."""
    try:
        decoded = msgspec.json.decode(arguments or "{}")
    except ValueError as error:
        raise JsonError(str(error)) from None
    if not isinstance(decoded, dict):
        raise ArgumentError(tool, "the arguments must be a JSON object")
    return decoded


def by_name(tool: str, parameters: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by position under the names of the parameters, in their order. Raises ArgumentError for more than there are."""
    names = list(parameters.get("properties", {}))
    if len(args) > len(names):
        raise ArgumentError(tool, f"takes {len(names)} arguments, and was given {len(args)} by position")
    return dict(zip(names, args, strict=False)) | kwargs


def as_json(result: bytes) -> str:
    """A stored result as the model reads it."""
    return msgspec.json.encode(msgspec.msgpack.decode(result)).decode()


async def run_stored(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], name: str) -> bytes:
    """Run a function on the host, a plain one in a thread; its result as msgpack. Raises TypeError and what it raises."""
    if _is_async_def(function) or inspect.iscoroutinefunction(function):
        result = await function(*args, **kwargs)
    else:
        result = await asyncio.to_thread(_in_thread, function, args, kwargs)
    # One that is: a plain function around a coroutine function, as decorators make them.
    if type(result) not in _PLAIN and inspect.isawaitable(result):
        result = await result
    return stored(result, name)


def _is_async_def(function: Callable[..., Any]) -> bool:
    """Whether it is plainly one: a look at its flags is a tenth of what inspect asks."""
    return type(function) is FunctionType and bool(function.__code__.co_flags & inspect.CO_COROUTINE)


def stored(result: object, name: str) -> bytes:
    """A result as msgpack. Raises TypeError if it cannot be stored, or would not come back from there."""
    try:
        encoded = msgspec.msgpack.encode(result)
        msgspec.msgpack.decode(encoded)  # a struct as a key is written, and cannot be read
        return encoded
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise TypeError(f"{name}: its result cannot be stored in the log: {error}") from None


def _in_thread(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:  # a future cannot carry it: its waiter would wait for ever
        raise RuntimeError("the tool raised StopIteration") from error


def tool_rules(name: str, filler: object = "", after_ms: object = 700, cancel_on_interruption: object = False) -> e.ToolRules:
    """What a tool wants while it runs. Raises DefinitionError TL201 for values that cannot be."""
    if not isinstance(filler, str) or (filler and not filler.strip()):
        raise DefinitionError("TL201", f"filler={filler!r} must be words to be spoken", "leave it out for none", field="filler")
    if not isinstance(after_ms, int) or isinstance(after_ms, bool) or not 0 <= after_ms <= _MOST_MS:
        problem = f"after_ms={after_ms!r} must be a whole number from 0 to {_MOST_MS}"
        raise DefinitionError("TL201", problem, "the default is 700", field="after_ms")
    if not isinstance(cancel_on_interruption, bool):
        problem = f"cancel_on_interruption={cancel_on_interruption!r} must be True or False"
        raise DefinitionError("TL201", problem, "the default is False", field="cancel_on_interruption")
    return e.ToolRules(name=name, filler=filler, after_ms=after_ms, cancel_on_interruption=cancel_on_interruption)


def checked_timeout(timeout: Any) -> float | None:
    """Seconds, or None for no limit. Raises DefinitionError TL201 for what is neither."""
    if timeout is None:
        return None
    if type(timeout) not in (int, float) or not 0 < timeout <= sys.float_info.max:
        problem = f"timeout={timeout!r} must be a positive number of seconds"
        raise DefinitionError("TL201", problem, "leave it out for none", field="timeout")
    return float(timeout)


def declare_tool(
    function: Callable[..., Any],
    name: str | None = None,
    *,
    rules: e.ToolRules | None = None,
    timeout_s: float | None = None,
) -> Tool:
    """A Tool from a function's signature and docstring. rules: see `tool_rules`; timeout_s: of one attempt.

    Raises DefinitionError TL205 for parameters without a schema (*args, **kwargs, positional-only, types msgspec cannot
    describe), TL201 for a name or timeout that cannot be.
    """
    tool_name = name or str(getattr(function, "__name__", ""))
    if not NAME.fullmatch(tool_name):
        raise DefinitionError("TL201", f"a tool cannot be called {tool_name!r}", "use letters, digits, _ and -", field="name")
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise _no_schema(tool_name, f"{error} where it was declared") from None
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise _no_schema(tool_name, f"parameter {parameter} is not a named one")
        hint = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, hint, parameter.default))
    try:
        accepts = msgspec.defstruct(f"{tool_name}_arguments", fields, kw_only=True, forbid_unknown_fields=True)
        _, components = msgspec.json.schema_components((accepts,), ref_template="#/$defs/{name}")
    except TypeError as error:
        raise _no_schema(tool_name, str(error)) from None
    parameters = components.pop(accepts.__name__)
    parameters.pop("title", None)
    if components:
        parameters["$defs"] = components
    description = inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return Tool(
        name=tool_name,
        description=description,
        parameters=parameters,
        accepts=accepts,
        function=function,
        signature=signature,
        rules=msgspec.structs.replace(rules or tool_rules(tool_name), name=tool_name),
        timeout_s=checked_timeout(timeout_s),
    )


def _no_schema(tool: str, why: str) -> DefinitionError:
    return DefinitionError(
        "TL205",
        f"tool {tool!r} has no JSON Schema: {why}",
        "give every parameter a name and a type that msgspec can describe (str, int, float, bool, list, dict, Struct, …)",
        field=tool,
    )
