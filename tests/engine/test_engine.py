"""Engine: the composition. It starts sessions, ends them in order, and owns what it opened."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.engine.living import PATIENCE_S, Caller, Ledger, Speaker, app_of, of_type
from turnlog.core import events as e
from turnlog.core.errors import DefinitionError, HandlerError, StoreError, TurnlogError
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.testing import call, virtual_time


async def wait(session: RealtimeSession) -> None:
    """Listen until the end."""
    async for _ in session.turns():
        pass


def engine(store: Any = None, handler: Any = wait, **options: Any) -> Engine:
    """An engine with one declared session."""
    return Engine(app_of(handler, **options), store=store or Ledger(), providers={"scripted": Speaker()})


async def test_leaving_ends_the_sessions_in_order() -> None:
    """Every session gets SessionEnding engine_stopped, its handler sees the end, and the log is complete and verifies."""
    store = Ledger()
    async with engine(store) as running:
        sessions = [await running.start("hotel.desk") for _ in range(3)]
        caller = Caller()
        await running.attach(sessions[0].id, caller.theirs)
        await caller.until("session.created")
    assert running.sessions == {}
    assert (await caller.until_closed()).close_code == 1001
    for session in sessions:
        assert (await session.ended()).reason == "engine_stopped"
        assert len(of_type(store, session.id, e.HandlerReturned)) == 1
        assert (await store.verify(session.id)).ok
        assert (await store.session(session.id)).status == "ended"


@pytest.mark.parametrize("raised", [RuntimeError("the host broke"), asyncio.CancelledError()])
async def test_an_error_of_the_host_still_ends_the_sessions(raised: BaseException) -> None:
    """What leaves the context, Ctrl-C's CancelledError included, leaves complete logs behind and is raised on."""
    store = Ledger()
    with pytest.raises(type(raised)):
        async with engine(store) as running:
            session = await running.start("hotel.desk")
            raise raised
    assert len(of_type(store, session.id, e.SessionEnded)) == 1


async def test_ctrl_c_ends_the_sessions() -> None:
    """A host task that is cancelled while it waits leaves the engine in order."""
    store = Ledger()
    names: list[str] = []
    started = asyncio.Event()

    async def host() -> None:
        async with engine(store) as running:
            names.append((await running.start("hotel.desk")).id)
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(host())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE_S):
            await task
    assert of_type(store, names[0], e.SessionEnded)[0].reason == "engine_stopped"


async def test_a_session_is_in_the_log_when_start_returns() -> None:
    """SessionStarted is committed, the catalogue knows the session, and what it was started with stands in both."""
    store = Ledger()
    async with engine(store) as running:
        session = await running.start("hotel.desk", metadata={"room": "12"}, session="mine")
        assert session.id == "mine"
        started = of_type(store, "mine", e.SessionStarted)[0]
        row = await store.session("mine")
    assert (started.target, started.metadata) == ("hotel.desk", {"room": "12"})
    assert started.handler == f"{__name__}:wait"
    assert len(started.code_version) == 8
    assert (row.target, row.provider, row.transport) == ("hotel.desk", "scripted", "in_process")


async def test_ids_have_agentfields_form() -> None:
    """sess_YYYYMMDD_HHMMSS_ and eight hex digits."""
    async with engine() as running:
        assert __import__("re").fullmatch(r"sess_\d{8}_\d{6}_[0-9a-f]{8}", (await running.start("hotel.desk")).id)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"target": "hotel.bar"}, "TL204"),
        ({"target": "hotel.desk", "metadata": {"x": {1, 2}}}, "TL105"),
        ({"target": "hotel.desk", "session": "taken"}, "TL409"),
    ],
)
async def test_a_start_that_is_refused_starts_nothing(asked: dict[str, Any], code: str) -> None:
    """Unknown targets, metadata that cannot be stored, names that are taken: an error, and no trace in the store."""
    store = Ledger()
    async with engine(store) as running:
        await running.start("hotel.desk", session="taken")
        with pytest.raises((DefinitionError, HandlerError, StoreError)) as raised:
            await running.start(**asked)
        assert raised.value.code == code
        assert [row.session for row in await store.sessions()] == ["taken"]


async def test_a_beginning_that_cannot_be_written_is_raised() -> None:
    """start raises what the store raised; the handler never ran and nothing is left running."""
    store = Ledger()
    ran: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        ran.append("ran")

    async with engine(store, desk) as running:
        store.failures["unlucky"] = StoreError("TL406", "the disk is full", "make room")
        with pytest.raises(StoreError):
            await running.start("hotel.desk", session="unlucky")
        assert running.sessions == {}
    assert ran == []


async def test_only_a_running_engine_starts_sessions() -> None:
    """Before it is entered and after it was left: TL410, and no session in the store."""
    store = Ledger()
    stopped = engine(store)
    with pytest.raises(TurnlogError) as raised:
        await stopped.start("hotel.desk")
    assert raised.value.code == "TL410"
    async with stopped:
        pass
    with pytest.raises(TurnlogError) as raised:
        await stopped.start("hotel.desk")
    assert raised.value.code == "TL410"
    assert await store.sessions() == []


async def test_a_session_that_begins_while_the_engine_stops_is_ended() -> None:
    """start and stop at the same time: the new session is ended too, nobody waits for ever."""
    store = Ledger()
    running = engine(store)
    await running.__aenter__()
    await running.start("hotel.desk", session="old")
    store.may_append.clear()
    starting = asyncio.create_task(running.start("hotel.desk", session="new"))
    await store.until_held()
    leaving = asyncio.create_task(running.__aexit__(None, None, None))
    await asyncio.sleep(0)
    store.may_append.set()
    async with asyncio.timeout(PATIENCE_S):
        assert (await (await starting).ended()).reason == "engine_stopped"
        await leaving


async def test_callers_attach_to_running_sessions_only() -> None:
    """TL408 for a session that is not here."""
    async with engine() as running:
        caller = Caller()
        with pytest.raises(TurnlogError) as raised:
            await running.attach("nobody", caller.theirs)
        assert raised.value.code == "TL408"
        await caller.hang_up()


async def test_a_url_is_opened_and_closed_by_the_engine(tmp_path: Path) -> None:
    """A store given by URL is closed on leaving, so that the next engine can own the file; a given Store stays open."""
    url = f"sqlite:///{tmp_path}/calls.db"
    for name in ("first", "second"):
        async with engine(url) as running:
            await running.start("hotel.desk", session=name)
    async with engine(url) as running:
        assert [row.session for row in await running.store.sessions()] == ["second", "first"]
    store = Ledger()
    async with engine(store):
        pass
    async with engine(store) as running:
        await running.start("hotel.desk")


async def test_one_engine_a_file(tmp_path: Path) -> None:
    """A second engine on the same file is refused with TL401 and leaves the first one alone."""
    url = f"sqlite:///{tmp_path}/calls.db"
    async with engine(url) as running:
        with pytest.raises(StoreError) as raised:
            async with engine(url):
                pass
        assert raised.value.code == "TL401"
        assert (await running.start("hotel.desk")).id in running.sessions


def test_an_app_with_missing_tools_is_no_engine() -> None:
    """TL204 at the construction, before anything runs."""
    with pytest.raises(DefinitionError) as raised:
        engine(model_tools=["absent"])
    assert raised.value.code == "TL204"


async def test_a_provider_that_is_not_given_is_built_in() -> None:
    """Without one in providers= the definition's own is used; scripted has none: TL202, and no session."""
    store = Ledger()
    async with Engine(app_of(wait), store=store) as running:
        with pytest.raises(DefinitionError) as raised:
            await running.start("hotel.desk")
        assert raised.value.code == "TL202"
        assert await store.sessions() == []


async def test_a_session_may_be_started_with_another_model_and_voice() -> None:
    """The log has them as its definition; other fields, and no names at all, are refused (TL201), and nothing was started."""
    async with engine(voice="ash") as running:
        live = await running.start("hotel.desk", overrides={"model": "m2", "voice": "verse"})
        assert (live.definition.model, live.definition.voice) == ("m2", "verse")
        assert running.app.sessions["desk"].definition.voice == "ash"
        for wrong in ({"provider": "openai"}, {"voice": ""}):
            with pytest.raises(DefinitionError, match="TL201"):
                await running.start("hotel.desk", overrides=wrong)
        assert len(await running.store.sessions()) == 1


@virtual_time
async def test_a_session_that_is_started_for_a_caller_ends_where_none_comes() -> None:
    """After the time that was set, as no_caller."""
    async with call(app_of(wait), "hotel.desk", calls_in=False) as one:
        live = await one.engine.start("hotel.desk", caller_within_s=60)
        began_s = asyncio.get_running_loop().time()
        assert (await live.ended()).reason == "no_caller"
        assert 60 <= asyncio.get_running_loop().time() - began_s < 61
