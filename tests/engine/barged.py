"""Recorded calls in which much is said at once: barge-in, a stream, keys, a filler, cancels of either side. On virtual time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import turnlog
from turnlog.testing import Kit
from turnlog.testing.calls import Call

__all__ = ["GREETING", "app", "busy_call", "desk", "echoing_call", "nodding_call"]

GREETING = "Good morning and welcome to the grand hotel by the sea, how may I help you today"
app = turnlog.App("hotel")


async def rates(room: str) -> AsyncIterator[str]:
    """An answer that comes piece by piece."""
    for piece in (f"{room} is free tonight. ", "It costs ", "ninety euros."):
        await asyncio.sleep(0.4)
        yield piece


async def find(name: str) -> dict[str, int]:
    """A slow tool."""
    await asyncio.sleep(2.0)
    return {"room": 12}


app.tool(find, filler="One moment please", after_ms=600)


@app.session("desk", provider="openai", transport="websocket", echo="client_aec", tools=["find"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """Says things in every way there is."""
    heard = session.utterances()
    await session.say(GREETING, key="hello")
    again = await session.say(GREETING, key="hello")
    turn = await session.input()
    await session.call("find", name=turn.text)
    outcome = await again.settled()
    said = await session.say(session.stream(rates, f"Room {outcome.status}"))
    await said.settled()
    await session.say("This one is replaced before it was heard")
    await session.say("Urgent", when="interrupt")
    await session.say("Not now", when="drop")
    back = await session.say("one two three four five six seven eight")
    await asyncio.sleep(3)
    await back.cancel()
    turn = await session.input()
    await session.say(f"You said {turn.text} {len(session.conversation)}", on_stale="drop")
    turn = await session.input()
    count = 0
    async for one in heard:
        count += one.interrupted
        if count == 3:
            break
    await session.say(f"bye {count} {turn.text} {len(session.outbox)}")


@app.session("patient", provider="openai", transport="websocket", echo="guard")
async def patient(session: turnlog.RealtimeSession) -> None:
    """Holds speech back until it has proved to be no echo."""
    await session.say(GREETING)
    async for turn in session.turns():
        await session.say(f"you said {turn.text}")
        if "bye" in turn.text:
            return


@app.session("wordy", provider="openai", transport="websocket", echo="client_aec", min_words=3, resume_after_false_start=True)
async def wordy(session: turnlog.RealtimeSession) -> None:
    """Is cut by three words, not by a nod."""
    await session.say(GREETING)
    async for turn in session.turns():
        await session.say(f"you said {turn.text}")
        if "bye" in turn.text:
            return


async def busy_call(kit: Kit, **options: Any) -> Call:
    """Barge-in, filler, stream, replaced, dropped and cancelled says, a caller's cancel."""
    async with kit.call(app, "hotel.desk", **options) as call:
        caller = call.caller
        await caller.interrupts("a double room please")
        await caller.hears("ninety euros")
        await caller.hears("one two three")
        await caller.falls_silent()
        await caller.says("second turn")
        await caller.sounding()
        caller.sends({"type": "response.cancel"})
        await asyncio.sleep(1)
        await caller.says("thanks")
        await caller.hears("bye")
        await call.ended()
    return call


async def echoing_call(kit: Kit, **options: Any) -> Call:
    """Speech that is held, an echo of what is said, and a real turn."""
    async with kit.call(app, "hotel.patient", **options) as call:
        caller = call.caller
        await caller.interrupts("Good morning and welcome to the grand hotel", after_ms=400)
        await caller.falls_silent()
        await caller.says("a room please")
        await caller.hears("you said a room")
        await caller.falls_silent()
        await asyncio.sleep(2)
        await caller.says("bye")
        await caller.hears("you said bye")
        await call.ended()
    return call


async def nodding_call(kit: Kit, **options: Any) -> Call:
    """A nod that is no turn, then an interruption by words."""
    async with kit.call(app, "hotel.wordy", **options) as call:
        caller = call.caller
        await caller.interrupts("uh huh", after_ms=500)
        await caller.interrupts("I want a room please", after_ms=2_000)
        await caller.hears("you said I want a room")
        await caller.says("well bye then")
        await caller.hears("you said well")
        await call.ended()
    return call
