"""The sessions. The agent is named by its module."""

from typing import Any

from pydantic import BaseModel, Field

from . import node

__all__ = ["desk"]


class Triage(BaseModel):
    """What the model is to tell."""

    is_urgent: bool = Field(alias="isUrgent")


@node.app.session("desk", provider="openai", transport="websocket", tools=["send"])
async def desk(session: Any) -> None:
    """Remembers for all and for this session, asks the model, sends a note."""
    turn = await session.input()
    memory: Any = node.app.memory
    await memory.global_scope.set("hours", "nine to five")
    hours = await memory.global_scope.get("hours")
    await memory.set("last", turn.text)
    triage = await node.app.ai(user=turn.text, schema=Triage)
    sent = await session.call("clinic.send", text=turn.text, target="ward")
    assert sent["session"] == session.session_id
    await session.say(f"{hours}, {triage.is_urgent}, to the {sent['target']}.")
