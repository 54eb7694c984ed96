"""Sounds that are no turn: coughs, nods, short noise; and turns that are no speech: keys of a telephone, silence."""

import asyncio

import pytest

from tests.delivery.scenes import LEAD_MS, TEN_S, assert_sound, line, real_time, statuses, words
from turnlog import RealtimeSession
from turnlog.core import events as e
from turnlog.testing import Call, Kit, Pace, SpeakingProvider


async def ten_seconds(session: RealtimeSession) -> None:
    """Ten seconds, then each turn repeated."""
    await session.say(TEN_S)
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


async def coughs(call: Call, *, after_ms: float, lasts_ms: float = 200) -> None:
    """The provider hears a sound without words over what sounds."""
    response = await call.caller.sounding()
    began_ns = call.caller.playout.started_ns(response) or 0
    await asyncio.sleep((began_ns - call.caller.now_ns) / 1e9 + after_ms / 1000)
    line_ = call.provider.line
    item = f"item_cough_{round(call.caller.now_ms)}"
    line_.server.speech_started(item, 1000)
    line_.flush()
    await asyncio.sleep(lasts_ms / 1000)
    line_.server.speech_stopped(item, 1000 + round(lasts_ms))
    line_.server.commit_audio(item)
    line_.flush()
    await asyncio.sleep(0.1)
    line_.server.transcription_completed(item, "  ", {"type": "duration", "seconds": 0.2})
    line_.flush()


@pytest.mark.parametrize("lasts_ms", [20, 100, 600])
@pytest.mark.parametrize("speed", [1.0, 8.0, None])
@pytest.mark.parametrize("mode", ["out_of_band", "in_band"])
async def test_what_a_cough_cut_is_spoken_on(turnlog: Kit, mode: str, speed: float | None, lasts_ms: float) -> None:
    """The rest is said from about the word on at which it was cut; the say is one, and played to its end."""
    provider = SpeakingProvider(pace=Pace(speed=speed))
    app = line(ten_seconds, resume_after_false_start=True, say_mode=mode)
    async with turnlog.call(app, "line.talk", provider=provider) as call:
        await coughs(call, after_ms=1500, lasts_ms=lasts_ms)
        await call.caller.hears("word33", within_s=30)
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
        first, rest = [one.heard.split() for one in call.caller.heard]
    assert provider.says[1].split()[-1] == "word33."
    assert TEN_S.endswith(provider.says[1])
    missed = TEN_S.split()[len(first) : len(TEN_S.split()) - len(rest)]
    assert len(missed) <= 1, f"never heard: {missed}"
    assert len(first) + len(rest) - 33 <= 2, "too much was said twice"
    assert [(status, code) for _, status, code in statuses(call)] == [("played", "")]
    assert [one.reason for one in call.of(e.TurnDiscarded)] == ["the transcript is blank"]
    [settled] = call.of(e.SaySettled)
    assert settled.heard_ms >= settled.requested_ms
    assert_sound(call)


async def test_words_after_all_interrupt(turnlog: Kit) -> None:
    """With resume_after_false_start speech that has words is an interruption like any other."""
    async with turnlog.call(line(ten_seconds, resume_after_false_start=True), "line.talk") as call:
        await call.caller.interrupts("hold on", after_ms=1500)
        await call.caller.hears("you said hold on")
        await call.caller.falls_silent()
    assert [(status, code) for _, status, code in statuses(call)] == [("interrupted", "speech"), ("played", "")]
    kinds = [type(one) for one in call.events]
    assert kinds.index(e.SaySettled) < kinds.index(e.TurnEnded)
    assert_sound(call)


async def test_two_coughs_in_a_row(turnlog: Kit) -> None:
    """What was resumed can be cut and resumed again."""
    app = line(ten_seconds, resume_after_false_start=True)
    async with turnlog.call(app, "line.talk") as call:
        await coughs(call, after_ms=1500)
        await call.caller.hears("word8", within_s=30)
        await coughs(call, after_ms=2500)
        await call.caller.hears("word33", within_s=30)
        await call.caller.falls_silent()
        heard = [word for one in call.caller.heard for word in one.heard.split()]
    missed = {word.casefold() for word in TEN_S.split()} - {word.casefold() for word in heard}
    assert len(missed) <= 2 and len(heard) <= 33 + 3  # it goes on from the word that is estimated to have been cut
    assert [(status, code) for _, status, code in statuses(call)] == [("played", "")]
    assert_sound(call)


async def test_a_cough_after_which_the_say_is_taken_back(turnlog: Kit) -> None:
    """While it is not known whether it was speech the handler may cancel: the say is settled once, and not resumed."""

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say(TEN_S)
        await session.signal("back")
        await handle.cancel()
        assert (await handle.settled()).heard_ms > 1000
        await session.input()

    async with turnlog.call(line(desk, resume_after_false_start=True), "line.talk") as call:
        coughing = asyncio.create_task(coughs(call, after_ms=1500, lasts_ms=800))
        await call.caller.gets("input_audio_buffer.speech_started")
        await call.caller.is_silent(0.4)
        call.session.signal("back")
        await coughing
        await call.caller.is_silent(3)
    assert len(call.provider.says) == 1
    assert [status for _, status, _ in statuses(call)] == ["interrupted"]
    assert_sound(call)


@pytest.mark.parametrize("lead", ["min_words", "min_speech_ms"])
async def test_a_nod_neither_cuts_nor_is_a_turn(turnlog: Kit, lead: str) -> None:
    """"mhm" over a say is a backchannel; the caller is not told of it while the say sounds, and hears on."""
    settings = {"min_words": 2} if lead == "min_words" else {"min_speech_ms": 1300}
    async with turnlog.call(line(ten_seconds, **settings), "line.talk", provider=real_time()) as call:
        await call.caller.interrupts("mhm", after_ms=1500)
        await call.caller.hears("word33", within_s=30)
        await call.caller.falls_silent()
        assert call.caller.heard[0].heard == TEN_S
        assert not call.caller.flushes
        await call.caller.is_silent(1)
        await call.caller.says("mhm")  # in silence it is a turn
        await call.caller.hears("you said mhm")
        await call.caller.falls_silent()
    assert [one.reason for one in call.of(e.TurnDiscarded)] == ["backchannel"]
    assert [status for _, status, _ in statuses(call)] == ["played", "played"]
    assert_sound(call)


@pytest.mark.parametrize("settings", [{"min_words": 2}, {"min_speech_ms": 600}, {"min_words": 2, "min_speech_ms": 600}])
async def test_speech_that_is_long_enough_cuts(turnlog: Kit, settings: dict[str, int]) -> None:
    """Enough words, or speech for long enough, interrupt; the turn names what it cut."""
    async with turnlog.call(line(ten_seconds, **settings), "line.talk") as call:
        await call.caller.interrupts("hold on for a moment please", after_ms=1500)
        await call.caller.hears("you said hold on for a moment please")
        await call.caller.falls_silent()
        first = call.caller.heard[0]
        if settings.get("min_words"):  # its words are known when it is an item already: no speech_started any more, so the lead
            assert not call.caller.flushes
        else:
            [(at_ms, _)] = call.caller.flushes
            assert call.caller.audible_ms(at_ms, response=first.response) == 0
    assert first.heard_ms - call.of(e.SaySettled)[0].heard_ms <= LEAD_MS
    assert [turn.interrupted for turn in call.of(e.TurnEnded)] == [["say_1"]]
    assert statuses(call)[0] == (TEN_S, "interrupted", "speech")
    assert_sound(call)


async def test_keys_of_a_telephone_are_turns(turnlog: Kit) -> None:
    """Each key is a turn of the channel dtmf; it cuts nothing by itself."""
    got: list[tuple[str, str]] = []

    async def desk(session: RealtimeSession) -> None:
        await session.say(words(10))
        async for turn in session.turns():
            got.append((turn.channel, turn.text))
            await session.say(f"Key {turn.text}.")

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("word2")
        call.provider.dials("5#")
        await call.caller.hears("word10")
        await call.caller.hears("key 5")
        await call.caller.falls_silent()
    assert got[:2] == [("dtmf", "5"), ("dtmf", "#")]
    assert statuses(call)[0][1] == "played"
    assert [one["event"] for one in call.caller.events("input_audio_buffer.dtmf_event_received")] == ["5", "#"]


async def test_silence_is_a_timeout(turnlog: Kit) -> None:
    """input(timeout=) raises TimeoutError after so long without a turn; a turn that comes later is not lost."""
    waited: list[float] = []

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Hello there.")).settled()
        began = session.now()
        try:
            await session.input(timeout=5)
        except TimeoutError:
            waited.append((session.now() - began).total_seconds())
            await session.say("Are you there?")
        turn = await session.input(timeout=60)
        await session.say(f"You said {turn.text}.")
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("are you there")
        await call.caller.says("yes")
        await call.caller.hears("you said yes")
        await call.caller.falls_silent()
    assert waited == [5.0, 5.0]  # live and in the replay
    assert_sound(call)
