"""Replay: today's handler on a recorded session's events, offline, stopping at the first divergence.

Every command the handler issues is compared with the one the log holds at that index: kind and encoded arguments. No
provider, tool or clock is asked; nothing is written.
"""

import sys
import time
from collections import deque
from collections.abc import Iterable

import msgspec

from ...core import commands as c
from ...core import events as e
from ...core.codec import decode
from ...core.divergence import DivergenceReport, DivergenceSide
from ...core.errors import Divergence, StoreError
from ...core.ports import Recorded
from ...core.state import State
from ..app import Handler, code_version
from ..handlers.handler_run import DELIVERED, ENGINE_FLAGS, STRICT, Asked, HandlerRun
from ..handlers.watchdog import HandlerLimits
from .divergence import RECORDS_COMMAND, brief, command_of, first_difference, kind_of, records_command, site_of
from .standing import Kept, own_frames

__all__ = ["REPLAY_LIMITS", "ReplayRun", "Replayed", "refuse_missing", "refuse_unreplayable", "replay"]

REPLAY_LIMITS = HandlerLimits(report_ms=None)
"""A handler that never yields is stopped, as it is live; it is not reported before."""

_NEEDED = {kind.__name__ for kind in (*RECORDS_COMMAND, *DELIVERED, e.SessionStarted)}
_NO_START = ("TL407", "this log has no SessionStarted", "the session was never started, or its log is cut")


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A replay that did not diverge. `recorded_s` of conversation took `took_s`; complete: the log has its end."""

    session: str
    commands: int
    events: int
    recorded_s: float
    took_s: float
    complete: bool


def replay(
    events: Iterable[Recorded], handler: Handler, *, until: int | None = None, strict: bool | None = None
) -> Replayed:
    """Run `handler` on a recorded session. strict: whether clocks, randomness and blocking calls raise; None is as recorded.

    A log cut anywhere replays as far as it goes; the events of the wire may be left out (`scan(…, semantic=True)`). Raises
    Divergence TL101 at the first difference, StoreError TL407 for a log that does not decode or has no beginning, StoreError
    TL405 if the log needs a newer turnlog to replay, StoreError TL411 if an event was erased on which the handler depends,
    StoreError TL109 for a session that ran with replay=False.
    """
    run = ReplayRun(handler, events, strict=strict)
    try:
        return run.run(until)
    finally:
        run.close()


class ReplayRun:
    """One pass over a log. `asked` holds what the handler asked for and the log has not confirmed yet.

    After `run` the handler stands where it stood then, until `close`. kept: what runs in its place, so that it can be looked at.
    """

    def __init__(
        self, handler: Handler, events: Iterable[Recorded], kept: Kept | None = None, *, strict: bool | None = None
    ) -> None:
        self.handler = handler
        self.strict = strict
        self.kept = kept
        self.log = list(events)
        self.state = State()
        self.live: HandlerRun | None = None
        self.asked: deque[Asked] = deque()
        self.matched: deque[str] = deque(maxlen=3)
        self.commands = 0
        self.unknown = ""  # the first event of a newer turnlog; it may be what the handler asked for, or what woke it

    def run(self, until: int | None = None) -> Replayed:
        """Deliver the log, up to and with event `until`. See `replay`."""
        began = time.perf_counter()
        count, at_ns = 0, 0
        for recorded in self.log:
            if until is not None and recorded.seq > until:
                break
            at_ns = recorded.at_ns
            count += 1
            self.receive(recorded)
        complete = self.state.life.phase.value == "ended"
        if complete and self.asked and not self._cut_short():
            self._diverge(self.asked[0], None, recorded.seq)
        if self.state.life.started is None:
            raise StoreError(*_NO_START)
        return Replayed(
            session=self.state.life.started.session,
            commands=self.commands,
            events=count,
            recorded_s=(at_ns - self.state.life.started_ns) / 1e9,
            took_s=time.perf_counter() - began,
            complete=complete,
        )

    def close(self) -> None:
        """Let go of the handler."""
        if self.live:
            self.live.close()

    def receive(self, recorded: Recorded) -> None:
        """Apply one event, compare it if it is a command, deliver it if the handler is to see it."""
        event = decode(recorded)
        if self.live is None and recorded.type != e.SessionStarted.__name__:
            raise StoreError(*_NO_START)
        self.state.apply(recorded.seq, recorded.at_ns, event)
        if isinstance(event, e.Unknown | e.Erased):
            refuse_missing(recorded.seq, event)
            if isinstance(event, e.Unknown) and not self.unknown:
                self.unknown = f"event {recorded.seq} is {event.type} in version {event.version}"
        elif isinstance(event, e.SessionStarted):
            refuse_unreplayable(event)
            runs: Handler = self.kept or self.handler
            self.live = HandlerRun(
                runs, event, recorded.at_ns, patches=self._patches(), limits=REPLAY_LIMITS, strict=self.strict
            )
            self.asked.extend(self.live.start(recorded.seq))
        elif self.live is not None:
            if records_command(event):
                self._compare(recorded.seq, event)
            self.live.observe(recorded.seq, recorded.at_ns, event)
            if isinstance(event, DELIVERED):
                asked = self.live.deliver(recorded.seq, recorded.at_ns, event)
                if not isinstance(event, e.SessionEnded):
                    self.asked.extend(asked)

    def _cut_short(self) -> bool:
        """Whether the log ended without its handler: what that asked for at a node which was lost never came."""
        ending = self.state.life.ending
        return ending is not None and ending.reason == e.NODE_LOST

    def _patches(self) -> frozenset[str]:
        marks = (decode(recorded) for recorded in self.log if recorded.type == e.PatchMarked.__name__)
        return frozenset(mark.command.name for mark in marks if isinstance(mark, e.PatchMarked))

    def _compare(self, seq: int, event: e.Event) -> None:
        index, recorded = command_of(event)
        now = self.asked.popleft() if self.asked else None
        if now is None or c.compared(now.issued.command) != c.compared(recorded):
            self._diverge(now, (index, recorded, site_of(event)), seq)
        self.commands += 1
        self.matched.append(f"#{index} {brief(recorded)}")

    def _diverge(self, now: Asked | None, then: tuple[int, c.Command, c.Site] | None, seq: int) -> None:
        if self.unknown:
            until = "update turnlog, or replay what stands before it with until="
            raise StoreError("TL405", f"{self.unknown}, which this turnlog does not know, and event {seq} depends on it", until)
        started = self.state.life.started
        assert started is not None and self.live is not None  # a command was compared, so the handler runs
        command = now.issued.command if now else None
        recorded = then[1] if then else None
        field, difference = first_difference(recorded, command)
        site = then[2] if then else c.Site("", 0)
        report = DivergenceReport(
            session=started.session,
            index=then[0] if then else now.issued.index if now else 0,
            seq=seq,
            kind=kind_of(recorded, command),
            recorded=DivergenceSide(
                command=brief(recorded) if recorded else "(nothing more)",
                file=site.file,
                line=site.line,
                code=started.code_version,
                python=started.python,
            ),
            now=self._now(now),
            difference=difference,
            field=field,
            matched=list(self.matched),
        )
        raise Divergence(report) from self.live.failure if isinstance(command, c.Fail) else None

    def _now(self, now: Asked | None) -> DivergenceSide:
        assert self.live is not None
        if now:
            what, (file, line) = brief(now.issued.command), (now.issued.site.file, now.issued.site.line)
        elif self.live.finished:
            what, (file, line) = "(has ended)", ("", 0)
        else:
            frames = own_frames(self.live.waits_at()) or [("", 0, "")]
            what, (file, line) = "(waits)", frames[-1][:2]
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        return DivergenceSide(command=what, file=file, line=line, code=code_version(self.handler), python=here)


def refuse_unreplayable(started: e.SessionStarted) -> None:
    """Raise StoreError TL405 for rules of scheduling unknown here, TL109 for replay=False and proxied sessions."""
    if started.engine_flags & ~(ENGINE_FLAGS | STRICT):
        raise StoreError("TL405", "this session ran under rules that this turnlog does not know", "update turnlog")
    if started.is_proxied:
        hint = "look at it with `turnlog show`, `transcript` and `why`"
        raise StoreError("TL109", "this session was proxied: no handler answered, so there is none to run again", hint)
    if not started.replayable:
        raise StoreError("TL109", "this session ran with replay=False", "such sessions are logged, not replayable")


def refuse_missing(seq: int, event: e.Unknown | e.Erased) -> None:
    """Raise StoreError TL411 or TL405 for an event that the handler asked for or saw: without it a replay would guess."""
    if event.type not in _NEEDED:
        return
    until = f"replay what stands before it: until={seq - 1}"
    if isinstance(event, e.Erased):
        raise StoreError("TL411", f"event {seq} ({event.type}) was erased, and the handler depends on it", until)
    why = f"event {seq} is {event.type} in version {event.version}, which this turnlog does not know"
    raise StoreError("TL405", why, f"update turnlog, or {until}")
