"""Tools: JSON Schema from type hints, arguments checked by the same types, results that can be stored."""

import asyncio
import functools
import threading
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import msgspec
import pytest

from turnlog.core.errors import DefinitionError
from turnlog.engine.tools import ArgumentError, JsonError, declare_tool

if TYPE_CHECKING:
    from decimal import Decimal


class Guest(msgspec.Struct):
    """Who stays."""

    name: str
    nights: int = 1


async def book(
    guest: Guest,
    beds: list[Literal["single", "double"]],
    floor: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0,
    *,
    note: Optional[str] = None,  # noqa: UP045 -- the older spelling must work too
) -> dict[str, Any]:
    """Book a room
    for a guest.

    More about it.
    """
    assert isinstance(guest, Guest)
    return {"name": guest.name, "nights": guest.nights, "beds": beds, "floor": floor, "note": note}


def test_the_schema_comes_from_the_hints() -> None:
    """Structs, lists, literals, optionals, defaults and bounds all stand in the JSON Schema; the docstring's head describes."""
    assert declare_tool(book).definition() == {
        "type": "function",
        "name": "book",
        "description": "Book a room for a guest.",
        "parameters": {
            "type": "object",
            "properties": {
                "guest": {"$ref": "#/$defs/Guest"},
                "beds": {"type": "array", "items": {"enum": ["double", "single"]}},
                "floor": {"type": "integer", "minimum": 0, "maximum": 9, "default": 0},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            },
            "required": ["guest", "beds"],
            "additionalProperties": False,
            "$defs": {
                "Guest": {
                    "title": "Guest",
                    "description": "Who stays.",
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "nights": {"type": "integer", "default": 1}},
                    "required": ["name"],
                }
            },
        },
    }


def test_a_tool_without_parameters_or_words() -> None:
    """No hints, no docstring: an empty object and an empty description; an unhinted parameter takes anything."""

    def ring() -> None: ...

    def take(what): ...  # type: ignore[no-untyped-def] # on purpose

    assert declare_tool(ring, "bell").definition() == {
        "type": "function",
        "name": "bell",
        "description": "",
        "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    }
    assert declare_tool(take).parameters["properties"] == {"what": {}}


async def test_arguments_are_checked_and_converted() -> None:
    """Plain values become what the hints say; defaults are the function's own."""
    tool = declare_tool(book)
    result = await tool.invoke([{"name": "Ann"}], {"beds": ["single"], "note": "late"})
    assert msgspec.msgpack.decode(result) == {"name": "Ann", "nights": 1, "beds": ["single"], "floor": 0, "note": "late"}


@pytest.mark.parametrize(
    ("args", "kwargs", "named", "field"),
    [
        ([], {}, "missing a required argument: 'guest'", "guest"),
        ([{"name": "Ann"}], {"beds": ["queen"]}, "Invalid enum value 'queen' - at `$.beds[0]`", "beds[0]"),
        ([{"name": 3}], {"beds": []}, "at `$.guest.name`", "guest.name"),
        ([{"nights": 3}], {"beds": []}, "missing required field `name` - at `$.guest`", "guest.name"),
        ([{"name": "Ann"}, [], 12], {}, "<= 9", "floor"),
        ([{"name": "Ann"}, []], {"pets": 2}, "unexpected keyword argument 'pets'", "pets"),
        ([{"name": "Ann"}, [], 1, "positional"], {}, "too many positional", ""),
    ],
)
async def test_arguments_that_do_not_fit(args: list[Any], kwargs: dict[str, Any], named: str, field: str) -> None:
    """ArgumentError says which and why, before the function runs; it is a TypeError."""
    with pytest.raises(TypeError) as raised:
        await declare_tool(book).invoke(args, kwargs)
    assert named in str(raised.value)
    assert isinstance(raised.value, ArgumentError) and raised.value.field == field


async def test_plain_functions_run_in_a_thread() -> None:
    """A function that blocks holds up nobody: it runs beside the loop."""
    here = threading.get_ident()

    def where() -> bool:
        return threading.get_ident() != here

    assert msgspec.msgpack.decode(await declare_tool(where).invoke([], {})) is True


async def test_a_decorated_coroutine_function_is_awaited() -> None:
    """A plain wrapper that returns a coroutine is as good as the coroutine function in it."""

    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @traced
    async def find(name: str) -> str:
        await asyncio.sleep(0)
        return name.title()

    assert msgspec.msgpack.decode(await declare_tool(find).invoke(["ann"], {})) == "Ann"


async def test_stop_iteration_is_an_error_like_others() -> None:
    """A plain tool that runs off an iterator fails; asyncio alone would let its caller wait for ever."""

    def first(names: list[str]) -> str:
        return next(iter(names))

    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await declare_tool(first).invoke([[]], {})


@pytest.mark.parametrize("result", [object(), {"deep": [object()]}, 2**70, "half \ud800"])
async def test_results_that_cannot_be_stored(result: object) -> None:
    """TypeError names the tool and says that its result cannot be stored."""

    async def odd() -> object:
        return result

    with pytest.raises(TypeError, match="odd: its result cannot be stored in the log"):
        await declare_tool(odd).invoke([], {})


async def test_a_models_arguments_are_json() -> None:
    """invoke_json takes and gives JSON text; no text is no arguments; anything but an object is refused."""

    async def greet(name: str = "you") -> dict[str, str]:
        return {"greeting": f"Hello {name}"}

    tool = declare_tool(greet)
    assert await tool.invoke_json('{"name":"Ann"}') == '{"greeting":"Hello Ann"}'
    assert await tool.invoke_json("") == '{"greeting":"Hello you"}'
    with pytest.raises(TypeError, match="must be a JSON object"):
        await tool.invoke_json("[1]")
    with pytest.raises(JsonError):
        await tool.invoke_json("{")


class Opaque:
    """A class no schema describes."""


def variadic(*names: str) -> None: ...
def keywords(**names: str) -> None: ...
def positional(name: str, /) -> None: ...
def opaque(what: Opaque) -> None: ...
def unresolved(price: "Decimal") -> None: ...


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (variadic, "*names"),
        (keywords, "**names"),
        (positional, "name"),
        (opaque, "Opaque"),
        (unresolved, "'Decimal' is not defined"),
    ],
)
def test_parameters_without_a_schema(function: Any, named: str) -> None:
    """TL205 names the tool and the parameter or type that stands in the way."""
    with pytest.raises(DefinitionError) as raised:
        declare_tool(function)
    assert (raised.value.code, raised.value.field) == ("TL205", function.__name__)
    assert named in raised.value.message


@pytest.mark.parametrize("name", ["find guest", "x" * 65, "größe"])
def test_a_tools_name_is_one_the_protocol_takes(name: str) -> None:
    """TL201 for names that no Realtime service would accept, and for functions without a name."""
    with pytest.raises(DefinitionError) as raised:
        declare_tool(variadic, name)
    assert (raised.value.code, raised.value.field) == ("TL201", "name")
    with pytest.raises(DefinitionError, match="cannot be called '<lambda>'"):
        declare_tool(lambda: None)
    with pytest.raises(DefinitionError, match="cannot be called ''"):
        declare_tool(functools.partial(opaque))
