"""What a caller says it heard: it is believed, also when it comes late, and it comes before the turn that interrupted."""

import asyncio

import pytest

from tests.delivery.scenes import TEN_S, assert_sound, line, real_time, statuses
from turnlog import RealtimeSession
from turnlog.core import events as e
from turnlog.testing import Call, Kit, SpeakingProvider


async def ten_seconds(session: RealtimeSession) -> None:
    """Ten seconds, then each turn with what it interrupted."""
    handle = await session.say(TEN_S)
    async for turn in session.turns():
        assert handle.status == "interrupted"  # it is settled before the turn that interrupted it is delivered
        assert turn.metadata["interrupted"] == [handle.id]
        await session.say(f"At {handle.heard_ms}.")
        await session.input()


async def tells(call: Call, *, after_ms: float, played_ms: int) -> None:
    """Tell by hand what was played, some time after the flush."""
    await call.caller.gets("input_audio_buffer.speech_started")
    item = call.caller.events("response.output_audio.delta")[-1]["item_id"]
    await asyncio.sleep(after_ms / 1000)
    call.caller.sends({"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": played_ms})


@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_an_acknowledgement_is_what_was_heard(turnlog: Kit, mode: str) -> None:
    """A caller that truncates at its flush: heard_ms is its figure to the millisecond, the source is ack."""
    provider = real_time() if mode == "in_band" else SpeakingProvider()
    async with turnlog.call(line(ten_seconds, say_mode=mode), "line.talk", provider=provider) as call:
        call.caller.acknowledges = True
        await call.caller.interrupts("hold on", after_ms=1000)
        [told] = call.of(e.PlayoutAcknowledged)
        await call.caller.hears(f"at {told.played_ms}")
        await call.caller.falls_silent()
        assert told.played_ms == int(call.caller.heard[0].heard_ms)
    settled = call.of(e.SaySettled)[0]
    assert (settled.status, settled.heard_ms, settled.source) == ("interrupted", told.played_ms, "ack")
    if mode == "in_band":
        [truncate] = provider.events("conversation.item.truncate")
        assert truncate["audio_end_ms"] == told.played_ms
    assert_sound(call)


@pytest.mark.parametrize(("after_ms", "source"), [(0, "ack"), (200, "ack"), (400, "clock"), (4000, "clock")])
@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_an_acknowledgement_may_come_late(turnlog: Kit, mode: str, after_ms: float, source: str) -> None:
    """It is waited for a quarter of a second; what comes later changes no outcome, and settles nothing twice."""
    provider = SpeakingProvider()
    async with turnlog.call(line(ten_seconds, say_mode=mode), "line.talk", provider=provider) as call:
        telling = asyncio.create_task(tells(call, after_ms=after_ms, played_ms=700))
        await call.caller.interrupts("hold on", after_ms=1000)
        await telling
        await call.caller.hears("at")
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
    settled = call.of(e.SaySettled)[0]
    assert (settled.status, settled.source) == ("interrupted", source)
    assert (settled.heard_ms == 700) is (source == "ack")
    assert [status for _, status, _ in statuses(call)] == ["interrupted", "played"]
    if mode == "out_of_band":
        assert not provider.events("conversation.item.truncate")
    assert not call.of(e.PeerFaulted)
    assert_sound(call)


@pytest.mark.parametrize("hearing_ms", [0, 150, 1000])
async def test_the_outcome_comes_before_the_turn(turnlog: Kit, hearing_ms: float) -> None:
    """However fast the words of the interruption are known, the handler has the say's outcome by then."""
    from turnlog.testing import Pace

    provider = SpeakingProvider(pace=Pace(hearing_ms=hearing_ms))

    async def cuts_short_turns(session: RealtimeSession) -> None:
        handle = await session.say(TEN_S)
        await session.input()
        assert handle.outcome is not None
        await session.input()

    app = line(cuts_short_turns, turn_detection={"type": "server_vad", "silence_duration_ms": 20})
    async with turnlog.call(app, "line.talk", provider=provider) as call:
        await call.caller.interrupts("no", after_ms=1000)
        await call.caller.is_silent(3)
    kinds = [type(one) for one in call.events]
    assert kinds.index(e.SaySettled) < kinds.index(e.TurnEnded)
    assert_sound(call)
