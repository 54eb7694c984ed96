"""MCP servers as a source of tools: real servers in child processes, over stdin and stdout."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.living import Caller, Ledger, Speaker, of_type
from turnlog.core import events as e
from turnlog.core.errors import DefinitionError, LinkError, MissingExtra, StepError
from turnlog.engine import mcp_servers
from turnlog.engine.app import App
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay

SERVER = str(Path(__file__).with_name("mcp_desk.py"))
COMMAND = [sys.executable, SERVER]
ENV = {"PYTHONPATH": os.pathsep.join(sys.path)}  # a server inherits little: the package may be installed elsewhere


@pytest.fixture
def mcp() -> None:
    """Skip where the extra is not installed."""
    pytest.importorskip("mcp", reason="the extra mcp is not installed")


def app_of(handler: Any, *, tools: tuple[str, ...] = (), answers: str = "handler", **options: Any) -> App:
    """An app whose tools are the server's."""
    app = App("hotel")
    app.mcp("desk", **{"command": COMMAND, "env": ENV, **options})
    app.session("desk", provider="scripted", transport="in_process", tools=list(tools), answers=answers)(handler)
    return app


@pytest.mark.usefixtures("mcp")
async def test_a_handler_calls_the_servers_tools(tmp_path: Path) -> None:
    """Structured results and texts come back as plain values, failures as StepError; the log replays without the server."""
    seen: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        seen.append(await session.call("add", a=2, b=3))
        seen.append(await session.call("greet", name="Ann"))
        seen.append(await session.call("guest_find", name="bo"))
        for name, args, limit_s in (("refuse", (), 10), ("greet", ("Ann",), 10), ("hang", (), 0.3)):
            try:
                await session.options(timeout=limit_s).call(name, *args)
            except StepError as error:
                seen.append(error.type_name)

    ended = tmp_path / "ended"
    store = Ledger()
    app = app_of(desk, command=[*COMMAND, str(ended)])
    async with Engine(app, store=store, providers={"scripted": Speaker()}) as engine:
        session = await engine.start("hotel.desk")
        assert (await session.ended()).reason == "completed"
        assert not ended.exists()
    assert ended.read_text() == "ended"
    assert seen[:3] == [{"result": 5}, "Hello Ann", {"name": "Bo"}]
    assert seen[3:] == ["McpToolError", "ArgumentError", "TimeoutError"]
    replay(list(store.scan(session.id)), desk)
    assert seen[:6] == seen[6:]


@pytest.mark.usefixtures("mcp")
async def test_a_model_is_offered_them_and_calls_them() -> None:
    """Under a prefix, with the server's words and schema; an error is told as every error is."""

    async def desk(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    app = app_of(desk, tools=("my_add", "my_refuse"), answers="model", prefix="my_", filler="One moment", timeout=5)
    store, provider, caller = Ledger(), Speaker(), Caller()
    async with Engine(app, store=store, providers={"scripted": provider}) as engine:
        session = await engine.start("hotel.desk")
        session.attach(caller.theirs)
        await store.until(session.id, e.LinkReady)
        (update,) = [json.loads(raw) for raw in provider.received if b"session.update" in raw]
        offered = {tool["name"]: tool for tool in update["session"]["tools"]}
        response = provider.server.start_response()
        provider.server.function_call(response, "call_1", "my_add", '{"a":2,"b":3}')
        provider.server.function_call(response, "call_2", "my_refuse", "{}")
        provider.server.function_call(response, "call_3", "my_hang", "{}")
        provider.server.finish_response(response)
        provider.flush()
        await store.until(session.id, e.AnswerDispatched)
    await caller.until_closed()
    assert offered.keys() == {"my_add", "my_refuse"}
    assert offered["my_add"]["description"] == "Add two numbers."
    assert offered["my_add"]["parameters"]["required"] == ["a", "b"]
    told = [json.loads(event.output) for event in of_type(store, session.id, e.ToolOutputDispatched)]
    assert told[0] == {"result": 5}
    assert told[1]["error"]["type"] == "McpToolError"
    assert "refuse" in told[1]["error"]["message"]
    assert told[2]["error"]["type"] == "unknown_tool"
    (started,) = of_type(store, session.id, e.SessionStarted)
    assert {rules.filler for rules in started.tools} == {"One moment"}


@pytest.mark.usefixtures("mcp")
async def test_a_server_that_dies_fails_its_calls() -> None:
    """Those that come later too; the session goes on, and the engine ends in order."""
    failed: list[StepError] = []

    async def desk(session: RealtimeSession) -> None:
        for name in ("die", "greet"):
            try:
                await session.options(timeout=5).call(name)
            except StepError as error:
                failed.append(error)

    async with Engine(app_of(desk), store=Ledger(), providers={"scripted": Speaker()}) as engine:
        session = await engine.start("hotel.desk")
        assert (await session.ended()).reason == "completed"
    assert len(failed) == 2
    assert "TimeoutError" not in {error.type_name for error in failed}


async def nobody(session: RealtimeSession) -> None:
    """A handler that does nothing."""


@pytest.mark.usefixtures("mcp")
@pytest.mark.parametrize(
    "command", [["/no/such/command"], [sys.executable, "-c", "print('hello')"], [sys.executable, "-c", "raise SystemExit(3)"]]
)
async def test_a_server_that_cannot_be_used_is_named(command: list[str]) -> None:
    """TL301 when the engine is entered, before its store is opened."""
    app = app_of(nobody, command=command)
    with pytest.raises(LinkError, match="MCP server 'desk' cannot be used") as raised:
        async with Engine(app, store="/no/such/folder/calls.db"):
            pass
    assert raised.value.code == "TL301"


@pytest.mark.usefixtures("mcp")
async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After START_S; its process is ended."""
    monkeypatch.setattr(mcp_servers, "START_S", 0.3)
    monkeypatch.setattr(mcp_servers, "_STOP_S", 0.1)
    app = app_of(nobody, command=[sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(LinkError, match=r"'desk': no list of tools within 0\.3 s"):
        async with Engine(app, store=Ledger()):
            pass


@pytest.mark.usefixtures("mcp")
async def test_names_that_meet_are_refused() -> None:
    """Of two servers, or of a server and the app; a prefix keeps them apart."""
    app = app_of(nobody)
    app.mcp("second", command=COMMAND, env=ENV)
    with pytest.raises(DefinitionError, match="another one has a tool 'add'") as raised:
        async with Engine(app, store=Ledger()):
            pass
    assert raised.value.code == "TL201"
    app = app_of(nobody)
    app.tool(lambda: None, name="add")
    with pytest.raises(DefinitionError, match="declares one"):
        async with Engine(app, store=Ledger()):
            pass
    app = app_of(nobody, prefix="x" * 64)
    with pytest.raises(DefinitionError, match="no tool can be called"):
        async with Engine(app, store=Ledger()):
            pass


@pytest.mark.usefixtures("mcp")
async def test_a_tool_that_no_server_has_is_named() -> None:
    """TL204, once the servers have listed theirs."""
    with pytest.raises(DefinitionError, match="'subtract', which is not declared") as raised:
        async with Engine(app_of(nobody, tools=("subtract",)), store=Ledger()):
            pass
    assert raised.value.code == "TL204"


async def test_without_the_extra_the_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """MissingExtra TL601 names it, when the engine is entered."""
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(MissingExtra) as raised:
        async with Engine(app_of(nobody), store=Ledger()):
            pass
    assert 'pip install "turnlog[mcp]"' in raised.value.hint


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"command": None}, "a command or a URL"),
        ({"url": "http://127.0.0.1:1/mcp"}, "a command or a URL"),
        ({"command": "my-server"}, "no list of words"),
        ({"command": []}, "no list of words"),
        ({"command": [1]}, "Expected `str`"),
        ({"env": {"A": 1}}, "Expected `str`"),
        ({"fillre": "x"}, "fillre"),
        ({"after_ms": -1}, "after_ms"),
        ({"timeout": "1"}, "timeout"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_declarations_that_cannot_be(options: dict[str, Any], named: str) -> None:
    """TL201 names what is wrong, where the server is declared."""
    with pytest.raises(DefinitionError, match=named) as raised:
        app_of(nobody, **options)
    assert raised.value.code == "TL201"


def test_a_server_is_declared_once() -> None:
    """Its name tells it from others."""
    app = app_of(nobody)
    with pytest.raises(DefinitionError, match="declared twice"):
        app.mcp("desk", url="http://127.0.0.1:1/mcp")
