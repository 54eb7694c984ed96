"""Proxied sessions: opened for a caller, run as tasks of the engine, ended with it."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from ..core import events as e
from ..core.core import SessionCore
from ..core.errors import LinkError, TurnlogError
from ..core.ports import Provider
from ..core.relaying import RelayLink, Relays, Upgrade
from ..store.port import Store
from .app import Declared
from .current import SESSION
from .nonces import Nonces
from .observing import Observers, Watched
from .opening import row_of, started_of
from .providers import default_provider
from .relay_log import Appends, RelayLog
from .relay_record import RelayRecord
from .relaying import RelaySession
from .sources import Sources

__all__ = ["Host", "Proxied"]


class Host(NamedTuple):
    """What an engine gives its proxied sessions."""

    store: Store
    providers: Mapping[str, Provider]
    sources: Sources
    nonces: Nonces
    session_id: Callable[[], str]
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    must_run: Callable[[], None]
    observers: Observers


class Proxied:
    """The proxied sessions of one engine, by id."""

    def __init__(self, host: Host) -> None:
        self.sessions: dict[str, RelaySession] = {}
        self._host = host

    async def open(
        self, declared: Declared, upgrade: Upgrade, *, metadata: dict[str, Any] | None = None, tenant: str = ""
    ) -> RelaySession:
        """Start a session and reach its provider, with what a caller asks for; `carry` it then.

        Raises TurnlogError TL314 where the provider refuses or cannot be reached (the log says so, too), HandlerError TL105 for
        metadata that cannot be stored, StoreError, TL410 and TL508 as Engine.start.
        """
        self._host.must_run()
        host, clock = self._host, self._host.sources.clock()
        started = started_of(declared, host.session_id(), metadata or {}, [])
        core = SessionCore()
        head = await host.store.create(row_of(started, clock.now_ns(), tenant))
        core.record(started, e.Root.START, clock.now_ns())
        appends = Appends(host.store, head, host.nonces, Watched(host.observers, started.session))
        await appends.append(core.events_to_append(), (), ended=False)
        link = await self._reach(declared, upgrade)
        definition = declared.definition
        if isinstance(link, LinkError):
            core.link_failed(e.LinkFailed(side="provider", code=link.code, message=link.message), clock.now_ns())
            while not core.ended:
                core.close_when_done(clock.now_ns())
            await appends.append(core.events_to_append(), (), ended=True)
            appends.watched.closed(None)
            raise TurnlogError("TL314", f"{definition.provider} has not let {declared.target} in: {link.message}", link.hint)
        opened = e.LinkOpened(link="p1", side="provider", transport=definition.transport, peer=definition.provider)
        core.record(opened, e.Root.HOST, clock.now_ns())
        session = RelaySession(core, RelayLog(RelayRecord(core), appends, clock), clock, link)
        self.sessions[session.id] = session
        host.spawn(self._run(session))
        return session

    async def _reach(self, declared: Declared, upgrade: Upgrade) -> RelayLink | LinkError:
        definition = declared.definition
        provider = self._host.providers.get(definition.provider) or default_provider(definition)
        if not isinstance(provider, Relays):
            return LinkError("TL301", f"provider {definition.provider!r} cannot be proxied", "proxy openai or azure")
        try:
            return await provider.open_frames(definition, upgrade)
        except LinkError as error:
            return error
        except OSError as error:
            return LinkError("TL301", f"{definition.provider}: {error}", "is the service up?")

    async def _run(self, session: RelaySession) -> None:
        SESSION.set(session.id)  # of this task
        try:
            await session.drive()
        finally:
            self.sessions.pop(session.id, None)

    def end(self, reason: str) -> None:
        """End them all."""
        for session in list(self.sessions.values()):
            session.end(reason, drain=False)
