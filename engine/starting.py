"""A session's beginning: its first events are in the log, and its handler stands at its first await."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core import events as e
from ..core.core import SessionCore
from ..core.errors import TurnlogError
from ..store.port import Store
from .app import Handler
from .decider import Handling
from .directory import Directory
from .effects import Effects
from .handlers.callback import in_callback
from .handlers.handler_run import HandlerRun
from .handlers.host_run import HostRun
from .handlers.watchdog import HandlerLimits
from .live import LiveSession
from .nodes.hub import Connection
from .nodes.registered import RegisteredNode
from .observing import Watched
from .open_tools import OpenTools
from .opening import row_of, started_of
from .run import SessionRun
from .session_log import SessionLog
from .shared import Shared

__all__ = ["Asked", "Starter"]


class Asked(NamedTuple):
    """What a session is started with; see Engine.start."""

    target: str
    metadata: dict[str, Any]
    session: str | None
    overrides: Mapping[str, str]
    caller_within_s: int | None
    tenant: str


class Starter:
    """Begins the sessions of one engine. strict, limits: of handlers that run here; see Engine."""

    def __init__(
        self, shared: Shared, directory: Directory, tools: OpenTools, *, strict: bool, limits: HandlerLimits | None
    ) -> None:
        self._shared = shared
        self._directory = directory
        self._tools = tools
        self._strict = strict
        self._limits = limits

    async def begin(self, store: Store, asked: Asked) -> LiveSession:
        """A session that waits to be driven. Raises as Engine.start; then nothing of it runs."""
        shared, declared = self._shared, self._directory.resolve(asked.target).override(asked.overrides)
        if declared.proxied:
            raise TurnlogError(
                "TL504", f"{asked.target} is proxied: its caller opens it", "connect to /v1/realtime with this model"
            )
        provider = shared.provider(declared.definition)
        strict = self._strict if declared.strict is None else declared.strict
        home = self._directory.home(declared.target)
        rules = home.rules() if home else [tool.rules for tool in self._tools.box.values()]
        tools = [one for one in rules if one.filler or one.cancel_on_interruption]
        started = started_of(declared, asked.session or shared.session_id(), asked.metadata, tools, strict=strict)
        started = home.signed(started) if home else started
        clock = shared.sources.clock()
        head = await store.create(row_of(started, clock.now_ns(), asked.tenant))
        core = SessionCore()
        now_ns = clock.now_ns()
        handler, effects = self._handled(home, declared.handler, started, now_ns)
        core.record(started, e.Root.START, now_ns)
        if asked.caller_within_s is not None:
            core.record(e.CallerAwaited(grace_ms=asked.caller_within_s * 1000), e.Root.START, now_ns)
        log = SessionLog(store, head, shared.nonces, Watched(shared.observers, started.session))
        run = SessionRun(core, log, clock, handler, effects)
        live = LiveSession(run, started, provider, shared.voice, shared.ids)
        try:
            await live.begin()
        except BaseException as error:
            log.watched.closed(error)
            await in_callback(handler.close)
            raise
        return live

    def _handled(
        self, home: Connection | RegisteredNode | None, handler: Handler, started: e.SessionStarted, now_ns: int
    ) -> tuple[Handling, Effects]:
        """What runs a session's handler and its tools: at its node, or here."""
        if home:
            return home.open(started, now_ns)
        effects = Effects(self._tools.box)
        if not started.replayable:
            return HostRun(handler, started, now_ns), effects
        return HandlerRun(handler, started, now_ns, limits=self._limits), effects
