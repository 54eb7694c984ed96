"""AgentField's agents as apps: their handlers unchanged, their model, nodes and memory asked once and never in a replay."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnlog.core import events as e
from turnlog.core.errors import DefinitionError
from turnlog.engine.agentfield.adapt import adapt_agent, is_agent
from turnlog.engine.app import App
from turnlog.engine.loading import load_app, load_handler
from turnlog.engine.offline.replay import replay
from turnlog.testing.kit import Kit


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the agent, imported anew."""
    pytest.importorskip("agentfield", reason="AgentField's SDK has no release for this Python")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    sys.modules.pop("agentfield_desk", None)
    app = load_app("agentfield_desk:app")
    module = sys.modules["agentfield_desk"]
    module.adapted = app  # type: ignore[attr-defined] # for the tests
    yield module
    del sys.modules["agentfield_desk"]


def test_an_agents_handler_is_heard_and_replays(desk: Any, turnlog: Kit) -> None:
    """input() gives what was said, say() is heard, calls and the model are in the log, results are plain; a replay asks none."""
    desk.app.asked.clear()

    async def script(call: Any) -> None:
        await call.caller.hears("Front desk")
        await call.caller.says("Ann")
        await call.caller.hears("has room 3 for 300")
        await call.caller.says("Bertram")
        await call.caller.hears("Answer 3")

    call = turnlog.run(desk.adapted, "hotel.frontdesk", script)
    assert desk.app.asked == ["Ann", "Ann", "Bertram", "Bertram"]  # twice a turn, and never by the replay that ended the call
    steps = [event.command.name for event in call.of(e.StepRequested)]
    assert steps[:4] == [f"agentfield:app.{name}" for name in ("ai", "ai", "memory.session.get", "memory.session.set")]
    assert [event.command.target for event in call.of(e.CallRequested)][:2] == ["hotel.find_guest", "hotel.price"]
    said = [event.command for event in call.of(e.SayRequested)]
    assert said[0].metadata == {"tone": "warm"}
    assert said[1].text.endswith("Answer 1. True nobody") and said[2].text.endswith("Answer 3. True Ann")
    started = call.of(e.SessionStarted)[0]
    assert started.definition.metadata == {"floor": 1} and started.definition.proposed_tags == ["desk"]
    json.dumps(started.definition.to_dict())
    assert started.handler == "agentfield_desk:frontdesk"
    assert replay(call.log, load_handler(started.handler)).complete
    assert len(desk.app.asked) == 4


def test_what_the_model_may_call_is_the_agents(desk: Any) -> None:
    """tools= are the agent's reasoners and skills, with its schemas; a target of its own node is the tool of that name."""
    app: App = desk.adapted
    assert app.sessions["frontdesk"].definition.tools == ["find_guest", "price"]
    listed = {name: tool.definition()["parameters"] for name, tool in app.tools.items()}
    assert listed["find_guest"]["required"] == ["name"]
    assert set(listed["price"]["properties"]) == {"nights", "people"}
    assert app.tools["find_guest"].definition()["description"] == "Find a guest by name."


def test_outside_of_a_handler_the_agent_is_as_it_was(desk: Any) -> None:
    """app.ai and app.memory are the agent's own where no session's handler runs; adapting twice does nothing more."""

    async def outside() -> None:
        desk.app.asked.clear()
        assert await desk.app.ai(user="x") == "Answer 1."
        await desk.app.memory.set("k", 1)
        assert await desk.app.memory.get("k") == 1

    asyncio.run(outside())
    kind = type(desk.app)
    adapt_agent(desk.app)
    assert type(desk.app) is kind and isinstance(desk.app, desk.Desk)


def test_a_target_that_nobody_runs_fails_the_call(desk: Any, turnlog: Kit) -> None:
    """Without a control plane a reasoner of another node is a StepError that names it."""

    async def script(call: Any) -> None:
        call.may_fail = True
        await call.caller.says("hello")
        ended = await call.ended()
        assert "nowhere.at_all" in ended.detail

    turnlog.run(desk.adapted, "hotel.back", script)


def test_a_handler_that_is_no_coroutine_function_is_refused(desk: Any) -> None:
    """The SDK registers any function: TL206 names the session where the agent is loaded."""

    def plain(session: Any) -> None:
        """Cannot be awaited."""

    desk.app.session("plain", provider="openai", transport="websocket")(plain)
    with pytest.raises(DefinitionError, match="session 'plain' is no coroutine function"):
        adapt_agent(desk.app)


def test_what_is_no_agent_is_not_taken_for_one() -> None:
    """An agent is known by its registry of sessions and its node's name."""
    assert not is_agent(App("hotel"))
    assert not is_agent(None)
    with pytest.raises(DefinitionError, match=r"no turnlog\.App"):
        load_app("json:dumps")


def test_the_model_answers_where_that_is_asked_for(desk: Any) -> None:
    """AgentField does not declare who answers: the handler, unless the app is loaded otherwise; turn detection stays."""
    assert {one.definition.answers for one in desk.adapted.sessions.values()} == {"handler"}
    app = load_app("agentfield_desk:app", answers="model")
    assert {one.definition.answers for one in app.sessions.values()} == {"model"}
    assert app.sessions["back"].definition.turn_detection == desk.adapted.sessions["back"].definition.turn_detection
