"""The handlers of the golden logs of 0.1 in which both sides speak at once. They stay as they are: their logs replay for ever."""

import asyncio
from collections.abc import AsyncIterator

import turnlog

__all__ = ["app", "barged", "echoing", "nodding", "switching"]

app = turnlog.App("golden")
GREETING = "Good morning and welcome to the grand hotel by the sea, how may I help you today"


async def rates(room: str) -> AsyncIterator[str]:
    """An answer that comes piece by piece."""
    for piece in (f"{room} is free tonight. ", "It costs ", "ninety euros."):
        await asyncio.sleep(0.4)
        yield piece


async def find(name: str) -> dict[str, int]:
    """A slow tool."""
    await asyncio.sleep(2.0)
    return {"room": 12}


async def weather(town: str) -> str:
    """A tool for the model."""
    return f"sunny in {town}"


app.tool(find, filler="One moment please", after_ms=600)
app.tool(weather)


@app.session("barged", provider="openai", transport="websocket", echo="client_aec", tools=["find"])
async def barged(session: turnlog.RealtimeSession) -> None:
    """Is interrupted; repeats a key; a filler, a stream; says that are replaced, dropped, taken back, cancelled by the caller."""
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


@app.session("echoing", provider="openai", transport="websocket", echo="guard")
async def echoing(session: turnlog.RealtimeSession) -> None:
    """Hears an echo of itself, which is no turn."""
    await session.say(GREETING)
    async for turn in session.turns():
        await session.say(f"you said {turn.text}")
        if "bye" in turn.text:
            return


@app.session("nodding", provider="openai", transport="websocket", echo="client_aec", min_words=3, resume_after_false_start=True)
async def nodding(session: turnlog.RealtimeSession) -> None:
    """Is cut by three words, not by a nod."""
    await session.say(GREETING, interruptible=True)
    async for turn in session.turns():
        await session.say(f"you said {turn.text}", on_mismatch="retry")
        if "bye" in turn.text:
            return


@app.session("switching", provider="openai", transport="websocket", echo="client_aec", answers="model", tools=["weather"])
async def switching(session: turnlog.RealtimeSession) -> None:
    """Lets the model answer and call a tool, is heard over it, then takes over."""
    heard = session.utterances()
    first = await session.input()
    model = await anext(heard)
    await session.say(f"The model said {model.heard_text} to {first.text}")
    await session.input()
    await session.update(answers="handler")
    turn = await session.input()
    await session.say(f"I heard {turn.text} and {len(session.conversation)} lines")
    await session.end("told")
