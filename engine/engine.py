"""Engine: the composition. Declarations, a store and providers become live sessions.

Every session is a task of the engine's TaskGroup; leaving the context ends the sessions in order and closes the store.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from ..core.errors import TurnlogError
from ..core.ports import Link, Provider
from ..store.feed import START, FeedEntry, feed
from ..store.port import Store
from ..transports.control_plane import ControlPlane
from ..transports.webrtc.ice import IceSettings
from .answering import Answered, Calls, Offer
from .app import App
from .directory import Directory
from .draining import drained
from .executions import Executions
from .handlers.watchdog import HandlerLimits
from .kept import Kept
from .live import LiveSession
from .nodes.hub import Nodes
from .observing import Observer, Observers
from .open_tools import OpenTools
from .projections import Projection, Projections
from .relay.proxied import Host, Proxied
from .shared import Shared
from .sources import SYSTEM, Sources
from .starting import Asked, Starter

__all__ = ["Engine"]

class Engine:
    """Runs an App's sessions on one store.

    store: "sqlite:///calls.db", "memory://", a path, or an open Store (which the caller then closes). providers: by name, in
    place of the built-in ones. durability: "normal" (an acknowledged append survives the process) or "full" (power loss).
    projections: follow the log on a thread of their own, in the folder beside the store's file; see `engine.projections`.
    strict: clocks, randomness and blocking calls raise in handlers whose declaration does not say otherwise. limits: how long
    a handler may run without awaiting; None turns the watchdog off. sources: of time and random bytes; turnlog.testing gives
    virtual ones. ice: the addresses, STUN and TURN servers of calls over WebRTC; without any the interfaces' own addresses.
    observers: told of each append of every session, see `engine.observing`. control_plane: where other nodes' reasoners run.
    Raises DefinitionError TL204 for tools that are not declared, TL208 for projections that cannot be; on entering, StoreError
    TL401, TL404, TL405 or TL406, and for MCP servers LinkError TL301, MissingExtra, DefinitionError TL201 and TL204.
    """

    def __init__(
        self,
        app: App,
        *,
        store: str | Store = "sqlite:///turnlog.db",
        providers: Mapping[str, Provider] | None = None,
        durability: str = "normal",
        projections: Sequence[Projection] = (),
        strict: bool = False,
        limits: HandlerLimits | None = HandlerLimits(),  # noqa: B008 -- frozen
        sources: Sources = SYSTEM,
        ice: IceSettings = IceSettings(),  # noqa: B008 -- frozen
        observers: Sequence[Observer] = (),
        control_plane: ControlPlane | None = None,
    ) -> None:
        self.app = app
        self.tools = OpenTools(app, control_plane)
        self.nodes = Nodes(app.name)
        self.directory = Directory(app, self.nodes)
        self.tools.elsewhere.registered = self.directory.tool_at
        self.sessions: dict[str, LiveSession] = {}
        self.draining = False
        self._stopping = True  # until entered
        self._kept = Kept(store, durability, projections)
        self._shared = Shared.of(providers or {}, sources, Observers(observers))
        self._starter = Starter(self._shared, self.directory, self.tools, strict=strict, limits=limits)
        self.calls = Calls(ice, self._shared.ids)
        self.executions = Executions(sources.entropy, self._shared.now_ns)

    @property
    def store(self) -> Store:
        """The log. There is one while the engine runs."""
        return self._kept.store

    @property
    def projections(self) -> Projections:
        """Those that follow the log while the engine runs."""
        return self._kept.projections

    @property
    def observers(self) -> Observers:
        """Who is told of each append."""
        return self._shared.observers

    async def __aenter__(self) -> Self:
        await self.tools.start()
        try:
            await self._kept.open(self._shared.nonces)
        except BaseException:
            await self.tools.stop()
            raise
        self._tasks = await asyncio.TaskGroup().__aenter__()
        host = Host(self.store, self._shared, self._tasks.create_task, must_run=self.must_run, calls=self.calls)
        self.proxied = Proxied(host)
        self._stopping = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping = True
        for session in self.sessions.values():
            session.end("engine_stopped", drain=False)
        self.proxied.end("engine_stopped")
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            await asyncio.shield(self._close())

    async def _close(self) -> None:
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._kept.close)
            closing.push_async_callback(self.executions.stop)
            closing.push_async_callback(self.tools.stop)
            closing.push_async_callback(self.calls.close)
            closing.push_async_callback(self.nodes.close)

    async def start(
        self,
        target: str,
        *,
        metadata: dict[str, Any] | None = None,
        session: str | None = None,
        overrides: Mapping[str, str] | None = None,
        caller_within_s: int | None = None,
        tenant: str = "",
    ) -> LiveSession:
        """Start a session of `target` ("app.session"); it is in the log when this returns.

        Its handler runs at once; what it says waits for a caller. `session` names it, else it gets an id. overrides: another
        `model` or `voice` than declared. caller_within_s: where no caller comes within this time it ends with `no_caller`; else
        it waits for ever. tenant: whose it is, in the catalogue; a server shows it to that tenant's keys only. Raises
        DefinitionError TL204, TL201 (overrides), HandlerError TL105 for metadata that cannot be stored, StoreError TL409 (the
        name is taken), MissingExtra for what its provider needs, TurnlogError TL410 outside of the engine's context and TL508
        when it drains.
        """
        self.must_run()
        asked = Asked(target, metadata or {}, session, overrides or {}, caller_within_s, tenant)
        live = await self._starter.begin(self.store, asked)
        if self._stopping or self.draining:  # while this session began
            live.end("engine_stopped", drain=False)
        self.sessions[live.id] = live
        task = self._tasks.create_task(live.drive(), name=f"session {live.id}")
        task.add_done_callback(lambda _: self.sessions.pop(live.id, None))
        return live

    def feed(
        self, *, after: str = START, types: Collection[str | type] | None = None, follow: bool = True
    ) -> AsyncGenerator[FeedEntry, None]:
        """Every committed event of the store: (cursor, session, recorded), in the order of their commits, followed live.

        after: "start", "now", or the cursor of the last entry that was dealt with. types: only those, by class or name. With
        `follow` it waits for more until the store is closed, else it ends at the newest event. Raises StoreError TL416 for a
        cursor of another feed.
        """
        return feed(self.store, after=after, types=types, follow=follow)

    async def drain(self, grace_s: float = 0.0, *, keep: bool = False) -> None:
        """Take no new sessions from here on (TL508), give those that run so many seconds, and then end what is left.

        keep: what is left then is not ended: its log stays open, complete so far, and its callers are told 1012. Else it ends
        with `engine_stopped` (1001). Returns when no session runs any more; may be cancelled, and leaving the engine ends the
        rest at once.
        """
        self.draining = True
        await drained([self.sessions, self.proxied.sessions], grace_s, keep=keep)

    def runs(self, session: str) -> bool:
        """Whether a session runs here, proxied or not."""
        return session in self.sessions or session in self.proxied.sessions

    def must_run(self) -> None:
        """Raise TurnlogError TL410 outside of the context, TL508 while draining."""
        if self._stopping:
            raise TurnlogError("TL410", "the engine is not running", "start sessions inside `async with Engine(…)`")
        if self.draining:
            raise TurnlogError("TL508", "this engine is draining and starts no sessions", "try again: another one takes over")

    def signal(self, session: str, name: str, data: Any = None, *, key: str = "") -> None:
        """Send a running session's handler a signal; see LiveSession.signal. Raises TurnlogError TL408, HandlerError TL105."""
        self._running(session).signal(name, data, key=key)

    def say(self, session: str, text: str, **options: Any) -> str:
        """Have something said in a running session; see LiveSession.say. Raises TurnlogError TL408, HandlerError TL105, TL111."""
        return self._running(session).say(text, **options)

    async def attach(
        self, session: str, link: Link, *, transport: str = "in_process", peer: str = "", seat: str = ""
    ) -> str:
        """Attach a caller to a running session (LiveSession.attach); the name of its line. Raises TurnlogError TL408 or TL102."""
        return self._running(session).attach(link, transport=transport, peer=peer, seat=seat)

    async def answer(
        self, session: str, offer: str, *, peer: str = "", seat: str = "", settings: dict[str, Any] | None = None
    ) -> Answered:
        """Take a caller's call over WebRTC for a running session: its SDP offer in, the answer and the call's id out.

        The caller is attached when this returns, and connects then. settings: what its request asks of the session, as if it
        had sent a session.update. seat: see LiveSession.attach; who comes for its own seat takes its call over. Raises
        ProtocolError TL310 for the offer, LinkError TL301, TurnlogError TL505 (the session has a call), TL408 or TL102 (no such
        session), MissingExtra.
        """
        taken = Offer(sdp=offer, peer=peer, seat=seat, settings=settings or {})
        return await self.calls.answer(self._running(session), taken)

    def _running(self, session: str) -> LiveSession:
        live = self.sessions.get(session)
        if live is None:
            raise TurnlogError("TL408", f"session {session!r} is not running here", "start it, or ask `turnlog sessions`")
        return live
