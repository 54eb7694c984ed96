"""A running session from outside: callers come and go, it is ended, it fails, and it leaves nothing behind."""

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from tests.engine.living import PATIENCE_S, Caller, Ledger, Living, Speaker, app_of, living
from turnlog.core import events as e
from turnlog.core.errors import HandlerError, TurnlogError
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.transports.links.in_process import InProcessLink


async def wait(session: RealtimeSession) -> None:
    """Listen until the end."""
    async for _ in session.turns():
        pass


async def test_lines_are_named_in_order() -> None:
    """Callers are c1, c2, …, the provider p1."""
    async with living(wait, callers=2) as alive:
        await alive.until(e.LinkReady)
        opened = alive.of(e.LinkOpened)
        assert sorted((one.link, one.side) for one in opened) == [("c1", "caller"), ("c2", "caller"), ("p1", "provider")]


async def test_no_caller_comes_after_the_end() -> None:
    """attach on a session that has ended is TL102; the link is left to whoever brought it."""
    async with living(wait) as alive:
        alive.session.end()
        assert (await alive.ended()).reason == "ended"
        late = Caller()
        with pytest.raises(TurnlogError) as raised:
            alive.session.attach(late.theirs)
        assert raised.value.code == "TL102"
        assert late.closed is None
        await late.hang_up()


@pytest.mark.parametrize(("reason", "code"), [("booked", 1000), ("ended", 1000), ("engine_stopped", 1001)])
async def test_links_close_by_the_reason(reason: str, code: int) -> None:
    """Callers see 1000 for an end that somebody wanted, whatever its word, 1001 when the engine stops."""
    async with living(wait) as alive:
        alive.session.end(reason)
        assert (await alive.ended()).reason == reason
        closed = await alive.caller.until_closed()
    assert (closed.close_code, closed.reason) == (code, reason)


async def test_ending_twice_ends_once() -> None:
    """A second end is nothing, unless it is harder than a drain."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("Never spoken")
        await session.input()

    provider = Speaker()
    provider.may_answer.clear()
    async with living(desk, provider=provider) as alive:
        await provider.until("response.create")
        alive.session.end("softly")
        await alive.until(e.SessionEnding)
        alive.session.end("softly again")
        alive.session.end("now", drain=False)
        provider.may_answer.set()
        ended = await alive.ended()
    assert [one.reason for one in alive.of(e.SessionEnding)] == ["softly", "now"]
    assert ended.reason == "now"
    assert len(alive.of(e.SaySettled)) == 1


async def test_a_reason_is_a_word() -> None:
    """What could not be read back from the log is refused at once."""
    async with living(wait) as alive:
        with pytest.raises(TypeError, match="must be a string"):
            alive.session.end(5)  # type: ignore[arg-type] # on purpose


async def test_the_callers_hang_up_and_the_handler_does_not_care() -> None:
    """A handler that goes on without looking is given ten seconds; a caller who comes back within them is welcome."""

    async def desk(session: RealtimeSession) -> None:
        await asyncio.Event().wait()

    async with living(desk) as alive:
        await alive.until(e.LinkReady)
        await alive.caller.hang_up()
        await alive.until(e.CallersGone)
        again = await alive.call_in()
        await again.until("session.created")
        assert not alive.of(e.SessionEnding)


async def test_a_link_that_fails_to_close_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Closing goes on with the other links, and the session ends."""

    class Stuck(InProcessLink):
        __slots__ = ()

        async def close(self, code: int = 1000, reason: str = "") -> None:
            raise OSError("the socket is gone")

        async def receive(self) -> bytes:
            await asyncio.Event().wait()
            return b""

    async with living(wait) as alive:
        await alive.engine.attach(alive.session.id, Stuck(0))
        alive.session.end()
        await alive.ended()
        assert (await alive.caller.until_closed()).close_code == 1000
    assert "did not close in order" in caplog.text


async def test_a_peer_that_does_not_answer_a_close_is_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link whose close never comes back holds up the end for a bounded time only."""
    monkeypatch.setattr("turnlog.engine.live._PATIENCE_S", 0.02)
    provider = Speaker()
    provider.may_greet.clear()  # it serves nobody until it may, not even the end
    async with living(wait, provider=provider) as alive:
        await alive.until(e.ConfigurationDispatched)
        alive.session.end(drain=False)
        assert (await alive.ended()).reason == "ended"
    provider.may_greet.set()
    assert "did not close in order" in caplog.text
    await asyncio.sleep(0)


async def test_a_reader_that_breaks_ends_the_session(caplog: pytest.LogCaptureFixture) -> None:
    """An error that no link may raise ends the session as engine_fault, in the log."""

    class Broken(InProcessLink):
        __slots__ = ()

        async def receive(self) -> bytes:
            raise ZeroDivisionError("a bug")

    async with living(wait) as alive:
        await alive.engine.attach(alive.session.id, Broken(0))
        ended = await alive.ended()
        assert (await alive.caller.until_closed()).close_code == 1011
    assert (ended.reason, ended.detail) == ("engine_fault", "ZeroDivisionError: a bug")
    assert "a task failed" in caplog.text


async def test_a_handler_that_cannot_be_closed_is_a_failure(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in the teardown of a handler's loop is logged and raised by ended(); links and tools are ended all the same."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        handler = alive.session._run.handler
        close = handler.close

        def broken() -> None:
            close()
            raise AssertionError("a bug")

        monkeypatch.setattr(handler, "close", broken)
        alive.session.end()
        with pytest.raises(AssertionError, match="a bug"):
            await alive.ended()
        assert (await alive.caller.until_closed()).close_code == 1000
    assert "could not be closed" in caplog.text
    assert isinstance(alive.story[-1], e.SessionEnded)


async def test_a_cancelled_session_says_so() -> None:
    """Cancelling the task that drives a session closes its links and makes ended() raise, not hang; the log stays open."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        driving = next(task for task in asyncio.all_tasks() if task.get_name() == f"session {alive.session.id}")
        driving.cancel()
        with pytest.raises(TurnlogError, match="was cancelled"):
            await alive.ended()
        assert (await alive.caller.until_closed()).close_code == 1011
        assert (await alive.store.session(alive.session.id)).status == "active"


async def test_a_tool_that_outlives_the_session_changes_nothing() -> None:
    """A tool that finishes while the session closes is too late: nothing is appended behind SessionEnded."""

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "too late"

    async def desk(session: RealtimeSession) -> None:
        await session.call("stubborn")

    async with living(desk, tools={"stubborn": stubborn}) as alive:
        await alive.until(e.CallRequested)
        alive.session.end(drain=False)
        await alive.ended()
    assert isinstance(alive.story[-1], e.SessionEnded)
    assert not alive.of(e.CallCompleted)


async def test_tools_that_do_not_end_are_left(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that ignores its cancellation holds up the end for a bounded time only."""
    monkeypatch.setattr("turnlog.engine.live._PATIENCE_S", 0.02)
    go = asyncio.Event()
    running: list[asyncio.Task[None]] = []

    async def deaf() -> None:
        running.extend(task for task in [asyncio.current_task()] if task)
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    async def desk(session: RealtimeSession) -> None:
        await session.call("deaf")

    async with living(desk, tools={"deaf": deaf}) as alive:
        await alive.until(e.CallRequested)
        alive.session.end(drain=False)
        await alive.ended()
    assert "do not end" in caplog.text
    go.set()
    await asyncio.wait(running)


async def test_a_failing_log_is_said_in_the_engines_log(caplog: pytest.LogCaptureFixture) -> None:
    """The operator reads which session stopped and why, without a traceback."""
    store = Ledger()
    async with living(wait, store=store) as alive:
        await alive.until(e.LinkReady)
        store.failures[alive.session.id] = TurnlogError("TL406", "the disk is full", "make room")
        alive.caller.type("hello")
        with pytest.raises(TurnlogError, match="TL406"):
            await alive.ended()
    (record,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert alive.session.id in record.getMessage() and "the disk is full" in record.getMessage()
    assert record.exc_info is None


async def test_ended_may_be_awaited_by_many() -> None:
    """Every waiter gets the end; one that is cancelled takes it from nobody."""
    async with living(wait) as alive:
        first, second = asyncio.create_task(alive.session.ended()), asyncio.create_task(alive.session.ended())
        await asyncio.sleep(0)
        first.cancel()
        alive.session.end("done")
        async with asyncio.timeout(PATIENCE_S):
            assert (await second).reason == "done"


@pytest.mark.parametrize("wrong", [{"name": 5}, {"name": "\ud800"}, {"data": {1}}, {"key": 5}, {"key": "\ud800"}])
async def test_a_signal_that_cannot_be_stored_is_refused(wrong: dict[str, Any]) -> None:
    """TL105 to whoever sends it; the session does not see it and goes on."""
    async with living(wait) as alive:
        with pytest.raises(HandlerError, match="TL105"):
            alive.session.signal(**{"name": "x", **wrong})
        with pytest.raises(HandlerError, match="TL105"):
            alive.session.end("\ud800")
        alive.session.end()
        assert (await alive.ended()).reason == "ended"
        assert not alive.of(e.SignalReceived)


async def test_a_provider_that_is_called_is_reached_for_a_caller() -> None:
    """By WebRTC nobody is called before somebody is there; what it tells of its buffer is then no measure of what was heard."""

    class Player(Speaker):
        def send(self, raw: bytes) -> None:
            super().send(raw)
            if b'"response.created"' in raw:
                name = msgspec.json.decode(raw)["response"]["id"]
                super().send(msgspec.json.encode({"type": "output_audio_buffer.started", "response_id": name}))

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Good evening")).settled()

    provider, store = Player(), Ledger()
    app = app_of(desk, provider="openai", transport="webrtc")
    async with Engine(app, store=store, providers={"openai": provider}) as engine:
        alive = Living(engine, store, provider, await engine.start("hotel.desk"))
        await alive.until(e.SayRequested)
        assert provider.connects == 0
        await alive.call_in()
        caller = await alive.call_in()
        settled = await alive.until(e.SaySettled)
        await alive.ended()
    await caller.until_closed()
    assert (provider.connects, settled.status, settled.source) == (1, "played", "clock")
    assert alive.of(e.PlayoutBuffered) == []
    assert [event.transport for event in alive.of(e.LinkOpened) if event.side == "provider"] == ["webrtc"]
