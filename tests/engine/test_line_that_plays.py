"""A caller's line that plays what it is sent: what silences it waits for no append, and what it reports is what was heard."""

import asyncio

import turnlog
from tests.engine.living import Caller, Living, Speaker, living
from turnlog.core import events as e

CLEARED = "output_audio_buffer.cleared"


async def say_much(session: turnlog.RealtimeSession) -> None:
    """Ten seconds of the test's provider."""
    handle = await session.say("a long story")
    await handle.settled()
    async for _ in session.turns():
        pass


async def playing(alive: Living) -> tuple[Caller, str]:
    """A caller over WebRTC to whom a say sounds; the item that does."""
    caller = Caller()
    alive.callers.append(caller)
    await alive.engine.attach(alive.session.id, caller.theirs, transport="webrtc")
    item: str = (await caller.until("response.output_audio.delta"))[0]["item_id"]
    caller.send(report(item, "started", 0))
    await caller.until("output_audio_buffer.started")
    return caller, item


def report(item: str, state: str, ms: int) -> dict[str, object]:
    """What a link tells that plays."""
    return {"type": "turnlog.playout", "item_id": item, "played_ms": ms, "source": "rtp", "state": state}


async def test_speech_silences_the_line_before_anything_is_written() -> None:
    """The buffer is cleared while the append of the speech is held; then the line's figure is what was heard, at once."""
    async with living(say_much, provider=Speaker(ms=10_000), callers=0) as alive:
        caller, item = await playing(alive)
        alive.store.may_append.clear()
        alive.provider.server.speech_started("item_u", 0)
        alive.provider.flush()
        cleared = (await caller.until(CLEARED))[0]
        assert not alive.of(e.PlayoutCut)
        caller.send(report(item, "cleared", 260))
        alive.store.may_append.set()
        ended = await alive.until(e.PlayoutEnded)
        await caller.until("conversation.item.truncated")
        assert cleared["response_id"] == (await caller.until("response.created"))[0]["response"]["id"]
        assert (ended.source, ended.interrupted, [part.heard_ms for part in ended.heard]) == ("rtp", True, [260])
        (cut,) = alive.of(e.PlayoutCut)
        assert cut.reason == "speech"
        alive.session.end("done", drain=False)


async def test_a_callers_clear_silences_the_line_before_anything_is_written() -> None:
    """Its answer leaves while the append of its own message is held, and there is one."""
    async with living(say_much, provider=Speaker(ms=10_000), callers=0) as alive:
        caller, item = await playing(alive)
        alive.store.may_append.clear()
        caller.send({"type": "output_audio_buffer.clear"})
        await caller.until(CLEARED)
        assert not alive.of(e.CallerCancelled)
        caller.send(report(item, "cleared", 100))
        alive.store.may_append.set()
        ended = await alive.until(e.PlayoutEnded)
        settled = await alive.until(e.SaySettled)
        await caller.until("conversation.item.truncated")
        assert len(caller.events(CLEARED)) == 1
        assert (ended.source, [part.heard_ms for part in ended.heard], settled.status) == ("rtp", [100], "interrupted")
        alive.session.end("done", drain=False)


async def test_a_say_is_played_when_the_line_has_played_it() -> None:
    """Not by our clock: the line lags, and its report of the end is the end, to the millisecond."""
    async with living(say_much, provider=Speaker(ms=200), callers=0) as alive:
        caller, item = await playing(alive)
        await caller.until("response.done")
        await asyncio.sleep(0.4)  # by our clock it has sounded
        assert not alive.of(e.PlayoutEnded)
        caller.send(report(item, "stopped", 200))
        ended = await alive.until(e.PlayoutEnded)
        await caller.until("output_audio_buffer.stopped")
        assert (ended.source, ended.interrupted, [part.heard_ms for part in ended.heard]) == ("rtp", False, [200])
        alive.session.end("done", drain=False)


async def test_nothing_was_heard_of_what_the_line_has_told_nothing_of() -> None:
    """Its peer never connects: whatever our clock says, the say is cancelled with nothing heard."""
    async with living(say_much, provider=Speaker(ms=10_000), callers=0) as alive:
        caller = Caller()
        alive.callers.append(caller)
        await alive.engine.attach(alive.session.id, caller.theirs, transport="webrtc")
        await alive.until(e.AudioStarted)
        await asyncio.sleep(0.1)  # by our clock so much has sounded
        await caller.theirs.close(1006, "not connected")
        cut = await alive.until(e.PlayoutCut)
        alive.session.end("done", drain=False)
        settled = await alive.until(e.SaySettled)
    assert (cut.source, [part.heard_ms for part in cut.heard]) == ("rtp", [0])
    assert (settled.status, settled.heard_ms, settled.source) == ("cancelled", 0, "none")
