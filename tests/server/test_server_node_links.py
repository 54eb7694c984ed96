"""Tests for what a node says to an engine that it should not, and for several nodes of one name: no other session is harmed."""

import asyncio
from pathlib import Path

from websockets.asyncio.client import connect

import turnlog
from tests.server.hosting import hosted
from tests.server.noding import PATIENCE_S, hears, node, says

__all__: list[str] = []

hub = turnlog.App("hub")
hotel = turnlog.App("hotel")


@hotel.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Says back what it hears."""
    await session.say("Good evening.")
    async for turn in session.turns():
        if turn.text == "bye":
            return
        await session.say(turn.text.upper())


async def test_the_second_node_of_a_name_takes_over_when_the_first_goes(tmp_path: Path) -> None:
    """New sessions begin at it, those of the first stay there, and are taken up by it at once when the first is gone."""
    async with hosted(hub, tmp_path, elsewhere=hotel) as server, asyncio.timeout(PATIENCE_S):
        async with node(server, hotel):
            first = await connect(server.socket_url("hotel.desk"))
            assert await hears(first) == "Good evening."
            async with node(server, hotel):
                second = await connect(server.socket_url("hotel.desk"))
                assert await hears(second) == "Good evening."
                await says(first, "one")
                assert await hears(first) == "ONE"
            await says(second, "two")
            assert await hears(second) == "TWO"
            for caller in (first, second):
                await says(caller, "bye")
            for live in list(server.engine.sessions.values()):
                assert (await live.ended()).reason == "completed"
        for caller in (first, second):
            await caller.close()
