"""A hotel's front desk: the handler that `turnlog demo` runs. Imports turnlog alone, as your own module would.

A handler is a plain coroutine; whatever it asks of the session is in the log before it happens, so that it can be replayed.
"""

import turnlog

__all__ = ["app", "find_room", "frontdesk", "nights_in"]

app = turnlog.App("hotel")
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}


def nights_in(words: str) -> int:
    """The first number among the words, 1 if there is none."""
    numbers = (int(word) if word.isdecimal() else NUMBERS.get(word, 0) for word in words.split())
    return next(filter(None, numbers), 1)


@app.tool
async def find_room(nights: int) -> dict[str, int]:
    """A free room for so many nights: its number and the price of the stay in euros."""
    return {"room": 12, "price": 90 * nights}


@app.session("frontdesk", provider="local", transport="in_process", tools=["find_room"])
async def frontdesk(session: turnlog.RealtimeSession) -> None:
    """Greet, answer what is asked, and end when the guest says goodbye."""
    await session.say("Front desk, how can I help you?")
    async for turn in session.turns():
        words = turn.text.lower()
        if "room" in words:
            found = await session.call("find_room", nights=nights_in(words))
            await session.say(f"Room {found['room']} is free. It costs {found['price']} euros.")
        elif "breakfast" in words:
            await session.say("Breakfast is from seven to ten, in the garden.")
        elif "pool" in words:
            await session.say("The swimming pool is on the roof, and open until nine.")
        elif "bye" in words:
            await session.say("Goodbye, and have a good journey.")
            break
        else:
            await session.say(f"You said: {turn.text or 'nothing that I understood'} I know about rooms, breakfast and the pool.")
