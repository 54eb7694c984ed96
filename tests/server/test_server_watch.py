"""A watching caller over a real socket: what it is told is what the log holds."""

import json
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import connect

import turnlog
from tests.server.hosting import encode, hosted, user_item
from turnlog.core import events as e

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Answers two turns; its last say is dropped, since another is on its way."""
    await session.say("Front desk.")
    for _ in range(2):
        turn = await session.input()
        await session.say(f"You said {turn.text}.")
    await session.say("Goodbye.")
    await session.say("Anything else?", when="drop")


async def test_what_a_watching_caller_is_told_is_what_the_log_holds(tmp_path: Path) -> None:
    """Every turn and every say, once, in the log's words and figures, with the items that the client saw."""
    async with hosted(app, tmp_path) as server:
        seen: list[dict[str, Any]] = []
        async with connect(server.socket_url()) as caller:
            await caller.send(encode({"type": "turnlog.watch"}))
            texts = ["one", "two"]
            async for raw in caller:
                seen.append(json.loads(raw))
                if seen[-1]["type"] == "turnlog.say" and texts:
                    item = {"id": f"my_{texts[0]}", **user_item(texts.pop(0))}
                    await caller.send(encode({"type": "conversation.item.create", "item": item}))
                    await caller.send(encode({"type": "response.create"}))
        log = await server.events(await server.only_session())
    told = [one for one in seen if one["type"] == "turnlog.say"]
    settled = [msgspec.to_builtins(one) for one in log if isinstance(one, e.SaySettled)]
    assert [{key: one[key] for key in settled[0]} for one in told] == settled
    says = {one["text"]: one["status"] for one in told}
    assert says.pop("Anything else?") == "cancelled"
    assert says == dict.fromkeys(["Front desk.", "You said one.", "You said two.", "Goodbye."], "played")
    items = [one["item"] for one in seen if one["type"] == "response.output_item.done"]
    words = {item["id"]: item["content"][0]["text"] for item in items}
    assert [one["text"] for one in told if one["item_id"] is None] == ["Anything else?"]
    assert all(words[one["item_id"]] == one["text"] == one["heard_text"] for one in told if one["item_id"])
    turns = [one for one in seen if one["type"] == "turnlog.turn"]
    ended = [msgspec.to_builtins(one) for one in log if isinstance(one, e.TurnEnded)]
    assert [one["item_id"] for one in turns] == ["my_one", "my_two"] == [one["item"] for one in ended]
    assert [(one["turn"], one["text"], one["channel"]) for one in turns] == [(1, "one", "text"), (2, "two", "text")]
