"""Records golden logs of calls in which both sides speak at once: `python -m tests.golden.record_talk tests/golden/v0_1_talk`.

Once a release, never again. On virtual time, with the provider and the caller of turnlog.testing, so that a recording is the
same each time. A log that is there is kept; only what is missing is recorded.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from turnlog.testing import SpeakingProvider, call
from turnlog.testing.calls import Call
from turnlog.testing.virtual_loop import run_virtual

from .record_golden import load_handlers

__all__ = ["SCRIPTS", "main", "provider"]


async def _barged(one: Call) -> None:
    caller = one.caller
    await caller.interrupts("a double room please")
    await caller.hears("ninety euros")
    await caller.hears("one two three")
    await caller.falls_silent()
    await caller.says("second turn")
    await caller.sounding()
    caller.sends({"type": "response.cancel"})
    await asyncio.sleep(1)
    await caller.says("thanks")
    await caller.hears("bye")


async def _echoing(one: Call) -> None:
    caller = one.caller
    await caller.interrupts("Good morning and welcome to the grand hotel", after_ms=400)
    await caller.falls_silent()
    await caller.says("a room please")
    await caller.hears("you said a room")
    await caller.falls_silent()
    await asyncio.sleep(2)
    await caller.says("bye")


async def _nodding(one: Call) -> None:
    caller = one.caller
    await caller.interrupts("uh huh", after_ms=500)
    await caller.interrupts("I want a room please", after_ms=2_000)
    await caller.hears("you said I want a room")
    await caller.says("well bye then")


async def _switching(one: Call) -> None:
    caller = one.caller
    await caller.gets("session.created")
    await caller.says("how is the weather")
    await caller.hears("I shall look")
    server = one.provider.line.server
    response = server.start_response()
    server.function_call(response, "call_1", "weather", '{"town":"Lisbon"}')
    server.finish_response(response)
    one.provider.line.flush()
    await caller.hears("The model said")
    await caller.falls_silent()
    await caller.says("and tomorrow")
    await caller.interrupts("stop it", after_ms=700)


SCRIPTS: dict[str, Callable[[Call], Awaitable[None]]] = {
    "barged": _barged,
    "echoing": _echoing,
    "nodding": _nodding,
    "switching": _switching,
}


def provider() -> SpeakingProvider:
    """What the calls are held with: a model that has something to say of its own."""
    return SpeakingProvider(reply="I shall look that up for you now and tell you all that I can find")


async def _record(folder: Path) -> None:
    module = load_handlers(folder)
    for name, script in SCRIPTS.items():
        path = folder / f"{name}.turnlog"
        if path.exists():
            print(f"{path}: kept")
            continue
        async with call(module.app, f"golden.{name}", provider=provider(), seed=name) as one:
            await script(one)
            ended = await one.ended()
            await one.saves(path)
        print(f"{path}: {ended.reason}, {len(one.log)} events, {path.stat().st_size:,} bytes")


def main() -> None:
    """Record what is missing in the folder that the command line names."""
    run_virtual(_record(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
