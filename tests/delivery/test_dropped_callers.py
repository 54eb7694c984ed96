"""A caller whose connection drops: the session waits for it, goes on with it, and takes nothing that it missed for heard."""

import asyncio

import pytest

from tests.delivery.scenes import FIVE_S, assert_sound, line, real_time, statuses
from turnlog import RealtimeSession
from turnlog.core import events as e
from turnlog.engine.offline.rederive import rederive
from turnlog.engine.offline.what_if import what_if
from turnlog.testing import Call, Kit


async def repeats(session: RealtimeSession) -> None:
    """Greets, then repeats what it is told."""
    await session.say(FIVE_S)
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


def items(call: Call) -> list[tuple[str, str, str]]:
    """What the caller was told of the conversation when it came back: (role, kind, words) of each item, and that each is done."""
    started = max(n for n, one in enumerate(call.caller.received) if one.event["type"] == "session.created")
    found = []
    for added, done in zip(call.caller.received[started + 1 :: 2], call.caller.received[started + 2 :: 2], strict=False):
        if (added.event["type"], done.event["type"]) != ("conversation.item.added", "conversation.item.done"):
            break
        assert added.event["item"] == done.event["item"]
        (content,) = added.event["item"]["content"]
        found.append((added.event["item"]["role"], content["type"], content.get("transcript") or content["text"]))
    return found


async def test_a_caller_that_drops_comes_back_to_what_was_said(turnlog: Kit) -> None:
    """What sounded ends as heard until the drop; the handler goes on waiting, and the caller finds the conversation so far."""
    async with turnlog.call(line(repeats), "line.talk", provider=real_time()) as call:
        caller = call.caller
        await caller.hears("word4")
        await caller.drops()
        await asyncio.sleep(20)
        assert not call.of(e.CallersGone) and not call.of(e.SessionEnding)
        await caller.comes_back()
        await caller.says("hello again")
        await caller.hears("you said hello again")
        await caller.falls_silent()
        await asyncio.sleep(0.2)  # until its response is done
        caller.types("and in writing")
        await caller.hears("you said and in writing")
        await caller.falls_silent()
        await asyncio.sleep(0.2)
        await caller.drops(1001, "reloaded")
        await asyncio.sleep(0.1)
        await caller.comes_back()
        await caller.gets("session.created", n=3)
        assert items(call) == [
            ("assistant", "output_audio", "Word1 word2 word3"),  # an estimate
            ("user", "input_audio", "hello again"),
            ("assistant", "output_audio", "You said hello again."),
            ("user", "input_text", "and in writing"),
            ("assistant", "output_audio", "You said and in writing."),
        ]
    assert statuses(call)[0] == (FIVE_S, "interrupted", "caller_lost")
    lost = [(one.link, one.code, one.reason, one.grace_ms) for one in call.of(e.CallerAwaited)]
    assert lost == [("c1", 1006, "the connection was lost", 30_000), ("c2", 1001, "reloaded", 30_000)]
    assert_sound(call)
    found = what_if(call.log, repeats)
    assert (found.stopped, {row.status for row in found.rows}) == ("", {"equal"})


@pytest.mark.parametrize("grace_s", [0, 5])
async def test_one_that_does_not_come_back_ends_the_session_as_caller_lost(turnlog: Kit, grace_s: int) -> None:
    """After the grace its handler is told as of a hang-up, and the session's reason says the difference."""
    async with turnlog.call(line(repeats, reattach_grace_s=grace_s), "line.talk", provider=real_time()) as call:
        await call.caller.hears("word4")
        dropped_ms = call.caller.now_ms
        await call.caller.drops()
        assert (await call.ended()).reason == "caller_lost"
        assert grace_s * 1000 <= call.caller.now_ms - dropped_ms < grace_s * 1000 + 100
    assert statuses(call) == [(FIVE_S, "interrupted", "caller_lost")]


async def test_one_that_hangs_up_ends_the_session_at_once(turnlog: Kit) -> None:
    """1000 is an orderly end: nobody is waited for."""
    async with turnlog.call(line(repeats), "line.talk") as call:
        await call.caller.hears("word4")
        await call.caller.hangs_up()
        assert (await call.ended()).reason == "caller_gone"
    assert not call.of(e.CallerAwaited)


async def tells_twice(session: RealtimeSession) -> None:
    """Asks for words long after nobody is there, and watches how they end."""
    await session.input(timeout=60)
    told = await session.say("Your table is free.")
    await asyncio.sleep(10)
    assert (await told.settled()).status == "played"
    await session.say("Goodbye.")


async def test_words_that_are_asked_for_meanwhile_wait_for_the_caller(turnlog: Kit) -> None:
    """The handler goes on; its says, and the last one of a handler that has returned, are heard by who comes back."""
    async with turnlog.call(line(tells_twice), "line.talk") as call:
        await call.caller.says("when")
        await call.caller.gets("response.created")
        await call.caller.drops()
        await asyncio.sleep(5)
        assert not call.of(e.SaySettled)
        await call.caller.comes_back()
        await call.caller.hears("your table is free")
        await call.caller.falls_silent()
        await call.caller.drops()
        await asyncio.sleep(15)
        assert call.of(e.HandlerReturned) and not call.of(e.SessionEnded)
        await call.caller.comes_back()
        await call.caller.hears("goodbye")
        assert (await call.ended()).reason == "completed"
    assert [one[1:] for one in statuses(call)] == [("played", ""), ("played", "")]


async def test_speech_that_was_under_way_is_a_turn_of_what_was_heard_of_it(turnlog: Kit) -> None:
    """The provider is asked to make an item of it: nobody sends the silence that would end it."""
    async with turnlog.call(line(repeats), "line.talk") as call:
        await call.caller.hears("word16")
        await call.caller.falls_silent()
        speaking = asyncio.create_task(call.caller.says("I would like a table for two"))
        await asyncio.sleep(1.3)
        speaking.cancel()
        await call.caller.drops()
        await asyncio.sleep(1)
        (turn,) = call.of(e.TurnEnded)
        assert turn.text.startswith("I would like")
        await call.caller.comes_back()
        await call.caller.hears("you said I would like")
        again = rederive(call.engine.store, call.session.id)
        assert (again.equal, again.differences) == (1, [])


async def test_who_takes_its_own_place_over_hears_what_comes_next(turnlog: Kit) -> None:
    """Nobody is waited for; what sounded at the old end was heard until then."""
    async with turnlog.call(line(repeats), "line.talk", provider=real_time()) as call:
        await call.caller.hears("word4")
        await call.caller.comes_back()
        await call.caller.says("hello")
        await call.caller.hears("you said hello")
    assert statuses(call)[0] == (FIVE_S, "interrupted", "caller_lost")
    closed = [(one.link, one.code, one.reason) for one in call.of(e.LinkClosed) if one.link.startswith("c")]
    assert closed[0] == ("c1", 1001, "taken over") and not call.of(e.CallerAwaited)
    assert_sound(call)
