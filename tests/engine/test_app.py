"""Declarations: what an App takes, what it refuses and how it is found by name."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from turnlog.core.errors import DefinitionError
from turnlog.engine.app import App, code_version
from turnlog.engine.loading import load_app, load_handler


async def desk(session: Any) -> None:
    """A handler."""


def declared(app: App, name: str = "desk", **options: Any) -> App:
    """The app with a session."""
    app.session(name, **{"provider": "local", "transport": "in_process", **options})(desk)
    return app


def test_a_session_is_found_by_its_target() -> None:
    """resolve gives the definition, with its provider's default model, and the very handler; decorating changes nothing."""
    app = App("hotel")
    assert app.session("desk", provider="openai", transport="websocket")(desk) is desk
    found = app.resolve("hotel.desk")
    assert (found.target, found.handler) == ("hotel.desk", desk)
    assert found.definition.model == "gpt-realtime-2.1"
    declared(app, "bar", model="tiny")
    assert app.resolve("hotel.bar").definition.model == "tiny"


@pytest.mark.parametrize("target", ["hotel.bar", "motel.desk", "desk", "", "hotel.", "hotel.desk.x"])
def test_an_unknown_target_lists_what_there_is(target: str) -> None:
    """TL204 names what was asked for and what is declared."""
    with pytest.raises(DefinitionError) as raised:
        declared(App("hotel")).resolve(target)
    assert (raised.value.code, raised.value.field) == ("TL204", "target")
    assert repr(target) in raised.value.message
    assert "hotel.desk" in raised.value.hint
    with pytest.raises(DefinitionError, match="declared: none"):
        App("empty").resolve("empty.desk")


@pytest.mark.parametrize("name", ["", "hotel.annex"])
def test_an_apps_name_is_one_word(name: str) -> None:
    """The name is the part of a target before the dot."""
    with pytest.raises(DefinitionError) as raised:
        App(name)
    assert (raised.value.code, raised.value.field) == ("TL201", "name")


def test_names_are_taken_once() -> None:
    """A second session or tool of one name is TL201."""
    app = declared(App("hotel"))
    with pytest.raises(DefinitionError, match="'desk' is declared twice") as raised:
        declared(app)
    assert raised.value.code == "TL201"
    app.tool(print_room)
    with pytest.raises(DefinitionError, match="'print_room' is declared twice") as raised:
        app.tool(print_room)
    assert raised.value.code == "TL201"


def print_room(room: int) -> str:
    """A tool."""
    return str(room)


def test_tools_are_declared_bare_or_by_another_name() -> None:
    """@app.tool and @app.tool(name=…) both give the function back unchanged."""
    app = App("hotel")
    assert app.tool(print_room) is print_room
    assert app.tool(name="room-service")(print_room) is print_room
    assert list(app.tools) == ["print_room", "room-service"]


def test_a_handler_is_a_coroutine_function() -> None:
    """TL206 for a plain function."""
    with pytest.raises(DefinitionError) as raised:
        App("hotel").session("desk", provider="local", transport="in_process")(print_room)
    assert raised.value.code == "TL206"


def test_a_pair_that_does_not_work_is_refused_at_the_declaration() -> None:
    """The provider x transport matrix holds for decorators too (TL202)."""
    with pytest.raises(DefinitionError) as raised:
        declared(App("hotel"), provider="openai", transport="carrier pigeon")
    assert raised.value.code == "TL202"


def test_tools_that_sessions_name_must_be_there() -> None:
    """check_tools names the session, the tool and what is declared (TL204)."""
    app = declared(App("hotel"), tools=["print_room"])
    with pytest.raises(DefinitionError, match=r"'hotel\.desk' names the tool 'print_room'") as raised:
        app.check_tools()
    assert (raised.value.code, raised.value.hint) == ("TL204", "tools: none")
    app.tool(print_room)
    app.check_tools()


def test_the_code_version_follows_the_source() -> None:
    """Eight hex digits of a handler's source, another for another source, none where there is no source."""
    version = code_version(desk)
    assert len(version) == 8 and int(version, 16) >= 0
    assert code_version(desk) == version

    async def other(session: Any) -> None:
        """Another handler."""

    assert code_version(other) != version
    space: dict[str, Any] = {}
    exec(compile("async def typed(session): pass", "<typed>", "exec"), space)  # from 3.13 on `python -c` keeps "<string>"
    assert code_version(space["typed"]) == ""
    assert code_version(len) == ""  # type: ignore[arg-type] # a built-in has no source either


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write modules into the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before: dict[str, ModuleType] = dict(sys.modules)

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    yield write
    for name in set(sys.modules) - set(before):
        if (tmp_path / f"{name}.py").exists():
            del sys.modules[name]


HOTEL = """
import turnlog.engine.app
class Desk:
    app = turnlog.engine.app.App("hotel")
async def desk(session): ...
def plain(session): ...
"""


def test_apps_and_handlers_are_loaded_by_name(module: Any) -> None:
    """MODULE:NAME is imported from the working folder; NAME may have dots."""
    module("hotel_a", HOTEL)
    assert load_app("hotel_a:Desk.app").name == "hotel"
    assert load_handler("hotel_a:desk").__name__ == "desk"


@pytest.mark.parametrize(
    ("load", "spec", "named"),
    [
        (load_app, "hotel_b", "not of the form MODULE:APP"),
        (load_app, ":app", "not of the form"),
        (load_handler, "hotel_b:", "not of the form MODULE:FUNCTION"),
        (load_app, "no_such_module_here:app", "No module named"),
        (load_app, "needs_b:app", "No module named 'not_installed_b' at "),
        (load_app, "needs_b:app", "needs_b.py:2"),
        (load_app, "typo_b:app", "raised AttributeError: module 'os' has no attribute 'nope' at "),
        (load_app, "typo_b:app", "typo_b.py:3"),
        (load_app, "hotel_b:lobby", "no attribute 'lobby'"),
        (load_app, "hotel_b:desk", "is function, no turnlog.App"),
        (load_handler, "hotel_b:plain", "no coroutine function"),
        (load_handler, "broken_b:desk", "raised ZeroDivisionError"),
        (load_handler, "syntax_b:desk", "raised SyntaxError"),
    ],
)
def test_what_cannot_be_loaded_says_why(module: Any, load: Any, spec: str, named: str) -> None:
    """TL206 with the reason: form, import, attribute, kind, or what the module raised."""
    module("hotel_b", HOTEL)
    module("broken_b", "1 / 0")
    module("syntax_b", "def :")
    module("needs_b", "import os\nimport not_installed_b")
    module("typo_b", "import os\n\nos.nope")
    with pytest.raises(DefinitionError) as raised:
        load(spec)
    assert raised.value.code == "TL206"
    assert named in raised.value.message
    assert raised.value.hint
    assert ("folder of the module" in raised.value.hint) == spec.startswith("no_such_module_here")
