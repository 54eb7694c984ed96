"""An AgentField app's file, as its users write it, answered by voice over real sockets; then replayed without its model."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.server.hosting import client_of, hosted
from tests.server.test_server_spoken import heard, question, response, speaking, speech
from turnlog.core import events as e
from turnlog.engine.loading import load_app
from turnlog.transports.speech.engines import Speech

__all__ = ["speech"]  # a fixture

pytestmark = pytest.mark.realtime

FILE = '''
from agentfield import Agent

app = Agent(node_id="hotel")


@app.reasoner()
async def opening_hours(place: str) -> dict:
    """When a place of the hotel opens."""
    return {"place": place, "opens": "seven"}


@app.session("frontdesk", provider="openai", transport="websocket", tools=["opening_hours"])
async def frontdesk(session):
    await session.say("Good morning, and welcome to the Grand Hotel.", tone="warm")
    turn = await session.input()
    place = "kitchen" if "breakfast" in turn.text.lower() else "house"
    hours = await session.call("hotel.opening_hours", place=place)
    await session.say(f"The {hours['place']} opens at {hours['opens']}.")
'''


async def test_an_agentfield_app_is_answered_by_voice(
    tmp_path: Path, speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    """issue 664 of AgentField: input() gives what was said into the microphone, say() is heard, transport=websocket works."""
    pytest.importorskip("agentfield", reason="AgentField's SDK has no release for this Python")
    (tmp_path / "grand_hotel.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    app = load_app("grand_hotel:app")
    try:
        async with hosted(app, tmp_path, speech=speech) as server:
            async with client_of(server).realtime.connect(model="hotel.frontdesk") as connection:
                seen: list[Any] = []
                greeting, _ = await response(connection, seen)
                async with speaking(connection, question()):
                    answer, _ = await response(connection, seen)
                assert [event.type async for event in connection] == []
            log = await server.events(await server.only_session())
        assert await heard(speech, greeting) == "good morning and welcome to the grand hotel"
        assert await heard(speech, answer) == "the kitchen opens at seven"
        (called,) = [one for one in log if isinstance(one, e.CallRequested)]
        assert called.command.target == "hotel.opening_hours"
        assert [one.command.metadata for one in log if isinstance(one, e.SayRequested)] == [{"tone": "warm"}, {}]
    finally:
        del sys.modules["grand_hotel"]
