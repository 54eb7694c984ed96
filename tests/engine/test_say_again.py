"""What a handler gets of its own says: the same handle for the same key, and what was heard of each response."""

from turnlog import App, RealtimeSession
from turnlog.core import events as e
from turnlog.testing import Kit


async def test_a_say_with_the_key_of_an_earlier_one_is_that_one(turnlog: Kit) -> None:
    """The handler goes on with a handle of the first say, which is spoken once; so does its replay."""
    app = App("hotel")
    handles: list[str] = []

    @app.session("desk", provider="openai", transport="websocket")
    async def desk(session: RealtimeSession) -> None:
        first = await session.say("Good morning", key="hello")
        again = await session.say("Good morning", key="hello")
        handles.extend((first.id, again.id, (await again.settled()).status))

    async with turnlog.call(app, "hotel.desk") as call:
        await call.ended()
        assert handles == ["say_1", "say_1", "played"]
        assert len(call.of(e.SayRequested)) == len(call.of(e.SayRepeated)) == 1
        assert call.provider.says == ["Good morning"]


async def test_utterances_are_what_was_heard_of_each_response(turnlog: Kit) -> None:
    """One for each playout that ends, cut ones with the words that were heard."""
    app = App("hotel")
    heard: list[tuple[str | None, str, bool]] = []

    @app.session("desk", provider="openai", transport="websocket", echo="client_aec")
    async def desk(session: RealtimeSession) -> None:
        ended = session.utterances()
        await session.say("Breakfast is served from seven to ten in the garden room")
        await session.input()
        await session.say("Very well")
        mine: list[tuple[str | None, str, bool]] = []
        async for one in ended:
            mine.append((one.say, one.heard_text, one.interrupted))
            if len(mine) == 2:
                break
        heard[:] = mine

    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.interrupts("I know that", after_ms=1300)
        await call.ended()
        assert heard == [("say_1", "Breakfast is served", True), ("say_3", "Very well", False)]
