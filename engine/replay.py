"""Replay: today's handler on a recorded session's events, offline, stopping at the first divergence.

Every command the handler issues is compared with the one the log holds at that index: kind and encoded arguments. No
provider, tool or clock is asked; nothing is written.
"""

import sys
import time
from collections import deque
from collections.abc import Iterable

import msgspec

from ..core import commands as c
from ..core import events as e
from ..core.codec import decode
from ..core.errors import Divergence, StoreError
from ..core.ports import Recorded
from ..core.state import State
from .app import Handler, code_version
from .divergence import brief, command_of, difference, side, site_of
from .handler_run import DELIVERED, ENGINE_FLAGS, Asked, HandlerRun

__all__ = ["Replayed", "replay"]

_COMMANDS = (
    e.InputRequested,
    e.SayRequested,
    e.CallRequested,
    e.StepRequested,
    e.StreamRequested,
    e.SignalAwaited,
    e.UpdateRequested,
    e.PatchMarked,
    e.EndRequested,
    e.CommandAbandoned,
    e.HandlerReturned,
    e.HandlerFailed,
)


_NEEDED = {kind.__name__ for kind in (*_COMMANDS, *DELIVERED, e.SessionStarted)}


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A replay that did not diverge. `recorded_s` of conversation took `took_s`; complete: the log has its end."""

    session: str
    commands: int
    events: int
    recorded_s: float
    took_s: float
    complete: bool


def replay(events: Iterable[Recorded], handler: Handler, *, until: int | None = None) -> Replayed:
    """Run `handler` on a recorded session.

    A log cut anywhere replays as far as it goes. Raises Divergence TL101 at the first difference, StoreError TL407 for a
    log that does not decode or has no beginning, StoreError TL405 if the log needs a newer turnlog to replay, StoreError TL411
    if an event was erased on which the handler depends.
    """
    log = list(events)
    marks = (decode(recorded) for recorded in log if recorded.type == e.PatchMarked.__name__)
    patches = frozenset(mark.command.name for mark in marks if isinstance(mark, e.PatchMarked))
    return _Replay(handler, patches).run(log, until)


class _Replay:
    """One pass over a log. `asked` holds what the handler asked for and the log has not confirmed yet."""

    def __init__(self, handler: Handler, patches: frozenset[str]) -> None:
        self.handler = handler
        self.patches = patches
        self.state = State()
        self.run_: HandlerRun | None = None
        self.asked: deque[Asked] = deque()
        self.matched: deque[str] = deque(maxlen=3)
        self.commands = 0
        self.unknown = ""  # the first event of a newer turnlog; it may be what the handler asked for, or what woke it

    def run(self, events: Iterable[Recorded], until: int | None) -> Replayed:
        began = time.perf_counter()
        count, at_ns = 0, 0
        try:
            for recorded in events:
                if until is not None and recorded.seq > until:
                    break
                at_ns = recorded.at_ns
                count += 1
                self.receive(recorded)
            complete = self.state.life.phase.value == "ended"
            if complete and self.asked:
                self._diverge(self.asked[0], None, recorded.seq)
        finally:
            if self.run_:
                self.run_.close()
        if self.state.life.started is None:
            raise StoreError("TL407", "this log has no SessionStarted", "the session was never started, or its log is cut")
        return Replayed(
            session=self.state.life.started.session,
            commands=self.commands,
            events=count,
            recorded_s=(at_ns - self.state.life.started_ns) / 1e9,
            took_s=time.perf_counter() - began,
            complete=complete,
        )

    def receive(self, recorded: Recorded) -> None:
        """Apply one event, compare it if it is a command, deliver it if the handler is to see it."""
        event = decode(recorded)
        if self.run_ is None and recorded.type != e.SessionStarted.__name__:
            raise StoreError("TL407", "this log has no SessionStarted", "the session was never started, or its log is cut")
        self.state.apply(recorded.seq, recorded.at_ns, event)
        if isinstance(event, e.Unknown | e.Erased):
            _refuse_missing(recorded.seq, event)
            if isinstance(event, e.Unknown) and not self.unknown:
                self.unknown = f"event {recorded.seq} is {event.type} in version {event.version}"
        elif isinstance(event, e.SessionStarted):
            if event.engine_flags & ~ENGINE_FLAGS:
                raise StoreError("TL405", "this session ran under rules that this turnlog does not know", "update turnlog")
            if not event.replayable:
                raise StoreError("TL405", "this session ran with replay=False", "such sessions are logged, not replayable")
            self.run_ = HandlerRun(self.handler, event, recorded.at_ns, patches=self.patches)
            self.asked.extend(self.run_.start(recorded.seq))
        elif self.run_ is not None:
            if isinstance(event, _COMMANDS):
                self._compare(recorded.seq, event)
            self.run_.observe(recorded.seq, recorded.at_ns, event)
            if isinstance(event, DELIVERED):
                asked = self.run_.deliver(recorded.seq, recorded.at_ns, event)
                if not isinstance(event, e.SessionEnded):
                    self.asked.extend(asked)

    def _compare(self, seq: int, event: e.Event) -> None:
        index, recorded = command_of(event)
        now = self.asked.popleft() if self.asked else None
        if now is None or c.encode_command(now.issued.command) != c.encode_command(recorded):
            self._diverge(now, (index, recorded, site_of(event)), seq)
        self.commands += 1
        self.matched.append(f"#{index} {brief(recorded)}")

    def _diverge(self, now: Asked | None, then: tuple[int, c.Command, c.Site] | None, seq: int) -> None:
        if self.unknown:
            until = "update turnlog, or replay what stands before it with until="
            raise StoreError("TL405", f"{self.unknown}, which this turnlog does not know, and event {seq} depends on it", until)
        started = self.state.life.started
        assert started is not None and self.run_ is not None  # a command was compared, so the handler runs
        index = then[0] if then else now.issued.index if now else 0
        recorded_line = side(then[1], then[2], started.code_version, started.python) if then else "(nothing more)"
        if now:
            here = f"{sys.version_info.major}.{sys.version_info.minor}"
            now_line = side(now.issued.command, now.issued.site, code_version(self.handler), here)
        else:
            now_line = self._waiting()
        raise Divergence(
            "TL101",
            f"divergence in {started.session} at command {index} (seq {seq})\n"
            f"  RECORDED  {recorded_line}\n"
            f"  NOW       {now_line}\n"
            f"  first difference: {difference(then[1] if then else None, now.issued.command if now else None)}\n"
            f"  last matching:  {'  '.join(self.matched) or '(none)'}",
            "if the code changed while the session ran, replay on the recorded code "
            f"{started.code_version or '(unknown)'}; else this is what the change does",
        )

    def _waiting(self) -> str:
        assert self.run_ is not None
        if self.run_.finished:
            return "(the handler has ended)"
        frames = self.run_.waits_at()
        return f"(waits)  {frames[-1][0].rpartition('/')[2]}:{frames[-1][1]}" if frames else "(waits)"


def _refuse_missing(seq: int, event: e.Unknown | e.Erased) -> None:
    """Events that no handler sees may be unknown or erased; without one that it asked for or saw, replay would guess."""
    if event.type not in _NEEDED:
        return
    until = f"replay what stands before it: until={seq - 1}"
    if isinstance(event, e.Erased):
        raise StoreError("TL411", f"event {seq} ({event.type}) was erased, and the handler depends on it", until)
    why = f"event {seq} is {event.type} in version {event.version}, which this turnlog does not know"
    raise StoreError("TL405", why, f"update turnlog, or {until}")
