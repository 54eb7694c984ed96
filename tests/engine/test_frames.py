"""Where a handler raised: the frames of its own files, in the log and in no comparison."""

import json
from pathlib import Path
from typing import Any

import pytest

from turnlog import App, RealtimeSession
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.engine.handlers.frames import MOST_FRAMES, is_own, raised_in
from turnlog.testing import Kit

HERE = Path(__file__)


def line_of(text: str) -> int:
    """The line of this file that holds a text first."""
    return next(n for n, line in enumerate(HERE.read_text().splitlines(), 1) if text in line and "line_of" not in line)


def parse(text: str) -> Any:
    """Raises within the standard library."""
    return json.loads(text)  # here it leaves our files


async def test_a_handler_that_raised_tells_where(turnlog: Kit) -> None:
    """Its own frames, outermost first, with lines and functions; those of the engine and of Python are left out, and values."""
    app = App("hotel")

    @app.session("desk", provider="openai", transport="websocket")
    async def desk(session: RealtimeSession) -> None:
        await session.say("Good morning")
        parse("no json at all")  # here it is called

    async with turnlog.call(app, "hotel.desk") as call:
        call.may_fail = True
        await call.ended()
    (failed,) = call.of(e.HandlerFailed)
    assert failed.traceback == [
        f"{HERE}:{line_of('# here it is called')} desk",
        f"{HERE}:{line_of('# here it leaves our files')} parse",
    ]


def test_deep_recursion_keeps_the_innermost_frames() -> None:
    """At most twenty, those next to where it was raised."""

    def deeper(n: int) -> None:
        if n == 0:
            raise ValueError("deep")
        deeper(n - 1)

    with pytest.raises(ValueError, match="deep") as raised:
        deeper(50)
    frames = raised_in(raised.value.__traceback__)
    assert len(frames) == MOST_FRAMES == 20
    assert frames[-1] == f"{HERE}:{line_of('raise ValueError(')} deeper"


def test_where_it_was_raised_is_not_compared() -> None:
    """A handler whose file has changed above that line raises the same."""
    then = c.Fail(type_name="KeyError", message="'ann'", frames=["desk.py:3 desk"])
    now = c.Fail(type_name="KeyError", message="'ann'", frames=["desk.py:9 desk"])
    other = c.Fail(type_name="KeyError", message="'bob'", frames=["desk.py:3 desk"])
    assert c.compared(then) == c.compared(now) != c.compared(other)


def test_whose_a_file_is() -> None:
    """Neither turnlog's own nor Python's; an installed package may be the handler's."""
    site = Path(json.__file__).parents[1] / "site-packages" / "hotel" / "desk.py"
    assert is_own(str(HERE)) and is_own(str(site))
    assert not is_own(json.__file__) and not is_own(str(Path(c.__file__)))
