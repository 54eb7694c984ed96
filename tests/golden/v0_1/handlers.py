"""The handlers of the golden logs of 0.1. They stay as they are for as long as their logs must replay: for ever."""

import asyncio
from collections.abc import Iterator

import turnlog

__all__ = ["app", "failing", "journal", "spoken", "typed"]

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


attempts: list[int] = []


def flaky(number: int) -> dict[str, int]:
    """Fails at its first attempt."""
    attempts.append(number)
    if len(attempts) == 1:
        raise ConnectionError("the line is busy")
    return {"square": number * number}


async def never() -> None:
    """Takes longer than anyone waits."""
    await asyncio.sleep(60)


def words(text: str) -> Iterator[str]:
    """The words of a text, then an error."""
    yield from text.split()
    raise EOFError("no more words")


@app.session("journal", provider="local", transport="in_process", modalities=["text"], tools=["price"])
async def journal(session: turnlog.RealtimeSession) -> None:
    """All that a handler can ask for: steps, streams, signals, updates, patches, chance, time, groups, locks, cancellation."""
    assert session.patched("greets")
    await session.update(instructions="You are brief.", tools=["price"])
    said = await session.say(
        f"Hello {session.uuid()} {session.random.randrange(10**6)}", metadata={"at": session.now().isoformat()}
    )
    outcome = await said.settled()
    turn, signal = await asyncio.gather(session.input(), session.signal("go"))
    squared = await session.options(timeout=5, retries=2, backoff=0.01).step(flaky, signal["number"])
    heard: list[str] = []
    try:
        async for word in session.stream(words, turn.text):
            heard.append(word)  # noqa: PERF401 -- what came before the error is kept
    except turnlog.StepError as error:
        heard.append(error.type_name)
    async for _ in session.stream(words, "left after one"):
        break
    lock, order = asyncio.Lock(), asyncio.Queue[str]()

    async def look_up(room: str) -> None:
        async with lock:
            order.put_nowait(f"{room} {(await session.call('price', room=room, nights=1))['euros']}")

    async with asyncio.TaskGroup() as group:
        for room in ("double", "single"):
            group.create_task(look_up(room))
    try:
        await asyncio.wait_for(session.step(never), 0.05)
    except TimeoutError:
        order.put_nowait("late")
    waiting = asyncio.create_task(session.input())
    await asyncio.wait([waiting], timeout=0.05)
    waiting.cancel()
    told = [order.get_nowait() for _ in range(order.qsize())]
    await session.say(f"{outcome.status} {squared} {heard} {told} {len(session.conversation)} {len(session.outbox)}")
    await session.end("told", drain=True)
