"""Tests for nodes (`turnlog run`) at a served engine, over real sockets: handlers and tools there, logs in the engine.

`hosted` checks after each test that all sessions have ended, verify and replay, and that no task is left.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import turnlog
from tests.server.hosting import hosted, receive
from tests.server.noding import PATIENCE_S, hears, node, of_type, says
from turnlog.cli.replay import command as replay_command
from turnlog.core import events as e
from turnlog.core.errors import LinkError, ProtocolError, StoreError
from turnlog.engine.nodes.dialling import node_url, run_node
from turnlog.server.settings import ServerSettings

__all__: list[str] = []

hub = turnlog.App("hub")
there = turnlog.App("there")
hotel = turnlog.App("hotel")
HOLD = asyncio.Event()
BEGUN = asyncio.Event()
RUNS: list[str] = []


@hotel.tool
def find(name: str) -> dict[str, str]:
    """A guest's room."""
    if name == "nobody":
        raise LookupError(name)
    return {"room": f"room of {name}"}


@hotel.tool
async def wait_for_it() -> str:
    """Runs until somebody lets it go."""
    await HOLD.wait()
    return "held"


@hotel.tool
async def once_more() -> str:
    """Runs for ever the first time, and then no longer."""
    RUNS.append("run")
    if len(RUNS) == 1:
        BEGUN.set()
        await asyncio.Event().wait()
    return f"run {len(RUNS)}"


async def count() -> AsyncIterator[int]:
    """Two numbers."""
    yield 1
    yield 2


@hotel.session("desk", provider="local", transport="in_process", tools=["find"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """Says, calls, steps, streams, waits and raises what a tool raised."""
    await session.say("Good evening.")
    async for turn in session.turns():
        match turn.text:
            case "bye":
                return
            case "hold":
                try:
                    words = await session.call("wait_for_it")
                except turnlog.StepError as error:
                    words = error.type_name
            case "count":
                words = " ".join([str(item) async for item in session.stream(count)])
            case "again":
                words = await session.options(retries=1).call("once_more")
            case "earlier":
                words = str(len(await session.earlier(before=10**6)))
            case name:
                try:
                    found = await session.call("find", name=name)
                    words = await session.step(str.upper, found["room"])
                except turnlog.StepError as error:
                    words = f"no {error.type_name}"
        await asyncio.sleep(0.01)
        await session.say(words)


@there.session("desk", provider="local", transport="in_process")
async def desk_there(session: turnlog.RealtimeSession) -> None:
    """What the other process runs, to replay it."""
    await session.say("From there.")
    await session.input()


async def test_a_handler_at_a_node_answers_callers_of_the_engine(tmp_path: Path) -> None:
    """Says, calls, steps, streams, earlier words and timers work; the log names the node's code, and it replays."""
    async with hosted(hub, tmp_path, elsewhere=hotel) as server:
        async with node(server, hotel):
            assert [one.target for one in server.engine.directory.all()] == ["hotel.desk"]
            async with connect(server.socket_url("hotel.desk")) as caller:
                assert await hears(caller) == "Good evening."
                for said, heard in {"Ann": "ROOM OF ANN", "nobody": "no LookupError", "count": "1 2", "earlier": "8"}.items():
                    await says(caller, said)
                    assert await hears(caller) == heard
                await says(caller, "bye")
                with pytest.raises(ConnectionClosed):
                    await receive(caller, "none")
            session = await server.only_session()
            await server.ended(session)
        assert server.engine.nodes.names() == []
        replaying = [session, "--engine", server.url, "--handler", f"{__name__}:desk"]
        replayed = await asyncio.to_thread(CliRunner().invoke, replay_command, replaying, standalone_mode=False)
        assert replayed.return_value == 0 and "replay: identical" in replayed.output, replayed
        unknown = await asyncio.to_thread(CliRunner().invoke, replay_command, ["nobody", "--engine", server.url])
        assert isinstance(unknown.exception, StoreError) and unknown.exception.code == "TL408"
        events = await server.events(session)
    started = events[0]
    assert started.handler == f"{__name__}:desk" and started.code_version and started.target == "hotel.desk"
    assert of_type(events, e.TimerFired) and events[-1].reason == "completed"


async def test_a_clients_call_of_a_nodes_tool_is_refused(tmp_path: Path) -> None:
    """By AgentField's route for tools, which runs those of this process: 404, and the session goes on."""
    async with hosted(hub, tmp_path, elsewhere=hotel) as server, node(server, hotel):
        async with httpx.AsyncClient(base_url=server.url) as http:
            started = (await http.post("/api/v1/session-targets/hotel.desk/start")).json()
            assert started["tool_targets"] == {"find": "hotel.find"}
            path = f"/api/v1/session-instances/{started['session_id']}/tools/find"
            answer = await http.post(path, json={"input": {"name": "x"}})
            assert answer.status_code == 404 and "its node" in answer.json()["error"]
            live = server.engine.sessions[started["session_id"]]
            live.end("done", drain=False)
            await live.ended()


async def test_a_session_goes_on_with_the_node_that_comes_back(tmp_path: Path) -> None:
    """A lost node's handler is built anew from the log; what ran there failed with NodeLost; the caller notices nothing else."""
    async with hosted(hub, tmp_path, elsewhere=hotel) as server:
        async with node(server, hotel):
            caller = await connect(server.socket_url("hotel.desk"))
            assert await hears(caller) == "Good evening."
            await says(caller, "Ann")
            assert await hears(caller) == "ROOM OF ANN"
            await says(caller, "hold")
            session = await server.only_session()
            feed = server.engine.feed(types=[e.CallRequested])
            async for _, of, recorded in feed:
                if of == session and b"wait_for_it" in (recorded.data or b""):
                    break
            await feed.aclose()
        async with node(server, hotel):
            assert await hears(caller) == "NodeLost"
            await says(caller, "Bob")
            assert await hears(caller) == "ROOM OF BOB"
            await says(caller, "bye")
            assert (await server.ended(session)).reason == "completed"
        await caller.close()


async def test_what_may_be_tried_again_is_begun_anew(tmp_path: Path) -> None:
    """A call with retries that ran at the lost node runs once more at the next one."""
    RUNS.clear()
    BEGUN.clear()
    async with hosted(hub, tmp_path, elsewhere=hotel) as server:
        async with node(server, hotel):
            caller = await connect(server.socket_url("hotel.desk"))
            assert await hears(caller) == "Good evening."
            await says(caller, "again")
            await asyncio.wait_for(BEGUN.wait(), PATIENCE_S)
        async with node(server, hotel):
            assert await hears(caller) == "run 2"
            await says(caller, "bye")
            assert (await server.ended(await server.only_session())).reason == "completed"
        await caller.close()


async def test_a_session_that_is_ended_while_its_node_is_away_waits_for_nobody(tmp_path: Path) -> None:
    """Its log says that its handler had no part in that, and replays as far as it goes."""
    async with hosted(hub, tmp_path, elsewhere=hotel) as server:
        async with node(server, hotel):
            live = await server.engine.start("hotel.desk")
            async for _, _, _ in server.engine.feed(types=[e.SayRequested]):
                break
        live.end("enough", drain=False)
        ended = await asyncio.wait_for(live.ended(), PATIENCE_S)
        assert (ended.reason, ended.code) == ("node_lost", "TL320")


async def test_a_session_whose_node_does_not_come_back_ends(tmp_path: Path) -> None:
    """With node_lost, after the grace."""
    async with hosted(hub, tmp_path, elsewhere=hotel, settings=ServerSettings(node_grace_s=0.01)) as server:
        async with node(server, hotel):
            live = await server.engine.start("hotel.desk")
        ended = await asyncio.wait_for(live.ended(), PATIENCE_S)
        assert (ended.reason, ended.code) == ("node_lost", "TL320") and "hotel" in ended.detail


async def test_a_node_whose_code_has_changed_does_not_take_a_session_up(tmp_path: Path) -> None:
    """It ends with TL101, and the words say where the handlers part."""
    changed = turnlog.App("hotel")

    @changed.session("desk", provider="local", transport="in_process")
    async def other(session: turnlog.RealtimeSession) -> None:
        await session.say("Good morning.")

    async with hosted(hub, tmp_path, elsewhere=hotel) as server:
        async with node(server, hotel):
            live = await server.engine.start("hotel.desk")
            async for _, _, _ in server.engine.feed(types=[e.SayRequested]):
                break
        async with node(server, changed):
            ended = await asyncio.wait_for(live.ended(), PATIENCE_S)
        assert (ended.reason, ended.code) == ("node_lost", "TL101") and "Good morning." in ended.detail


async def test_who_is_no_node_is_refused(tmp_path: Path) -> None:
    """A name that is taken, a message that is none, a hello that is missing: 1008 each, with TL321; without a key 401."""
    async with hosted(hub, tmp_path, settings=ServerSettings(keys=("right",))) as server:
        with pytest.raises(LinkError) as refused:
            await run_node(hotel, server.url, "wrong")
        assert refused.value.code == "TL303"
        with pytest.raises(ProtocolError, match="hub") as taken:
            await run_node(hub, server.url, "right")
        assert taken.value.code == "TL321"
        for nonsense in ("{", '{"type":"seen","session":"s","seq":1}', '{"type":"hello"}', "[]"):
            async with connect(node_url(server.url), additional_headers={"X-API-Key": "right"}) as socket:
                await socket.send(nonsense)
                with pytest.raises(ConnectionClosed) as closed:
                    await asyncio.wait_for(socket.recv(), PATIENCE_S)
                assert closed.value.rcvd and closed.value.rcvd.code == 1008 and "TL321" in closed.value.rcvd.reason
        assert server.engine.nodes.names() == []


async def test_an_engine_that_is_not_there_or_no_url_is_told() -> None:
    """TL301 at once: only a link that stood is opened again."""
    for url in ("http://127.0.0.1:9", "ftp://engine", "engine"):
        with pytest.raises(LinkError) as error:
            await run_node(hotel, url)
        assert error.value.code == "TL301"


async def test_turnlog_run_is_a_process_of_its_own(tmp_path: Path) -> None:
    """`turnlog run MODULE:APP --engine URL` says that it is connected; who calls is answered by its handler."""
    (tmp_path / "there.py").write_text(
        "import turnlog\napp = turnlog.App('there')\n\n"
        "@app.session('desk', provider='local', transport='in_process')\n"
        "async def desk(session):\n    await session.say('From there.')\n    await session.input()\n"
    )
    async with hosted(hub, tmp_path, elsewhere=there) as server:
        command = (sys.executable, "-m", "turnlog", "run", "there:app", "--engine", server.url)
        paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=paths)
        try:
            assert running.stdout is not None
            said = await asyncio.wait_for(running.stdout.readline(), 30)
            assert said.decode().split("  ")[1].strip() == "sessions: there.desk"
            async with connect(server.socket_url("there.desk")) as caller:
                assert await hears(caller) == "From there."
                await says(caller, "thanks")
                await server.ended(await server.only_session())
        finally:
            running.terminate()
            await running.wait()


async def test_a_lost_nodes_tool_is_not_taken_for_this_engines_of_the_same_name(tmp_path: Path) -> None:
    """A session of a node names the node's tool: 404 while the node is there, and while it is away."""
    ran: list[str] = []
    twin = turnlog.App("twin")

    @twin.tool
    def find(name: str) -> str:
        """The engine's own, of the same name."""
        ran.append(name)
        return name

    async with hosted(twin, tmp_path, elsewhere=hotel) as server, httpx.AsyncClient(base_url=server.url) as http:
        async with node(server, hotel):
            started = (await http.post("/api/v1/session-targets/hotel.desk/start")).json()
            tool_url = started["tool_url"].replace("{tool}", "find")
            assert (await http.post(tool_url, json={"input": {"name": "Ann"}})).status_code == 404
        async with asyncio.timeout(PATIENCE_S):
            while "hotel" in server.engine.directory.nodes():
                await http.get("/healthz")
        answer = await http.post(tool_url, json={"input": {"name": "Ann"}})
        assert (answer.status_code, ran) == (404, []) and "runs at its node only" in answer.json()["error"]
        await http.post(f"/v1/turnlog/sessions/{started['session_id']}/end", json={"drain": False})
        await server.ended(started["session_id"])
