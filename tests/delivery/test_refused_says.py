"""Says that the provider refuses, because it answers by itself or for any other reason: none is lost, none is heard twice."""

import pytest

import turnlog
from tests.delivery.scenes import assert_sound, line, statuses
from turnlog.core import events as e
from turnlog.testing import Kit, Pace, SpeakingProvider

ACTIVE = "conversation_already_has_active_response"


async def greets_and_repeats(session: turnlog.RealtimeSession) -> None:
    """Repeat what is said."""
    await session.say("Hello there.")
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_a_refused_say_is_asked_for_again_and_heard(turnlog: Kit, mode: str) -> None:
    """A refusal leaves the say owed: the second attempt has the same words and another event id."""
    provider = SpeakingProvider()
    provider.mishaps.refusals.append(ACTIVE)
    async with turnlog.call(line(greets_and_repeats, say_mode=mode), "line.talk", provider=provider) as call:
        await call.caller.hears("hello there")
        await call.caller.falls_silent()
    creates = provider.events("response.create")
    assert [one["event_id"] for one in creates] == ["say_1:1", "say_1:2"]
    assert provider.says == ["Hello there.", "Hello there."]
    assert statuses(call) == [("Hello there.", "played", "")]
    assert_sound(call)


@pytest.mark.parametrize("hearing_ms", [1, 250, 1500])
@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_the_providers_own_answer_stands_in_the_way(turnlog: Kit, mode: str, hearing_ms: float) -> None:
    """A provider that answers a turn by itself refuses an in-band say: it is heard once that answer is over."""
    provider = SpeakingProvider(pace=Pace(hearing_ms=hearing_ms, speed=1.0), reply="my own answer")
    provider.mishaps.races = True
    async with turnlog.call(line(greets_and_repeats, say_mode=mode), "line.talk", provider=provider) as call:
        await call.caller.hears("hello there")
        await call.caller.says("one two")
        await call.caller.hears("you said one two")
        await call.caller.falls_silent()
    assert len(call.of(e.SayRefused)) == (1 if mode == "in_band" and hearing_ms < 1500 else 0)
    assert [status for _, status, _ in statuses(call)] == ["played", "played"]
    assert not any("own" in one.heard for one in call.caller.heard)
    assert_sound(call)


async def test_a_refusal_races_the_created_of_the_other_answer(turnlog: Kit) -> None:
    """Refused before anything is known of the response in the way, the say waits a second and is heard."""
    provider = SpeakingProvider(pace=Pace(speed=1.0, created_ms=400))
    provider.mishaps.refusals += [ACTIVE, ACTIVE]
    async with turnlog.call(line(greets_and_repeats, say_mode="in_band"), "line.talk", provider=provider) as call:
        await call.caller.hears("hello there")
        await call.caller.falls_silent()
    assert [one.attempt for one in call.of(e.SayRefused)] == [1, 2]
    assert statuses(call) == [("Hello there.", "played", "")]


async def test_a_say_that_is_always_refused_fails(turnlog: Kit) -> None:
    """After five refusals a say has failed with their code, and the next one has its own chance."""
    provider = SpeakingProvider()
    provider.mishaps.refusals += [ACTIVE] * 5
    async with turnlog.call(line(greets_and_repeats), "line.talk", provider=provider) as call:
        await call.caller.says("one")
        await call.caller.hears("you said one", within_s=60)
        await call.caller.falls_silent()
    assert statuses(call) == [("Hello there.", "failed", ACTIVE), ("You said one.", "played", "")]
    assert_sound(call)
