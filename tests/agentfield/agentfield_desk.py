"""A node as AgentField's users write one: nothing of turnlog is in it. Its model and memory are its own."""

from typing import Any, ClassVar

from agentfield import Agent
from pydantic import BaseModel


class Mood(BaseModel):
    """What the model is to tell of a guest."""

    happy: bool


class Desk(Agent):
    """An agent whose model and memory are here."""

    asked: ClassVar[list[str]] = []
    remembered: ClassVar[dict[str, Any]] = {}

    async def ai(self, *args: Any, **kwargs: Any) -> Any:
        """One answer, another each time that it is asked."""
        self.asked.append(kwargs["user"])
        return kwargs["schema"](happy=True) if "schema" in kwargs else f"Answer {len(self.asked)}."

    @property
    def memory(self) -> Any:
        """Scoped, as the SDK's."""
        return _Memory(self.remembered)


class _Memory:
    def __init__(self, values: dict[str, Any], scope: str = "") -> None:
        self._values = values
        self._scope = scope

    def session(self, session_id: str) -> "_Memory":
        return _Memory(self._values, session_id)

    async def set(self, key: str, data: Any) -> None:
        self._values[f"{self._scope}/{key}"] = data

    async def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(f"{self._scope}/{key}", default)


app = Desk(node_id="hotel", dev_mode=False)


@app.reasoner()
async def find_guest(name: str) -> dict[str, Any]:
    """Find a guest by name."""
    return {"name": name, "room": len(name)}


@app.skill()
def price(nights: int, people: int = 1) -> dict[str, Any]:
    """What a stay costs."""
    return {"euros": 50 * nights * people}


@app.session(
    "frontdesk",
    provider="openai",
    transport="websocket",
    tools=["find_guest", "hotel.price"],
    tags=["desk"],
    metadata={"floor": 1},
)
async def frontdesk(session: Any) -> None:
    """Greets, looks a guest up, asks the model, remembers."""
    said = await session.say("Front desk.", tone="warm")
    assert said == {"type": "speech", "text": "Front desk.", "metadata": {"tone": "warm"}} == session.outbox[-1]
    assert session.app is app and session.definition.tags == ["desk"]
    while True:
        turn = await session.input()
        guest = await session.call("hotel.find_guest", name=turn.text)
        stay = await app.call("hotel.price", 2, people=3)
        answer = await app.ai(system="Be brief.", user=turn.text)
        mood = await app.ai(user=turn.text, schema=Mood)
        memory = app.memory.session(session.session_id)
        before = await memory.get("last", "nobody")
        await memory.set("last", guest["name"])
        await session.say(f"{guest['name']} has room {guest['room']} for {stay['euros']}. {answer} {mood.happy} {before}")


@app.session("back", provider="openai", transport="websocket")
async def back(session: Any) -> None:
    """Goes on where AgentField's own session has nothing: turns() and end()."""
    async for turn in session.turns():
        await session.call("nowhere.at_all", text=turn.text)
