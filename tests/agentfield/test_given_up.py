"""Tests for calls of other nodes' reasoners that are over before it is known what runs for them, and for sessions left open."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import turnlog
from tests.agentfield.control_plane import Plane, plane
from tests.server.hosting import silent_speech
from turnlog.core.errors import LinkError, TurnlogError
from turnlog.engine.engine import Engine
from turnlog.engine.live import LiveSession
from turnlog.transports.called import Called
from turnlog.transports.control_plane import ControlPlane, Submitted
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.reasoners import Reasoners

__all__: list[str] = []

KEY = {"Idempotency-Key": "sess_1:1"}


@asynccontextmanager
async def calling() -> AsyncIterator[tuple[Plane, Engine, LiveSession]]:
    """A session whose handler calls a reasoner that runs on; afterwards the engine has left no task."""
    app, before = turnlog.App("hotel"), asyncio.all_tasks()

    @app.session("desk", provider="local", transport="in_process")
    async def desk(session: turnlog.RealtimeSession) -> None:
        await session.call("other.find", name="Ann")

    silent = LocalProvider(speech=silent_speech())
    async with plane() as (there, url), asyncio.timeout(10):
        there.finishes.clear()
        around = asyncio.all_tasks()
        async with Engine(app, store="memory://", control_plane=ControlPlane(url=url), providers={"local": silent}) as engine:
            yield there, engine, await engine.start("hotel.desk")
        new = asyncio.all_tasks() - around
        assert not [task for task in new if "an execution elsewhere" in repr(task)], new
        there.answers.set()
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}


async def test_what_is_known_late_is_cancelled_late() -> None:
    """The session has ended before the control plane said which execution it began: that is cancelled when it says so, once."""
    async with calling() as (there, _, live):
        there.answers.clear()
        assert await there.begun.get() == "exec_1"
        live.end("enough", drain=False)
        await live.ended()
        assert there.cancelled.empty()
        there.answers.set()
        assert await there.cancelled.get() == "exec_1"
    assert there.cancelled.empty()


@pytest.mark.parametrize("answered", [True, False])
async def test_a_session_that_is_left_cancels_nothing(answered: bool) -> None:
    """Whoever goes on with it finds the execution by its key; whether or not the request for it had been answered."""
    async with calling() as (there, _, live):
        if not answered:
            there.answers.clear()
        await (there.asked_twice.wait() if answered else there.begun.get())
        live.leave()
        with pytest.raises(TurnlogError, match="TL508"):
            await live.ended()
    assert there.cancelled.empty() and there.ran == 1


async def test_the_next_attempt_of_a_call_goes_on_with_its_execution() -> None:
    """The answer to the first attempt's request comes behind that, and cancels nothing as long as the call is not over."""
    async with plane() as (there, url), asyncio.timeout(10):
        reasoners = Reasoners(ControlPlane(url=url))
        there.answers.clear()
        there.finishes.clear()
        attempts = []
        for _ in range(2):
            attempts.append(asyncio.create_task(reasoners.run("other.find", {}, KEY)))
            assert await there.begun.get() == "exec_1"
            if len(attempts) == 1:
                attempts[0].cancel()
        there.answers.set()
        await there.asked_twice.wait()
        there.finishes.set()
        assert (await attempts[1])["target"] == "other.find"
        there.finishes.clear()
        third = asyncio.create_task(reasoners.run("other.find", {}, KEY))
        assert await there.begun.get() == "exec_1" and there.cancelled.empty()
        third.cancel()
        await asyncio.wait([third])
        reasoners.left(KEY["Idempotency-Key"])
        assert await there.cancelled.get() == "exec_1"
        await reasoners.close()
    assert there.cancelled.empty()


class Requests:
    """Requests that are answered when a test says so, and what was cancelled."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        self.cancelled: list[str] = []

    async def ask(self) -> Submitted:
        """One request."""
        return await asyncio.shield(self.answer)

    async def cancel(self, execution: str) -> None:
        """Cancel an execution."""
        self.cancelled.append(execution)

    async def given_up(self, called: Called, key: str) -> None:
        """Begin, and give up before the answer."""
        attempt = asyncio.create_task(called.begin(key, self.ask))
        await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.wait([attempt])
        assert attempt.cancelled()


async def test_an_answer_is_waited_for_so_long_and_no_longer(caplog: pytest.LogCaptureFixture) -> None:
    """Then a warning says that nothing could be cancelled; closing waits even less, and leaves no task."""
    before = asyncio.all_tasks()
    for late_s, close_s in ((0.01, 5.0), (5.0, 0.01)):
        requests, caplog_before = Requests(), len(caplog.messages)
        called = Called(requests.cancel, lambda answer: "exec_1", late_s=late_s, close_s=close_s)
        await requests.given_up(called, "key")
        called.left("key")
        async with asyncio.timeout(3):
            await called.close()
        assert asyncio.all_tasks() == before and requests.cancelled == []
        warned = [one.levelno for one in caplog.records[caplog_before:]]
        assert warned == ([logging.WARNING] if late_s < close_s else [])


async def test_a_call_without_a_key_is_over_when_it_is_given_up() -> None:
    """No other attempt could find what it began: that is cancelled at once. One that failed has begun nothing."""
    requests = Requests()
    called = Called(requests.cancel, lambda answer: "exec_1")
    await requests.given_up(called, "")
    requests.answer.set_result(Submitted(status=202, body=b"", content_type=""))
    await called.close()
    assert requests.cancelled == ["exec_1"]
    failing = Requests()
    called = Called(failing.cancel, lambda answer: "exec_1")
    await failing.given_up(called, "key")
    failing.answer.set_exception(LinkError("TL330", "gone", "none"))
    await asyncio.sleep(0)
    called.left("key")
    await called.close()
    assert failing.cancelled == []
