"""What a standard client meets where a handler answers, for the `openai` SDK, openai-agents, and npm's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import turnlog
from tests.server.hosting import user_item
from tests.server.realtime_clients import CLIENTS, Client, Secured, secured, until
from tools import node
from turnlog.core import events as e

__all__: list[str] = []

pytestmark = pytest.mark.asyncio(loop_scope="module")

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process", modalities=["text"], answer_timeout_s=1)
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets; says two things to each turn, and nothing to one that asks for quiet."""
    await session.say("Front desk.")
    async for turn in session.turns():
        if "quiet" not in turn.text:
            await session.say(f"You said: {turn.text}")
            await session.say("Anything else?")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    """One server with TLS for all of them."""
    async with secured(app, tmp_path_factory.mktemp("clients")) as server:
        yield server


def words(response: dict[str, Any]) -> list[str]:
    """The texts of a response's messages."""
    return [part["text"] for item in response["output"] for part in item["content"]]


def responses(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are done."""
    return [one["response"] for one in told if one["type"] == "response.done"]


async def ask(client: Client, *items: dict[str, Any], **response: Any) -> None:
    """Enter items, and ask for an answer."""
    for item in items:
        await client.send({"type": "conversation.item.create", "item": item})
    await client.send({"type": "response.create", **({"response": response} if response else {})})


@pytest.mark.parametrize("name", [*(one for one in CLIENTS if "npm" not in one), pytest.param(
    "npm openai", marks=[pytest.mark.needs("nodejs"), pytest.mark.needs("npm"),
                         pytest.mark.skipif(not node.is_current(), reason="make test installs tests/node")])])  # fmt: skip
async def test_a_client_meets_greeting_history_two_says_and_silence(at: Secured, name: str) -> None:
    """All of a call over TLS with one client; the log has the turns that there were and no other."""
    async with CLIENTS[name](at, "hotel.desk") as client:
        # the greeting comes before any input, as a response that nobody asked for: in band, metadata null, the full sequence
        told = await until(client, "response.done")
        session = (await at.server.store.sessions())[0].session
        types = [one["type"] for one in told]
        assert types[0] == "session.created" and "session" in told[0]
        (greeting,) = responses(told)
        assert (words(greeting), greeting["metadata"], greeting["status"]) == (["Front desk."], None, "completed")
        assert greeting["conversation_id"] == next(one for one in told if one["type"] == "response.created")["response"][
            "conversation_id"
        ]
        sequence = [
            "response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added",
            "response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done",
            "response.done",
        ]  # fmt: skip
        order = [types.index(one) for one in sequence]
        assert order == sorted(order)

        # seeded history makes no turn; what the user said in it since the last answer is one turn at response.create
        seeded = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Noted."}]}
        items = [user_item("Good day."), seeded, user_item("I am Ann."), user_item("Who am I?")]
        await ask(client, *items, metadata={"form": "7"})
        first, second = responses(await until(client, "response.done", 2))
        assert (words(first), first["metadata"]) == (["You said: I am Ann.\nWho am I?"], {"form": "7"})

        # two says a turn: the first answers with the caller's metadata, the second is one more response
        assert (words(second), second["metadata"], second["status"]) == (["Anything else?"], None, "completed")

        # silence: what no say answers is completed and empty, and the session goes on
        await ask(client, user_item("quiet, please"), metadata={"form": "8"})
        (empty,) = responses(await until(client, "response.done"))
        assert (empty["output"], empty["metadata"], empty["status"]) == ([], {"form": "8"}, "completed")
        await ask(client, user_item("thanks"))
        assert words(responses(await until(client, "response.done", 2))[0]) == ["You said: thanks"]
    ended = await at.server.ended(session)
    assert ended.reason in ("caller_gone", "caller_lost")
    log = await at.server.events(session)
    assert [one.text for one in log if isinstance(one, e.TurnEnded)] == ["I am Ann.\nWho am I?", "quiet, please", "thanks"]
    assert sum(isinstance(one, e.AnswerTimedOut) for one in log) == 1


async def test_what_a_client_configures_and_asks_amiss_is_answered_by_name(at: Secured) -> None:
    """Its instructions and tools are merged, logged and go no further; a second ask and one out of band are refused by name."""
    async with CLIENTS["openai"](at, "hotel.desk") as client:
        await until(client, "response.done")
        session = (await at.server.store.sessions())[0].session
        tool = {"type": "function", "name": "open_safe", "parameters": {"type": "object", "properties": {}}}
        asked = {"type": "realtime", "instructions": "Obey me.", "tools": [tool], "tool_choice": "required"}
        await client.send({"type": "session.update", "session": {**asked, "model": "another"}})
        updated = (await until(client, "session.updated"))[-1]["session"]
        assert (updated["instructions"], updated["tool_choice"]) == ("Obey me.", "required")
        assert [one["name"] for one in updated["tools"]] == ["open_safe"]
        assert updated["model"] != "another"

        await ask(client, user_item("quiet, please"))
        await client.send({"type": "response.create", "event_id": "mine"})
        while (error := await client.next())["type"] != "error":
            pass
        assert (error["error"]["code"], error["error"]["event_id"]) == ("conversation_already_has_active_response", "mine")
        await client.send({"type": "response.cancel"})
        (cancelled,) = responses(await until(client, "response.done"))
        assert (cancelled["status"], cancelled["output"]) == ("cancelled", [])

        await client.send({"type": "response.create", "response": {"conversation": "none", "metadata": {"for": "notes"}}})
        (refused,) = responses(await until(client, "response.done"))
        assert (refused["status"], refused["status_details"]["error"]["code"]) == ("failed", "not_supported")
        assert refused["metadata"] == {"for": "notes"}
        await ask(client, user_item("thanks"))
        assert words(responses(await until(client, "response.done", 2))[0]) == ["You said: thanks"]
    await at.server.ended(session)
    log = await at.server.events(session)
    assert any(b"Obey me." in one.data for one in log if isinstance(one, e.TransportReceived) and one.link == "c1")
    upstream = b"".join(one.data for one in log if isinstance(one, e.TransportSent) and one.link.startswith("p"))
    assert b"session.update" in upstream and b"Obey me." not in upstream and b"open_safe" not in upstream
