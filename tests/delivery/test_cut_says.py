"""What speech over a say leaves: of the caller's sound, of the provider's history, of the outcome."""

import asyncio
import json
from binascii import b2a_base64
from typing import Any

import pytest

from tests.delivery.scenes import FIVE_S, LEAD_MS, TEN_S, assert_sound, line, real_time, statuses, words
from turnlog import RealtimeSession
from turnlog.core import events as e
from turnlog.testing import Call, Kit, Pace, SpeakingProvider
from turnlog.testing.fake_speech import pieces
from turnlog.testing.provider_line import ProviderLine
from turnlog.transports.realtime.audio import PCM16


async def says_ten_seconds(session: RealtimeSession) -> None:
    """Ten seconds of words, then an answer to each turn."""
    await session.say(TEN_S)
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


def cut_fact(call: Call) -> e.PlayoutEnded:
    """What was heard of the one response that was cut."""
    [one] = [one for one in call.of(e.PlayoutEnded) if one.interrupted]
    return one


@pytest.mark.parametrize("speed", [1.0, 8.0, None])
@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_a_barge_in_leaves_what_was_heard(turnlog: Kit, mode: str, speed: float | None) -> None:
    """In band the item is truncated at what the caller played; out of band the provider's history is left alone."""
    provider = SpeakingProvider(pace=Pace(speed=speed))
    async with turnlog.call(line(says_ten_seconds, say_mode=mode), "line.talk", provider=provider) as call:
        caller = call.caller
        await caller.interrupts("hold on please", after_ms=1000)
        [(at_ms, left_ms)] = caller.flushes
        first = caller.heard[0]
        await caller.hears("you said hold on please")
        await caller.falls_silent()
    assert left_ms <= LEAD_MS
    assert caller.audible_ms(at_ms, response=first.response) == 0
    [settled, answered] = call.of(e.SaySettled)
    assert (settled.status, settled.code, answered.status) == ("interrupted", "speech", "played")
    assert abs(settled.heard_ms - first.heard_ms) <= settled.error_ms
    assert TEN_S.startswith(settled.heard_text) and abs(len(settled.heard_text.split()) - len(first.words)) <= 1
    truncates = provider.events("conversation.item.truncate")
    assert not provider.events("conversation.item.delete")
    assert [turn.interrupted for turn in call.of(e.TurnEnded)] == [["say_1"]]
    if mode == "in_band":
        [cut] = truncates
        assert cut["audio_end_ms"] == settled.heard_ms
        assert provider.line.server.history[0]["content"][0]["transcript"] == settled.heard_text
    else:
        assert not truncates
    assert len(provider.events("response.cancel")) == (0 if speed is None else 1)
    assert_sound(call)


@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_a_barge_in_before_anything_sounded(turnlog: Kit, mode: str) -> None:
    """Speech between response.created and the first audio: nothing was heard, and no item of it may be left in the history."""
    provider = SpeakingProvider(pace=Pace(speed=1.0, audio_ms=1500))
    async with turnlog.call(line(says_ten_seconds, say_mode=mode), "line.talk", provider=provider) as call:
        await provider.gets("response.create")
        await call.caller.says("hold on please")
        await call.caller.hears("you said hold on please")
        await call.caller.falls_silent()
    [settled, _] = call.of(e.SaySettled)
    assert (settled.status, settled.code, settled.heard_ms, settled.heard_text) == ("interrupted", "speech", 0, "")
    assert [one["role"] for one in provider.line.server.items][:1] == ["user"]
    assert len(provider.events("response.cancel")) == 1
    assert [turn.interrupted for turn in call.of(e.TurnEnded)] == [["say_1"]]
    assert_sound(call)


async def test_a_barge_in_at_0_ms_deletes_the_item(turnlog: Kit) -> None:
    """The item exists and its audio has come in, but nothing was played: heard_ms is 0, the in-band item is deleted."""
    provider = real_time()

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say(TEN_S)
        await session.signal("cut")
        await handle.cancel()
        await session.input()

    async with turnlog.call(line(desk, say_mode="in_band"), "line.talk", provider=provider) as call:
        line_ = await _line(provider)
        while not line_.server.items:  # noqa: ASYNC110 -- the kit's provider has no event for it, and time is virtual
            await asyncio.sleep(0.001)
        call.session.signal("cut")
        await provider.gets("conversation.item.delete")
        await call.caller.is_silent(1)
        assert not line_.server.items
    [settled] = call.of(e.SaySettled)
    assert (settled.status, settled.code, settled.heard_text) == ("cancelled", "cancelled", "") and settled.heard_ms == 0
    assert not provider.events("conversation.item.truncate")


async def _line(provider: SpeakingProvider) -> Any:
    await provider.gets("response.create")
    return provider.line


@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_two_pieces_in_flight_the_first_truncated_the_second_deleted(turnlog: Kit, mode: str) -> None:
    """A say of two responses, the second begun while the first is still heard: each is repaired by what was heard of it."""
    first, second = words(19, "one"), words(80, "a") + " " + words(60, "b")
    provider = SpeakingProvider(pace=Pace(speed=None, audio_ms=1))

    async def desk(session: RealtimeSession) -> None:
        await session.say(f"{first} {second}")
        async for turn in session.turns():
            await session.say(f"You said {turn.text}.")

    app = line(desk, say_mode=mode, lead_ms=3000)
    async with turnlog.call(app, "line.talk", provider=provider) as call:
        await provider.gets("response.create", n=2, within_s=60)
        await call.caller.is_silent(0.3)
        asked = [one.text for one in call.of(e.SayDispatched)]
        await call.caller.says("hold on please")
        await call.caller.hears("you said hold on please")
        await call.caller.falls_silent()
    cuts = [one for one in call.of(e.PlayoutEnded) if one.interrupted]
    assert len(asked) == 2 and len(cuts) == 2
    truncates, deletes = provider.events("conversation.item.truncate"), provider.events("conversation.item.delete")
    if mode == "in_band":
        [truncate], [delete] = truncates, deletes
        assert truncate["audio_end_ms"] == cuts[0].heard[0].heard_ms > 0
        assert truncate["item_id"] == cuts[0].heard[0].item and delete["item_id"] == cuts[1].heard[0].item
    else:
        assert not truncates and not deletes
    assert [settled.status for settled in call.of(e.SaySettled)] == ["interrupted", "played"]
    assert_sound(call)


@pytest.fixture
def in_two_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider speaks what comes behind a "|" as an item of its own in the same response."""

    async def speaks(self: ProviderLine, response: str, text: str, wire_format: dict[str, Any]) -> None:
        for n, half in enumerate(text.split("|")):
            for told, audio in pieces(half, word_ms=300, form=PCM16):
                part = (f"part{n}", 0)
                if told:
                    self.server.output_transcript(response, told, part)
                self.server.output_audio(response, b2a_base64(audio, newline=False), part)
                self.flush()
                await asyncio.sleep(0.1 / (self._behaviour.pace.speed or 1e9))

    monkeypatch.setattr(ProviderLine, "_speak", speaks)


@pytest.mark.usefixtures("in_two_items")
@pytest.mark.parametrize("speed", [8.0, None])
@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_two_items_of_one_response(turnlog: Kit, mode: str, speed: float | None) -> None:
    """Two items of five seconds, cut after one: the first is truncated where it was heard to, the second deleted."""
    provider = SpeakingProvider(pace=Pace(speed=speed))
    text = f"{FIVE_S[:-1]} | {words(16, 'more')}"

    async def desk(session: RealtimeSession) -> None:
        await session.say(text)
        async for turn in session.turns():
            await session.say(f"You said {turn.text}.")

    async with turnlog.call(line(desk, say_mode=mode), "line.talk", provider=provider) as call:
        await call.caller.hears("word2")
        if speed:  # the second item has begun by now
            await asyncio.sleep(0.5)
        call.caller.acknowledges = False
        await call.caller.says("hold on please")
        first_ms = call.caller.heard[0].heard_ms
        await call.caller.hears("you said hold on please")
        await call.caller.falls_silent()
    settled = call.of(e.SaySettled)[0]
    truncates, deletes = provider.events("conversation.item.truncate"), provider.events("conversation.item.delete")
    assert (settled.status, settled.code) == ("interrupted", "speech") and abs(settled.heard_ms - first_ms) <= settled.error_ms
    if mode == "in_band":
        [cut] = [one for one in call.of(e.PlayoutEnded) if one.interrupted]
        assert [(one["item_id"], one["audio_end_ms"]) for one in truncates] == [(cut.heard[0].item, cut.heard[0].heard_ms)]
        assert [one["item_id"] for one in deletes] == [part.item for part in cut.heard[1:]]
        assert len(deletes) == 1
    else:
        assert not truncates and not deletes
    assert not call.of(e.PeerFaulted)
    assert_sound(call)


async def test_the_provider_that_truncates_by_itself_is_not_told_again(turnlog: Kit) -> None:
    """conversation.item.truncated before ours: no second truncate of that item."""
    provider = SpeakingProvider(pace=Pace(speed=8.0))
    async with turnlog.call(line(says_ten_seconds, say_mode="in_band"), "line.talk", provider=provider) as call:
        provider_line = await _line(provider)

        async def truncates() -> None:
            await call.caller.gets("input_audio_buffer.speech_started")
            item = provider_line.server.items[0]["id"]
            told = {"type": "conversation.item.truncated", "event_id": "own", "item_id": item, "content_index": 0}
            provider_line.link.send(json.dumps({**told, "audio_end_ms": 1000}).encode())

        own = asyncio.create_task(truncates())
        await call.caller.interrupts("hold on please", after_ms=1000)
        await call.caller.hears("you said hold on please")
        await call.caller.falls_silent()
        await own
    assert len(call.of(e.ItemTruncated)) == 1
    assert not provider.events("conversation.item.truncate")
    assert_sound(call)


# --- says that speech may not cut ---


async def firm(session: RealtimeSession) -> None:
    """Five seconds that must be heard, then an answer."""
    await session.say(FIVE_S, interruptible=False)
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


async def test_an_uninterruptible_say_is_heard_to_its_end(turnlog: Kit) -> None:
    """Speech over it does not cut it and is not told to the caller, who would stop playing; it is the next turn."""
    async with turnlog.call(line(firm), "line.talk", provider=real_time()) as call:
        await call.caller.interrupts("hold on please", after_ms=1000)
        assert not call.caller.events("input_audio_buffer.speech_started") and not call.caller.flushes
        await call.caller.hears("word16")
        await call.caller.hears("you said hold on please")
        await call.caller.falls_silent()
        assert call.caller.heard[0].heard == FIVE_S
    assert [status for _, status, _ in statuses(call)] == ["played", "played"]
    assert not call.of(e.PlayoutCut)
    assert [turn.interrupted for turn in call.of(e.TurnEnded)] == [[]]
    assert_sound(call)


async def test_speech_that_outlasts_an_uninterruptible_say_is_told_when_it_ends(turnlog: Kit) -> None:
    """The caller learns of its speech once nothing sounds any more; nothing is flushed by that."""
    async with turnlog.call(line(firm), "line.talk", provider=real_time()) as call:
        await call.caller.interrupts(words(10, "on"), after_ms=3500)
        await call.caller.hears("word16")
        await call.caller.hears("you said on1")
        await call.caller.hears("on10")
        await call.caller.falls_silent()
        assert call.caller.heard[0].heard == FIVE_S
        started = [one for one in call.caller.received if one.event["type"] == "input_audio_buffer.speech_started"]
        ended_ms = (call.caller.heard[0].started_ms or 0) + call.caller.heard[0].heard_ms
        assert len(started) == 1 and 0 <= started[0].at_ms - ended_ms < 200
        assert not call.caller.flushes
    assert [status for _, status, _ in statuses(call)] == ["played", "played"]
    assert_sound(call)


async def test_an_uninterruptible_say_can_still_be_taken_back(turnlog: Kit) -> None:
    """It is deaf to the user, not to its handler."""

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say(FIVE_S, interruptible=False)
        await session.signal("stop")
        await handle.cancel()
        outcome = await handle.settled()
        assert (outcome.status, outcome.code) == ("interrupted", "cancelled")
        await session.input()

    async with turnlog.call(line(desk), "line.talk", provider=real_time()) as call:
        await call.caller.hears("word4")
        call.session.signal("stop")
        await call.caller.is_silent(2)
        assert call.caller.heard[0].heard_ms <= 4 * 300 + LEAD_MS + 100
    assert_sound(call)
