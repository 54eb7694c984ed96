"""One call of the demo: an engine, a session, a caller, from the greeting to the end, whoever ends it.

Strategy: Ctrl-C asks the session to end, and then everything takes its usual way: the log, the recordings, the replay.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from ..core.errors import LinkClosed
from ..core.events import SessionEnded
from ..core.ports import Link, Provider
from ..engine.app import App
from ..engine.engine import Engine
from ..engine.live import LiveSession
from ..store.port import VerifyReport
from ..transports.links.in_process import pair
from .caller import SpokenCaller
from .transcript import Transcript
from .typist import TypingCaller, typed_lines

__all__ = ["Held", "Question", "Write", "hold_spoken", "hold_typed"]

_NO_TURN_S = 8.0  # how long a question may wait to become a turn
_LAST_TURN_S = 1.5  # for the end of turn to be noticed after a recording that ends in a word

Write = Callable[[int, str, str], None]


class Question(NamedTuple):
    """A recording to be streamed: its name, and PCM16 mono at 24 kHz."""

    name: str
    pcm16: bytes


class Held(NamedTuple):
    """A call that is over."""

    session: str
    ended: SessionEnded
    report: VerifyReport
    turns: int
    stopped: bool  # by Ctrl-C
    recordings: tuple[Path, ...] = ()


class _Caller(Protocol):
    async def run(self) -> None:
        """Speak and listen until the link is closed."""

    def stop(self) -> None:
        """Say and hear nothing more."""

    async def hang_up(self) -> None:
        """Close the link."""


async def hold_spoken(
    app: App, providers: dict[str, Provider], folder: Path, questions: list[Question], write: Write
) -> Held:
    """Ask the questions one after another, each when the answer to the one before was heard."""

    async def begin(engine: Engine, session: LiveSession, link: Link) -> Held:
        caller = SpokenCaller(link, folder)
        try:
            held = await _hold(engine, session, caller, write, lambda script: _ask(script, caller, questions))
        finally:
            caller.close()
        return held._replace(recordings=caller.recordings)

    return await _with_engine(app, providers, folder, begin)


async def hold_typed(app: App, providers: dict[str, Provider], folder: Path, write: Write, prompt: Callable[[], None]) -> Held:
    """Pass on what the user types; `prompt` is called when it is the user's turn."""

    async def begin(engine: Engine, session: LiveSession, link: Link) -> Held:
        caller = TypingCaller(link)
        return await _hold(engine, session, caller, write, lambda script: _type(script, caller, prompt))

    return await _with_engine(app, providers, folder, begin)


async def _with_engine(
    app: App, providers: dict[str, Provider], folder: Path, begin: Callable[[Engine, LiveSession, Link], Awaitable[Held]]
) -> Held:
    async with Engine(app, store=f"{folder / 'demo.db'}", providers=providers) as engine:
        session = await engine.start(next(iter(app.sessions.values())).target, metadata={"demo": True})
        mine, theirs = pair()
        await engine.attach(session.id, theirs, peer="demo")
        return await begin(engine, session, mine)


async def _hold(
    engine: Engine, session: LiveSession, caller: _Caller, write: Write, talk: Callable[[Transcript], Awaitable[None]]
) -> Held:
    script = Transcript(engine.store, session.id, write)

    def interrupt() -> None:
        caller.stop()
        session.end("interrupted", drain=False)

    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(script.follow())
        tasks.create_task(caller.run())
        with _interrupts(interrupt) as stopped:
            talking = asyncio.ensure_future(_talk(talk, script, caller))
            ending = asyncio.ensure_future(session.ended())
            try:
                await asyncio.wait({talking, ending}, return_when=asyncio.FIRST_COMPLETED)
                if talking.done():
                    talking.result()
                ended = await ending
            finally:
                talking.cancel()
                following.cancel()
    await script.catch_up()
    report = await engine.store.verify(session.id)
    return Held(session.id, ended, report, script.progress.turns, stopped.is_set())


async def _talk(talk: Callable[[Transcript], Awaitable[None]], script: Transcript, caller: _Caller) -> None:
    await script.until(lambda: script.progress.idle)  # the greeting was heard
    with contextlib.suppress(LinkClosed):  # the session may end while we speak
        await talk(script)
    await caller.hang_up()


async def _ask(script: Transcript, caller: SpokenCaller, questions: list[Question]) -> None:
    progress = script.progress
    for question in questions:
        turns = progress.turns
        caller.speak(question.pcm16)
        await script.note(time.time_ns(), "caller", f"speaks: {question.name}, {len(question.pcm16) / 48_000:.1f} s")
        await script.until(lambda: caller.silent)
        await asyncio.sleep(_LAST_TURN_S)
        if not await script.until(lambda before=turns: progress.turns > before, _NO_TURN_S):  # type: ignore[misc] # B023's remedy
            await script.note(time.time_ns(), "caller", "(no turn came of it)")
        await script.until(lambda: progress.idle and caller.quiet)


async def _type(script: Transcript, caller: TypingCaller, prompt: Callable[[], None]) -> None:
    progress = script.progress
    prompt()
    async for line in typed_lines():
        turns = progress.turns
        caller.send(line)
        await script.until(lambda before=turns: progress.turns > before and progress.idle)  # type: ignore[misc] # B023's remedy
        prompt()


@contextlib.contextmanager
def _interrupts(on_first: Callable[[], None]) -> Iterator[asyncio.Event]:
    """Ctrl-C does this, once; a second one is Python's own. The event is set then.

    Where the loop takes no signal handlers (Windows) Ctrl-C cancels, and the engine ends its sessions on the way out.
    """
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stopped.set()
        on_first()

    try:
        loop.add_signal_handler(signal.SIGINT, stop)
    except NotImplementedError:
        yield stopped
        return
    try:
        yield stopped
    finally:
        loop.remove_signal_handler(signal.SIGINT)
