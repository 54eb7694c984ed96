"""A session that ends in an odd moment: SessionEnded is its last event, each say has one end, and nothing of it is left."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from turnlog import App, RealtimeSession
from turnlog.core import events as e
from turnlog.engine.offline.what_if import what_if
from turnlog.testing import Call, Kit, Pace, SpeakingProvider

OUTSIDE = {"drained": "outside", "cut_off": "outside"}
REASONS = {**OUTSIDE, "hung_up": "caller_gone", "lost": "provider_lost", "stopped": "engine_stopped"}
MOMENTS = (0.02, 0.3, 0.75, 1.1, 2.4)  # s: while it begins, sounds, is interrupted, is cut or held, and after that


async def story() -> AsyncIterator[str]:
    """Sentences that come slowly."""
    for n in range(20):
        await asyncio.sleep(0.2)
        yield f"Part {n} of it. "


async def streams(session: RealtimeSession) -> None:
    """A stream is spoken; the handler reads turns."""
    await session.say(session.stream(story))
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


async def queues(session: RealtimeSession) -> None:
    """Says wait behind each other, and the last is awaited."""
    handles = [await session.say(f"This is number {n} of a long list.") for n in range(4)]
    async for _ in session.turns():
        pass
    await handles[-1].settled()


async def watches(session: RealtimeSession) -> None:
    """A task awaits utterances when the handler returns."""

    async def watch() -> None:
        async for _ in session.utterances():
            pass

    tasks = [asyncio.create_task(watch())]
    await session.say("One two three four five six seven.")
    await asyncio.sleep(len(tasks))


async def ends(call: Call, how: str) -> None:
    """Let the session end."""
    match how:
        case "drained" | "cut_off":
            call.session.end("outside", drain=how == "drained")
        case "hung_up":
            await call.caller.hangs_up()
        case "lost":
            await call.provider.disconnects(1006)
        case "stopped":
            await call.engine.__aexit__(None, None, None)  # as Ctrl-C leaves it, while the callers are there


async def goes_on(call: Call, seconds: float) -> None:
    """The caller speaks over what sounds until it is time."""
    speaking = asyncio.create_task(call.caller.interrupts("stop it now please", after_ms=500))
    await asyncio.sleep(seconds)
    speaking.cancel()
    await asyncio.wait([speaking])


@pytest.mark.parametrize("how", REASONS)
@pytest.mark.parametrize("handler", [streams, queues, watches])
def test_an_end_at_any_moment_is_clean(turnlog: Kit, handler, how: str) -> None:  # type: ignore[no-untyped-def] # a handler
    """Whether a stream is spoken, a say held by speech, or cut and its acknowledgement awaited; with no task left behind."""
    app = App("line")
    app.session("talk", provider="openai", transport="websocket", echo="client_aec")(handler)
    for moment in MOMENTS:
        for pace in (Pace(), Pace(created_ms=150, audio_ms=300, speed=1.0)):

            async def script(call: Call, moment: float = moment) -> None:
                await goes_on(call, moment)
                await ends(call, how)
                await call.ended(within_s=120)

            call = turnlog.run(app, "line.talk", script, provider=SpeakingProvider(pace=pace))
            last = call.events[-1]
            assert isinstance(last, e.SessionEnded)
            assert last.reason in (REASONS[how], "completed")
            assert Counter(one.say for one in call.of(e.SaySettled)) == Counter(one.say for one in call.of(e.SayRequested))
            found = what_if(call.log, handler)
            assert (found.stopped, {row.status for row in found.rows}) == ("", {"equal"})
