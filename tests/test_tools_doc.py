"""docs/reference/tools.md: its code runs, and its tables name what there is."""

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import msgspec

from tests.engine.living import Caller, Ledger, Speaker, of_type
from turnlog import App, Engine, replay
from turnlog.core import events as e
from turnlog.core.tool_errors import unknown_tool

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "tools.md"
TEXT = PAGE.read_text(encoding="utf-8")


def page_module() -> ModuleType:
    """The page's Python blocks as a module."""
    source = "\n".join(re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
    module = ModuleType("tools_page")
    sys.modules[module.__name__] = module
    exec(compile(source, "tools_page.py", "exec"), module.__dict__)
    return module


async def test_the_model_of_the_page_calls_its_tools() -> None:
    """Two calls, of which one has a wrong argument: both outputs, in order, and an answer."""
    module = page_module()
    provider, store, caller = Speaker(), Ledger(), Caller()
    async with Engine(module.app, store=store, providers={"openai": provider}) as engine:
        session = await engine.start("hotel.desk")
        session.attach(caller.theirs)
        await store.until(session.id, e.LinkReady)
        response = provider.server.start_response()
        provider.server.function_call(response, "call_1", "find_guest", '{"name":"ann"}')
        provider.server.function_call(response, "call_2", "find_room", '{"number":"seven"}')
        provider.server.finish_response(response)
        provider.flush()
        await store.until(session.id, e.AnswerDispatched)
        outputs = [msgspec.json.decode(event.output) for event in of_type(store, session.id, e.ToolOutputDispatched)]
    await caller.until_closed()
    assert outputs[0] == {"name": "Ann"}
    assert outputs[1]["error"]["type"] == "invalid_arguments"
    assert outputs[1]["error"]["field"] == "number"


async def test_the_door_of_the_page_tells_what_its_tool_told() -> None:
    """The exception's data reaches the handler, live and in a replay."""
    module = page_module()
    store, caller = Ledger(), Caller()
    async with Engine(module.app, store=store, providers={"openai": Speaker()}) as engine:
        session = await engine.start("hotel.door")
        session.attach(caller.theirs)
        assert (await session.ended()).reason == "completed"
    await caller.until_closed()
    assert [event.command.text for event in of_type(store, session.id, e.SayRequested)] == ["Come back at noon."]
    assert replay(list(store.scan(session.id)), module.door).complete


def test_the_page_names_every_option() -> None:
    """The table of options is the decorator's signature, its defaults included."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", TEXT, re.MULTILINE))
    parameters = inspect.signature(App.tool).parameters
    options = {name: one.default for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
    assert options.keys() <= rows.keys()
    assert rows["after_ms"] == str(options["after_ms"])
    assert rows["cancel_on_interruption"] == f"`{options['cancel_on_interruption']}`"
    assert msgspec.json.decode(unknown_tool("x", []))["error"]["type"] in rows
