"""The node's side: handlers and tools of an app, driven by what an engine says over a link.

When the link ends a handler stays where it stands, and whatever ran for it is stopped, as the engine takes it for lost. If the
same process comes back, it is sent what its handlers have missed. That is sound because a handler moves by what it is sent alone,
and that comes in the log's order: the last event names all before it. Whoever else comes back replays the log, and so does a
handler whose last commands the engine did not get.
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
from ..effects import STARTED, Effects, carried_by
from ..handlers.callback import in_callback
from ..handlers.current import working_for
from ..handlers.handler_run import DELIVERED, ENGINE_FLAGS, Asked, HandlerRun, words_of
from ..handlers.host_run import HostRun
from ..handlers.record import OBSERVED
from ..handlers.watchdog import HandlerLimits
from ..inbox import Attempted, CallDone, ToolDone
from ..naming import function_name
from ..offline.replay import ReplayRun
from ..toolbox import Toolbox
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
        self.stands = (0, 0)  # the last event that it was sent, and the number of its commands
        self._effects = effects
        self._say = say
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, run: HandlerRun | HostRun, seq: int) -> None:
        """Let a new handler run to its first await."""
        self._adopt(run)
        self.stands = (seq, 0)
        if isinstance(run, HostRun):
            run.connect(self._asked)
        self._rest(seq, run.start(seq))

    def resume(self, run: HandlerRun, stands: tuple[int, int], asked: list[Asked], seq: int) -> None:
        """Go on with a handler that stands where the log does. asked: what the log does not hold yet."""
        self._adopt(run)
        run.journal.asking.patches = None
        self.stands = stands
        self._rest(seq, asked)

    def catch_up(self, missed: list[Staged], seq: int) -> None:
        """Go on with the handler that stayed here. What ran for it was stopped, and is not begun by what it missed."""
        for staged in missed:
            self.run.observe(staged.seq, staged.at_ns, staged.event)
            if type(staged.event) in DELIVERED:
                for one in self.run.deliver(staged.seq, staged.at_ns, staged.event):
                    self._asked(one)
            self.stands = (staged.seq, self.stands[1])
        self._rest(seq, [])

    async def lost(self, effects: Effects) -> None:
        """The link is gone: stop what runs. effects: for what will."""
        self._effects.kept = "repeated"  # those are begun anew, and find their executions by their keys
        await self._stop()
        self._effects = effects
        self._adopt(self.run)

    def see(self, staged: Staged) -> None:
        """Give it the next event."""
        kind, event = type(staged.event), staged.event
        self.stands = (staged.seq, self.stands[1])
        if kind in OBSERVED:
            self.run.observe(staged.seq, staged.at_ns, event)
        if kind in STARTED:
            self.work(staged)
        if kind in DELIVERED:
            self._rest(staged.seq, self.run.deliver(staged.seq, staged.at_ns, event))

    def work(self, staged: Staged) -> None:
        """Start or stop a tool, step or stream."""
        self._effects.start(staged, self._done)

    async def close(self, *, left: bool) -> None:
        """Let go of the handler; what runs is cancelled. left: others go on with it."""
        self._effects.kept = "all" if left else ""
        if isinstance(self.run, HostRun) and not await self.run.stop(_PATIENCE_S):
            log.warning("session %s: its handler does not end; it is left running", self.session)
        await self._stop()
        await in_callback(self.run.close)

    async def _stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PATIENCE_S)

    def _adopt(self, run: HandlerRun | HostRun) -> None:
        self.run = run
        run.journal.asking.host.plays = True
        self._effects.spawn = self._spawn
        self._effects.work = run.journal.asking.host.work
        self._effects.taken = run.journal.taken

    def _rest(self, seq: int, asked: list[Asked]) -> None:
        for one in asked:
            self._asked(one)
        self._say(wire.Seen(session=self.session, seq=seq, timer=self.run.next_timer()))

    def _asked(self, one: Asked) -> None:
        index, command, site = one.issued.index, one.issued.command, one.issued.site
        self.stands = (self.stands[0], index)
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
    """All sessions of a node, over one link after the other. `send` takes what the engine is told over the first one."""

    def __init__(
        self, app: App, tools: Toolbox, send: Callable[[bytes], None], limits: HandlerLimits | None = None
    ) -> None:
        self._app = app
        self._tools = tools
        self._up = Uplink(send)
        self._limits = HandlerLimits() if limits is None else limits
        self._sessions: dict[str, NodeSession] = {}
        self._past: dict[str, list[wire.Entry]] = {}

    def kept(self) -> dict[str, tuple[int, int]]:
        """The sessions that it holds, and where each stands."""
        return {name: session.stands for name, session in self._sessions.items()}

    def connect(self, send: Callable[[bytes], None]) -> None:
        """What is said goes over another link from here on; what that engine takes it says itself."""
        self._up.send, self._up.most = send, wire.MAX_BYTES

    async def lost(self) -> None:
        """The link is gone. Handlers stay as they stand, but for those that cannot be taken up again."""
        self._past.clear()
        for name, session in list(self._sessions.items()):
            if isinstance(session.run, HostRun):
                await self._forget(name)
            else:
                await session.lost(Effects(self._tools))

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
            case wire.Present():
                await self._resume(message)
            case wire.Forget(session=session, left=left):
                await self._forget(session, left=left)

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

    async def _resume(self, message: wire.Present) -> None:
        session, past = message.session, self._past.pop(message.session, [])
        try:
            if message.kept and (held := self._sessions.get(session)):
                await in_callback(held.catch_up, [_staged(entry) for entry in past], message.seq)
                return
            await self._forget(session)
            recorded = [wire.recorded_in(entry) for entry in past]
            target = next(event.target for one in recorded if isinstance(event := decode(one), e.SessionStarted))
            replay = ReplayRun(self._app.resolve(target).handler, recorded)
            await in_callback(partial(self._replay, session, replay, message.seq))
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
        stands = max(seq, replay.log[-1].seq), replay.commands
        self._new(session).resume(replay.live, stands, list(replay.asked), seq)

    async def _forget(self, session: str, *, left: bool = False) -> None:
        self._past.pop(session, None)
        if running := self._sessions.pop(session, None):
            await running.close(left=left)


def _staged(entry: wire.Entry) -> Staged:
    """The event of an entry. Raises StoreError TL407, ProtocolError TL321 for one of a newer turnlog."""
    event = decode(wire.recorded_in(entry))
    if isinstance(event, e.Unknown | e.Erased):
        raise wire.broken(f"the engine sent {entry.type} in version {entry.version}, which is not known here")
    return Staged(entry.seq, entry.at_ns, entry.cause, event)

