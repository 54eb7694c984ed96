"""Providers that go silent and callers that tell nonsense: a named outcome each, and the call goes on."""

import asyncio
import json
from typing import Any

import pytest

from tests.delivery.scenes import FIVE_S, TEN_S, assert_sound, event_times, line, statuses
from turnlog import RealtimeSession
from turnlog.core import events as e
from turnlog.testing import Kit, Pace, SpeakingProvider


async def repeats_turns(session: RealtimeSession) -> None:
    """Five seconds, then each turn repeated."""
    await session.say(FIVE_S)
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


async def test_a_provider_that_never_answers(turnlog: Kit) -> None:
    """Asked five times, ten seconds each, a say has failed with no_answer."""
    provider = SpeakingProvider(pace=Pace(created_ms=10_000_000))
    async with turnlog.call(line(repeats_turns), "line.talk", provider=provider) as call:
        await call.caller.is_silent(80)
        settled = statuses(call)
    assert settled == [(FIVE_S, "failed", "no_answer")]
    assert [one.attempt for one in call.of(e.SayDispatched)] == [1, 2, 3, 4, 5]
    assert {one.code for one in call.of(e.SayRefused)} == {"no_answer"}


async def test_a_provider_that_never_greets(turnlog: Kit) -> None:
    """A provider that was reached and confirms no session within 30 s is lost: the say has failed, the caller is let go."""
    provider = SpeakingProvider()
    provider.mishaps.greets.clear()
    async with turnlog.call(line(repeats_turns), "line.talk", provider=provider) as call:
        ended = await call.ended()
        provider.mishaps.greets.set()
    [reached_ns], [given_up_ns] = event_times(call, e.ConfigurationDispatched), event_times(call, e.SessionEnding)
    assert given_up_ns - reached_ns == 30 * 10**9
    assert (ended.reason, ended.code) == ("provider_lost", "no_answer")
    assert statuses(call) == [(FIVE_S, "failed", "provider_lost")]


async def test_an_answer_that_comes_too_late_is_silent(turnlog: Kit) -> None:
    """The response of an attempt that was given up is cancelled when it begins; the attempt after it is heard."""
    provider = SpeakingProvider(pace=Pace(created_ms=11_000))
    async with turnlog.call(line(repeats_turns), "line.talk", provider=provider) as call:
        await provider.gets("response.create", n=2)
        provider.pace = Pace()
        await call.caller.hears("word16", within_s=60)
        await call.caller.falls_silent()
        assert len(call.caller.heard) == 1
    assert_sound(call)
    assert statuses(call) == [(FIVE_S, "played", "")]


@pytest.mark.parametrize("audio_ms", [10_000_000, 0])
async def test_a_response_that_begins_and_never_ends(turnlog: Kit, audio_ms: float) -> None:
    """After 15 s of which nothing comes the say has failed as stalled, its response is cancelled, and the next say is heard."""
    provider = SpeakingProvider(pace=Pace(audio_ms=audio_ms, speed=1.0))
    async with turnlog.call(line(repeats_turns), "line.talk", provider=provider) as call:
        if audio_ms:
            await provider.gets("response.create")
        else:
            await call.caller.hears("word4")
            for task in provider.line._answers.values():
                task.cancel()
        began_ms = call.caller.now_ms
        await provider.gets("response.cancel")
        assert 14_900 < call.caller.now_ms - began_ms < 16_000
        provider.pace = Pace()
        await call.caller.says("hello")
        await call.caller.hears("you said hello")
        await call.caller.falls_silent()
    [stalled, answered] = call.of(e.SaySettled)
    assert (stalled.status, stalled.code, answered.status) == ("failed", "stalled", "played")
    assert (stalled.heard_ms > 1000) is (audio_ms == 0)
    assert_sound(call)


async def test_audio_of_what_nobody_knows(turnlog: Kit) -> None:
    """Audio for an unknown response and for an unknown item of a known one neither breaks the call nor sounds on its own."""
    async with turnlog.call(line(repeats_turns), "line.talk", provider=SpeakingProvider(pace=Pace(speed=1.0))) as call:
        await call.caller.hears("word2")
        place: dict[str, Any] = {"item_id": "item_nobody", "output_index": 7, "content_index": 0, "delta": "AAAA" * 1600}
        told = {"type": "response.output_audio.delta", "event_id": "stray", "response_id": "resp_nobody", **place}
        call.provider.line.link.send(json.dumps(told).encode())
        await call.caller.hears("word16")
        await call.caller.falls_silent()
        assert [one.heard for one in call.caller.heard] == [FIVE_S]
        await call.caller.says("hello")
        await call.caller.hears("you said hello")
        await call.caller.falls_silent()
    assert [status for _, status, _ in statuses(call)] == ["played", "played"]
    assert_sound(call)


ABSURD: list[dict[str, Any]] = [
    {"type": "conversation.item.truncate", "content_index": 0, "audio_end_ms": 10**9},
    {"type": "conversation.item.truncate", "content_index": 0, "audio_end_ms": -5},
    {"type": "conversation.item.truncate", "content_index": 9, "audio_end_ms": 5},
    {"type": "turnlog.playout", "content_index": 0, "played_ms": 10**9},
    {"type": "turnlog.playout", "content_index": 0, "played_ms": -1},
    {"type": "turnlog.playout", "content_index": 3, "played_ms": 5},
]


@pytest.mark.parametrize("told", ABSURD, ids=lambda one: f"{one['type']}:{sorted(one.items())[0][1]}:{sorted(one.items())[1][1]}")
async def test_absurd_reports_of_a_caller_are_refused(turnlog: Kit, told: dict[str, Any]) -> None:
    """A report beyond what was sent gets an error event and changes nothing of what is said."""
    async with turnlog.call(line(repeats_turns), "line.talk") as call:
        await call.caller.hears("word3")
        item = call.caller.events("response.output_audio.delta")[-1]["item_id"]
        call.caller.sends({**told, "item_id": item})
        await call.caller.gets("error")
        call.caller.sends({**told, "item_id": "item_of_nobody"})
        await call.caller.gets("error", n=2)
        await call.caller.hears("word16")
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
    assert not call.of(e.PlayoutAcknowledged)
    assert statuses(call) == [(FIVE_S, "played", "")]
    assert_sound(call)


@pytest.mark.parametrize("overshoot_ms", [-200, 0, 80])
async def test_reports_of_a_player_are_measured_by(turnlog: Kit, overshoot_ms: int) -> None:
    """turnlog.playout every 100 ms: the outcome is by ack, never more than was delivered, and the mouth is free after it."""
    ended: list[bool] = []

    async def reports(call: Any) -> None:
        while not ended:
            await asyncio.sleep(0.1)
            caller = call.caller
            deltas = caller.events("response.output_audio.delta")
            if not deltas or caller.closed:
                continue
            item = deltas[-1]["item_id"]
            played_ms = caller.playout.item_ms(item, caller.now_ns)
            caller.sends({"type": "turnlog.playout", "item_id": item, "played_ms": max(0, played_ms + overshoot_ms)})

    async with turnlog.call(line(repeats_turns), "line.talk") as call:
        reporting = asyncio.create_task(reports(call))
        await call.caller.hears("word16")
        await call.caller.is_silent(1.5)
        ended.append(True)
        await reporting
    [settled] = call.of(e.SaySettled)
    assert (settled.status, settled.source) == ("played", "ack")
    assert settled.heard_ms <= settled.generated_ms and settled.generated_ms - settled.heard_ms <= 200
    assert_sound(call)


async def test_a_caller_that_cancels_hears_no_more(turnlog: Kit) -> None:
    """response.cancel of a caller ends the response at once; the say was interrupted by the caller, and the next is heard."""

    async def desk(session: RealtimeSession) -> None:
        assert (await (await session.say(TEN_S)).settled()).code == "caller"
        await session.say("All right.")
        await session.input()

    async with turnlog.call(line(desk), "line.talk", provider=SpeakingProvider(pace=Pace(speed=1.0))) as call:
        await call.caller.hears("word4")
        call.caller.sends({"type": "response.cancel"})
        done = await call.caller.gets("response.done")
        assert done["response"]["status"] == "cancelled"
        await call.caller.hears("all right")
        await call.caller.falls_silent()
    assert statuses(call) == [(TEN_S, "interrupted", "caller"), ("All right.", "played", "")]
    assert_sound(call)
