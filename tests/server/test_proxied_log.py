"""What the log of a proxied session tells, by the commands too; and what happens where it cannot be written."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed

from tests.server.proxied_talk import SESSION, say, spoken_call
from tests.server.proxying import frames_of, proxying
from turnlog.cli.main import cli
from turnlog.core import events as e
from turnlog.core.errors import StoreError, WrongExpectedSeq
from turnlog.core.ports import Head
from turnlog.store.memory import MemoryStore
from turnlog.store.open import open_store


async def test_a_spoken_call_is_told_by_its_log() -> None:
    """The turn's words, the answer's, that it was cut by speech, and how much its caller says to have heard."""
    async with proxying() as running:
        log = await spoken_call(running)
    (turn,) = [event for event in log if isinstance(event, e.TurnEnded)]
    assert (turn.text, turn.start_ms, turn.end_ms) == ("Is there a room?", 100, 900)
    (answer,) = [event for event in log if isinstance(event, e.ResponseEnded)]
    assert (answer.transcript, answer.generated_ms) == ("There is one with a view of the sea.", 1000)
    (cut,) = [event for event in log if isinstance(event, e.PlayoutCut)]
    assert (cut.reason, cut.item) == ("speech", "u2")
    (heard,) = [event for event in log if isinstance(event, e.PlayoutEnded)]
    assert (heard.source, heard.heard[0].heard_ms, heard.interrupted) == ("ack", 500, True)
    assert "There is one".startswith(heard.heard[0].heard_text[:8]) and "sea" not in heard.heard[0].heard_text
    assert any(isinstance(event, e.PeerFaulted) and event.code == "odd" for event in log)
    recorded = [event for event in log if isinstance(event, e.MediaRecorded)]
    lasted = {event.track: event.duration_ms for event in recorded}
    assert lasted == dict.fromkeys(("c1.in", "p1.out", "p1.in", "c1.out"), 1000)


async def test_a_clients_tool_is_told_by_the_log() -> None:
    """The model's call and the output that its client gave, though that comes before the call's item is whole."""
    call = {"id": "f1", "type": "function_call", "call_id": "call_1", "name": "room", "arguments": '{"n":1}'}
    of = {"response_id": "r1", "item_id": "f1", "output_index": 0}
    done = {"type": "response.function_call_arguments.done", **of, "call_id": "call_1", "name": "room", "arguments": '{"n":1}'}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "free"}
    async with proxying() as running:
        async with running.through() as (caller, provider):
            await say(provider, caller, {"type": "session.created", "session": SESSION})
            await say(provider, caller, {"type": "response.created", "response": {"id": "r1"}}, done)
            await say(caller, provider, {"type": "conversation.item.create", "item": output})
            whole = {"response_id": "r1", "output_index": 0, "item": call}
            await say(provider, caller, {"type": "response.output_item.done", **whole})
            await say(provider, caller, {"type": "response.done", "response": {"id": "r1", "status": "completed"}})
        log = await running.log()
    told = [event for event in log if isinstance(event, e.ToolRequested | e.ToolAnswered | e.ToolOutputDispatched)]
    assert [type(event) for event in told] == [e.ToolRequested, e.ToolAnswered, e.ToolOutputDispatched]
    assert told[1] == e.ToolAnswered(call_id="call_1", output="free")


async def test_the_commands_tell_of_a_proxied_session(tmp_path: Path) -> None:
    """sessions, show, verify, why and export work; replay and capture say that there is no handler."""
    db = str(tmp_path / "calls.db")
    store = await asyncio.to_thread(open_store, f"sqlite:///{db}")
    async with proxying(store) as running:
        await spoken_call(running)
    await store.close()

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, [*words, "--db", db])
        return done.exit_code, f"{done.output}{done.exception or ''}"

    for words, told in {
        ("sessions",): "calls.line",
        ("show", "last"): "Is there a room?",
        ("verify", "last"): "verifies",
        ("why", "last", "--silent", "now"): "",
        ("why", "last", "--late"): "",
        ("replay", "--all"): "proxied: it has no handler",
        ("export", "last", "-o", str(tmp_path / "call.turnlog")): "call.turnlog",
    }.items():
        code, output = await asyncio.to_thread(run, *words)
        assert code == 0 and told in output, (words, output)
    what_if = ("replay", "last", "--what-if", "--handler", "turnlog.examples.hotel:frontdesk")
    for words in (("replay", "last"), ("capture", "last"), what_if):
        done = await asyncio.to_thread(run, *words)
        assert done[0] != 0 and "TL109" in done[1] and "proxied" in done[1], done


class Failing(MemoryStore):
    """A store whose disk is full, or whose session was taken over, while `error` is set."""

    error: StoreError | None = None

    async def append(self, head: Head, events: Any, segments: Any = (), *, status: str | None = None) -> Head:
        """As MemoryStore's."""
        if self.error is not None:
            raise self.error
        return await super().append(head, events, segments, status=status)


async def test_a_disk_that_is_full_for_a_moment_costs_nothing() -> None:
    """Frames pass while the log cannot be written, and stand in it afterwards."""
    store = Failing()
    async with proxying(store) as running:
        async with running.through() as (caller, provider):
            store.error = StoreError("TL406", "the disk is full")
            for n in range(20):
                await say(caller, provider, {"type": "session.update", "n": n})
                await asyncio.sleep(0.01)
            store.error = None
        assert len(await frames_of(running, "p1", "out", await running.log())) == 20


async def test_a_session_that_another_owner_took_is_closed() -> None:
    """Both sides get 1011: nothing passes for long that nobody records. What was recorded before verifies."""
    store = Failing()
    async with proxying(store) as running:
        async with running.through() as (caller, provider):
            await say(caller, provider, {"type": "session.update"})
            (session,) = running.engine.proxied.sessions.values()
            store.error = WrongExpectedSeq(session.id, 3, 9)
            await say(caller, provider, {"type": "session.update", "n": 2})
            for end in (caller, provider):
                with pytest.raises(ConnectionClosed) as closed:
                    await end.recv()
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011
            with pytest.raises(WrongExpectedSeq):
                await session.ended()
        store.error = None
        assert (await store.verify(session.id)).ok


async def test_an_engine_that_is_left_ends_its_proxied_sessions() -> None:
    """Stopping the server while a call passes: 1001 on both legs, and the log has its end."""
    async with proxying() as running:
        async with running.through() as (caller, provider):
            await say(caller, provider, {"type": "session.update"})
            draining = asyncio.create_task(running.engine.drain(0.05))
            for end in (caller, provider):
                with pytest.raises(ConnectionClosed) as closed:
                    await end.recv()
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
            await draining
        assert (await running.log())[-1].reason == "engine_stopped"
