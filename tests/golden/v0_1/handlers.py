"""The handlers of the golden logs of 0.1. They stay as they are for as long as their logs must replay: for ever."""

import turnlog

__all__ = ["app", "failing", "spoken", "typed"]

app = turnlog.App("golden")
PRICES = {"single": 90, "double": 140}


@app.tool
async def price(room: str, nights: int) -> dict[str, object]:
    """The price of a stay. Raises KeyError for a room that the hotel has not."""
    return {"room": room, "euros": PRICES[room] * nights}


@app.session("typed", provider="local", transport="in_process", modalities=["text"], tools=["price"])
async def typed(session: turnlog.RealtimeSession) -> None:
    """Turns, a call that returns, a call that fails, a wait that times out, and an end with a reason."""
    await session.say("Grüß Gott! Which room?")
    for _ in range(2):
        turn = await session.input()
        try:
            found = await session.call("price", turn.text, nights=3)
            await session.say(f"{found['room']}: {found['euros']} €")
        except turnlog.StepError as error:
            await session.say(f"No such room ({error.type_name}).")
    try:
        await session.input(timeout=0.2)
    except TimeoutError:
        await session.say("Are you there?")
    await session.end("closing time")


@app.session("spoken", provider="local", transport="in_process")
async def spoken(session: turnlog.RealtimeSession) -> None:
    """One spoken turn, answered aloud."""
    turn = await session.input()
    await session.say("Goodbye." if "bye" in turn.text.lower() else "Pardon?")


@app.session("failing", provider="local", transport="in_process", modalities=["text"])
async def failing(session: turnlog.RealtimeSession) -> None:
    """A handler that raises in the middle of a call."""
    turn = await session.input()
    raise ValueError(f"cannot read {turn.text!r}")
