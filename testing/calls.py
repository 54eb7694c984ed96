"""A call in a test: an engine on virtual time, a session of the app, a provider and a caller, and the log of it all.

Everything but the world outside is what runs in production: the engine, the protocol machines, a store.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..core import events as e
from ..core.codec import decode
from ..core.definition import SessionDefinition
from ..core.errors import TurnlogError
from ..core.ports import Link, Provider, Recorded
from ..engine.app import App
from ..engine.engine import Engine
from ..engine.live import LiveSession
from ..engine.offline.replay import replay
from ..engine.sources import Sources
from ..store.archive_write import export_archive
from ..store.memory import MemoryStore
from ..store.open import open_store
from ..store.port import Store
from ..transports.links.in_process import pair
from .caller import ScriptedCaller
from .fake_speech import FakeSynthesiser
from .faults import Faults
from .held_store import HeldStore
from .speaking import SpeakingProvider
from .virtual_loop import VirtualClock, running_loop

__all__ = ["Call", "call"]

E = TypeVar("E", bound=e.Event)


class Call:
    """A running session and everyone around it. Made by `call`.

    may_fail: set it where the handler is meant to raise; else that fails the test. replays: clear it where the log is not
    meant to be replayed when the call is over.
    """

    def __init__(self, engine: Engine, session: LiveSession, provider: Provider, faults: Faults | None) -> None:
        self.engine = engine
        self.session = session
        self.callers: list[ScriptedCaller] = []
        self.may_fail = False
        self.replays = True
        self._provider = provider
        self._faults = faults
        self._readers: list[asyncio.Task[None]] = []
        self._log: list[Recorded] | None = None

    @property
    def caller(self) -> ScriptedCaller:
        """The first caller."""
        return self.callers[0]

    @property
    def provider(self) -> SpeakingProvider:
        """The provider that the call made for itself, or was given, if it is a SpeakingProvider."""
        assert isinstance(self._provider, SpeakingProvider), f"this call was given a {type(self._provider).__name__}"
        return self._provider

    async def calls_in(self, *, acknowledges: bool = False) -> ScriptedCaller:
        """Attach one more caller."""
        caller = ScriptedCaller(pair()[0], acknowledges=acknowledges, dials=self._connect)
        self.callers.append(caller)
        await self._connect(caller)
        return caller

    async def _connect(self, caller: ScriptedCaller) -> None:
        near, far = pair()
        name = f"caller {self.callers.index(caller) + 1}"
        link = self._faults.link(far) if self._faults else far
        try:
            await self.engine.attach(self.session.id, link, seat=name)
        except TurnlogError:
            await link.close()
            raise
        caller.takes(near)
        self._readers.append(asyncio.create_task(caller.run(), name=name))

    async def ended(self, *, within_s: float = 60.0) -> e.SessionEnded:
        """Wait for the session's end."""
        async with asyncio.timeout(within_s):
            return await self.session.ended()

    @property
    def log(self) -> list[Recorded]:
        """The session's events as the store holds them; also when the call is over."""
        return list(self.engine.store.scan(self.session.id)) if self._log is None else self._log

    @property
    def events(self) -> list[e.Event]:
        """The same, decoded; events of a newer turnlog are left out."""
        return [event for event in map(decode, self.log) if isinstance(event, e.Event)]

    def of(self, kind: type[E]) -> list[E]:
        """The session's events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    async def saves(self, path: str | os.PathLike[str]) -> None:
        """Export the session as it is now into an archive (*.turnlog), a recording for assert_replays."""
        await export_archive(self.engine.store, self.session.id, Path(path), replace=True)

    async def _leave(self) -> None:
        """Hang up for those who have not."""
        for caller in self.callers:
            await caller.hangs_up()
        await asyncio.gather(*self._readers)

    async def _check(self, app: App) -> None:
        """The handler has not failed, and the log replays."""
        ended = self.of(e.SessionEnded)
        if ended and ended[-1].reason == "handler_failed" and not self.may_fail:
            raise AssertionError(f"the handler failed: {ended[-1].detail}; set call.may_fail = True where it is meant to")
        declared = app.resolve(self.session.target)
        if self.replays and declared.replay:
            # In a thread: the handlers of other calls on this loop are not to wait for it.
            await asyncio.to_thread(replay, self.log, declared.handler)


class _Near:
    """A provider that is asked for links in this process, whatever transport is declared."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """As the provider does in process."""
        return await self._provider.connect(msgspec.structs.replace(definition, transport="in_process"), session)


@asynccontextmanager
async def call(
    app: App,
    target: str,
    *,
    provider: Provider | None = None,
    store: str | Store | None = None,
    seed: object = 0,
    metadata: dict[str, Any] | None = None,
    faults: Faults | None = None,
    calls_in: bool = True,
    engine: Mapping[str, Any] | None = None,
) -> AsyncIterator[Call]:
    """A session of `target` ("app.session") with a caller, on a VirtualLoop.

    provider: in place of the declared one, with links in this process; by default a SpeakingProvider. store: a URL or a Store,
    by default in memory. metadata: of the session.
    faults: stand between the engine and the provider, the store and each caller.
    seed: ids and nonces are made of it, so that equal calls have equal logs. calls_in: whether a caller is attached.
    engine: further arguments of the Engine; strict is on. When the call is over its log is replayed; raises Divergence, and
    AssertionError if the handler failed.
    """
    loop = running_loop()
    opened = await _store(store)
    declared = app.resolve(target).definition.provider
    speaking = provider or SpeakingProvider()
    entropy = random.Random(f"turnlog {seed}").randbytes
    sources = Sources(clock=lambda: VirtualClock(loop), entropy=entropy, voice=FakeSynthesiser)
    reached, kept = (faults.provider(_Near(speaking)), faults.store(opened)) if faults else (_Near(speaking), opened)
    options = {"strict": True, "providers": {declared: reached}, "sources": sources, **(engine or {})}
    try:
        async with Engine(app, store=kept, **options) as running:
            one = Call(running, await running.start(target, metadata=metadata), speaking, faults)
            try:
                if calls_in:
                    await one.calls_in()
                yield one
            finally:
                await one._leave()
        one._log = one.log
        await one._check(app)
    except BaseException as error:
        if faults:
            error.add_note(str(faults))
        raise
    finally:
        if opened is not store:
            await opened.close()


async def _store(given: str | Store | None) -> Store:
    """The store to write to; one that works on a thread of its own holds time still meanwhile."""
    if given is None:
        return MemoryStore()
    opened = await asyncio.to_thread(open_store, given) if isinstance(given, str) else given
    return opened if isinstance(opened, MemoryStore | HeldStore) else HeldStore(opened)
