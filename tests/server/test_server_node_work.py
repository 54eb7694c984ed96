"""Tests for what runs at a node beside the handler's own calls: the model's, MCP tools, recordings, replay=False."""

import asyncio
import os
import sys
import threading
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

import turnlog
from tests.engine.living import Speaker
from tests.server.hosting import Hosted, hosted, receive
from tests.server.noding import PATIENCE_S, bare_node, hears, node, of_type, says
from turnlog.core import events as e
from turnlog.engine.handlers.clip import AudioClip
from turnlog.engine.nodes import wire
from turnlog.engine.sources import Sources
from turnlog.server.settings import ServerSettings
from turnlog.testing import listen, speak
from turnlog.testing.behaviour import Pace
from turnlog.testing.fake_model import FakeModelProvider
from turnlog.testing.fake_speech import FakeSynthesiser

__all__: list[str] = []

hub = turnlog.App("hub")
MCP_DESK = str(Path(__file__).parents[1] / "engine" / "mcp_desk.py")
SPOKEN = Sources(voice=FakeSynthesiser)
SMALL = ServerSettings(max_message_bytes=100_000)


async def committed(server: Hosted, kind: type, *, holds: bytes = b"", count: int = 1) -> None:
    """Wait until so many events of this type that hold these bytes are in the log."""
    feed = server.engine.feed(types=[kind])
    async with asyncio.timeout(PATIENCE_S):
        async for _, _, recorded in feed:
            count -= holds in (recorded.data or b"")
            if count == 0:
                break
    await feed.aclose()


def line_to(server: Hosted) -> connect:
    """A caller's connection, which goes on reading while its test looks elsewhere."""
    return connect(server.socket_url("hotel.desk"), max_size=None, max_queue=None)


def calls(provider: Speaker, *wanted: tuple[str, str, str]) -> None:
    """Let the model call functions in one response: (call_id, name, arguments)."""
    response = provider.server.start_response()
    for call_id, name, arguments in wanted:
        provider.server.function_call(response, call_id, name, arguments)
    provider.server.finish_response(response)
    provider.flush()


async def turns_pass(session: turnlog.RealtimeSession) -> None:
    """Leaves the answers to the model."""
    async for _ in session.turns():
        pass


async def test_a_model_calls_the_tools_of_a_node(tmp_path: Path) -> None:
    """It is offered those that the session names; results, errors, bad arguments and an unknown name are told as ever."""
    hotel, threads = turnlog.App("hotel"), []

    @hotel.tool(filler="One moment")  # type: ignore[untyped-decorator] # App.tool serves both spellings
    async def find(name: str) -> dict[str, str]:
        """A guest's room."""
        threads.append(threading.get_ident())
        if name == "nobody":
            raise LookupError(name)
        return {"room": f"room of {name}"}

    hotel.session("desk", provider="local", transport="in_process", tools=["find"], answers="model")(turns_pass)
    provider = Speaker()
    async with hosted(hub, tmp_path, elsewhere=hotel, provider=provider) as server, node(server, hotel):
        async with line_to(server):
            await committed(server, e.LinkReady, holds=b"p1")
            (update,) = [msgspec.json.decode(raw) for raw in provider.received if b"session.update" in raw]
            assert [tool["name"] for tool in update["session"]["tools"]] == ["find"]
            wanted = ('{"name":"Ann"}', '{"name":"nobody"}', '{"name":5}', "{")
            calls(provider, *((f"c{n}", "find", given) for n, given in enumerate(wanted)), ("other", "delete_all", "{}"))
            await committed(server, e.ToolOutputDispatched, count=5)
        session = await server.only_session()
        server.engine.sessions[session].end("done", drain=False)
        await server.ended(session)
        events = await server.events(session)
    told = {one.call_id: msgspec.json.decode(one.output) for one in of_type(events, e.ToolOutputDispatched)}
    assert told["c0"] == {"room": "room of Ann"} and len(threads) == 2
    kinds = [told[call]["error"]["type"] for call in ("c1", "c2", "c3", "other")]
    assert kinds == ["LookupError", "invalid_arguments", "invalid_json", "unknown_tool"]
    assert told["c2"]["error"]["field"] == "name" and events[0].tools[0].filler == "One moment"


async def test_a_models_call_that_ran_at_a_lost_node_fails(tmp_path: Path) -> None:
    """The model reads NodeLost; the tool was stopped, and the next call runs at the node that came back."""
    hotel, begun, stopped = turnlog.App("hotel"), asyncio.Event(), asyncio.Event()

    @hotel.tool
    async def look() -> str:
        """Takes for ever the first time."""
        if begun.is_set():
            return "found"
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return "never"

    hotel.session("desk", provider="local", transport="in_process", tools=["look"], answers="model")(turns_pass)
    provider = Speaker()
    async with hosted(hub, tmp_path, elsewhere=hotel, provider=provider) as server:
        async with node(server, hotel):
            caller = await line_to(server)
            await committed(server, e.LinkReady, holds=b"p1")
            live = server.engine.sessions[await server.only_session()]
            calls(provider, ("c1", "look", "{}"))
            await asyncio.wait_for(begun.wait(), PATIENCE_S)
        assert stopped.is_set()
        await committed(server, e.ToolOutputDispatched)
        async with node(server, hotel):
            calls(provider, ("c2", "look", "{}"))
            await committed(server, e.ToolOutputDispatched, count=2)
            live.end("done", drain=False)
            await live.ended()
        events = await server.events(live.id)
        await caller.close()
    told = [one.output for one in of_type(events, e.ToolOutputDispatched)]
    assert "NodeLost" in told[0] and told[1] == '"found"'


@pytest.fixture
def mcp() -> None:
    """Skip where the extra is not installed."""
    pytest.importorskip("mcp", reason="the extra mcp is not installed")


@pytest.mark.usefixtures("mcp")
async def test_a_nodes_mcp_server_runs_at_the_node(tmp_path: Path) -> None:
    """Its tools are offered by the node, called by its handler and by the model, and it ends with the node."""
    hotel, ended = turnlog.App("hotel"), tmp_path / "ended"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    hotel.mcp("desk", command=[sys.executable, MCP_DESK, str(ended)], env=environment, prefix="my_")

    @hotel.session("desk", provider="local", transport="in_process", tools=["my_add"], answers="model")
    async def desk(session: turnlog.RealtimeSession) -> None:
        await session.say(await session.call("my_greet", name="Ann"))
        try:
            await session.call("my_refuse")
        except turnlog.StepError as error:
            await session.say(error.type_name)
        await session.input()

    provider = Speaker()
    async with hosted(hub, tmp_path, elsewhere=hotel, provider=provider) as server:
        async with node(server, hotel), line_to(server) as caller:
            assert [await hears(caller), await hears(caller)] == ["Hello Ann", "McpToolError"]
            calls(provider, ("c1", "my_add", '{"a":2,"b":3}'))
            await committed(server, e.ToolOutputDispatched)
            session = await server.only_session()
            server.engine.sessions[session].end("done", drain=False)
            await server.ended(session)
        assert ended.read_text() == "ended"
        (told,) = of_type(await server.events(session), e.ToolOutputDispatched)
        assert msgspec.json.decode(told.output) == {"result": 5}


def music(folder: Path, words: str, *, silence: int = 0) -> AudioClip:
    """A recording of words in fake speech, and so many bytes of silence behind them."""
    with wave.open(str(folder / f"{words}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(speak(words) + bytes(silence))
    return turnlog.clip(folder / f"{words}.wav")


async def sound(caller: ClientConnection) -> str:
    """The words that the caller is played in the next response."""
    heard = b""
    async with asyncio.timeout(PATIENCE_S):
        while (event := await receive(caller, "response.output_audio.delta", "response.done"))["type"] != "response.done":
            heard += msgspec.convert(event["delta"], bytes)
    return listen(heard)


@asynccontextmanager
async def spoken_desk(folder: Path, hotel: turnlog.App) -> AsyncIterator[Hosted]:
    """A server whose provider speaks fake speech at once."""
    provider = FakeModelProvider(pace=Pace(audio_ms=0, speed=None))
    async with hosted(hub, folder, elsewhere=hotel, provider=provider, sources=SPOKEN, settings=SMALL) as server:
        yield server


async def test_a_recording_of_a_node_is_played(tmp_path: Path) -> None:
    """Its samples travel with the say, and its caller hears them; one that is too long is not played, and the say fails."""
    hotel = turnlog.App("hotel")
    hold, long = music(tmp_path, "hold the line"), music(tmp_path, "long", silence=100_000)
    outcomes: list[str] = []

    @hotel.session("desk", provider="local", transport="in_process", modalities=["audio"])
    async def desk(session: turnlog.RealtimeSession) -> None:
        await (await session.say(hold)).settled()
        outcome = await (await session.say(long)).settled()
        outcomes.append(outcome.status)
        await session.say("after it")
        await session.input()

    async with spoken_desk(tmp_path, hotel) as server, node(server, hotel):
        async with line_to(server) as caller:
            assert await sound(caller) == "hold the line"
            assert await sound(caller) == ""
            await sound(caller)
            session = await server.only_session()
            server.engine.sessions[session].end("done", drain=False)
            await server.ended(session)
        events = await server.events(session)
    clips = [one.command.clip.name for one in of_type(events, e.SayRequested) if one.command.clip]
    assert clips == ["hold the line.wav", "long.wav"]
    settled = of_type(events, e.SaySettled)
    assert [one.status for one in settled][:2] == ["played", "failed"] and set(outcomes) == {"failed"}, settled


async def test_a_handler_that_cannot_be_replayed_runs_at_a_node(tmp_path: Path) -> None:
    """On the node's loop, with threads and clocks; its commands, tools and steps are in the log, and TL109 refuses a replay."""
    hotel = turnlog.App("hotel")

    @hotel.tool
    def find(name: str) -> str:
        """A guest's room."""
        return f"room of {name}"

    @hotel.session("desk", provider="local", transport="in_process", replay=False)
    async def desk(session: turnlog.RealtimeSession) -> None:
        await session.say(await asyncio.to_thread(str.upper, "good evening"))
        async for turn in session.turns():
            if turn.text == "bye":
                return
            await asyncio.sleep(0.001)
            await session.say(await session.call("find", name=turn.text))

    async with hosted(hub, tmp_path, elsewhere=hotel) as server, node(server, hotel):
        async with line_to(server) as caller:
            assert await hears(caller) == "GOOD EVENING"
            await says(caller, "Ann")
            assert await hears(caller) == "room of Ann"
            await says(caller, "bye")
            session = await server.only_session()
            assert (await server.ended(session)).reason == "completed"
        events = await server.events(session)
        with pytest.raises(turnlog.TurnlogError) as refused:
            turnlog.replay(server.store.scan(session), desk)
    assert refused.value.code == "TL109" and not events[0].replayable and not of_type(events, e.TimerFired)


async def test_a_handler_that_cannot_be_replayed_ends_with_its_node(tmp_path: Path) -> None:
    """At once: nothing could take its place."""
    hotel = turnlog.App("hotel")
    gone: list[str] = []
    waits = asyncio.Event()

    @hotel.session("desk", provider="local", transport="in_process", replay=False)
    async def desk(session: turnlog.RealtimeSession) -> None:
        await session.say("Good evening.")
        waits.set()
        try:
            await session.input()
        finally:
            gone.append(session.session_id)

    async with hosted(hub, tmp_path, elsewhere=hotel) as server:
        async with node(server, hotel):
            live = await server.engine.start("hotel.desk")
            await asyncio.wait_for(waits.wait(), PATIENCE_S)
        ended = await asyncio.wait_for(live.ended(), PATIENCE_S)
        assert (ended.reason, ended.code) == ("node_lost", "TL320") and gone == [live.id]


async def test_what_is_larger_than_the_engine_takes_fails_by_itself(tmp_path: Path) -> None:
    """A result, a model's output, an item of a stream is an error that says so; a command ends its session; the link stays."""
    hotel, large = turnlog.App("hotel"), "x" * 200_000

    async def items() -> AsyncIterator[str]:
        yield large

    @hotel.tool
    def look() -> str:
        """Too much."""
        return large

    @hotel.session("desk", provider="local", transport="in_process", tools=["look"], answers="model")
    async def desk(session: turnlog.RealtimeSession) -> None:
        with pytest.raises(turnlog.StepError, match="TL306"):
            await session.call("look")
        with pytest.raises(turnlog.StepError, match="TL306"):
            await anext(aiter(session.stream(items)))
        await session.say("both")
        await session.signal("more")
        await session.call("look", large)

    provider = Speaker()
    async with hosted(hub, tmp_path, elsewhere=hotel, provider=provider, settings=SMALL) as server, node(server, hotel):
        async with line_to(server) as caller:
            assert await hears(caller) == "both"
            calls(provider, ("c1", "look", "{}"))
            await committed(server, e.ToolOutputDispatched)
            session = await server.only_session()
            server.engine.signal(session, "more")
            ended = await server.ended(session)
        (told,) = of_type(await server.events(session), e.ToolOutputDispatched)
        assert "TL306" in told.output and (ended.reason, ended.code) == ("node_lost", "TL306")
        assert server.engine.nodes.names() == ["hotel"]


async def test_a_recording_that_was_lost_on_its_way_comes_from_the_next_node(tmp_path: Path) -> None:
    """A node that takes a session up sends the samples of a say that the log does not hold yet."""
    hotel, hold = turnlog.App("hotel"), music(tmp_path, "hold the line")

    @hotel.session("desk", provider="local", transport="in_process", modalities=["audio"])
    async def desk(session: turnlog.RealtimeSession) -> None:
        await (await session.say(hold)).settled()

    async with spoken_desk(tmp_path, hotel) as server:
        async with bare_node(server, hotel) as made:  # it begins the session, and says nothing of it
            await made.hears(wire.Welcome)
            caller = await line_to(server)
            await made.hears(wire.Happened)
        async with node(server, hotel):
            assert await sound(caller) == "hold the line"
            live = next(iter(server.engine.sessions.values()), None)
            assert live is None or (await live.ended()).reason == "completed"
        await caller.close()
