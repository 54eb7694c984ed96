"""Where the model answers: its words go through the same ledger, and a say takes its turn beside them."""

import asyncio

import pytest

from tests.delivery.scenes import assert_sound, line, words
from turnlog import RealtimeSession, SessionEnded
from turnlog.core import events as e
from turnlog.engine.handlers.handles import Utterance
from turnlog.testing import Kit, Pace, SpeakingProvider

LONG = words(20, "model")


async def test_utterances_tell_what_was_heard_of_the_model(turnlog: Kit) -> None:
    """A whole answer and one cut short: generated, delivered and heard, and the history is truncated to what was heard."""
    told: list[Utterance] = []

    async def watch(session: RealtimeSession) -> None:
        told.extend([utterance async for utterance in session.utterances()])

    provider = SpeakingProvider(pace=Pace(speed=8.0), reply=lambda text: LONG if "long" in text else "Short answer.")
    async with turnlog.call(line(watch, answers="model"), "line.talk", provider=provider) as call:
        await call.caller.says("hello")
        await call.caller.hears("short answer")
        await call.caller.falls_silent()
        await call.caller.says("a long one")
        await call.caller.interrupts("stop", after_ms=1000)
        await call.caller.hears("short answer")
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
        cut = next(one for one in call.caller.heard if one.heard.startswith("Model1"))
    live = told[: len(told) // 2]  # the replay told the same
    assert live == told[len(live) :]
    assert [(one.interrupted, one.say) for one in live] == [(False, None), (True, None), (False, None)]
    whole, short = live[0], live[1]
    assert (whole.heard_text, whole.generated_ms, whole.delivered_ms, whole.heard_ms) == ("Short answer.", 600, 600, 600)
    assert short.heard_ms < short.delivered_ms <= short.generated_ms  # what the model says is not paced
    assert abs(short.heard_ms - cut.heard_ms) <= short.error_ms
    [truncate] = provider.events("conversation.item.truncate")
    assert truncate["audio_end_ms"] == short.heard_ms
    assert [turn.interrupted for turn in call.of(e.TurnEnded)][-1] == [short.response]
    assert_sound(call)


async def test_a_say_during_a_model_answer_waits_for_its_end(turnlog: Kit) -> None:
    """It is asked for once the provider has confirmed that it will not answer meanwhile, and the model's answer was heard."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()
        await session.signal("say")
        await session.say("A word from us.")
        try:
            while True:
                await session.input()
        except SessionEnded:
            pass

    provider = SpeakingProvider(pace=Pace(speed=8.0), reply=LONG)
    async with turnlog.call(line(desk, answers="model"), "line.talk", provider=provider) as call:
        await call.caller.says("hello")
        await call.caller.hears("model3")
        call.session.signal("say")
        await call.caller.hears("model20")
        await call.caller.hears("a word from us")
        await call.caller.falls_silent()
        provider.reply = "Back again."
        await call.caller.is_silent(1)
        await call.caller.says("and now")
        await call.caller.hears("back again")
        await call.caller.falls_silent()
    held = [one.answer_held for one in call.of(e.ConfigurationDispatched)]
    assert held == [False, True, False]
    kinds = [type(one).__name__ for one in call.events]
    dispatched = kinds.index("SayDispatched")
    assert "ConfigurationConfirmed" in kinds[:dispatched]
    assert [one.status for one in call.of(e.SaySettled)] == ["played"]
    assert_sound(call)


async def test_who_answers_is_switched_when_the_provider_has_confirmed_it(turnlog: Kit) -> None:
    """update(answers=…) returns after session.updated; from then on the other one answers."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()
        await session.update(answers="handler")
        turn = await session.input()
        await session.say(f"We heard {turn.text}.")
        await session.signal("back")
        await session.update(answers="model")
        await session.input()
        await session.input()

    provider = SpeakingProvider(reply="The model.")
    async with turnlog.call(line(desk, answers="model"), "line.talk", provider=provider) as call:
        await call.caller.says("one")
        await call.caller.hears("the model")
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
        await call.caller.says("two")
        await call.caller.hears("we heard two")
        await call.caller.falls_silent()
        call.session.signal("back")
        await call.caller.is_silent(1)
        await call.caller.says("three")
        await call.caller.hears("the model")
        await call.caller.falls_silent()
    assert [one.answers for one in call.of(e.AnswersSwitched)] == ["handler", "model"]
    updates = [one["session"]["audio"]["input"]["turn_detection"] for one in provider.events("session.update")]
    assert [one["create_response"] for one in updates] == [True, False, True]
    kinds = [type(one).__name__ for one in call.events]
    assert kinds.index("UpdateApplied") > kinds.index("ConfigurationConfirmed") - 1
    assert_sound(call)


@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_speech_over_a_say_amid_model_answers(turnlog: Kit, mode: str) -> None:
    """A say that speech cuts: the model answers that turn, as it does all others."""

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say(LONG)
        outcome = await handle.settled()
        assert (outcome.status, outcome.code) == ("interrupted", "speech")
        try:
            while True:
                await session.input()
        except SessionEnded:
            pass

    provider = SpeakingProvider(reply="The model.")
    async with turnlog.call(line(desk, answers="model", say_mode=mode), "line.talk", provider=provider) as call:
        await call.caller.interrupts("hold on", after_ms=1000)
        await call.caller.hears("the model")
        await call.caller.falls_silent()
    assert_sound(call)


async def test_a_turn_over_an_uninterruptible_say_is_answered_by_the_model(turnlog: Kit) -> None:
    """While a say is open the provider answers nothing: what was said meanwhile is answered when it is over."""

    async def desk(session: RealtimeSession) -> None:
        await session.say(LONG, interruptible=False)
        try:
            while True:
                await session.input()
        except SessionEnded:
            pass

    provider = SpeakingProvider(pace=Pace(speed=1.0), reply="The model.")
    async with turnlog.call(line(desk, answers="model"), "line.talk", provider=provider) as call:
        await call.caller.interrupts("what now", after_ms=1000)
        await call.caller.hears("model20")
        await call.caller.hears("the model")
        await call.caller.falls_silent()
    assert len(provider.events("response.create")) == 2
    assert_sound(call)


@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
@pytest.mark.parametrize("after_ms", [0, 300, 3000])
async def test_late_words_of_a_caller_about_a_say(turnlog: Kit, mode: str, after_ms: float) -> None:
    """A truncation of an item that is in no history is not handed on to the provider, who would refuse it."""

    async def desk(session: RealtimeSession) -> None:
        await session.say(LONG)
        try:
            while True:
                await session.input()
        except SessionEnded:
            pass

    provider = SpeakingProvider(reply="The model.")
    async with turnlog.call(line(desk, answers="model", say_mode=mode), "line.talk", provider=provider) as call:
        await call.caller.hears("model3")
        item = call.caller.events("response.output_audio.delta")[-1]["item_id"]
        speaking = asyncio.create_task(call.caller.says("hold on"))
        await call.caller.gets("input_audio_buffer.speech_started")
        await asyncio.sleep(after_ms / 1000)
        call.caller.sends({"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": 500})
        await speaking
        await call.caller.hears("the model")
        await call.caller.falls_silent()
    assert not call.of(e.PeerFaulted)
    told = [one["audio_end_ms"] for one in provider.events("conversation.item.truncate")]
    if mode == "in_band":
        assert told[-1] == 500 and told == sorted(told, reverse=True)
    else:
        assert not told
    assert_sound(call)
