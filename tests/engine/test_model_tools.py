"""Tools in living sessions: what the model is offered, in what order it gets its outputs, fillers, cancellations."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from tests.engine.living import Living, living
from turnlog.core import events as e
from turnlog.core.errors import DefinitionError, StepError
from turnlog.engine.app import App
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.fork import fork
from turnlog.engine.offline.replay import replay
from turnlog.engine.offline.what_if import what_if


async def listens(session: RealtimeSession) -> None:
    """A handler that lets the model answer."""
    async for _ in session.turns():
        pass


class Gate:
    """A tool that begins, waits to be let go, and tells how it ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.ended = ""
        self.stubborn = False

    async def __call__(self) -> str:
        self.begun.set()
        try:
            await self.go.wait()
            self.ended = "returned"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            if not self.stubborn:
                raise
        return "done"

    def tool(self) -> Any:
        """It as a coroutine function."""

        async def wait() -> str:
            """Wait."""
            return await self()

        return wait


async def one() -> int:
    """The first tool."""
    return 1


async def two() -> int:
    """The second tool."""
    return 2


def calls(alive: Living, *names: str, done: bool = True) -> str:
    """The model calls tools in one response."""
    server = alive.provider.server
    response = server.start_response()
    for name in names:
        server.function_call(response, f"call_of_{name}", name, "{}")
    if done:
        server.finish_response(response)
    alive.provider.flush()
    return response


def outputs(alive: Living) -> list[tuple[str, Any]]:
    """What the provider got for its calls: (call id, output) each, and ("go on", None) for a request for an answer."""
    got: list[tuple[str, Any]] = []
    for raw in alive.provider.received:
        message = json.loads(raw)
        if message.get("item", {}).get("type") == "function_call_output":
            got.append((message["item"]["call_id"], json.loads(message["item"]["output"])))
        elif message["type"] == "response.create" and "response" not in message:
            got.append(("go on", None))
    return got


# --- what the model gets, and when ---


async def test_two_calls_of_one_response() -> None:
    """Nothing goes before response.done; then both outputs in the order of the calls, and one request for an answer."""
    first = Gate()
    tools = {"first": first.tool(), "two": two}
    async with living(listens, tools=tools, answers="model", model_tools=["first", "two"]) as alive:
        await alive.until(e.LinkReady)
        response = calls(alive, "first", "two", done=False)
        await alive.until(e.ToolAnswered)
        first.go.set()
        await alive.until(e.ToolAnswered, 2)
        assert outputs(alive) == []
        alive.provider.server.finish_response(response)
        alive.provider.flush()
        await alive.provider.until("response.create")
        await alive.until(e.ResponseEnded, 2)
        assert outputs(alive) == [("call_of_first", "done"), ("call_of_two", 2), ("go on", None)]
        assert [event.output_index for event in alive.of(e.ToolRequested)] == [0, 1]


async def test_only_what_the_session_names_is_offered_and_run() -> None:
    """The provider is told of those tools alone; a call of another one is refused, and the tool does not run."""
    ran: list[str] = []

    async def secret() -> None:
        ran.append("secret")

    async with living(listens, tools={"one": one, "secret": secret}, answers="model", model_tools=["one"]) as alive:
        await alive.until(e.LinkReady)
        (update,) = [json.loads(raw) for raw in alive.provider.received if b"session.update" in raw]
        assert [tool["name"] for tool in update["session"]["tools"]] == ["one"]
        calls(alive, "secret", "one")
        await alive.provider.until("response.create")
        (refused, answered) = [output for _, output in outputs(alive)[:2]]
    assert refused["error"]["type"] == "unknown_tool"
    assert answered == 1
    assert ran == []
    assert [event.allowed for event in alive.of(e.ToolRequested)] == [False, True]


async def test_an_update_takes_tools_away() -> None:
    """The provider is told, and a call that it makes all the same is refused."""

    async def desk(session: RealtimeSession) -> None:
        await session.update(tools=[])
        await session.signal("enough")

    async with living(desk, tools={"one": one}, answers="model", model_tools=["one"]) as alive:
        await alive.until(e.UpdateApplied)
        updates = [json.loads(raw)["session"] for raw in alive.provider.received if b"session.update" in raw]
        assert updates[-1]["tools"] == []
        calls(alive, "one")
        await alive.provider.until("response.create")
        assert outputs(alive)[0][1]["error"]["type"] == "unknown_tool"


async def test_a_slow_tool_holds_up_neither_says_nor_answers() -> None:
    """While it runs a say is heard to its end and the user's turn is answered; its output comes when it comes."""
    gate = Gate()
    said = asyncio.Event()

    async def desk(session: RealtimeSession) -> None:
        await session.signal("speak")
        await (await session.say("Still here")).settled()
        said.set()
        await session.signal("enough")

    async with living(desk, tools={"slow": gate.tool()}, answers="model", model_tools=["slow"]) as alive:
        await alive.until(e.LinkReady)
        calls(alive, "slow")
        await gate.begun.wait()
        alive.session.signal("speak")
        async with asyncio.timeout(5):
            await said.wait()
        alive.caller.type("and another thing")
        await alive.provider.until("response.create", 2)
        await alive.until(e.ResponseEnded, 3)
        assert not any(call == "call_of_slow" for call, _ in outputs(alive))
        gate.go.set()
        await alive.until(e.ToolOutputDispatched)
        await alive.provider.until("response.create", 3)
        sent = [json.loads(raw) for raw in alive.provider.received]
    assert [one["item"]["output"] for one in sent if one.get("item", {}).get("call_id")] == ['"done"']
    assert [event.status for event in alive.of(e.SaySettled)] == ["played"]


# --- fillers ---

FILLS = {"slow": {"filler": "One moment…", "after_ms": 30}}


async def test_a_filler_is_heard_and_nobodys_command() -> None:
    """It is spoken once, stands in the conversation and not in the outbox, and every cut of the log replays."""
    gate = Gate()
    seen: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        result = await session.call("slow")
        seen.append((result, [line.text for line in session.conversation], session.outbox))
        await session.say(f"It is {result}")

    async with living(desk, tools={"slow": gate.tool()}, tool_options=FILLS) as alive:
        settled = await alive.until(e.SaySettled)
        assert (settled.say, settled.status, settled.heard_text) == ("filler_call_1", "played", "One moment…")
        gate.go.set()
        await alive.ended()
    assert seen == [("done", ["One moment…"], [])]
    requested = alive.of(e.SayRequested)
    assert [(event.index, event.command.text) for event in requested] == [(0, "One moment…"), (2, "It is done")]
    assert requested[0].command.metadata == {"filler": "slow"}
    log = list(alive.store.scan(alive.session.id))
    for until in range(1, len(log) + 1):
        replay(log, desk, until=until)
    found = what_if(log, desk)
    assert (found.stopped, {row.status for row in found.rows}) == ("", {"equal"})
    assert seen[0] == seen[-1]


async def test_a_quick_tool_needs_no_filler() -> None:
    """It has returned before."""

    async def desk(session: RealtimeSession) -> None:
        await session.call("slow")
        await asyncio.sleep(0.1)

    async with living(desk, tools={"slow": one}, tool_options=FILLS) as alive:
        await alive.ended()
    assert alive.of(e.SayRequested) == []


async def test_a_changed_handler_that_calls_nothing_hears_no_filler() -> None:
    """In a what-if the filler belongs to the call: without it, it is not in the conversation."""
    gate = Gate()

    async def desk(session: RealtimeSession) -> None:
        await session.call("slow")
        await session.say("Well")
        await session.input()

    async def brisk(session: RealtimeSession) -> None:
        await session.say("Well")
        await session.input()
        heard.append([line.text for line in session.conversation])

    heard: list[list[str]] = []
    async with living(desk, tools={"slow": gate.tool()}, tool_options=FILLS) as alive:
        await alive.until(e.SaySettled)
        gate.go.set()
        await alive.until(e.SaySettled, 2)
        alive.caller.type("bye")
        await alive.ended()
    what_if(list(alive.store.scan(alive.session.id)), brisk)
    assert heard == [["Well", "bye"]]


async def test_a_fork_of_a_log_with_a_filler_replays() -> None:
    """Also one that is cut while the filler was owed."""
    gate = Gate()

    async def desk(session: RealtimeSession) -> None:
        await session.call("slow")
        await session.say("Well")

    async with living(desk, tools={"slow": gate.tool()}, tool_options=FILLS) as alive:
        await alive.until(e.SaySettled)
        gate.go.set()
        await alive.ended()
        log = list(alive.store.scan(alive.session.id))
        (asked,) = [one.seq for one in log if one.type == "SayRequested"][:1]
        for n, at in enumerate((asked - 1, asked, asked + 1, len(log) - 1)):
            forked = await fork(alive.store, alive.session.id, at, desk, name=f"fork_{n}")
            assert replay(list(alive.store.scan(forked.session)), desk).complete


async def test_a_models_slow_tool_gets_a_filler_too() -> None:
    """And the answer comes behind it."""
    gate = Gate()
    options: dict[str, Any] = {"answers": "model", "model_tools": ["slow"], "tool_options": FILLS}
    async with living(listens, tools={"slow": gate.tool()}, **options) as alive:
        await alive.until(e.LinkReady)
        calls(alive, "slow")
        asked = await alive.until(e.SayRequested)
        assert asked.say == "filler_call_of_slow"
        gate.go.set()
        await alive.until(e.SaySettled)
        await alive.until(e.AnswerDispatched)
        await alive.until(e.ResponseEnded, 3)
    kinds = [type(event) for event in alive.story]
    assert kinds.index(e.AnswerDispatched) > kinds.index(e.SaySettled)
    assert alive.provider.spoken == ["One moment…", None]
    assert replay(list(alive.store.scan(alive.session.id)), listens).complete


# --- cancelled by the user ---

FICKLE = {"slow": {"cancel_on_interruption": True}}


async def test_speech_cancels_the_handlers_call() -> None:
    """The await raises StepError Cancelled, the tool is stopped, and what the user said is the next turn."""
    gate = Gate()
    caught: list[StepError] = []

    async def desk(session: RealtimeSession) -> None:
        try:
            await session.call("slow")
        except StepError as error:
            caught.append(error)
        await session.say((await session.input()).text)

    async with living(desk, tools={"slow": gate.tool()}, tool_options=FICKLE) as alive:
        await alive.until(e.LinkReady)
        await gate.begun.wait()
        alive.provider.hear("never mind", "user_1")
        await alive.ended()
    assert [error.type_name for error in caught] == ["Cancelled"]
    assert gate.ended == "cancelled"
    assert [event.command.text for event in alive.of(e.SayRequested)] == ["never mind"]
    assert replay(list(alive.store.scan(alive.session.id)), desk).complete


@pytest.mark.parametrize("caller", ["handler", "model"])
async def test_a_tool_that_does_not_stop_is_not_heard_any_more(caller: str) -> None:
    """What it returns all the same is not recorded: the call had its one end."""
    gate = Gate()
    gate.stubborn = True

    async def desk(session: RealtimeSession) -> None:
        if caller == "handler":
            with suppress(StepError):
                await session.call("slow")
        await session.signal("enough")

    options: dict[str, Any] = {"answers": caller, "model_tools": ["slow"], "tool_options": FICKLE}
    async with living(desk, tools={"slow": gate.tool()}, **options) as alive:
        await alive.until(e.LinkReady)
        if caller == "model":
            calls(alive, "slow")
        await gate.begun.wait()
        alive.provider.hear("never mind", "user_1")
        await alive.until(e.CallFailed if caller == "handler" else e.ToolAnswered)
        alive.session.signal("enough")
        await alive.ended()
    assert gate.ended == "cancelled"
    assert alive.of(e.CallCompleted) == []
    if caller == "model":
        (answer,) = alive.of(e.ToolAnswered)
        assert json.loads(answer.output)["error"]["type"] == "cancelled"


async def test_other_tools_run_on() -> None:
    """Speech stops only those that were declared so."""
    gate = Gate()

    async def desk(session: RealtimeSession) -> None:
        await session.say(await session.call("slow"))

    async with living(desk, tools={"slow": gate.tool()}) as alive:
        await alive.until(e.LinkReady)
        await gate.begun.wait()
        alive.provider.hear("hurry up", "user_1")
        await alive.until(e.TurnEnded)
        gate.go.set()
        await alive.ended()
    assert gate.ended == "returned"
    assert alive.of(e.CallFailed) == []


async def test_a_retry_that_is_waited_for_is_cancelled_too() -> None:
    """Between two attempts nothing runs, and no further one is made."""
    tries: list[int] = []

    async def slow() -> None:
        tries.append(1)
        raise OSError("again")

    async def desk(session: RealtimeSession) -> None:
        with suppress(StepError):
            await session.options(retries=5, backoff=60).call("slow")

    async with living(desk, tools={"slow": slow}, tool_options=FICKLE) as alive:
        await alive.until(e.LinkReady)
        await alive.until(e.AttemptFailed)
        alive.provider.hear("never mind", "user_1")
        await alive.ended()
    assert tries == [1]
    assert [event.type_name for event in alive.of(e.CallFailed)] == ["Cancelled"]


# --- declarations ---


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"filler": "  "}, "filler"),
        ({"filler": 7}, "filler"),
        ({"filler": "x", "after_ms": -1}, "after_ms"),
        ({"filler": "x", "after_ms": 0.7}, "after_ms"),
        ({"filler": "x", "after_ms": True}, "after_ms"),
        ({"cancel_on_interruption": "yes"}, "cancel_on_interruption"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "1"}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], field: str) -> None:
    """TL201 names the option, where the tool is declared."""
    with pytest.raises(DefinitionError) as raised:
        App("hotel").tool(one, **options)
    assert (raised.value.code, raised.value.field) == ("TL201", field)


async def test_the_log_says_what_tools_want() -> None:
    """SessionStarted holds the rules of the tools that have some: what follows from them needs no registry."""
    async with living(listens, tools={"one": one, "slow": two}, tool_options=FILLS | {"one": {"timeout": 3}}) as alive:
        await alive.until(e.SessionStarted)
    assert alive.of(e.SessionStarted)[0].tools == [e.ToolRules(name="slow", filler="One moment…", after_ms=30)]
