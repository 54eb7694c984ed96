"""Several says: one mouth, the order of the requests, and what when="interrupt" and "drop" make of those before."""

from itertools import pairwise
from typing import Any

import pytest

from tests.delivery.scenes import TEN_S, assert_sound, line, sounding_order, statuses, words
from turnlog import HandlerError, RealtimeSession, SessionEnded, TurnlogError
from turnlog.core import events as e
from turnlog.testing import Kit, Pace, SpeakingProvider

WRONG: list[tuple[Any, dict[str, Any]]] = [
    ("", {}),
    ("  \n", {}),
    (5, {}),
    ("x" * 100_001, {}),
    ("Hi.", {"when": "later"}),
    ("Hi.", {"mode": "loud"}),
    ("Hi.", {"interruptible": "no"}),
    ("Hi.", {"metadata": {"a": object()}}),
]
THREE = [words(5, name) for name in ("first", "second", "third")]


async def says_three_more(session: RealtimeSession) -> None:
    """Ask for three says while one sounds."""
    await session.say(words(10, "opening"))
    await session.signal("go on")
    for text in THREE:
        await session.say(text)
    await session.input()


@pytest.mark.parametrize("speed", [1.0, 8.0, None])
async def test_three_says_while_one_sounds_are_heard_in_order(turnlog: Kit, speed: float | None) -> None:
    """Each begins when the one before has been heard to its end, whatever the provider's pace."""
    provider = SpeakingProvider(pace=Pace(speed=speed))
    async with turnlog.call(line(says_three_more), "line.talk", provider=provider) as call:
        await call.caller.hears("opening2")
        call.session.signal("go on")
        await call.caller.hears("third5")
        await call.caller.falls_silent()
        heard = [one.heard for one in call.caller.heard]
        assert heard == [words(10, "opening"), *THREE]
        sounds = call.caller.playout.sounds
        for before, after in pairwise(sounds):
            if before.response != after.response:
                assert after.received_ns >= before.end_ns  # the next is asked for when the mouth is free
    assert len(sounding_order(call.caller)) == 4
    assert [status for _, status, _ in statuses(call)] == ["played"] * 4
    assert_sound(call)


async def test_an_interrupting_say_cuts_what_sounds_and_what_waits(turnlog: Kit) -> None:
    """when="interrupt" cuts the say that sounds, cancels the one that waits, and is heard at once."""

    async def desk(session: RealtimeSession) -> None:
        await session.say(TEN_S)
        await session.say("Never said.")
        await session.signal("quick")
        await session.say("Fire!", when="interrupt")
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("word5")
        call.session.signal("quick")
        asked_ms = call.caller.now_ms
        heard = await call.caller.hears("fire")
        assert heard.started_ms is not None and heard.started_ms - asked_ms < 900
        await call.caller.falls_silent()
    assert statuses(call) == [
        (TEN_S, "interrupted", "replaced"),
        ("Never said.", "cancelled", "replaced"),
        ("Fire!", "played", ""),
    ]
    assert_sound(call)


async def test_a_say_that_may_be_dropped_is_dropped_while_something_sounds(turnlog: Kit) -> None:
    """when="drop" is cancelled as busy while a say waits or sounds, and heard in silence."""
    codes: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        await session.say(words(5, "one"))
        codes.append((await (await session.say("Dropped.", when="drop")).settled()).code)
        await session.input()
        await session.say("Free.", when="drop")
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("one5")
        await call.caller.is_silent(2)
        call.caller.types("now")
        await call.caller.hears("free")
        await call.caller.falls_silent()
    assert codes[0] == "busy"
    assert statuses(call) == [("Dropped.", "cancelled", "busy"), (words(5, "one"), "played", ""), ("Free.", "played", "")]
    assert_sound(call)


async def test_one_key_is_one_say(turnlog: Kit) -> None:
    """A second say with the same key gives a handle of the first and says nothing; with other words it is TL111."""
    seen: list[tuple[str, str, str]] = []

    async def desk(session: RealtimeSession) -> None:
        first = await session.say("Only once.", key="greeting")
        second = await session.say("Only once.", key="greeting")
        outcome = await second.settled()
        third = await session.say("Only once.", key="greeting")  # when it is long over
        seen.append((first.id, second.id, third.id))
        assert outcome.status == third.status == "played"
        with pytest.raises(HandlerError, match="TL111"):
            await session.say("Other words.", key="greeting")
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("only once")
        await call.caller.is_silent(3)
    assert len(set(seen[0])) == 1
    assert call.provider.says == ["Only once."]
    assert statuses(call) == [("Only once.", "played", "")]
    assert [type(one).__name__ for one in call.events].count("SayRepeated") == 2
    assert len(call.of(e.SayRequested)) == 1


async def test_what_is_no_say_is_refused_where_it_stands(turnlog: Kit) -> None:
    """Empty, huge and unspeakable text, unknown options and a say after the end raise named errors; nothing is logged."""
    codes: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        for text, options in WRONG:
            try:
                await session.say(text, **options)
            except TurnlogError as error:
                codes.append(error.code)
        try:
            await session.input()
        except SessionEnded:
            codes.append("ended")
        try:
            await session.say("Too late.")
        except SessionEnded as error:
            codes.append(error.code)

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.is_silent(1)
        await call.caller.hangs_up()
        await call.ended()
    once = ["TL105", "TL105", "TL105", "TL111", "TL111", "TL111", "TL111", "TL105", "ended", "TL102"]
    assert codes == once * 2  # live and in the replay
    assert not call.of(e.SayRequested)


async def test_a_huge_text_is_spoken_sentence_by_sentence(turnlog: Kit) -> None:
    """A text of many sentences is many responses and one say."""
    text = " ".join(words(8, f"s{n}x") for n in range(12))

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say(text)
        assert (await handle.settled()).heard_text == text
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("s11x8", within_s=60)
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
        heard = " ".join(one.heard for one in call.caller.heard)
        gaps = call.caller.playout.sounds
        silent_ms = max((after.start_ns - before.end_ns) / 1e6 for before, after in pairwise(gaps))
        assert silent_ms <= 30, f"{silent_ms} ms of silence between two sentences"
    assert heard == text
    assert statuses(call) == [(text, "played", "")]
    assert len(call.of(e.SayDispatched)) == 2
    assert_sound(call)
