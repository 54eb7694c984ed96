"""Effects: tools started by what the log calls for; whatever they do, their caller learns how they ended."""

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from tests.engine.living import Ledger, Living, Speaker, living
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.core import Staged
from turnlog.core.errors import StepError
from turnlog.engine.app import App
from turnlog.engine.effects import AHEAD, Effects, carried_by
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.inbox import CallDone, ToolDone
from turnlog.engine.offline.replay import replay
from turnlog.engine.toolbox import Toolbox
from turnlog.engine.tools import declare_tool


async def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}"


async def cancelled() -> None:
    """A tool whose own task was cancelled."""
    inner = asyncio.create_task(asyncio.Event().wait())
    inner.cancel()
    await inner


def leaves() -> None:
    """A tool that wants to end the process."""
    sys.exit("enough")


async def unspeakable() -> None:
    """A tool whose error cannot even be printed."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise Mute


def breaks() -> None:
    """A tool that fails in its own way."""
    raise ValueError("no room 7")


async def hangs() -> None:
    """A tool that never comes back."""
    await asyncio.Event().wait()


TOOLS = {function.__name__: declare_tool(function) for function in (greet, cancelled, leaves, unspeakable, breaks)}
TOOLS["hangs"] = declare_tool(hangs, timeout_s=0.01)


async def run(event: e.Event) -> Any:
    """Start what an event calls for, and wait for its outcome."""
    effects = Effects(Toolbox("hotel", TOOLS))
    outcomes: list[Any] = []
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:

        def spawn(work: Coroutine[Any, Any, None]) -> None:
            group.create_task(work)

        effects.spawn = spawn
        effects.start(Staged(7, 0, 0, event), outcomes.append)
    return outcomes[0] if outcomes else None


def call(target: str, *args: Any) -> e.CallRequested:
    """The handler's call."""
    return e.CallRequested(index=3, call="call_3", command=c.Call(target=target, args=list(args)), site=c.Site("", 0))


def ask(name: str, arguments: str = "{}", *, allowed: bool = True) -> e.ToolRequested:
    """The model's call."""
    return e.ToolRequested(response="r", item="i", call_id="k", name=name, arguments=arguments, allowed=allowed)


async def test_a_call_brings_its_result() -> None:
    """CallDone carries the command's index, the request's seq and the msgpack of the result."""
    assert await run(call("greet", "Ann")) == CallDone(3, 7, msgspec.msgpack.encode("Hello Ann"), None)


@pytest.mark.parametrize(
    ("name", "kind"), [("cancelled", asyncio.CancelledError), ("leaves", SystemExit), ("absent", LookupError)]
)
async def test_a_call_that_fails_in_any_way_is_done(name: str, kind: type[BaseException]) -> None:
    """Also a tool that raises CancelledError or SystemExit is an answered call, and harms nobody else."""
    done = await run(call(name))
    assert isinstance(done, CallDone)
    assert type(done.error) is kind
    assert done.result is None


async def test_the_models_call_brings_json() -> None:
    """ToolDone carries the call id and JSON text."""
    assert await run(ask("greet", '{"name":"Bo"}')) == ToolDone("k", 7, '"Hello Bo"', True)


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("greet", "{}", ("invalid_arguments", "greet: missing a required argument: 'name'", "name")),
        ("greet", '{"name":7}', ("invalid_arguments", "greet: Expected `str`, got `int` - at `$.name`", "name")),
        ("greet", '{"name":"Ann","age":7}', ("invalid_arguments", "greet: got an unexpected keyword argument 'age'", "age")),
        ("greet", "[1]", ("invalid_arguments", "greet: the arguments must be a JSON object", None)),
        ("greet", "{", ("invalid_json", "the arguments are no JSON: Input data was truncated", None)),
        ("greet", '{"name":"\\ud800"}', ("invalid_json", None, None)),
        ("cancelled", "{}", ("CancelledError", "", None)),
        ("leaves", "{}", ("SystemExit", "enough", None)),
        ("breaks", "{}", ("ValueError", "no room 7", None)),
        ("hangs", "{}", ("TimeoutError", "no result within 0.01 s", None)),
    ],
)
async def test_the_model_learns_what_went_wrong(name: str, arguments: str, named: tuple[str, str | None, str | None]) -> None:
    """The output is a JSON object with the error's kind, its words and the field at fault; nothing of a traceback."""
    done = await run(ask(name, arguments))
    assert isinstance(done, ToolDone)
    assert not done.ok
    told = json.loads(done.output)
    assert told.keys() == {"error"}
    error = told["error"]
    assert (error["type"], error.get("field")) == (named[0], named[2])
    assert named[1] is None or error["message"] == named[1]
    assert "Traceback" not in done.output and __file__ not in done.output


async def test_what_is_not_allowed_never_runs() -> None:
    """Its answer was decided with the request: nothing is started, though a tool of that name is declared."""
    assert await run(ask("greet", '{"name":"Bo"}', allowed=False)) is None


class Refused(Exception):
    """An error with something to tell."""

    def __init__(self, data: object) -> None:
        super().__init__("refused")
        self.data = data


@pytest.mark.parametrize(
    ("data", "carried"),
    [
        ({"status": 409, "rooms": [1, 2]}, {"status": 409, "rooms": [1, 2]}),
        ((1, b"x"), [1, b"x"]),
        ({1, 2}, None),
        ({"key": object()}, None),
        ("\ud800", None),
        (None, None),
    ],
)
async def test_a_step_error_carries_the_exceptions_data(data: object, carried: object) -> None:
    """What is plain in `data` comes through the log, live and in a replay; what is not is None."""

    def refuse() -> None:
        raise Refused(data)

    def yields() -> Generator[int, None, None]:
        yield 1
        raise Refused(data)

    seen: list[object] = []

    async def desk(session: RealtimeSession) -> None:
        for attempt in (session.call("refuse"), session.step(refuse)):
            try:
                await attempt
            except StepError as error:
                seen.append((error.type_name, error.data))
        try:
            async for _ in session.stream(yields):
                pass
        except StepError as error:
            seen.append((error.type_name, error.data))

    async with living(desk, tools={"refuse": refuse}) as alive:
        await alive.ended()
    assert seen == [("Refused", carried)] * 3
    replay(list(alive.store.scan(alive.session.id)), desk)
    assert seen == [("Refused", carried)] * 6


async def test_a_data_that_cannot_be_read_is_none() -> None:
    """The failure itself is what counts."""

    class Odd(Exception):
        @property
        def data(self) -> object:
            raise RuntimeError

    assert carried_by(Odd()) == b""


async def test_a_tools_own_timeout_is_the_handlers_too() -> None:
    """Unless the handler says otherwise."""
    errors: list[StepError] = []

    async def desk(session: RealtimeSession) -> None:
        for view in (session, session.options(timeout=0.02)):
            try:
                await view.call("hangs")
            except StepError as error:
                errors.append(error)

    app = App("hotel")
    app.tool(hangs, timeout=0.01)
    app.session("desk", provider="scripted", transport="in_process")(desk)
    store = Ledger()
    async with Engine(app, store=store, providers={"scripted": Speaker()}) as engine:
        alive_session = await engine.start("hotel.desk")
        async with asyncio.timeout(5):
            await alive_session.ended()
    assert [error.detail for error in errors[-2:]] == ["no result within 0.01 s", "no result within 0.02 s"]


async def test_other_events_start_nothing() -> None:
    """Only requests do."""
    assert await run(e.CallersGone()) is None
    assert [tool["name"] for tool in Effects(Toolbox("hotel", TOOLS)).definitions()] == list(TOOLS)


@pytest.mark.parametrize("name", ["cancelled", "leaves", "unspeakable"])
async def test_an_odd_tool_fails_its_call_in_a_session(name: str) -> None:
    """The handler gets a StepError it may catch, and the session goes on."""

    async def desk(session: RealtimeSession) -> None:
        try:
            await session.call(name)
        except Exception as error:
            await session.call("greet", type(error).__name__)

    tools: dict[str, Callable[..., Any]] = {"cancelled": cancelled, "leaves": leaves, "unspeakable": unspeakable, "greet": greet}
    async with living(desk, tools=tools) as alive:
        assert (await alive.ended()).reason == "completed"
    assert alive.of(e.CallFailed)[0].index == 1
    assert alive.of(e.CallRequested)[1].command.args == ["StepError"]


async def test_a_model_calls_a_tool_and_goes_on() -> None:
    """A function call of the model: the tool runs, its output goes upstream, and the model is asked to go on."""

    async def desk(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    def model_calls(alive: Living) -> None:
        server = alive.provider.server
        response = server.start_response()
        server.function_call(response, "call_a", "greet", '{"name":"Ann"}')
        server.finish_response(response)
        alive.provider.flush()

    async with living(desk, tools={"greet": greet}, answers="model", model_tools=["greet"]) as alive:
        await alive.until(e.LinkReady)
        model_calls(alive)
        await alive.provider.until("response.create")
    sent = [json.loads(raw) for raw in alive.provider.received]
    outputs = [one["item"] for one in sent if one["type"] == "conversation.item.create"]
    assert outputs == [{"type": "function_call_output", "call_id": "call_a", "output": '"Hello Ann"'}]
    assert alive.of(e.ToolAnswered)[0].ok


async def test_every_attempt_gets_the_arguments_that_are_in_the_log() -> None:
    """What a failed attempt did to a list it was given, the next one does not see."""
    given: list[list[str]] = []

    def greedy(guests: list[str]) -> None:
        given.append(list(guests))
        guests.append("nobody")
        if len(given) < 3:
            raise OSError("again")

    async def desk(session: RealtimeSession) -> None:
        await session.options(retries=2, backoff=0).step(greedy, ["ann"])

    async with living(desk) as alive:
        await alive.ended()
    assert given == [["ann"]] * 3
    assert alive.of(e.StepRequested)[0].command.args == [["ann"]]


async def test_any_number_of_attempts_can_be_made() -> None:
    """The pause doubles, yet never grows beyond what a clock can wait: 1,100 attempts without a pause are made."""
    tries = itertools.count(1)

    async def stubborn() -> int:
        if (n := next(tries)) < 1_100:
            raise OSError
        return n

    async def desk(session: RealtimeSession) -> None:
        await session.options(retries=2_000, backoff=0).step(stubborn)

    async with living(desk) as alive:
        assert (await alive.ended()).reason == "completed"
    assert alive.of(e.CallCompleted)[0].result == msgspec.msgpack.encode(1_100)


class Key(msgspec.Struct, frozen=True):
    """A key that msgpack writes as a map, and nothing reads as a key."""

    number: int


async def test_a_result_that_would_not_come_back_fails_the_step() -> None:
    """It is a StepError, as one that cannot be stored: the session does not stop at reading it."""
    caught: list[StepError] = []

    async def desk(session: RealtimeSession) -> None:
        try:
            await session.step(lambda: {Key(1): "a"})
        except StepError as error:
            caught.append(error)

    async with living(desk) as alive:
        assert (await alive.ended()).reason == "completed"
    assert caught[0].type_name == "TypeError" and "cannot be stored" in caught[0].detail


closed: list[str] = []


async def for_ever() -> AsyncGenerator[int, None]:
    """An asynchronous generator that never waits and never ends."""
    try:
        for number in itertools.count():
            yield number
    finally:
        closed.append("for_ever")


@pytest.mark.parametrize("endless", [for_ever, itertools.count])
async def test_a_stream_that_is_left_stops_asking(endless: Callable[..., Any]) -> None:
    """A function that yields for ever is asked for AHEAD items more than the handler took, and closed with the session."""
    closed.clear()

    async def desk(session: RealtimeSession) -> None:
        async for number in session.stream(endless):
            if number == 2:
                break
        await session.signal("enough")

    async with living(desk) as alive:
        await alive.until(e.StreamItem, AHEAD + 3)
        await asyncio.sleep(0.1)  # time in which it could go on
        alive.session.signal("enough")
        await alive.ended()
        assert replay(list(alive.store.scan(alive.session.id)), desk).complete
    assert len(alive.of(e.StreamItem)) == AHEAD + 3
    assert closed == (["for_ever"] if endless is for_ever else [])


async def test_a_stream_goes_on_when_its_handler_does() -> None:
    """More items than AHEAD come whole and in order to a handler that takes them late."""
    got: list[int] = []

    async def desk(session: RealtimeSession) -> None:
        items = session.stream(range, 3 * AHEAD)
        await session.signal("go on")
        got.extend([item async for item in items])

    async with living(desk) as alive:
        await alive.until(e.StreamItem, AHEAD)
        alive.session.signal("go on")
        await alive.ended()
    assert got == list(range(3 * AHEAD))


@pytest.mark.parametrize("endless", [for_ever, itertools.count])
async def test_a_stream_that_is_closed_stops_at_once(endless: Callable[..., Any]) -> None:
    """aclose() abandons the command: the function is stopped and closed, the iteration is over, and the session replays."""
    closed.clear()
    rest: list[int] = []

    async def desk(session: RealtimeSession) -> None:
        async with aclosing(session.stream(endless)) as numbers:
            async for number in numbers:
                if number == 2:
                    break
        await numbers.aclose()
        rest.extend([number async for number in numbers])
        await session.signal("enough")

    async with living(desk) as alive:
        await alive.until(e.StreamItem)
        stopped_with = dict(alive.session._run.effects._running)
        await alive.until(e.CommandAbandoned)
        if stopping := [task for task in stopped_with.values() if task]:
            await asyncio.wait(stopping, timeout=5)
        assert not alive.session._run.effects._running
        n = len(alive.of(e.StreamItem))
        assert closed == (["for_ever"] if endless is for_ever else [])
        alive.session.signal("enough")
        await alive.ended()
        log = list(alive.store.scan(alive.session.id))
        for until in range(1, len(log) + 1):
            replay(log, desk, until=until)
    assert 3 <= n <= len(alive.of(e.StreamItem)) <= AHEAD + 3
    assert [one.command for one in alive.of(e.CommandAbandoned)] == [1]
    assert not rest
