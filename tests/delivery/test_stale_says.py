"""Speech while the handler thinks: what becomes of an answer to what was said before it."""

import asyncio

import pytest

from tests.delivery.scenes import assert_sound, line, statuses
from turnlog import RealtimeSession
from turnlog.core import events as e
from turnlog.testing import Kit


def thinks(on_stale: str, seconds: float = 2.0):  # type: ignore[no-untyped-def] # a handler
    """A handler that thinks for a while about each turn."""

    async def desk(session: RealtimeSession) -> None:
        async for turn in session.turns():
            await asyncio.sleep(seconds)
            await session.say(f"About {turn.text}.", on_stale=on_stale)  # type: ignore[arg-type] # one of the three

    return desk


@pytest.mark.parametrize("on_stale", ["hold", "drop", "speak"])
async def test_speech_while_the_handler_thinks(turnlog: Kit, on_stale: str) -> None:
    """The answer is asked for amid the newer speech: held until its turn is over, dropped, or spoken into it."""
    async with turnlog.call(line(thinks(on_stale)), "line.talk") as call:
        await call.caller.says("one")
        await call.caller.is_silent(1.2)
        asked = asyncio.create_task(call.caller.says("two three four five six seven"))
        await call.caller.hears("about two three four five six seven", within_s=20)
        await asked
        await call.caller.falls_silent()
        first = [one for one in call.caller.heard if one.heard == "About one."]
        dispatched = next((one for one in call.of(e.SayDispatched) if one.say == "say_2"), None)
    turn_ended = [type(one) for one in call.events].index(e.TurnEnded)
    second_turn = [type(one) for one in call.events].index(e.TurnEnded, turn_ended + 1)
    if on_stale == "drop":
        assert not first and dispatched is None
        assert statuses(call)[0] == ("About one.", "cancelled", "stale")
    else:
        assert dispatched is not None and len(first) == 1
        assert (call.events.index(dispatched) > second_turn) is (on_stale == "hold")
        assert statuses(call)[0] == ("About one.", "played", "")
    assert statuses(call)[-1] == ("About two three four five six seven.", "played", "")
    assert_sound(call)


@pytest.mark.parametrize("on_stale", ["hold", "drop", "speak"])
async def test_speech_between_dispatch_and_first_audio(turnlog: Kit, on_stale: str) -> None:
    """Asked for and not begun when the user speaks: taken back and held or dropped, or spoken all the same."""
    from turnlog.testing import Pace, SpeakingProvider

    provider = SpeakingProvider(pace=Pace(created_ms=900))
    async with turnlog.call(line(thinks(on_stale, 0.01)), "line.talk", provider=provider) as call:
        await call.caller.says("one")
        await provider.gets("response.create")
        await call.caller.says("two")
        await call.caller.hears("about two", within_s=20)
        await call.caller.falls_silent()
        texts = [one.heard for one in call.caller.heard]
    if on_stale == "drop":
        assert statuses(call)[0] == ("About one.", "cancelled", "stale") and texts == ["About two."]
    elif on_stale == "hold":
        assert [status for _, status, _ in statuses(call)] == ["played", "played"] and texts == ["About one.", "About two."]
    else:
        assert statuses(call)[0][1] in ("played", "interrupted")
    assert_sound(call)


async def test_speech_that_never_ends_holds_a_say_for_half_a_minute(turnlog: Kit) -> None:
    """Speech of which no end comes holds no say back for longer than 30 s."""
    async with turnlog.call(line(thinks("hold")), "line.talk") as call:
        await call.caller.says("one")
        call.provider.line.server.speech_started("item_endless", 5000)
        call.provider.line.flush()
        began_ms = call.caller.now_ms
        heard = await call.caller.hears("about one", within_s=60)
        assert heard.started_ms is not None and 29_000 < heard.started_ms - began_ms < 32_000
        await call.caller.falls_silent()
    assert statuses(call) == [("About one.", "played", "")]
