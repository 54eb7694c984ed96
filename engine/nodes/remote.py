"""A session whose handler runs at a node, seen from its loop in the engine: what a HandlerRun and Effects are to others.

Events go to the node as they are committed; its commands come back at moments of their own. The order that a replay depends on
is kept by what the engine waits for: no timer fires and no session ends before the node has seen all that was sent to it.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ...core import commands as c
from ...core import events as e
from ...core.core import Staged
from ...core.errors import LinkClosed
from ...core.ports import Recorded
from ...store.schema import NOT_SEMANTIC
from ..handlers.asking import HostSide
from ..handlers.clip import CLIP_MAX_S, AudioClip
from ..handlers.handler_run import DELIVERED, Asked
from ..handlers.issued import Issued
from ..inbox import Ending, Input
from . import wire
from .remote_effects import RemoteEffects

__all__ = ["Progress", "RemoteJournal", "RemoteRun", "Shore"]

_Send = Callable[[bytes], None]
_DELIVERED = frozenset({e.SessionStarted, *DELIVERED})


class Shore(NamedTuple):
    """What a run asks of its session. past: the log behind an event, up to another.

    is_idle: whether all that it was asked and given has been taken up.
    """

    ask: Callable[[Asked], None]
    wake: Callable[[], None]
    put: Callable[[Input], None]
    past: Callable[[int, int], Iterator[Recorded]]
    is_idle: Callable[[], bool]


class _Asking(NamedTuple):
    host: HostSide


class RemoteJournal:
    """What a session's loop takes of a Journal. The node itself keeps its streams from running too far ahead."""

    def __init__(self) -> None:
        self.asking = _Asking(HostSide())

    def taken(self, index: int) -> int:
        """As many items of a stream as there can be."""
        return 1 << 62


class Progress:
    """How far the node is. sent, seen: the last event to be seen by the handler, and the last that it has seen."""

    def __init__(self) -> None:
        self.sent = 0
        self.seen = 0
        self.told = 0  # the last event of any kind that the node was to get
        self.commands = 0  # the index of the last command
        self.timer: tuple[int, int] | None = None
        self.hard = False  # the session ends without waiting for anything
        self.gone = False  # for ever: the log says so


class RemoteRun:
    """A handler at a node; to whoever drives the session it looks like a HandlerRun.

    `send` takes what the node is told; None while there is no node.
    """

    def __init__(self, started: e.SessionStarted, at_ns: int) -> None:
        self.journal = RemoteJournal()
        self.progress = Progress()
        self.effects = RemoteEffects(self.journal.asking.host, self._request)
        self._send: _Send | None = None
        self._held: list[bytes] | None = None  # what came while the node learns of the past
        self._began = (started, at_ns)
        self._leave: Callable[[], None] = lambda: None
        self._shore: Shore

    @property
    def session(self) -> str:
        """Its id."""
        return self._began[0].session

    # --- for the session's loop ---

    def connect(self, shore: Shore) -> None:
        """Where what comes from the node goes. Before start()."""
        self._shore = shore

    @property
    def caught_up(self) -> bool:
        """Whether the handler has seen all that it is to see; also where nobody will see it any more."""
        return self.progress.gone or self.progress.seen >= self.progress.sent

    def start(self, seq: int) -> list[Asked]:
        """Begin at the node. seq: of SessionStarted."""
        started, at_ns = self._began
        return self.deliver(seq, at_ns, started)

    def observe(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Pass on what settles nothing; the rest is passed on by `deliver`."""
        if type(event) not in _DELIVERED:
            self._tell(seq, at_ns, event)

    def deliver(self, seq: int, at_ns: int, event: e.Event) -> list[Asked]:
        """Pass on what the handler is to see; what it asks for then comes later."""
        self.progress.sent = seq
        if isinstance(event, e.SessionEnding):
            self.progress.hard = self.progress.hard or not event.drain
            self.progress.gone = event.reason == e.NODE_LOST
        if isinstance(event, e.SaySettled):
            self.journal.asking.host.clips.pop(event.say, None)
        self._tell(seq, at_ns, event)
        if self._send is None and self.progress.hard and not self.progress.gone:
            self.give_up()
        return []

    def next_timer(self) -> tuple[int, int] | None:
        """The handler's earliest timer; none while it may still change."""
        return self.progress.timer if self.caught_up and not self.progress.gone else None

    def close(self) -> None:
        """The session runs no more."""
        self.progress.gone = True
        self.tell(wire.Forget(session=self.session, left=self.effects.kept == "all"))
        self._send = None
        self._leave()

    # --- for the link to the node ---

    def belongs(self, send: _Send, leave: Callable[[], None]) -> None:
        """Which node runs it from here on; leave: called when the session is over."""
        self._send, self._leave = send, leave

    def tell(self, message: wire.Down) -> None:
        """Send a message, if the node is there; the order holds while it learns of the past."""
        raw = wire.packed(message)
        if self._held is not None:
            self._held.append(raw)
        elif self._send is not None:
            self._pass(raw)

    @property
    def may_resume(self) -> bool:
        """Whether another connection can take it up: its handler can be replayed, and is to see more than the end."""
        return self._began[0].replayable and not self.progress.hard

    @property
    def is_idle(self) -> bool:
        """Whether its session has taken up all that the node said."""
        return self._shore.is_idle()

    def belongs_to_nobody(self, leave: Callable[[], None]) -> None:
        """It waits for its node."""
        self._send, self._leave = None, leave

    def lost(self) -> None:
        """The node is gone, perhaps to come back. What ran there has failed, or will be started anew."""
        self._send, self._held = None, None
        self.progress.timer = None
        self.progress.seen = min(self.progress.seen, self.progress.sent - 1)  # until a node says so again
        self.effects.lost()

    async def resume(self, send: _Send, leave: Callable[[], None], kept: tuple[int, int] = (0, 0)) -> None:
        """Let a node take the session up where the log stands.

        kept: the last event that a handler which the node holds still has seen, and the number of its commands. It is sent
        what came behind that; one whose last commands were lost on their way, or that holds none, is sent the whole past.
        """
        self.belongs(send, leave)
        after = kept[0] if kept[1] == self.progress.commands and kept[0] <= self.progress.told else 0
        held: list[bytes] = []
        self._held = held
        until = (self.progress.told, self.progress.sent)
        past = await asyncio.to_thread(list, self._shore.past(after, until[0]))
        if self._held is not held:  # lost again meanwhile
            return
        for recorded in past:
            if recorded.type not in NOT_SEMANTIC:
                entry = wire.Entry(
                    recorded.seq, recorded.at_ns, recorded.cause, recorded.type, recorded.version, recorded.data
                )
                self._pass(wire.packed(wire.Past(session=self.session, entry=entry)))
        self._pass(wire.packed(wire.Present(session=self.session, seq=until[1], kept=after > 0)))
        self._held = None
        for raw in held:
            self._pass(raw)
        self.effects.again()

    def give_up(self, code: str = "TL320", detail: str = "its node is lost") -> None:
        """Nobody runs the handler any more: the session ends."""
        self._send, self._held = None, None
        self._shore.put(Ending(e.SessionEnding(reason=e.NODE_LOST, code=code, detail=detail, drain=False)))

    # --- what comes from the node ---

    def asked(self, message: wire.AskedFor) -> None:
        """A command; one that is here already came from the node before. Raises ProtocolError TL321."""
        if message.index <= self.progress.commands:
            return
        command = wire.command_in(message.command)
        if message.index != self.progress.commands + 1:
            raise wire.broken(f"command {message.index} came behind {self.progress.commands}")
        if not 0 < message.cause <= self.progress.told or not 0 <= message.site.line < 1 << 31:
            raise wire.broken(f"command {message.index} names a cause or a line that cannot be")
        self.progress.commands = message.index
        if isinstance(command, c.Say) and command.clip is not None and message.clip:
            if len(message.clip) % 2 or len(message.clip) > CLIP_MAX_S * command.clip.rate * 2:
                raise wire.broken(f"the recording {command.clip.name!r} is no PCM16 of at most {CLIP_MAX_S} s")
            host = self.journal.asking.host
            host.clips[f"say_{message.index}"] = AudioClip(described=command.clip, pcm16=message.clip)
        self._shore.ask(Asked(Issued(message.index, command, message.site), message.cause))

    def seen(self, message: wire.Seen) -> None:
        """The handler rests. Raises ProtocolError TL321."""
        if message.seq > self.progress.sent:
            raise wire.broken(f"event {message.seq} was never sent")
        self.progress.seen, self.progress.timer = message.seq, message.timer
        self._shore.wake()

    def happened(self, message: wire.Completed | wire.Answered | wire.Attempt) -> None:
        """Something came of a tool, step or stream. Raises ProtocolError TL321."""
        if (done := self.effects.took(message)) is not None:
            self._shore.put(done)

    def _tell(self, seq: int, at_ns: int, event: e.Event) -> None:
        self.progress.told = seq
        self.tell(wire.Happened(session=self.session, entry=wire.entry_of(seq, at_ns, 0, event)))

    def _request(self, staged: Staged) -> None:
        self.tell(wire.Work(session=self.session, entry=wire.entry_of(*staged)))

    def _pass(self, raw: bytes) -> None:
        try:
            if self._send is not None:
                self._send(raw)
        except LinkClosed:
            self._send = None  # its reader reports the loss
