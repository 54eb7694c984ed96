"""Where a handler issued a command."""

import asyncio

from tests.engine.living import living
from turnlog.core import events as e
from turnlog.engine.handlers.session import RealtimeSession


async def test_the_site_is_the_handlers_own_line() -> None:
    """Frames of the engine and of asyncio are passed over; a function of the handler's own is not."""
    lines: list[int] = []

    async def helper(session: RealtimeSession) -> None:
        lines.append(helper.__code__.co_firstlineno + 2)
        await session.say("Two")

    async def desk(session: RealtimeSession) -> None:
        lines.append(desk.__code__.co_firstlineno + 2)
        await asyncio.gather(session.say("One"), asyncio.create_task(helper(session)))

    async with living(desk) as alive:
        await alive.ended()
    assert [(say.site.file, say.site.line) for say in alive.of(e.SayRequested)] == [(__file__, line) for line in lines]
