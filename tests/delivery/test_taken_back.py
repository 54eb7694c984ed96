"""handle.cancel() at every moment of a say, and what comes late of it."""

from collections.abc import Awaitable, Callable

import pytest

from tests.delivery.scenes import TEN_S, assert_sound, line, statuses
from turnlog import RealtimeSession
from turnlog.core import events as e
from turnlog.engine.handlers.handles import SayHandle
from turnlog.testing import Call, Kit, Pace, SpeakingProvider

Desk = Callable[[RealtimeSession], Awaitable[None]]


def says_then_takes_back(*, waits: bool = True) -> Desk:
    """A handler that takes its first say back at a signal, and says something else at once."""

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say(TEN_S)
        if waits:
            await session.signal("back")
        await handle.cancel()
        await session.say("Something else.")
        outcome = await handle.settled()
        await handle.cancel()  # of what is settled: nothing
        assert (await handle.settled()) == outcome and handle.status == outcome.status
        await session.input()

    return desk


@pytest.mark.parametrize("speed", [1.0, 8.0, None])
@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_a_say_taken_back_while_it_sounds(turnlog: Kit, mode: str, speed: float | None) -> None:
    """It stops where it is, the next say is heard at once, and cancelling what is settled changes nothing."""
    provider = SpeakingProvider(pace=Pace(speed=speed))
    async with turnlog.call(line(says_then_takes_back(), say_mode=mode), "line.talk", provider=provider) as call:
        await call.caller.hears("word4")
        call.session.signal("back")
        at_ms = call.caller.now_ms
        heard = await call.caller.hears("something else")
        await call.caller.falls_silent()
        assert heard.started_ms is not None and heard.started_ms - at_ms < 1200
        assert call.caller.heard[0].heard_ms < 1200 + 400
    [(_, status, code), second] = statuses(call)
    assert (status, code, second) == ("interrupted", "cancelled", ("Something else.", "played", ""))
    assert len(call.of(e.SayCancelRequested)) == 2
    assert_sound(call)


@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_a_say_taken_back_before_its_response_began(turnlog: Kit, mode: str) -> None:
    """The response that comes late is cancelled on arrival and silent; the next say is heard."""
    provider = SpeakingProvider(pace=Pace(created_ms=500, speed=1.0))
    async with turnlog.call(line(says_then_takes_back(), say_mode=mode), "line.talk", provider=provider) as call:
        await provider.gets("response.create")
        call.session.signal("back")
        await call.caller.hears("something else")
        await call.caller.falls_silent()
        assert [one.heard for one in call.caller.heard] == ["Something else."]
    assert [one.dead for one in call.of(e.ResponseStarted)] == [True, False]
    assert [one["response_id"] for one in provider.events("response.cancel")] == [call.of(e.ResponseStarted)[0].response]
    assert statuses(call) == [(TEN_S, "cancelled", "cancelled"), ("Something else.", "played", "")]
    assert_sound(call)


async def test_a_say_taken_back_at_once_or_while_another_sounds(turnlog: Kit) -> None:
    """Nothing of it is asked of the provider if it was still waiting."""

    async def desk(session: RealtimeSession) -> None:
        first = await session.say("The first one.")
        waiting = await session.say(TEN_S)
        await waiting.cancel()
        assert (await waiting.settled()).status == "cancelled"
        assert first.status == "open"
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("the first one")
        await call.caller.falls_silent()
        await call.caller.is_silent(2)
    assert call.provider.says == ["The first one."]
    assert statuses(call) == [(TEN_S, "cancelled", "cancelled"), ("The first one.", "played", "")]
    assert_sound(call)


async def test_a_cancel_that_nobody_waits_for(turnlog: Kit) -> None:
    """cancel() takes effect when it is called; its coroutine only tells when that is durable."""

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say(TEN_S)
        await session.signal("back")
        taken_back = handle.cancel()
        assert (await handle.settled()).code == "cancelled"
        await taken_back
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("word3")
        call.session.signal("back")
        await call.caller.is_silent(2)
    assert [status for _, status, _ in statuses(call)] == ["interrupted"]
    assert_sound(call)


# --- what comes late or twice ---


async def repeats_turns(session: RealtimeSession) -> None:
    """Ten seconds, then each turn repeated."""
    await session.say(TEN_S)
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


OUTPUT = (
    "response.created response.done response.output_item.added response.output_item.done conversation.item.added "
    "response.output_audio.done response.output_audio_transcript.done response.content_part.added response.content_part.done"
).split()
INPUT = (
    "input_audio_buffer.speech_started input_audio_buffer.speech_stopped input_audio_buffer.committed "
    "conversation.item.input_audio_transcription.completed session.updated session.created"
).split()


@pytest.mark.parametrize("kinds", [OUTPUT, INPUT, [*OUTPUT, *INPUT]], ids=["output", "input", "all"])
@pytest.mark.parametrize("late_ms", [0, 600, 3000])
@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_what_comes_twice_and_late_changes_nothing(turnlog: Kit, mode: str, late_ms: float, kinds: list[str]) -> None:
    """Doubled messages and audio of a dead response: nothing of it is delivered, each say is settled once, each turn is one."""
    provider = SpeakingProvider(pace=Pace(speed=1.0))
    provider.mishaps.repeats, provider.mishaps.late_ms = set(kinds), late_ms
    async with turnlog.call(line(repeats_turns, say_mode=mode), "line.talk", provider=provider) as call:
        await call.caller.interrupts("hold on please", after_ms=1000)
        [(at_ms, _)] = call.caller.flushes
        await call.caller.hears("you said hold on please")
        await call.caller.falls_silent()
        await call.caller.is_silent(4)
        assert call.caller.audible_ms(at_ms, response=call.caller.heard[0].response) == 0
        assert not any("late" in one.heard for one in call.caller.heard)
    assert [(status, code) for _, status, code in statuses(call)] == [("interrupted", "speech"), ("played", "")]
    assert [turn.text for turn in call.of(e.TurnEnded)] == ["hold on please"]
    assert len(call.of(e.PlayoutCut)) == 1 and len(call.of(e.CancelDispatched)) == 1
    assert_sound(call)


async def test_doubled_audio_words_are_dropped_or_heard_once_each(turnlog: Kit) -> None:
    """A response.done that comes twice, the second while the next say sounds, settles only its own."""
    provider = SpeakingProvider(pace=Pace(speed=8.0))
    provider.mishaps.repeats = {"response.done", "response.created"}

    async def desk(session: RealtimeSession) -> None:
        handles: list[SayHandle] = [await session.say(f"Number {n}.") for n in ("one", "two", "three")]
        assert [(await one.settled()).heard_text for one in handles] == ["Number one.", "Number two.", "Number three."]
        await session.input()

    async with turnlog.call(line(desk), "line.talk", provider=provider) as call:
        await call.caller.hears("number three")
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
        assert [one.heard for one in call.caller.heard] == ["Number one.", "Number two.", "Number three."]
    assert_sound(call)


# --- the ends of calls ---


async def sounding(call: Call) -> None:
    """A say has been heard for a second or so."""
    await call.caller.hears("word4")


async def pending(call: Call) -> None:
    """Both says are owed and none has begun."""
    await call.provider.gets("response.create")


LOSSES: dict[str, Callable[[Call], Awaitable[object]]] = {
    "socket": lambda call: call.provider.disconnects(1006),
    "expired": lambda call: call.provider.expires(),
    "caller": lambda call: call.caller.hangs_up(),
}


@pytest.mark.parametrize("loss", ["socket", "expired", "caller"])
@pytest.mark.parametrize("moment", [pending, sounding])
@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_a_lost_line_settles_each_say_once(
    turnlog: Kit, mode: str, moment: Callable[[Call], Awaitable[None]], loss: str
) -> None:
    """What sounded was interrupted where it was heard to, what waited has failed; the code is the reason."""

    async def desk(session: RealtimeSession) -> None:
        await session.say(TEN_S)
        await session.say("Never heard.")
        await session.input()

    provider = SpeakingProvider(pace=Pace(created_ms=400, speed=8.0))
    async with turnlog.call(line(desk, say_mode=mode), "line.talk", provider=provider) as call:
        await moment(call)
        await LOSSES[loss](call)
        ended = await call.ended()
        heard_ms = sum(one.heard_ms for one in call.caller.heard)
    code = "caller_gone" if loss == "caller" else "provider_lost"
    assert ended.reason == code
    [first, second] = call.of(e.SaySettled)
    assert (second.status, second.code, second.heard_ms, second.heard_text) == ("failed", code, 0, "")
    assert (first.status, first.code) == ("interrupted" if moment is sounding else "failed", code)
    if moment is sounding:
        assert first.heard_text.startswith("Word1 word2 word3") and TEN_S.startswith(first.heard_text)
        assert 1100 <= first.heard_ms <= 1700 and first.source == "clock"
        assert heard_ms >= first.heard_ms - first.error_ms
    else:
        assert (first.heard_ms, first.source) == (0, "none")
    assert_sound(call)


async def test_an_end_without_drain_cuts_what_sounds(turnlog: Kit) -> None:
    """session.end(drain=False) settles both says with its reason, and nothing sounds behind it."""

    async def desk(session: RealtimeSession) -> None:
        await session.say(TEN_S)
        await session.say("Never heard.")
        await session.signal("out")
        await session.end("thrown_out", drain=False)

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("word4")
        call.session.signal("out")
        assert (await call.ended()).reason == "thrown_out"
        await call.caller.falls_silent()
        assert call.caller.heard[0].received_ms < 1200 + 500
    assert statuses(call) == [(TEN_S, "interrupted", "thrown_out"), ("Never heard.", "cancelled", "thrown_out")]
    assert_sound(call)
