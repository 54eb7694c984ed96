"""The node's side: handlers and tools of an app, driven by what an engine says over a link.

Nothing is kept when the link ends: the engine has the log, and a session is taken up again by replaying it.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from ...core import commands as c
from ...core import events as e
from ...core.codec import decode
from ...core.core import Staged
from ...core.errors import TurnlogError
from ..app import App, code_version
from ..callback import in_callback
from ..current import working_for
from ..effects import STARTED, Effects, carried_by
from ..handler_run import DELIVERED, ENGINE_FLAGS, Asked, HandlerRun, words_of
from ..host_run import HostRun
from ..inbox import Attempted, CallDone, ToolDone
from ..naming import function_name
from ..record import OBSERVED
from ..replay import ReplayRun
from ..toolbox import Toolbox
from ..watchdog import HandlerLimits
from . import wire
from .uplink import Uplink

__all__ = ["NodeSession", "NodeWorker", "hello_of"]

_PATIENCE_S = 5.0

log = logging.getLogger("turnlog")


def hello_of(app: App, tools: Toolbox) -> wire.Hello:
    """What a node says first: its sessions and tools."""
    return wire.Hello(
        node=app.name,
        protocol=wire.PROTOCOL,
        flags=ENGINE_FLAGS,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        sessions=[
            wire.OfferedSession(
                name=name,
                definition=wire.pack(one.definition),
                handler=function_name(one.handler),
                code_version=code_version(one.handler),
                strict=one.strict,
                replay=one.replay,
            )
            for name, one in app.sessions.items()
        ],
        tools=[wire.OfferedTool(definition=tool.definition(), rules=tool.rules) for tool in tools.values()],
    )


class NodeSession:
    """One session at the node: its handler, and its tools as tasks."""

    def __init__(self, session: str, effects: Effects, say: Callable[[wire.Up], None]) -> None:
        self.session = session
        self.run: HandlerRun | HostRun
        self._effects = effects
        self._say = say
        self._tasks: set[asyncio.Task[None]] = set()
        effects.spawn = self._spawn

    def begin(self, run: HandlerRun | HostRun, seq: int) -> None:
        """Let a new handler run to its first await."""
        self._adopt(run)
        if isinstance(run, HostRun):
            run.connect(self._asked)
        self._rest(seq, run.start(seq))

    def resume(self, run: HandlerRun, asked: list[Asked], seq: int) -> None:
        """Go on with a handler that stands where the log does. asked: what the log does not hold yet."""
        self._adopt(run)
        run.journal.asking.patches = None
        self._rest(seq, asked)

    def see(self, staged: Staged) -> None:
        """Give it the next event."""
        kind, event = type(staged.event), staged.event
        if kind in OBSERVED:
            self.run.observe(staged.seq, staged.at_ns, event)
        if kind in STARTED:
            self.work(staged)
        if kind in DELIVERED:
            self._rest(staged.seq, self.run.deliver(staged.seq, staged.at_ns, event))

    def work(self, staged: Staged) -> None:
        """Start or stop a tool, step or stream."""
        self._effects.start(staged, self._done)

    async def close(self) -> None:
        """Let go of the handler; what runs is cancelled."""
        if isinstance(self.run, HostRun) and not await self.run.stop(_PATIENCE_S):
            log.warning("session %s: its handler does not end; it is left running", self.session)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PATIENCE_S)
        await in_callback(self.run.close)

    def _adopt(self, run: HandlerRun | HostRun) -> None:
        self.run = run
        run.journal.asking.host.plays = True
        self._effects.work = run.journal.asking.host.work
        self._effects.taken = run.journal.taken

    def _rest(self, seq: int, asked: list[Asked]) -> None:
        for one in asked:
            self._asked(one)
        self._say(wire.Seen(session=self.session, seq=seq, timer=self.run.next_timer()))

    def _asked(self, one: Asked) -> None:
        index, command, site = one.issued.index, one.issued.command, one.issued.site
        clip = b""
        if isinstance(command, c.Say) and command.clip is not None:
            held = self.run.journal.asking.host.clips.get(f"say_{index}")
            clip = held.pcm16 if held else b""
        packed = c.encode_command(command)
        self._say(
            wire.AskedFor(session=self.session, index=index, command=packed, site=site, cause=one.cause, clip=clip)
        )

    def _done(self, done: CallDone | ToolDone | Attempted) -> None:
        match done:
            case CallDone(index, seq, result, error):
                failed = {} if error is None else {"type_name": type(error).__name__, "message": words_of(error)}
                data = b"" if error is None else carried_by(error)
                packed = None if error is not None else (result or b"\xc0")
                self._say(wire.Completed(session=self.session, index=index, seq=seq, result=packed, data=data, **failed))
            case ToolDone(call_id, seq, output, ok):
                self._say(wire.Answered(session=self.session, call_id=call_id, seq=seq, output=output, ok=ok))
            case Attempted(event, seq):
                self._say(wire.Attempt(session=self.session, entry=wire.entry_of(seq, 0, 0, event)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        with working_for(self.session):
            task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._child_done)

    def _child_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("session %s: a task failed", self.session, exc_info=error)


class NodeWorker:
    """All sessions of one link. `send` takes what the engine is told."""

    def __init__(
        self, app: App, tools: Toolbox, send: Callable[[bytes], None], limits: HandlerLimits | None = None
    ) -> None:
        self._app = app
        self._tools = tools
        self._up = Uplink(send)
        self._limits = HandlerLimits() if limits is None else limits
        self._sessions: dict[str, NodeSession] = {}
        self._past: dict[str, list[wire.Entry]] = {}

    async def receive(self, message: wire.Down) -> None:
        """What the engine says."""
        match message:
            case wire.Welcome():
                self._up.most = message.max_bytes
            case wire.Happened(session=session, entry=entry):
                await self._happened(session, entry)
            case wire.Work(session=session, entry=entry):
                if running := self._sessions.get(session):
                    running.work(_staged(entry))
            case wire.Past(session=session, entry=entry):
                self._past.setdefault(session, []).append(entry)
            case wire.Present(session=session, seq=seq):
                await self._resume(session, seq)
            case wire.Forget(session=session):
                await self._forget(session)

    async def close(self) -> None:
        """Let go of all sessions."""
        for session in list(self._sessions):
            await self._forget(session)

    async def _happened(self, session: str, entry: wire.Entry) -> None:
        staged = _staged(entry)
        if isinstance(staged.event, e.SessionStarted):
            await in_callback(self._begin, staged.event, entry.seq, entry.at_ns)
        elif running := self._sessions.get(session):
            await in_callback(running.see, staged)
            if isinstance(staged.event, e.SessionEnded):
                await self._forget(session)

    def _begin(self, started: e.SessionStarted, seq: int, at_ns: int) -> None:
        handler = self._app.resolve(started.target).handler
        run = HandlerRun(handler, started, at_ns, limits=self._limits) if started.replayable else HostRun(handler, started, at_ns)
        self._new(started.session).begin(run, seq)

    def _new(self, session: str) -> NodeSession:
        made = self._sessions[session] = NodeSession(session, Effects(self._tools), self._up.say)
        return made

    async def _resume(self, session: str, seq: int) -> None:
        past = [wire.recorded_in(entry) for entry in self._past.pop(session, [])]
        try:
            target = next(event.target for one in past if isinstance(event := decode(one), e.SessionStarted))
            replay = ReplayRun(self._app.resolve(target).handler, past)
            await in_callback(partial(self._replay, session, replay, seq))
        except (TurnlogError, StopIteration) as error:
            code = error.code if isinstance(error, TurnlogError) else "TL321"
            words = " ".join(str(error).split())[:500] or "its log has no beginning"
            self._up.say(wire.Diverged(session=session, code=code, message=words))

    def _replay(self, session: str, replay: ReplayRun, seq: int) -> None:
        try:
            replay.run()
        except TurnlogError:
            replay.close()
            raise
        assert replay.live is not None  # it ran
        self._new(session).resume(replay.live, list(replay.asked), seq)

    async def _forget(self, session: str) -> None:
        self._past.pop(session, None)
        if running := self._sessions.pop(session, None):
            await running.close()


def _staged(entry: wire.Entry) -> Staged:
    """The event of an entry. Raises StoreError TL407, ProtocolError TL321 for one of a newer turnlog."""
    event = decode(wire.recorded_in(entry))
    if isinstance(event, e.Unknown | e.Erased):
        raise wire.broken(f"the engine sent {entry.type} in version {entry.version}, which is not known here")
    return Staged(entry.seq, entry.at_ns, entry.cause, event)

