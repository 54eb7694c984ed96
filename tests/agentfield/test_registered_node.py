"""Tests for nodes that register over HTTP: an agent of AgentField's SDK at a served engine, with its own requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

import turnlog
from tests.server.hosting import hosted
from turnlog.core.errors import DefinitionError, LinkError
from turnlog.engine.nodes.registered import Registered, answered_by_model
from turnlog.engine.offline.replay import replay
from turnlog.server.settings import ServerSettings
from turnlog.transports.web.serving import listen, serve_app, url_of

__all__: list[str] = []

if TYPE_CHECKING:
    import agentfield.connection_manager
    import agentfield.types
else:
    agentfield = pytest.importorskip("agentfield", reason="AgentField's SDK has no release for this Python")

hub, known = turnlog.App("hub"), turnlog.App("hotel")
known.session("desk", provider="openai", transport="websocket")(answered_by_model)
BEAT = agentfield.types.HeartbeatData(status=agentfield.types.AgentStatus.READY, timestamp="2026-01-01T00:00:00Z")


def hotel(engine: str, key: str | None = None) -> agentfield.Agent:
    """An agent as its users write one."""
    agent = agentfield.Agent(node_id="hotel", agentfield_server=engine, api_key=key)

    @agent.reasoner()
    async def find_guest(name: str) -> dict[str, str]:
        """A guest's room."""
        return {"room": f"room of {name}"}

    @agent.session("desk", provider="openai", transport="websocket", tools=["hotel.find_guest"])
    async def desk(session: Any) -> None:
        raise AssertionError("nothing runs it: the node is registered by HTTP only")

    return agent


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """An ASGI application on a free port; its URL."""
    stop = asyncio.Event()
    leave = partial(asyncio.sleep, 0)
    with listen("127.0.0.1", 0) as listener:
        running = asyncio.create_task(serve_app(app, listener, stop, leave=leave, max_message_bytes=65536))
        try:
            yield url_of(listener)
        finally:
            stop.set()
            await running


async def register(agent: agentfield.Agent, base_url: str) -> bool:
    """As the SDK does it when an agent starts."""
    done, _ = await agent.client.register_agent_with_status(
        node_id=agent.node_id,
        reasoners=agent.reasoners,
        skills=agent.skills,
        base_url=base_url,
        agent_metadata=agent._build_agent_metadata(),
    )
    return bool(done)


async def test_an_agent_registers_is_asked_and_leaves(tmp_path: Path) -> None:
    """By the SDK's own requests: its session is the model's, with its reasoner as a tool that runs at the node."""
    async with hosted(hub, tmp_path, elsewhere=known, settings=ServerSettings(keys=("right",))) as server:
        agent, stranger = hotel(server.url, "right"), hotel(server.url, "wrong")
        async with serving(agent) as base_url:
            assert not await register(stranger, base_url)
            assert not await agent.client.send_enhanced_heartbeat("hotel", BEAT)  # nobody knows it yet
            assert await register(agent, base_url) and await agent.client.send_enhanced_heartbeat("hotel", BEAT)
            home = server.engine.directory.registered.get("hotel")
            assert home is not None
            tool = home.tools.find("find_guest")
            assert tool.definition()["parameters"]["properties"]["name"]["type"] == "string"
            assert msgspec.json.decode(await tool.invoke_json('{"name":"Ann"}')) == {"room": "room of Ann"}
            called = server.engine.tools.box.find("hotel.find_guest")  # as a handler of another node calls it
            assert msgspec.msgpack.decode(await called.invoke(["Cy"], {})) == {"room": "room of Cy"}
            with pytest.raises(LookupError, match=r"no tool 'hotel\.nothing'"):
                server.engine.tools.box.find("hotel.nothing")
            with pytest.raises(Exception, match="find_guest was answered with HTTP 422"):
                await tool.invoke([], {"nobody": "Ann"})
            async with httpx.AsyncClient(base_url=server.url, headers={"X-API-Key": "right"}) as http:
                started = (await http.post("/api/v1/session-targets/hotel.desk/start")).json()
                assert (await http.get("/api/v1/nodes/hotel")).json()["sessions"] == ["desk"]
                begun = (await http.post("/api/v1/execute/async/hotel.find_guest", json={"input": {"name": "Bo"}})).json()
                ran = server.engine.executions.find(begun["execution_id"])
                while ran and ran.status == "running":
                    await http.get(f"/api/v1/executions/{ran.id}")
                assert ran and ran.result == {"room": "room of Bo"}
        with pytest.raises(LinkError) as gone:
            await tool.invoke([], {"name": "Ann"})
        assert gone.value.code == "TL320"
        session = started["session_id"]  # its provider is nowhere, so that it has ended
        await server.ended(session)
        definition = (await server.events(session))[0].definition
        assert definition.answers == "model" and definition.tools == ["find_guest"]
        assert replay(server.store.scan(session), answered_by_model).complete
        assert await agent.client.notify_graceful_shutdown("hotel") and server.engine.directory.registered.names() == []
        for one in (agent, stranger):
            await one.client.aclose()
        for task in asyncio.all_tasks():  # the SDK leaves one behind a reasoner that ran
            if "_NotificationDispatcher" in repr(task.get_coro()):
                task.cancel()


async def test_an_agent_whose_engine_was_restarted_registers_by_itself(tmp_path: Path) -> None:
    """Nothing is stored: its heartbeat is answered with 404, and the SDK's own ConnectionManager registers it anew."""
    agent = hotel("http://127.0.0.1:9")
    agent.base_url = "http://127.0.0.1:9"
    pace = agentfield.connection_manager.ConnectionConfig(retry_interval=0.01, health_check_interval=0.01)
    agent.connection_manager = manager = agentfield.connection_manager.ConnectionManager(agent, pace)
    connected = asyncio.Event()
    manager.on_connected = connected.set
    for engine in ("first", "restarted"):
        (tmp_path / engine).mkdir()
        async with hosted(hub, tmp_path / engine, elsewhere=known) as server, asyncio.timeout(10):
            agent.client.api_base = f"{server.url}/api/v1"  # where it finds what was started in the first one's place
            if engine == "first":
                assert await manager.start()
            await connected.wait()
            connected.clear()
            assert manager.is_connected() and server.engine.directory.registered.names() == ["hotel"]
            assert server.engine.directory.resolve("hotel.desk").definition.tools == ["find_guest"]
    await manager.stop()  # type: ignore[no-untyped-call] # the SDK types it not
    await agent.client.aclose()


def test_a_node_without_heartbeats_is_not_there() -> None:
    """After its time; one heartbeat brings it back."""
    now = [0.0]
    nodes = Registered("hub", lost_s=10, clock=lambda: now[0])
    nodes.register(b'{"id":"hotel","base_url":"http://127.0.0.1:1"}')
    now[0] = 10
    assert nodes.names() == ["hotel"]
    now[0] = 10.1
    assert nodes.names() == [] and nodes.get("hotel") is None
    assert nodes.heartbeat("hotel") and nodes.names() == ["hotel"]
    assert nodes.shutdown("hotel") and not nodes.shutdown("hotel") and not nodes.heartbeat("hotel")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"id":"hub","base_url":"http://x"}',
        b'{"id":"a.b","base_url":"http://x"}',
        b'{"id":"hotel","base_url":"file:///etc/passwd"}',
        b'{"id":"hotel","base_url":"http://x","metadata":{"custom":{"sessions":[{"name":"desk"}]}}}',
        b'{"id":"hotel","base_url":"http://x","metadata":{"custom":{"sessions":[{"name":"d","provider":"no","transport":"no"}]}}}',
        b'{"id":"hotel","base_url":"http://x","metadata":{"custom":{"sessions":[{"name":"d","provider":"openai",'
        b'"transport":"websocket","tools":["none"]}]}}}',
        b'{"id":"hotel","base_url":"http://x","metadata":{"custom":{"sessions":[{"name":"d","provider":"openai",'
        b'"transport":"websocket","tools":5}]}}}',
        b'{"id":"hotel","base_url":"http://x","metadata":{"custom":{"sessions":[{"name":"d","provider":"openai",'
        b'"transport":"websocket","tags":true}]}}}',
    ],
)
def test_a_registration_that_cannot_be_is_refused(body: bytes) -> None:
    """With what is wrong with it, and nothing of it stays."""
    nodes = Registered("hub")
    with pytest.raises(DefinitionError):
        nodes.register(body)
    assert nodes.names() == []


async def test_a_client_calls_a_registered_nodes_tool_in_its_session(tmp_path: Path) -> None:
    """By the tool_url of the start: the reasoner runs at its node, and its result is an execution's."""
    async with hosted(hub, tmp_path, elsewhere=known) as server, serving(hotel(server.url)) as base_url:
        desk = {"name": "desk", "provider": "local", "transport": "in_process", "tools": ["hotel.find_guest"]}
        body = {"id": "hotel", "base_url": base_url, "reasoners": [{"id": "find_guest"}]}
        async with httpx.AsyncClient(base_url=server.url) as http:
            sent = body | {"metadata": {"custom": {"sessions": [desk]}}}
            assert (await http.post("/api/v1/nodes/register", json=sent)).status_code == 201
            started = (await http.post("/api/v1/session-targets/hotel.desk/start")).json()
            tool_url = started["tool_url"].replace("{tool}", "find_guest")
            called = await http.post(tool_url, json={"input": {"name": "Ann"}})
            assert (called.status_code, called.json()["target"]) == (202, "hotel.find_guest")
            path = f"/api/v1/executions/{called.json()['execution_id']}"
            while (told := (await http.get(path)).json())["status"] == "running":
                pass  # each look lets it go on
            assert told["result"] == {"room": "room of Ann"}
            await http.post(f"/v1/turnlog/sessions/{started['session_id']}/end", json={"drain": False})
        await server.ended(started["session_id"])
        for task in asyncio.all_tasks():  # the SDK leaves one behind a reasoner that ran
            if "_NotificationDispatcher" in repr(task.get_coro()):
                task.cancel()
