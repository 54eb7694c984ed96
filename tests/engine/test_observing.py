"""Observers: they see what the log has taken, in its order, and cannot disturb a session."""

import contextvars
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.engine.living import Ledger, Speaker, app_of, living, story
from turnlog.core import events as e
from turnlog.core.core import Staged
from turnlog.core.errors import StoreError
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession

TRACE: contextvars.ContextVar[str] = contextvars.ContextVar("TRACE", default="")


class Notes:
    """An observer that keeps what it is told, and names the event that asked for a tool in the tool's context."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, type[e.Event]]] = []
        self.seconds: list[float] = []
        self.closings: list[tuple[str, BaseException | None]] = []

    def appended(self, session: str, staged: Sequence[Staged], seconds: float) -> None:
        """Keep it."""
        self.events += [(session, one.seq, type(one.event)) for one in staged]
        self.seconds.append(seconds)

    @contextmanager
    def around(self, session: str, seq: int) -> Iterator[None]:
        """Set TRACE."""
        token = TRACE.set(f"{session}:{seq}")
        yield
        TRACE.reset(token)

    def closed(self, session: str, failure: BaseException | None) -> None:
        """Keep it."""
        self.closings.append((session, failure))


class Broken:
    """An observer that raises whatever it is told."""

    def appended(self, session: str, staged: Sequence[Staged], seconds: float) -> None:
        """Fail."""
        raise ValueError("appended")

    def around(self, session: str, seq: int) -> AbstractContextManager[None]:
        """Fail."""
        raise ValueError("around")

    def closed(self, session: str, failure: BaseException | None) -> None:
        """Fail."""
        raise ValueError("closed")


async def look_up() -> str:
    """A tool that tells the context it runs in."""
    return TRACE.get()


async def handler(session: RealtimeSession) -> None:
    """Call the tool, keep a step, and leave."""
    found = await session.call("look_up")
    stepped = await session.step(look_up)
    await session.say(f"{found} {stepped}")


async def waiting(session: RealtimeSession) -> None:
    """Leave after a turn."""
    await session.input()


async def test_observers_see_the_log() -> None:
    """Each event of the log once and in order, with the seconds of each append; a tool and a step inherit what surrounds them."""
    store, notes = Ledger(), Notes()
    app = app_of(handler, {"look_up": look_up})
    async with Engine(app, store=store, providers={"scripted": Speaker()}, observers=[notes]) as engine:
        session = await engine.start("hotel.desk")
        assert (await session.ended()).reason == "completed"
    logged = story(store, session.id)
    assert notes.events == [(session.id, seq, type(event)) for seq, event in enumerate(logged, 1)]
    assert len(notes.seconds) > 3 and all(seconds >= 0 for seconds in notes.seconds)
    assert notes.closings == [(session.id, None)]
    asked = {type(event): seq for seq, event in enumerate(logged, 1)}
    said = next(event for event in logged if isinstance(event, e.SayRequested))
    assert said.command.text == f"{session.id}:{asked[e.CallRequested]} {session.id}:{asked[e.StepRequested]}"


async def test_an_observer_that_raises_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The session runs to its end, the others are told all the same, and the failure is logged once."""
    store, notes = Ledger(), Notes()
    app = app_of(handler, {"look_up": look_up})
    with caplog.at_level(logging.ERROR):
        async with Engine(app, store=store, providers={"scripted": Speaker()}, observers=[Broken(), notes]) as engine:
            session = await engine.start("hotel.desk")
            assert (await session.ended()).reason == "completed"
    assert len(notes.events) == len(story(store, session.id))
    assert [record.getMessage() for record in caplog.records] == [
        "the observer Broken failed; its next failures are not logged"
    ]


async def test_a_log_that_cannot_be_written_closes_the_session_for_observers() -> None:
    """closed() names the failure, both where the session ran and where it could not begin."""
    store, notes = Ledger(), Notes()
    engine = Engine(app_of(handler, {"look_up": look_up}), store=store, providers={"scripted": Speaker()})
    async with engine:
        engine.observers.add(notes)
        store.failures["mine"] = failure = StoreError("TL406", "the disk is full")
        with pytest.raises(StoreError):
            await engine.start("hotel.desk", session="mine")
        assert notes.closings == [("mine", failure)]
        engine.observers.remove(notes)
        await (await engine.start("hotel.desk")).ended()
    assert notes.events == []


async def test_an_observer_that_comes_later_is_told_of_what_follows() -> None:
    """A session that began while nobody watched tells who has come since, and its end as well."""
    notes = Notes()
    async with living(waiting) as alive:
        await alive.until(e.LinkReady)
        alive.engine.observers.add(notes)
        before = len(alive.story)
        alive.caller.type("hello")
        await alive.ended()
        assert notes.closings == [(alive.session.id, None)]
    seen = [(alive.session.id, seq, type(event)) for seq, event in enumerate(alive.story, 1)]
    assert seen[before:]
    assert notes.events == seen[before:]
