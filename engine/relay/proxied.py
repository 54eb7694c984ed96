"""Proxied sessions: opened for a caller, run as tasks of the engine, ended with it."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple

from ...core import events as e
from ...core.core import SessionCore
from ...core.definition import SessionDefinition
from ...core.errors import LinkError, TurnlogError
from ...core.ports import Calls, Provider, TakenCall
from ...core.relaying import RelayLink, Relays, Upgrade
from ...store.port import Store
from ...transports.callers.direct import DirectCaller
from ..answering import Calls as OpenCalls
from ..app import Declared
from ..clock import Clock
from ..handlers.current import SESSION
from ..observing import Watched
from ..opening import row_of, started_of
from ..session_log import SessionLog
from ..shared import Shared
from .call import RelayCall
from .log import RETRY_S, RelayLog
from .record import RelayRecord
from .relayed import CALLER, PROVIDER
from .session import RelaySession

__all__ = ["Host", "Proxied"]


class Host(NamedTuple):
    """What an engine gives its proxied sessions."""

    store: Store
    shared: Shared
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    must_run: Callable[[], None]
    calls: OpenCalls


class Proxied:
    """The proxied sessions of one engine, by id."""

    def __init__(self, host: Host) -> None:
        self.sessions: dict[str, RelaySession | RelayCall] = {}
        self._host = host

    async def open(
        self, declared: Declared, upgrade: Upgrade, *, metadata: dict[str, Any] | None = None, tenant: str = ""
    ) -> RelaySession:
        """Start a session and reach its provider, with what a caller asks for; `carry` it then.

        Raises TurnlogError TL314 where the provider refuses or cannot be reached (the log says so, too), HandlerError TL105 for
        metadata that cannot be stored, StoreError, TL410 and TL508 as Engine.start.
        """
        _must_be(declared, "websocket")
        begun = await self._begin(declared, metadata, tenant)
        core, definition = begun.core, declared.definition
        link = await self._reach(declared, upgrade)
        if isinstance(link, LinkError):
            raise await _refused(begun, declared, link)
        opened = e.LinkOpened(link=PROVIDER, side="provider", transport=definition.transport, peer=definition.provider)
        core.record(opened, e.Root.HOST, begun.clock.now_ns())
        session = RelaySession(core, begun.log(), begun.clock, link)
        self._start(session)
        return session

    async def call(
        self, declared: Declared, offer: str, asked: dict[str, Any], *, metadata: dict[str, Any] | None = None, tenant: str = ""
    ) -> tuple[RelayCall, TakenCall]:
        """Start a session and pass a caller's offer on to its provider; a sideband listens. asked: the session it configures.

        Raises as `open`, and TL505 where the target is proxied by another transport.
        """
        _must_be(declared, "webrtc")
        definition = declared.definition
        provider = self._provider(declared)
        begun = await self._begin(declared, metadata, tenant)
        if not isinstance(provider, Calls):
            raise await _refused(begun, declared, _cannot(definition))
        session = begun.core.state.life.started
        assert session is not None  # _begin
        try:
            configuration = {"type": "realtime", **asked, "model": definition.model}
            taken = await provider.take_call(offer, session.session, configuration)
        except LinkError as error:
            refusal = await _refused(begun, declared, error)
        else:
            now_ns = begun.clock.now_ns()
            begun.core.record(e.LinkOpened(link=CALLER, side="caller", transport="direct"), e.Root.HOST, now_ns)
            begun.core.record(e.CallOpened(call_id=taken.call_id, link=CALLER), e.Root.HOST, now_ns)
            caller = DirectCaller(partial(provider.hang_up, taken.call_id))
            live = RelayCall(begun.core, begun.log(), begun.clock, provider, taken.call_id, caller)
            self._host.calls.enter(taken.call_id, live.id, caller)
            self._start(live)
            return live, taken
        raise refusal

    async def _begin(self, declared: Declared, metadata: dict[str, Any] | None, tenant: str) -> "_Begun":
        self._host.must_run()
        host, shared = self._host, self._host.shared
        clock = shared.sources.clock()
        started = started_of(declared, shared.session_id(), metadata or {}, [])
        core = SessionCore()
        head = await host.store.create(row_of(started, clock.now_ns(), tenant))
        core.record(started, e.Root.START, clock.now_ns())
        watched = Watched(shared.observers, started.session)
        log = SessionLog(host.store, head, shared.nonces, watched, retry_s=RETRY_S)
        await log.append(core.events_to_append())
        return _Begun(core, log, clock)

    def _start(self, session: RelaySession | RelayCall) -> None:
        self.sessions[session.id] = session
        self._host.spawn(self._run(session))

    def _provider(self, declared: Declared) -> Provider:
        return self._host.shared.provider(declared.definition)

    async def _reach(self, declared: Declared, upgrade: Upgrade) -> RelayLink | LinkError:
        definition = declared.definition
        provider = self._provider(declared)
        if not isinstance(provider, Relays):
            return _cannot(definition)
        try:
            return await provider.open_frames(definition, upgrade)
        except LinkError as error:
            return error
        except OSError as error:
            return LinkError("TL301", f"{definition.provider}: {error}", "is the service up?")

    async def _run(self, session: RelaySession | RelayCall) -> None:
        SESSION.set(session.id)  # of this task
        try:
            await session.drive()
        finally:
            self.sessions.pop(session.id, None)

    def end(self, reason: str) -> None:
        """End them all."""
        for session in list(self.sessions.values()):
            session.end(reason, drain=False)


class _Begun(NamedTuple):
    """A session whose beginning is in the log."""

    core: SessionCore
    appends: SessionLog
    clock: Clock

    def log(self) -> RelayLog:
        return RelayLog(RelayRecord(self.core), self.appends, self.clock)


async def _refused(begun: _Begun, declared: Declared, error: LinkError) -> TurnlogError:
    """Record that the provider was not reached, which ends the session; what its caller is told."""
    core, now_ns = begun.core, begun.clock.now_ns()
    core.link_failed(e.LinkFailed(side="provider", code=error.code, message=error.message), now_ns)
    while not core.ended:
        core.close_when_done(now_ns)
    await begun.appends.append(core.events_to_append(), ended=True)
    begun.appends.watched.closed(None)
    provider = declared.definition.provider
    return TurnlogError("TL314", f"{provider} has not let {declared.target} in: {error.message}", error.hint)


def _must_be(declared: Declared, transport: str) -> None:
    if declared.definition.transport != transport:
        other = {"websocket": "offer a call at /v1/realtime/calls", "webrtc": "connect to /v1/realtime"}[transport]
        raise TurnlogError("TL505", f"{declared.target} is proxied by {declared.definition.transport}", other)


def _cannot(definition: SessionDefinition) -> LinkError:
    return LinkError("TL301", f"provider {definition.provider!r} cannot be proxied by {definition.transport}", "proxy openai")
