"""Says from outside of the handler: spoken like others, once for a key, and none of the handler's commands."""

import asyncio

import pytest

from turnlog import App, RealtimeSession
from turnlog.core import events as e
from turnlog.core.errors import HandlerError
from turnlog.core.explain.said import why_said
from turnlog.core.explain.trail import Trail
from turnlog.engine.offline.what_if import what_if
from turnlog.testing import Kit

app = App("hotel")


@app.tool(filler="One moment", after_ms=900)  # type: ignore[untyped-decorator] # its decorator takes any function
async def look(room: int) -> str:
    """Takes its time."""
    await asyncio.sleep(2)
    return f"room {room} is free"


@app.session("desk", provider="openai", transport="websocket")
async def desk(session: RealtimeSession) -> None:
    """Answers each turn; looks a room up for who asks."""
    async for turn in session.turns():
        found = await session.call("look", 3) if "room" in turn.text else turn.text
        await session.say(found, key="answer")


async def test_a_say_from_outside_is_spoken_and_no_command_of_the_handlers(turnlog: Kit) -> None:
    """It is in the log with index 0 and the root API, is heard, and the handler's own say keeps its index in every replay."""
    async with turnlog.call(app, "hotel.desk") as call:
        said = call.engine.say(call.session.id, "The taxi is here", metadata={"from": "dispatch"})
        await call.caller.hears("taxi is here")
        await call.caller.says("thank you")
        await call.caller.hears("thank you")
    asked, own = call.of(e.SayRequested)
    assert (asked.say, asked.index, asked.command.metadata) == (said, 0, {"from": "dispatch"})
    assert (own.say, own.index) == ("say_2", 2)
    assert next((one.say, one.status) for one in call.of(e.SaySettled)) == (said, "played")
    assert next(one.cause for one in call.log if one.type == "SayRequested") == e.Root.API
    answer = why_said(Trail.of(call.log), said)
    assert answer.outside and not answer.filler_of
    again = await asyncio.to_thread(what_if, call.log, desk)
    assert {row.status for row in again.rows} == {"equal"} and not again.stopped


async def test_a_key_is_said_once_and_is_none_of_the_handlers_keys(turnlog: Kit) -> None:
    """The second one with a key gets the first one's id; the handler's say with that key is a say of its own."""
    async with turnlog.call(app, "hotel.desk") as call:
        first = call.session.say("Good morning", key="answer")
        assert call.session.say("Good evening", key="answer") == first
        await call.caller.hears("Good morning")
        assert call.session.say("Good night", key="answer") == first
        await call.caller.says("thank you")
        await call.caller.hears("thank you")
    assert [one.command.text for one in call.of(e.SayRequested)] == ["Good morning", "thank you"]


async def test_a_say_from_outside_is_no_filler(turnlog: Kit) -> None:
    """A slow tool's own filler is said all the same, when the line is silent again."""
    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.says("a room please")
        while not call.of(e.CallRequested):
            await call.caller.is_silent(0.05)
        said = call.session.say("Hold on", when="interrupt")
        await call.caller.hears("is free")
    assert [one.say for one in call.of(e.SayRequested)] == [said, "filler_call_2", "say_3"]


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [(" ", {}, "TL105"), ("x" * 100_001, {}, "TL111"), ("x", {"when": "now"}, "TL111"), ("x\ud800", {}, "TL105"),
     ("x", {"key": "\ud800"}, "TL105"), ("x", {"metadata": []}, "TL105")],
)  # fmt: skip
async def test_what_cannot_be_said_is_refused_at_once(turnlog: Kit, text: str, options: dict[str, object], code: str) -> None:
    """Nothing of it gets into the log."""
    async with turnlog.call(app, "hotel.desk") as call:
        with pytest.raises(HandlerError) as raised:
            call.session.say(text, **options)
        assert raised.value.code == code
    assert call.of(e.SayRequested) == []


async def test_only_words_are_said(turnlog: Kit) -> None:
    """Nothing but a string: a stream or a recording has no place outside of a handler."""
    async with turnlog.call(app, "hotel.desk") as call:
        with pytest.raises(HandlerError, match="it is no string"):
            call.session.say(7)  # type: ignore[arg-type] # what a program may pass all the same
