"""Tools that a client brings: the model is told of them and the client answers, where the session lets it; else neither."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from turnlog import App, DefinitionError, RealtimeSession
from turnlog.core import events as e
from turnlog.core.definition import SessionDefinition
from turnlog.core.ports import Link
from turnlog.testing import Kit
from turnlog.transports.providers.model import Ask, Called, Delta, Text
from turnlog.transports.providers.model_server import ModelServer

app = App("hotel")
TOOL = {"type": "function", "name": "dim", "description": "Dims the light.", "parameters": {"type": "object", "properties": {}}}
CLASH = {**TOOL, "name": "price", "description": "Not the hotel's."}


@app.tool
async def price() -> int:
    """What a room costs."""
    return 90


async def rest(session: RealtimeSession) -> None:
    """The model answers."""
    async for _ in session.turns():
        pass


@app.tool
async def slow_price() -> int:
    """What a room costs, by post."""
    await asyncio.sleep(5)
    return 90


for name, tool, lets in (("open", "price", True), ("shut", "price", False), ("slow", "slow_price", True)):
    app.session(
        name, provider="openai", transport="websocket", answers="model", tools=[tool], modalities=["text"], client_tools=lets
    )(rest)


class Dimmer:
    """A provider whose model calls `dim` once, and then says what came back; it keeps what it was told."""

    takes_audio = False

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self._server = ModelServer(self._open, name="dimmer")

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A new session."""
        return self._server.connect(definition.model)

    async def _open(self) -> "Dimmer":
        return self

    def voice_activity(self) -> None:
        """It does not listen."""

    async def transcribe(self, pcm16: bytes) -> str:
        """Nor understand."""
        return ""

    async def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """A call, or the output of one."""
        self.asked.append(ask)
        outputs = [item["output"] for item in ask.items if item["type"] == "function_call_output"]
        if outputs:
            yield Text(text=f"It is {outputs[-1]}.")
        else:
            yield Called(call_id="call_1", name="dim", arguments='{"to":3}')

    async def close(self) -> None:
        """Nothing is held."""


async def ask(call: Any) -> None:
    """A client that brings two tools and asks."""
    tools = {"instructions": "Be kind.", "tools": [TOOL, CLASH], "tool_choice": "auto"}
    call.caller.sends({"type": "session.update", "session": {"type": "realtime", **tools}})
    call.caller.types("dim the light")


async def test_the_model_calls_a_clients_tool_and_the_client_answers(turnlog: Kit) -> None:
    """The tools stand behind the session's own; the call comes in the response, its output goes up, and one answer follows."""
    provider = Dimmer()
    async with turnlog.call(app, "hotel.open", provider=provider) as call:
        await ask(call)
        called = await call.caller.gets("response.function_call_arguments.done")
        assert (called["call_id"], called["name"], called["arguments"]) == ("call_1", "dim", '{"to":3}')
        done = await call.caller.gets("response.done")
        assert [item["type"] for item in done["response"]["output"]] == ["function_call"]
        output = {"type": "function_call_output", "call_id": "call_1", "output": "dark"}
        call.caller.sends({"type": "conversation.item.create", "item": output})
        call.caller.sends({"type": "response.create"})
        said = await call.caller.gets("response.output_text.done")
        assert said["text"] == "It is dark."
    told = [(tool["name"], tool["description"]) for tool in provider.asked[0].settings.tools]
    assert told == [("price", "What a room costs."), ("dim", "Dims the light.")]
    assert provider.asked[0].settings.instructions == "Be kind."
    assert len(provider.asked) == 2
    assert [one.name for one in call.of(e.ClientToolCalled)] == ["dim"]
    assert call.of(e.ToolRequested) == [] and call.of(e.ToolAnswered) == []


class Both(Dimmer):
    """Its model calls the session's tool and the client's in one response."""

    async def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """Two calls, or their outputs."""
        self.asked.append(ask)
        outputs = [item["output"] for item in ask.items if item["type"] == "function_call_output"]
        if outputs:
            yield Text(text=" and ".join(outputs))
        else:
            yield Called(call_id="call_1", name=ask.settings.tools[0]["name"], arguments="{}")
            yield Called(call_id="call_2", name="dim", arguments='{"to":3}')


async def test_one_answer_follows_the_outputs_of_both(turnlog: Kit) -> None:
    """The session's tool has long answered when the client does: the model is asked once, and knows both outputs."""
    provider = Both()
    async with turnlog.call(app, "hotel.open", provider=provider) as call:
        await ask(call)
        await call.caller.gets("response.done")
        await call.caller.is_silent(5)
        assert len(provider.asked) == 1
        output = {"type": "function_call_output", "call_id": "call_2", "output": "dark"}
        call.caller.sends({"type": "conversation.item.create", "item": output})
        call.caller.sends({"type": "response.create"})
        said = await call.caller.gets("response.output_text.done")
        assert said["text"] == "90 and dark"
        await call.caller.is_silent(40)
    assert len(provider.asked) == 2


async def test_one_answer_follows_when_the_client_is_first(turnlog: Kit) -> None:
    """The client answers and asks while the session's tool runs: the model is asked when that has answered, and knows both."""
    provider = Both()
    async with turnlog.call(app, "hotel.slow", provider=provider) as call:
        await ask(call)
        await call.caller.gets("response.done")
        output = {"type": "function_call_output", "call_id": "call_2", "output": "dark"}
        call.caller.sends({"type": "conversation.item.create", "item": output})
        call.caller.sends({"type": "response.create", "response": {"metadata": {"a": "b"}}})
        await call.caller.is_silent(4)
        assert len(provider.asked) == 1
        said = await call.caller.gets("response.output_text.done")
        assert sorted(said["text"].split(" and ")) == ["90", "dark"]
        done = await call.caller.gets("response.done", n=2)
        assert done["response"]["metadata"] == {"a": "b"}
        await call.caller.is_silent(40)
    assert len(provider.asked) == 2
    assert [event.held for event in call.of(e.AnswerAsked)] == [False, True]


async def test_a_session_that_does_not_let_it_keeps_its_boundary(turnlog: Kit) -> None:
    """The update is confirmed to the client and goes no further; a call of such a tool is one of what was not offered."""
    provider = Dimmer()
    async with turnlog.call(app, "hotel.shut", provider=provider) as call:
        await ask(call)
        await call.caller.gets("response.output_text.done")
    assert [tool["name"] for tool in provider.asked[0].settings.tools] == ["price"]
    assert provider.asked[0].settings.instructions != "Be kind."
    assert call.of(e.ClientToolCalled) == []
    assert [(one.name, one.allowed) for one in call.of(e.ToolRequested)] == [("dim", False)]


def test_it_is_a_choice_of_the_declaration() -> None:
    """Anything but True or False is refused by name."""
    with pytest.raises(DefinitionError, match="client_tools"):
        App("x").session("y", provider="local", transport="in_process", client_tools="yes")(rest)
