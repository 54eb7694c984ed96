"""Where a handler stands: its own frames, while it awaits, when it has raised, and when it has returned."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from turnlog.core import events as e
from turnlog.core.definition import define_session
from turnlog.engine.handlers.handler_run import HandlerRun
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.standing import Kept, own_frames, standing_frames


async def deep(session: RealtimeSession) -> None:
    guest = "ann"
    await inner(guest, session)


async def inner(name: str, session: RealtimeSession) -> None:
    await asyncio.gather(session.input())


async def returns(session: RealtimeSession) -> None:
    last = session.session_id  # noqa: F841 -- what the test looks at
    del session


async def raises(session: RealtimeSession) -> None:
    number = 7
    raise ValueError(number)


def stood(handler: Callable[[RealtimeSession], Awaitable[None]]) -> list[tuple[str, int, dict[str, object]]]:
    """Function, line within it, and variables of each frame, after the handler's first drain."""
    definition = define_session("desk", provider="scripted", transport="in_process")
    kept = Kept(handler)
    run = HandlerRun(kept, e.SessionStarted(session="s", target="hotel.desk", definition=definition), 0)
    run.start(1)
    frames = standing_frames(run, kept)
    found = [(frame.f_code.co_name, line - frame.f_code.co_firstlineno, dict(frame.f_locals)) for frame, line in frames]
    run.close()
    return found


def test_an_awaiting_handler_shows_its_awaits() -> None:
    """Outermost first, with their variables; the frames of asyncio and of the engine are left out."""
    outer, within = stood(deep)
    assert outer[:2] == ("deep", 2) and outer[2]["guest"] == "ann"
    assert within[:2] == ("inner", 1) and within[2]["name"] == "ann"


@pytest.mark.parametrize(("handler", "line", "name", "value"), [(returns, 2, "last", "s"), (raises, 2, "number", 7)])
def test_a_handler_that_has_ended_shows_its_last_line(
    handler: Callable[[RealtimeSession], Awaitable[None]], line: int, name: str, value: object
) -> None:
    """Where it returned or raised, its variables still there."""
    ((function, at, variables),) = stood(handler)
    assert (function, at, variables[name]) == (handler.__name__, line, value)


def test_frames_of_libraries_are_not_the_handlers() -> None:
    """By their files: asyncio's and the engine's go."""
    mine = ("desk.py", 3, "desk")
    assert own_frames([mine, (asyncio.__file__, 1, "f"), (Kept.__call__.__code__.co_filename, 1, "g")]) == [mine]
