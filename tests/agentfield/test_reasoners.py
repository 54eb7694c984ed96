"""Reasoners of other nodes by a control plane's execute/async: asked once whatever fails, told by polling or a signed webhook."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect

import turnlog
from tests.agentfield.control_plane import plane
from tests.server.hosting import encode, hosted, receive, user_item
from turnlog.core import events as e
from turnlog.core.commands import Call, Site
from turnlog.core.core import Staged
from turnlog.core.errors import LinkError, TurnlogError
from turnlog.engine.effects import Effects
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.current import working_for
from turnlog.engine.toolbox import Elsewhere, ReasonerTool, Toolbox
from turnlog.transports.control_plane import ControlPlane
from turnlog.transports.reasoners import ExecutionFailed, Reasoners


def desk_app(results: list[Any]) -> turnlog.App:
    """A handler that calls a reasoner of another node with each turn."""
    app = turnlog.App("hotel")
    app.reasoner("other.find", name="find", description="Finds.", parameters={"type": "object", "properties": {}})

    @app.session("desk", provider="local", transport="in_process", tools=["find"])
    async def desk(session: turnlog.RealtimeSession) -> None:
        async for turn in session.turns():
            try:
                results.append(await session.call(turn.text, name="Ann"))
            except turnlog.StepError as error:
                results.append((error.type_name, str(error)))
            await session.say("Done.")

    return app


async def test_a_handler_calls_a_reasoner_of_another_node(tmp_path: Path) -> None:
    """A target goes to the control plane with the session and one key a call; failures and strangers are StepErrors."""
    results: list[Any] = []
    async with plane() as (there, url):
        there.fail_first = 1
        async with (
            hosted(desk_app(results), tmp_path, control_plane=ControlPlane(url=url, key="plane-key")) as server,
            connect(server.socket_url()) as caller,
        ):
            for text in ("other.find", "find", "other.fails", "other.unknown", "hotel.find"):
                await caller.send(encode({"type": "conversation.item.create", "item": user_item(text)}))
                await caller.send(encode({"type": "response.create"}))
                await receive(caller, "response.done")
            session = await server.only_session()
            calls = [event for event in await server.events(session) if isinstance(event, e.CallRequested)]
    found = {"target": "other.find", "got": {"name": "Ann"}}
    assert [results[0], results[1], results[4]] == [found] * 3
    assert results[2] == ("ExecutionFailed", "TL103 ExecutionFailed: no such guest")
    assert results[3][0] == "LinkError" and "404" in results[3][1] and "plane-key" not in results[3][1]
    headers = [headers for target, headers, _ in there.asked if target == "other.find"]
    assert {one["x-session-id"] for one in headers} == {session}
    assert {one["x-api-key"] for one in headers} == {"plane-key"}
    assert headers[0]["idempotency-key"] == headers[1]["idempotency-key"] == f"{session}:{calls[0].index}"
    assert len({one["idempotency-key"] for one in headers}) == 3
    assert there.ran == 4  # three that find, one that fails: the request that was answered 503 was asked again, not run twice


async def test_what_takes_its_time_is_asked_for_until_it_ends() -> None:
    """An execution that runs is polled; its result is the reasoner's own."""
    async with plane() as (there, url):
        there.finishes.clear()
        reasoners = Reasoners(ControlPlane(url=url))
        running = asyncio.create_task(reasoners.run("other.find", {"a": 1}, {}))
        async with asyncio.timeout(10):
            await there.asked_twice.wait()
        there.finishes.set()
        assert await running == {"target": "other.find", "got": {"a": 1}}
        tool = Toolbox("hotel", {}, Elsewhere(ControlPlane(url=url))).find("other.find")
        assert msgspec.msgpack.decode(await tool.invoke([7, 8], {"b": 9}))["got"] == {"arg_0": 7, "arg_1": 8, "b": 9}
        assert isinstance(tool, ReasonerTool)
        await tool.elsewhere.close()
        with pytest.raises(ExecutionFailed, match="no such guest"):
            await reasoners.run("other.fails", {}, {})
        await reasoners.close()
        await reasoners.close()


async def test_a_webhook_tells_at_once_and_a_forged_one_nothing(tmp_path: Path) -> None:
    """With a webhook nobody polls: the result comes signed to the server; with another signature it is refused."""
    results: list[Any] = []
    async with plane() as (there, url):
        there.finishes.clear()
        app = desk_app(results)
        async with hosted(app, tmp_path, control_plane=ControlPlane(url=url)) as server:
            elsewhere = server.engine.tools.elsewhere
            elsewhere.plane = ControlPlane(url=url, webhook=server.url)
            there.forges = True
            running = asyncio.create_task(elsewhere.reasoners("other.find").run("other.find", {"a": 1}, {}))
            there.finishes.set()
            async with asyncio.timeout(10):
                assert await running  # by polling, at last
            assert (there.told, there.polled) == (401, 1)
            there.forges = False
            assert await elsewhere.reasoners("other.find").run("other.find", {"a": 2}, {})
            assert there.polled == 1  # nobody asked
            for _ in range(200):
                if there.told == 200:
                    break
                await asyncio.sleep(0.01)
            assert there.told == 200


async def test_what_a_handler_waits_for_no_more_is_cancelled_there(tmp_path: Path) -> None:
    """A call that is given up, timed out or cut by the session's end is cancelled at the control plane, once; and it fails."""
    app = turnlog.App("hotel")

    @app.session("desk", provider="local", transport="in_process")
    async def desk(session: turnlog.RealtimeSession) -> None:
        given_up = asyncio.create_task(session.call("other.find", name="Ann"))
        await session.input()
        given_up.cancel()
        with pytest.raises(turnlog.StepError, match="no result within"):
            await session.options(timeout=0.2, retries=1, backoff=0.01).call("other.find", name="Bo")
        await session.call("other.find", name="Cy")

    async with plane() as (there, url):
        there.finishes.clear()
        async with (
            hosted(app, tmp_path, control_plane=ControlPlane(url=url)) as server,
            connect(server.socket_url()) as caller,
            asyncio.timeout(20),
        ):
            await there.asked_twice.wait()
            assert there.cancelled.empty()
            await caller.send(encode({"type": "conversation.item.create", "item": user_item("on")}))
            await caller.send(encode({"type": "response.create"}))
            assert [await there.cancelled.get(), await there.cancelled.get()] == ["exec_1", "exec_2"]
            there.polled = 0
            there.asked_twice.clear()
            await there.asked_twice.wait()  # the third runs
            session = await server.only_session()
            server.engine.sessions[session].end()
            assert await there.cancelled.get() == "exec_3"
            await server.ended(session)
            failed = [event for event in await server.events(session) if isinstance(event, e.CallFailed)]
        assert there.cancelled.empty() and there.ran == 3
    assert [(event.index, event.type_name) for event in failed][:2] == [(1, "Cancelled"), (3, "TimeoutError")]


def _spawned(tasks: list[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    tasks.append(asyncio.create_task(work))


async def test_a_call_that_the_log_ends_is_cancelled_there(caplog: pytest.LogCaptureFixture) -> None:
    """As when the user speaks over a call; a control plane that refuses is warned of, and not that all was over there."""
    async with plane() as (there, url):
        there.finishes.clear()
        elsewhere = Elsewhere(ControlPlane(url=url))
        for status, told in ((200, ""), (409, ""), (503, "the control plane answered 503")):
            there.cancel_status = status
            effects = Effects(Toolbox("hotel", {}, elsewhere))
            tasks: list[asyncio.Task[None]] = []
            effects.spawn = partial(_spawned, tasks)
            command = Call(target="other.find", kwargs={"status": status})
            with working_for(f"sess_{status}"):
                asked = e.CallRequested(index=1, call="call_1", command=command, site=Site("", 0))
                effects.start(Staged(1, 0, 0, asked), lambda done: None)
            there.polled = 0
            there.asked_twice.clear()
            async with asyncio.timeout(10):
                await there.asked_twice.wait()
                effects.start(Staged(2, 0, 0, e.CallFailed(index=1, type_name="Cancelled", message="")), lambda done: None)
                assert await there.cancelled.get() == f"exec_{there.ran}"
                await asyncio.wait(tasks)
                await elsewhere.reasoners("").close()
            assert told in caplog.text and bool(told) == bool(caplog.text)


async def test_a_control_plane_that_is_not_there_is_told() -> None:
    """TL330 with its address, and never the key; so is one that answers nonsense, or is not named at all."""
    reasoners = Reasoners(ControlPlane(url="http://127.0.0.1:9", key="plane-key"))
    with pytest.raises(LinkError) as raised:
        await reasoners.run("other.find", {}, {})
    assert raised.value.code == "TL330" and "127.0.0.1:9" in str(raised.value)
    assert "plane-key" not in repr(raised.value) + str(raised.value) + repr(reasoners.plane)
    await reasoners.close()
    with pytest.raises(TurnlogError) as forged:
        reasoners.arrived(b"{}", "sha256=00")
    assert forged.value.code == "TL501"
    async with Engine(turnlog.App("hotel"), store="memory://") as engine:
        with pytest.raises(LookupError, match="AGENTFIELD_SERVER"):
            engine.tools.elsewhere.reasoners("other.find")


@pytest.mark.parametrize("target", ["find", "other.", ".find", ""])
def test_a_target_names_a_node_and_a_reasoner(target: str) -> None:
    """TL201 for anything else."""
    with pytest.raises(turnlog.DefinitionError, match=r"no target of a reasoner"):
        turnlog.App("hotel").reasoner(target)
