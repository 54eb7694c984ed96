"""Tests for calls of other nodes' reasoners by a handler at a node that loses its engine, or whose session is left."""

import asyncio
from pathlib import Path

import pytest

import turnlog
from tests.agentfield.control_plane import plane
from tests.server.hosting import hosted, silent_speech
from tests.server.noding import PATIENCE_S, node
from turnlog.core import events as e
from turnlog.engine.engine import Engine
from turnlog.engine.nodes.dialling import run_node
from turnlog.server.serve import listen, serve_on, url_of
from turnlog.transports.providers.local import LocalProvider

__all__: list[str] = []

hub = turnlog.App("hub")
inn = turnlog.App("inn")


@inn.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Looks twice, once for sure."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(session.options(retries=1).call("other.find", name="Ann"))
        tasks.create_task(once(session))


async def once(session: turnlog.RealtimeSession) -> None:
    """Fails where its node is lost."""
    with pytest.raises(turnlog.StepError, match="the node was lost"):
        await session.call("other.find", name="Bo")


async def test_what_is_tried_again_goes_on_over_a_lost_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call with retries finds its execution, which was not cancelled; the other one has failed, and was cancelled."""
    async with plane() as (there, url), asyncio.timeout(PATIENCE_S):
        monkeypatch.setenv("AGENTFIELD_SERVER", url)
        there.finishes.clear()
        async with hosted(hub, tmp_path, elsewhere=inn) as server, node(server, inn):
            live = await server.engine.start("inn.desk")
            begun = [await there.begun.get(), await there.begun.get()]
            given = {there.asked[n][2]["input"]["name"]: execution for n, execution in enumerate(begun)}
            link = server.engine.nodes.newest("inn")
            assert link is not None
            await link.link.close(1001, "the network")
            assert await there.begun.get() == given["Ann"]
            there.finishes.set()
            assert (await live.ended()).reason == "completed"
            assert await there.cancelled.get() == given["Bo"] and there.cancelled.empty()
            (done,) = [one for one in await server.events(live.id) if isinstance(one, e.CallCompleted)]
            assert done.index == 1


@pytest.mark.parametrize("left", [True, False])
async def test_a_session_that_is_left_cancels_nothing_at_its_node(monkeypatch: pytest.MonkeyPatch, left: bool) -> None:
    """Its node is told so, and lets go of it; what runs for one that is ended is cancelled."""
    stop, connected, silent = asyncio.Event(), asyncio.Event(), LocalProvider(speech=silent_speech())
    async with plane() as (there, url), asyncio.timeout(PATIENCE_S):
        monkeypatch.setenv("AGENTFIELD_SERVER", url)
        there.finishes.clear()
        with listen("127.0.0.1", 0) as listener:
            async with Engine(hub, store="memory://", providers={"local": silent}) as engine:
                serving = asyncio.create_task(serve_on(listener, engine, stop))
                running = asyncio.create_task(run_node(inn, url_of(listener), on_connected=connected.set))
                await connected.wait()
                live = await engine.start("inn.desk")
                begun = {await there.begun.get(), await there.begun.get()}
                if left:
                    live.leave()
                else:
                    live.end("enough", drain=False)
                await asyncio.wait([asyncio.ensure_future(live.ended())])
                if not left:
                    assert {await there.cancelled.get(), await there.cancelled.get()} == begun
                stop.set()
                await serving
                running.cancel()
                await asyncio.wait([running])
        assert there.cancelled.empty()
