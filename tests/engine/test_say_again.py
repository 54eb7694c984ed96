"""What a handler gets of its own says: the same handle for the same key, and what was heard of each response."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from turnlog import App, RealtimeSession, replay
from turnlog.core import events as e
from turnlog.core import keys
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


async def test_a_key_that_was_forgotten_is_a_new_say(turnlog: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words may be others, too; so it is in the replay. What is held of settled says is as many as the keys."""
    monkeypatch.setattr(keys, "MOST_KEYS", 3)
    app = App("hotel")
    handles: list[str] = []
    held: list[int] = []

    @app.session("desk", provider="openai", transport="websocket")
    async def desk(session: RealtimeSession) -> None:
        for number in (1, 2, 3, 4, 2, 5):
            said = await session.say(f"Number {number}", key=str(number))
            handles.append(said.id)
            await said.settled()
        handles.append((await session.say("One again", key="1")).id)
        held.append(len(session._journal.says.open))

    async with turnlog.call(app, "hotel.desk") as call:
        await call.ended()
    handles.clear()
    assert held.pop() == 3
    assert (await asyncio.to_thread(replay, call.log, desk)).complete
    assert handles == ["say_1", "say_2", "say_3", "say_4", "say_2", "say_6", "say_7"]
    assert held.pop() == 3


async def test_a_stream_under_the_key_of_an_earlier_say_is_stopped(turnlog: Kit) -> None:
    """The first one is spoken, or was: nobody reads the second, which has no end; so it is in the replay."""
    app = App("hotel")
    written: list[str] = []
    statuses: list[str] = []

    async def words(name: str, most: int) -> AsyncIterator[str]:
        for n in range(most):
            written.append(name)
            yield f"{name}{n}. "
            await asyncio.sleep(0.1)

    @app.session("desk", provider="openai", transport="websocket")
    async def desk(session: RealtimeSession) -> None:
        said: list[str] = []
        first = await session.say(session.stream(words, "once", 3), key="news")
        for name in ("meanwhile", "afterwards"):
            stream = session.stream(words, name, 1_000_000)
            again = await session.say(stream, key="news")
            said += [item async for item in stream]
            assert again.id == first.id
            said.append((await again.settled()).status)
        await session.input()
        statuses[:] = said

    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.hears("once2")
        await call.caller.is_silent(30)
        await call.caller.says("thank you")
        await call.ended()
    assert statuses == ["played", "played"]
    assert written.count("once") == 3 and written.count("meanwhile") <= 2 and written.count("afterwards") <= 2
    assert call.caller.heard[0].heard.startswith("once0")


async def test_a_say_that_is_settled_is_the_handlers_alone(turnlog: Kit) -> None:
    """Its handle goes on telling how it ended, and nothing but a key keeps it: a long call holds no list of its says."""
    app = App("hotel")
    kept: list[set[str]] = []
    told: list[str] = []

    @app.session("desk", provider="openai", transport="websocket")
    async def desk(session: RealtimeSession) -> None:
        first = await session.say("number 0")
        for n in range(1, 5):
            await (await session.say(f"number {n}", key="three" if n == 3 else "")).settled()
        kept.append(set(session._journal.says.open))
        told.extend((first.status, first.heard_text))

    async with turnlog.call(app, "hotel.desk") as call:
        await call.ended()
    assert kept == [{"say_4"}] * 2  # live, and in the replay
    assert told == ["played", "number 0"] * 2


async def test_a_turn_that_cut_nothing_says_so(turnlog: Kit) -> None:
    """Its list of what it interrupted is there and empty, spoken or typed: a handler may look into it unasked."""
    app = App("hotel")
    cut: list[object] = []

    @app.session("desk", provider="openai", transport="websocket", echo="client_aec")
    async def desk(session: RealtimeSession) -> None:
        await session.say("Good morning")
        cut[:] = [turn.metadata["interrupted"] async for turn in session.turns()]

    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.hears("good morning")
        await call.caller.is_silent(1)
        await call.caller.says("is there any news")
        call.caller.types("hello")
        await call.caller.is_silent(1)
        await call.caller.hangs_up()
        await call.ended()
    assert cut == [[], []]


@pytest.mark.parametrize("how", ["hangs_up", "drains"])
async def test_the_last_utterance_is_told(turnlog: Kit, how: str) -> None:
    """What sounds when the caller hangs up, or the handler ends the session, is an utterance too; then they are over."""
    app = App("hotel")
    heard: list[tuple[str, bool]] = []

    @app.session("desk", provider="openai", transport="websocket", echo="client_aec")
    async def desk(session: RealtimeSession) -> None:
        ended = session.utterances()
        await session.say("Breakfast is served from seven to ten")
        await session.input()
        await session.say("Very well then")
        if how == "drains":
            await session.end("done")
        heard.clear()
        heard.extend([(one.heard_text, one.interrupted) async for one in ended])
        assert session.now().second < 9  # nobody waits for the ten seconds after a hang-up

    async with turnlog.call(app, "hotel.desk") as call:
        await call.caller.hears("ten")
        await call.caller.says("thank you")
        await call.caller.hears("very")
        if how == "hangs_up":
            await call.caller.hangs_up()
        await call.ended()
    last = ("Very", True) if how == "hangs_up" else ("Very well then", False)
    assert heard == [("Breakfast is served from seven to ten", False), last]


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
