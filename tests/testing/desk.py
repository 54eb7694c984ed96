"""The app that the kit's tests call."""

import turnlog

__all__ = ["GREETING", "app"]

app = turnlog.App("hotel")
GREETING = "Front desk, how can I help?"


@app.session("desk", provider="openai", transport="websocket")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, repeats what it hears, and ends after "bye"."""
    await session.say(GREETING)
    async for turn in session.turns():
        await session.say(f"You said: {turn.text}")
        if "bye" in turn.text:
            return
