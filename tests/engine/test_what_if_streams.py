"""What a changed handler is told of a stream that it has spoken."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from turnlog import App, RealtimeSession
from turnlog.engine.offline.what_if import what_if
from turnlog.testing import Kit


async def advice() -> AsyncIterator[str]:
    """Two sentences."""
    for part in ("Drink water. ", "Stay inside."):
        yield part


async def ask(session: RealtimeSession) -> None:
    """One command more than there was."""
    await session.update(instructions="Be brief.")


async def say(session: RealtimeSession) -> None:
    """One say more than there was."""
    await session.say("One moment.")


@pytest.mark.parametrize("more", [ask, say])
async def test_a_stream_is_heard_as_it_was_behind_other_commands(
    turnlog: Kit, more: Callable[[RealtimeSession], Awaitable[None]]
) -> None:
    """The say of a stream is known by what it speaks, not by its place: it ends as it did."""
    app = App("hotel")
    heard: list[str] = []

    async def speak(session: RealtimeSession) -> None:
        outcome = await (await session.say(session.stream(advice))).settled()
        heard.append(f"{outcome.status}: {outcome.heard_text} {outcome.heard_ms}")

    async def changed(session: RealtimeSession) -> None:
        await more(session)
        await speak(session)

    app.session("desk", provider="openai", transport="websocket")(speak)
    async with turnlog.call(app, "hotel.desk") as call:
        await call.ended()
    what_if(call.log, changed)
    assert heard == ["played: Drink water. Stay inside. 1200"] * 3  # live, in the replay, and what if
