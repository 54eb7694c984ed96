"""AgentField's tool route in both spellings: only what the session names, run here or passed on, and asked for by its id."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import turnlog
from tests.agentfield.control_plane import Plane, plane
from tests.server.hosting import Hosted, hosted
from turnlog.cli.essence import essence
from turnlog.cli.timeline import side_of
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.core.errors import TurnlogError
from turnlog.core.explain.silent import why_silent
from turnlog.core.explain.trail import Trail
from turnlog.engine.executions import Executions
from turnlog.engine.outside_calls import OutsideCall
from turnlog.server.settings import ServerSettings
from turnlog.transports.control_plane import ControlPlane

app = turnlog.App("hotel")
app.reasoner("other.find", name="find")


@app.tool
async def price(nights: int) -> dict[str, int]:
    """What a stay costs."""
    return {"euros": 50 * nights}


@app.tool
async def secret() -> str:
    """What no session names."""
    return "open"


@app.tool(timeout=0.05)  # type: ignore[untyped-decorator] # App.tool serves both spellings
async def slow() -> str:
    """Never done."""
    await asyncio.get_running_loop().create_future()
    return ""


@app.session("desk", provider="local", transport="in_process", tools=["price", "find", "slow"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """Waits."""
    async for _ in session.turns():
        pass


class World:
    """A server with keys, and a control plane beside it."""

    def __init__(self, server: Hosted, there: Plane, http: httpx.AsyncClient) -> None:
        self.server, self.there, self.http = server, there, http

    async def start(self) -> tuple[str, dict[str, str]]:
        """A session, and its caller's token as a header."""
        answer = await self.http.post("/api/v1/session-targets/hotel.desk/start", headers=KEY)
        assert answer.json()["tool_targets"] == {"price": "hotel.price", "find": "other.find", "slow": "hotel.slow"}
        return answer.json()["session_id"], {"Authorization": f"Bearer {answer.headers['Turnlog-Token']}"}

    async def ended(self, execution: str) -> dict[str, Any]:
        """How an execution ended."""
        while True:
            told: dict[str, Any] = (await self.http.get(f"/api/v1/executions/{execution}", headers=KEY)).json()
            if told["status"] != "running":
                return told
            await asyncio.sleep(0.01)


KEY = {"X-API-Key": "key-one"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Running."""
    async with (
        plane() as (there, url),
        hosted(app, tmp_path, settings=ServerSettings(keys=("key-one",)), control_plane=ControlPlane(url=url)) as server,
        httpx.AsyncClient(base_url=server.url) as http,
    ):
        yield World(server, there, http)


async def test_a_tool_of_this_process_runs_here(world: World) -> None:
    """202 with an execution in AgentField's form, whose result, failure or timeout is asked for by its id."""
    session, token = await world.start()
    for spelling in ("session-instances", "sessions"):
        path = f"/api/v1/{spelling}/{session}/tools"
        answer = await world.http.post(f"{path}/price", headers=token, json={"input": {"nights": 2}})
        begun = answer.json()
        assert (answer.status_code, begun["status"], begun["target"]) == (202, "queued", "hotel.price")
        told = await world.ended(begun["execution_id"])
        assert (told["status"], told["result"], told["run_id"]) == ("succeeded", {"euros": 100}, begun["run_id"])
        wrong = await world.http.post(f"{path}/price", headers=token, json={"input": {"people": 2}, "target": "hotel.price"})
        told = await world.ended(wrong.json()["execution_id"])
        assert told["status"] == "failed" and "nights" in told["error_message"] and "result" not in told
    late = await world.http.post(f"{path}/slow", headers=token)
    assert (await world.ended(late.json()["execution_id"]))["status"] == "timeout"


async def test_another_nodes_tool_is_passed_on_as_it_comes(world: World) -> None:
    """The control plane gets the input, the session and the client's headers; its status and body are the answer."""
    session, token = await world.start()
    path = f"/api/v1/session-instances/{session}/tools/find"
    answer = await world.http.post(path, headers={**token, "X-Run-ID": "run_9", "X-Other": "x"}, json={"input": {"name": "Ann"}})
    assert (answer.status_code, answer.json()) == (202, {"execution_id": "exec_1", "run_id": "run_1", "status": "queued"})
    target, headers, body = world.there.asked[-1]
    assert (target, body) == ("other.find", {"input": {"name": "Ann"}})
    assert (headers["x-session-id"], headers["x-run-id"]) == (session, "run_9") and "x-other" not in headers
    told = await world.http.get("/api/v1/executions/exec_1", headers=KEY)
    assert told.json()["result"] == {"target": "other.find", "got": {"name": "Ann"}}
    world.there.fail_first = 1
    assert (await world.http.post(path, headers=token)).status_code == 503


async def test_only_what_the_session_names_can_be_called(world: World) -> None:
    """403 for other tools and targets, 400 for what is none, 401 without its credential, 404 for no such session."""
    session, token = await world.start()
    other, _ = await world.start()
    path = f"/api/v1/session-instances/{session}/tools"
    for name, body, status in (
        ("secret", {}, 403),
        ("price", {"target": "hotel.secret"}, 403),
        ("find", {"target": "other.delete_all"}, 403),
        ("price", {"target": "price"}, 400),
        ("price", {"input": 3}, 400),
        ("nothing", {}, 403),
    ):
        answer = await world.http.post(f"{path}/{name}", headers=token, json=body)
        assert (answer.status_code, set(answer.json())) == (status, {"error"}), (name, body, answer.text)
    assert (await world.http.post(f"{path}/price", headers=token, content=b"\xff{")).json() == {"error": "invalid JSON body"}
    assert (await world.http.post(f"{path}/price")).status_code == 401
    assert (await world.http.post(f"/api/v1/sessions/{other}/tools/price", headers=token)).status_code == 401
    assert (await world.http.post("/api/v1/sessions/sess_none/tools/price", headers=KEY)).status_code == 404
    assert (await world.http.get(f"{path}/price", headers=token)).status_code == 405
    assert world.there.asked == []


async def test_what_a_client_runs_is_in_its_sessions_log(world: World) -> None:
    """Who asked for what, before it runs, and what came of it: facts of the session, caused by the API, unseen by replays."""
    session, token = await world.start()
    path = f"/api/v1/session-instances/{session}/tools"
    from_page = {**token, "X-Caller-Agent-ID": "page"}
    begun = (await world.http.post(f"{path}/price", headers=from_page, json={"input": {"nights": 2}})).json()["execution_id"]
    await world.ended(begun)
    await world.ended((await world.http.post(f"{path}/price", headers=token, json={"input": {"x": 1}})).json()["execution_id"])
    await world.ended((await world.http.post(f"{path}/slow", headers=KEY)).json()["execution_id"])
    await world.http.post(f"{path}/find", headers=token, json={"input": {"name": "Ann"}})
    world.there.fail_first = 1
    await world.http.post("/api/v1/execute/async/other.find", headers={**KEY, "X-Session-ID": session})
    assert (await world.http.post(f"{path}/secret", headers=token)).status_code == 403  # refused: nothing was run
    world.server.engine.sessions[session].end()
    await world.server.ended(session)
    log = [(one, decode(one)) async for one in world.server.store.read(session)]
    asked = [(one, event) for one, event in log if isinstance(event, e.OutsideCallRequested)]
    ended = {event.execution: (one, event) for one, event in log if isinstance(event, e.OutsideCallEnded)}
    assert {one.cause for one, _ in asked} == {e.Root.API}
    told = [(event.target, event.arguments, event.caller, event.agent) for _, event in asked]
    assert told == [
        ("hotel.price", '{"nights":2}', "token", "page"),
        ("hotel.price", '{"x":1}', "token", ""),
        ("hotel.slow", "{}", "key", ""),
        ("other.find", '{"name":"Ann"}', "token", ""),
        ("other.find", "{}", "key", ""),
    ]
    assert asked[0][1].execution == begun and asked[0][1].peer.startswith("127.0.0.1:")
    assert all(ended[event.execution][0].cause == one.seq for one, event in asked)
    first, second, third, fourth, fifth = [ended[event.execution][1] for _, event in asked]
    assert [event.status for event in (first, second, third, fourth, fifth)] == [
        *("succeeded", "failed", "timeout", "passed_on", "failed"),
    ]
    assert (first.output, fourth.elsewhere) == ('{"euros":100}', "exec_1") and "503" in fifth.error and "nights" in second.error
    trail = Trail.of(one for one, _ in log)
    for fact in (asked[0][0].seq, ended[begun][0].seq):  # nobody else is to act because of it
        assert why_silent(trail, seq=fact - 1).name == why_silent(trail, seq=fact).name
    assert [link.entry.seq for link in trail.chain(ended[begun][0].seq)] == [ended[begun][0].seq, asked[0][0].seq]
    assert "price" in essence(asked[0][1]) and "euros" in essence(first) and side_of(first) == "caller"


async def test_a_call_for_a_session_that_ends_is_not_run(world: World) -> None:
    """No tool runs that its session's log cannot hold; of one that ends later than its session the end is left out."""
    session, token = await world.start()
    live = world.server.engine.sessions[session]
    path = f"/api/v1/session-instances/{session}/tools"
    begun = (await world.http.post(f"{path}/slow", headers=token)).json()["execution_id"]
    live.end()
    answer = await world.http.post(f"{path}/price", headers=token, json={"input": {"nights": 2}})
    await live.ended()
    assert (await world.ended(begun))["status"] == "timeout"
    entered = [event for event in await world.server.events(session) if isinstance(event, e.OutsideCallRequested)]
    assert [event.target for event in entered] == ["hotel.slow"] + ["hotel.price"] * (answer.status_code == 202)
    call = OutsideCall(live, e.OutsideCallRequested(execution="exec_x", target="hotel.price"))
    with pytest.raises(TurnlogError, match="TL102"):
        await call.enter(world.server.engine.observers)
    call.failed("nobody reads this")


async def test_any_tool_of_the_server_is_run_by_its_target(world: World) -> None:
    """execute/async takes a key, not a caller's token; what is not known is 404, there and here."""
    _, token = await world.start()
    answer = await world.http.post("/api/v1/execute/async/hotel.price", headers=KEY, json={"input": {"nights": 3}})
    assert (await world.ended(answer.json()["execution_id"]))["result"] == {"euros": 150}
    assert (await world.http.post("/api/v1/execute/async/hotel.nothing", headers=KEY)).status_code == 404
    assert (await world.http.post("/api/v1/execute/async/hotel.price", headers=token)).status_code == 401
    await world.http.post("/api/v1/execute/async/other.find", headers=KEY, json={"input": {}})
    target, headers, _ = world.there.asked[-1]
    assert target == "other.find" and "x-api-key" not in headers  # ours is nobody else's
    bearer = {"Authorization": "Bearer key-one", "X-API-Key": "theirs"}
    await world.http.post("/api/v1/execute/async/other.find", headers=bearer, json={"input": {}})
    assert world.there.asked[-1][1]["x-api-key"] == "theirs"


async def test_a_header_that_is_no_ascii_is_not_carried(world: World) -> None:
    """The request is served without it; and no name of an execution leads to another address of the control plane."""
    odd = {b"X-API-Key": b"key-one", b"X-Actor-ID": b"\xe9", b"X-Session-ID": b"\xe9"}
    answer = await world.http.post("/api/v1/execute/async/other.find", headers=odd, json={"input": {}})
    assert answer.status_code == 202 and "x-actor-id" not in world.there.asked[-1][1]
    dots = await world.http.get(world.server.url + "/api/v1/executions/%2e%2e", headers=KEY)
    assert dots.json() == {"error": "no execution '..' is known here"}


async def test_a_tool_that_does_not_end_holds_up_no_stop(caplog: pytest.LogCaptureFixture) -> None:
    """One that swallows its cancellation is left behind after a while, and named."""
    begun, let_go = asyncio.Event(), asyncio.Event()
    other = turnlog.App("other")

    @other.tool
    async def stubborn() -> str:
        """Ends when it is let go, and not before."""
        while not let_go.is_set():
            begun.set()
            with suppress(asyncio.CancelledError):
                await let_go.wait()
        return "ended"

    executions = Executions(bytes, lambda: 0)
    one = executions.new("other.stubborn")
    executions.start(one, other.tools["stubborn"], {})
    await begun.wait()
    async with asyncio.timeout(5):
        await executions.stop(patience_s=0.01)
    assert f"execution {one.id} does not end" in caplog.text
    let_go.set()
    await executions.stop()
