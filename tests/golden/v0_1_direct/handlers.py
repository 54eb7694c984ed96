"""The handler behind v0_1_direct: a call that the provider held itself, recorded by the named version. Never change it."""

import turnlog

__all__ = ["app", "direct"]

app = turnlog.App("golden")


@app.tool
async def rate(kind: str) -> int:
    """What a room costs."""
    return {"double": 90, "single": 60}.get(kind, 200)


@app.session("direct", provider="openai", transport="webrtc", instructions="Be kind.", tools=["rate"])
async def direct(session: turnlog.RealtimeSession) -> None:
    """Quotes prices until the caller says bye."""
    await session.say("Good evening")
    async for turn in session.turns():
        if turn.text == "bye":
            break
        price = await session.call("rate", kind=turn.text)
        await session.say(f"That is {price} euros")
    await (await session.say("Goodbye")).settled()
