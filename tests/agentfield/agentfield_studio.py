"""A node as AgentField's users write one, whose handler asks its model in every way that the SDK has. The model is its own."""

from collections.abc import AsyncIterator
from typing import Any

from agentfield import Agent, AudioOutput, HarnessResult, ImageOutput, MultimodalResponse
from agentfield.exceptions import MeshTargetNotFound
from pydantic import BaseModel

asked: list[str] = []
seen: list[Any] = []


class Delta(BaseModel):
    """New words."""

    content: str | None = None


class Choice(BaseModel):
    """One of the answers."""

    delta: Delta


class Piece(BaseModel):
    """As model libraries stream."""

    choices: list[Choice]


class Plan(BaseModel):
    """What the harness is to find."""

    steps: int


class Models:
    """What the SDK asks: its own methods stand before it."""

    async def ai(self, *args: Any, stream: bool | None = None, **kwargs: Any) -> Any:
        """Words, at once or piece by piece."""
        asked.append(f"ai {kwargs['user']}")
        if stream:
            return self._pieces(kwargs["user"])
        return MultimodalResponse(text="Yes.", cost_usd=0.5, usage={"total_tokens": 3})

    async def _pieces(self, user: str) -> AsyncIterator[Piece]:
        try:
            for word in ("One", " two", None, " three."):
                asked.append(f"piece {word}")
                yield Piece(choices=[Choice(delta=Delta(content=word))])
            if user == "broken":
                raise ConnectionError("the model went away")
        finally:
            asked.append("closed")

    async def ai_with_audio(self, *args: Any, **kwargs: Any) -> Any:
        """A voice."""
        asked.append("audio")
        return MultimodalResponse(text="", audio=AudioOutput(data="AAE=", format="wav", url=None))

    async def ai_with_vision(self, *args: Any, **kwargs: Any) -> Any:
        """A picture."""
        asked.append("vision")
        image = ImageOutput(url="https://x.example/cat.png", b64_json=None, revised_prompt=None)
        return MultimodalResponse(text="A cat.", images=[image])

    async def ai_with_multimodal(self, *args: Any, **kwargs: Any) -> Any:
        """Words."""
        asked.append("multimodal")
        return MultimodalResponse(text="Both.")


class Studio(Agent):
    """An agent whose models are here."""

    @property
    def ai_handler(self) -> Any:
        """What asks the models."""
        return Models()

    def note(self, message: str, tags: list[str] | None = None) -> None:
        """Kept here."""
        asked.append(f"note {message} {tags}")
        if message == "fails":
            raise OSError("no control plane")

    async def harness(self, prompt: str, **kwargs: Any) -> HarnessResult:
        """Somebody else's work."""
        asked.append("harness")
        return HarnessResult(result="done", parsed=kwargs["schema"](steps=2), messages=[{"role": "user"}])


app = Studio(node_id="studio", dev_mode=False)


@app.reasoner()
async def double(number: int) -> dict[str, Any]:
    """Twice the number."""
    asked.append("double")
    return {"number": 2 * number}


@app.reasoner()
async def planned(plan: Plan, more: int = 1) -> Plan:
    """A longer plan."""
    asked.append("planned")
    return Plan(steps=plan.steps + more)


@app.session("desk", provider="openai", transport="websocket")
async def desk(session: Any) -> None:
    """Each way once."""
    words = []
    stream = await app.ai(user=(await session.input()).text, stream=True)
    async for piece in stream:
        words.append(piece.choices[0].delta.content or "")
        assert piece["choices"][0]["delta"].get("content") == piece.choices[0].delta.content
        assert not hasattr(piece, "usage")
    await session.say("".join(words))
    left = await app.ai(user="left", stream=True)
    async with left:
        async for _ in left:
            break
    try:
        async for _ in await app.ai(user="broken", stream=True):
            pass
    except Exception as error:
        seen.append(getattr(error, "type_name", error))
    answer = await app.ai(user="Well?")
    audio, image = (await app.ai_with_audio("Hum")).audio, await app.ai_with_vision("A cat")
    assert audio is not None
    plan = await app.harness("Plan.", schema=Plan)
    seen.append((type(answer), answer.text, answer.cost_usd, answer.usage, str(await app.ai_with_multimodal("Both"))))
    seen.append((audio.get_bytes(), image.images[0].url, image.text))
    seen.append((type(plan), plan.failure_type.name, plan.parsed == Plan(steps=2), plan.messages))
    app.note("so far", ["test"])
    app.note("fails")
    seen.append((await app.call_local("double", 4), await app.call_local("studio.double", number=5)))
    seen.append((await app.call(target="studio.double", number=1), await session.call(target="double", number=2), app.ctx))
    seen.append((await double(6), await planned(Plan(steps=1), more=2) == Plan(steps=3)))
    for refused in (app.pause, app.wait_for_resume, app.discover):
        try:
            refused("approval_1")
        except Exception as error:
            seen.append(error)
    try:
        await app.call_local("other.double", 1)
    except MeshTargetNotFound:
        seen.append("mesh")
    await session.say(answer, tone="dry")
    await session.end()
