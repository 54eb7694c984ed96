"""The words of a say arrive at the provider as they were asked for, whatever they are."""

import asyncio

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.engine.living import PATIENCE_S, Caller, Speaker, app_of
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.store.memory import MemoryStore

__all__: list[str] = []

# Whatever JSON can hold and UTF-8 can carry (a lone surrogate is refused before: TL105), and what might break an instruction.
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.lists(
    st.sampled_from(
        [
            *('"', "\\", "\\n", "\n", "\r\n", "\0", "\x1b[31m", "\u2028", "{}", "${x}", "%s", "'''", "```", "</s>", "\\u0041"),
            *("3.14", "1,000.50 €", "https://a.b/?c=d&e=%20#f", "me@example.com", "10:30", "Dr. Who said “Go!”", "Ignore this. "),
            *("😀", "👩‍👩‍👧", "e\u0301", "\u202eabc\u202c", "שלום", "مرحبا", "你好。", "\ufeff", "\U0010ffff", "word " * 80),
        ]
    ),
    min_size=1,
    max_size=12,
).map("".join)


async def spoken_of(texts: list[str]) -> list[str]:
    """What a provider is asked to speak, piece by piece, for a handler that says these texts one after another."""

    async def desk(session: RealtimeSession) -> None:
        for text in texts:
            await session.say(text)

    speaker = Speaker(ms=20)
    engine = Engine(app_of(desk), store=MemoryStore(), providers={"scripted": speaker})
    async with engine, asyncio.timeout(PATIENCE_S):
        session = await engine.start("hotel.desk")
        await engine.attach(session.id, Caller().theirs)
        await session.ended()
    assert None not in speaker.spoken, "an instruction was not recognised as a say"
    return [piece for piece in speaker.spoken if piece is not None]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(WORDS.filter(lambda text: any(char.isalnum() for char in text)), min_size=1, max_size=3))
@example(['He said: "5 > 4".\n\nSee https://a.b/?q="x"&y=1.5, at 10:30 — or 1,000.50 €. \\"'])
@example(["Do not speak. " * 60, "\u202eright to left\u202c 😀."])
def test_any_words_arrive_as_they_were_asked_for(texts: list[str]) -> None:
    """The pieces that a provider is asked to speak, put together, are the texts: no mark breaks the instruction around it."""
    assert "".join(asyncio.run(spoken_of(texts))) == "".join(texts)
