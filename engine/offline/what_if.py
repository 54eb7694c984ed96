"""What if: a changed handler on the input of a recorded session, as far as that makes sense. Offline; nothing is written.

Commands need not match the record. Turns, signals and the caller's leaving come as recorded. A call, step or stream with an
equal one in the record takes its answer; one without has no answer, and there the run stops (or it fails, if asked for). A
say ends as the equal one did, else it counts as played after the time its words take. The handler's own timers fire when
the record's clock passes them. An unchanged handler asks for what it asked for.
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from ...core import commands as c
from ...core import events as e
from ...core.codec import decode
from ...core.errors import StoreError
from ...core.events import WIRE_TYPES
from ...core.keys import remember
from ...core.ports import Recorded
from ..app import Handler
from ..handlers.handler_run import DELIVERED, Asked
from .answers import Answers, Decoded, Recollection, readdress
from .divergence import RECORDS_COMMAND, brief, command_of, records_command
from .replay import refuse_missing, refuse_unreplayable
from .side_by_side import Issue, WhatIf, issued_until, side_by_side
from .to_come import Agenda, Mouth
from .today import Today

__all__ = ["Unanswered", "what_if"]

Unanswered = Literal["stop", "fail"]


def what_if(events: Iterable[Recorded], handler: Handler, *, unanswered: Unanswered = "stop") -> WhatIf:
    """Run a changed handler on a recorded session's input, and show what it asks for beside what was asked for then.

    unanswered: what becomes of a call, step or stream that the record has no answer for: "stop" there, or "fail" it with a
    StepError NotRecorded. Raises StoreError as `replay` does.
    """
    log: list[Decoded] = []
    for recorded in events:
        if recorded.type in WIRE_TYPES:
            continue
        event = decode(recorded)
        if isinstance(event, e.Unknown | e.Erased):
            refuse_missing(recorded.seq, event)
        else:
            log.append(Decoded(recorded.seq, recorded.at_ns, event))
    if not log or not isinstance(log[0].event, e.SessionStarted):
        raise StoreError("TL407", "this log has no SessionStarted", "the session was never started, or its log is cut")
    refuse_unreplayable(log[0].event)
    run = _Run(log, handler, unanswered)
    try:
        return run.run(log[0].event.session)
    finally:
        run.today.live.close()


class _Stopped(Exception):
    """The run can make no more sense from here."""


class _Run:
    """One run: the record, how far it was taken, and what of it was answered to the handler of today."""

    def __init__(self, log: list[Decoded], handler: Handler, unanswered: Unanswered) -> None:
        self.log = log
        self.today = Today(handler, log)
        self.answers = Answers(log)
        self.unanswered = unanswered
        self.here = log[0]  # how far the record was taken
        self.bound: dict[int, int] = {}  # recorded index -> the index here, where the answer comes at its place in the record
        self.agenda = Agenda()  # answers that come at a time of their own
        self.mouth = Mouth()
        self.ending: Literal["", "record", "handler"] = ""  # whose end it is

    def run(self, session: str) -> WhatIf:
        """Take the record from its first event to the last that makes sense."""
        stopped = ""
        try:
            self.today.start()
            for entry in self.log[1:]:
                self._catch_up(entry)
                self.here = entry
                if not records_command(entry.event):
                    self._take(entry)
            self._run_out()
            stopped = self._where_it_waits()
        except _Stopped as reason:
            stopped = str(reason)
        rows = side_by_side(issued_until(self.log, self.here.seq), self.today.issued)
        return WhatIf(session=session, seq=self.here.seq, rows=rows, stopped=stopped)

    # --- the handler ---

    def _deliver(self, at_ns: int, event: e.Event) -> None:
        self.today.deliver(self.here.seq, at_ns, event)

    def _accept_all(self, at_ns: int) -> None:
        """Enter what the handler has asked for, as the live loop does in the round after."""
        asked, self.today.asked = self.today.asked, deque()
        for one in asked:
            self._accept(one, at_ns)

    def _accept_until(self, event: e.Event, at_ns: int) -> None:
        """Enter what was asked for up to the command that this event records: what that brought comes before the others."""
        sought = c.compared(command_of(event)[1])
        asked = self.today.asked
        while c.compared(asked[0].issued.command) != sought:
            self._accept(asked.popleft(), at_ns)
        self._accept(asked.popleft(), at_ns)
        self.today.asked_ns = at_ns  # the others are entered no earlier

    def _accept(self, asked: Asked, at_ns: int) -> None:
        index, command, site = asked.issued.index, asked.issued.command, asked.issued.site
        self.today.issued.append(Issue(index, command, site))
        known = self.answers.claim(command)
        match command:
            case c.Say() if command.key and command.key in self.mouth.keys:
                say = self.mouth.keys[command.key]
                self._deliver(at_ns, e.SayRepeated(index=index, say=say, command=command, site=site))
            case c.Say():
                if command.key:
                    remember(self.mouth.keys, command.key, f"say_{index}")
                if known is None:
                    stream = next((then for then, now in self.bound.items() if now == command.stream), 0)
                    words = msgspec.structs.replace(command, text=self.answers.spoken(command, stream))
                    self.agenda.plan(*self.mouth.speak(f"say_{index}", words, at_ns))
                else:
                    self.mouth.ask(f"say_{index}")
                    self._expect(known, index, at_ns)
                self._deliver(at_ns, e.SayRequested(index=index, say=f"say_{index}", command=command, site=site))
            case c.CancelSay():
                self._deliver(at_ns, e.SayCancelRequested(index=index, command=command, site=site))
                if command.say in (self.mouth.spoken_here if known and self._is_at(known, at_ns) else self.mouth.open):
                    self._settle(at_ns, e.SaySettled(say=command.say, status="cancelled", code="cancelled"))
            case c.Call() | c.Step() | c.Stream():
                if known is None:
                    self._not_recorded(asked, at_ns)
                self._expect(known, index, at_ns)
            case c.Update():
                if known is None:
                    self.agenda.plan(at_ns, e.UpdateApplied(index=index))
                self._expect(known, index, at_ns)
            case c.End() | c.Return() | c.Fail():
                if isinstance(command, c.End):
                    self._deliver(at_ns, e.EndRequested(index=index, command=command, site=site))
                self._end(command, known, at_ns)

    def _end(self, command: c.End | c.Return | c.Fail, known: Recollection | None, at_ns: int) -> None:
        if known and self._is_at(known, at_ns):
            self._expect(known, known.number, at_ns)  # where the record ends too
        elif not self.ending:
            self.ending = "handler"
            reason = command.reason if isinstance(command, c.End) else "completed"
            reason = "handler_failed" if isinstance(command, c.Fail) else reason
            drain = command.drain if isinstance(command, c.End) else isinstance(command, c.Return)
            self._deliver(at_ns, e.SessionEnding(reason=reason, drain=drain))
            if not drain:
                for say in self.mouth.open:
                    self._settle(at_ns, e.SaySettled(say=say, status="cancelled", code=reason))

    # --- answers ---

    def _is_at(self, known: Recollection, at_ns: int) -> bool:
        """Whether the record has come to this command: then its answers keep their places."""
        return known.seq <= self.here.seq or known.at_ns <= at_ns

    def _expect(self, known: Recollection | None, index: int, at_ns: int) -> None:
        if known is None:
            return
        in_place = self._is_at(known, at_ns)
        if in_place:
            self.bound[known.number] = index
        for answer in known.answers:
            if not in_place or answer.seq <= self.here.seq:
                after_ns = 0 if in_place else answer.at_ns - known.at_ns
                self.agenda.plan(at_ns + after_ns, readdress(answer.event, index))

    def _settle(self, at_ns: int, event: e.SaySettled) -> None:
        if self.mouth.settle(event.say):
            self._deliver(at_ns, event)

    def _not_recorded(self, asked: Asked, at_ns: int) -> None:
        index, command, site = asked.issued.index, asked.issued.command, asked.issued.site
        why = f"the record has no answer to {brief(command)}"
        if self.unanswered == "stop":
            raise _Stopped(f"{why}, asked for at {site.file.rpartition('/')[2]}:{site.line}")
        failed = e.StreamEnded if isinstance(command, c.Stream) else e.CallFailed
        self.agenda.plan(at_ns, failed(index=index, type_name="NotRecorded", message=why))

    # --- the record ---

    def _catch_up(self, entry: Decoded) -> None:
        """What comes before an entry of the record: what was asked for, and what is due by its time."""
        while True:
            if self.today.asked:
                if self._is_asked_for(entry.event):
                    self._accept_until(entry.event, entry.at_ns)
                    continue
                if entry.at_ns > self.today.asked_ns and isinstance(entry.event, (*DELIVERED, *RECORDS_COMMAND)):
                    self._accept_all(self.today.asked_ns)
                    continue
            if not self._do_next(entry.at_ns):
                return

    def _is_asked_for(self, event: e.Event) -> bool:
        if not records_command(event):
            return False
        return command_of(event)[0] not in self.answers.claimed and self.today.asks_for(event)

    def _do_next(self, until_ns: int, *, timers: bool = True) -> bool:
        """Deliver the earliest of the answers and timers that are due. False if none is."""
        self._close_if_done()
        timer = self.today.next_timer(self.here.seq) if timers else None
        timer_ns = max(timer[1], self.today.asked_ns) if timer else None
        answer_ns = self.agenda.due_ns
        if answer_ns is not None and answer_ns <= until_ns and (timer_ns is None or answer_ns <= timer_ns):
            _, event = self.agenda.take()
            if isinstance(event, e.SaySettled):
                self._settle(answer_ns, event)
            else:
                self.ending = "record" if isinstance(event, e.SessionEnding) else self.ending
                self._deliver(answer_ns, event)
        elif timer and timer_ns is not None and timer_ns < until_ns:  # live, a round's facts and commands come before its timer
            if not self.today.fire(self.here.seq, timer, timer_ns):
                raise _Stopped(f"the handler's timers never end: {self.today.place()}")
        else:
            return False
        return True

    def _take(self, entry: Decoded) -> None:
        at_ns, event = entry.at_ns, entry.event
        match event:
            case e.TimerFired():
                if self.today.live.loop.next_timer() == (event.timer, event.deadline_ns):  # of what a returned handler left, too
                    self._deliver(at_ns, event)
            case e.SessionEnding() if (ender := self._ender(event)) and not self.bound.get(ender):
                return  # the handler ended it then, and has not now
            case e.SessionEnding():
                self.ending = "record"
                self._deliver(at_ns, event)
            case e.SessionEnded() if self.ending == "record":
                self._deliver(at_ns, event)
                raise _Stopped("")
            case e.SessionEnded():
                self._run_out()
                raise _Stopped(self._where_it_waits())
            case e.SayRequested():
                if not (call := self.answers.filled(event.say)) or call in self.bound:
                    self.mouth.fillers.add(event.say)
                    self._deliver(at_ns, event)
            case e.SaySettled() if event.say in self.mouth.fillers:
                self._deliver(at_ns, event)
            case e.SaySettled():
                if index := self.bound.get(self.answers.answered(event)):
                    self._settle(at_ns, msgspec.structs.replace(event, say=f"say_{index}"))
            case e.PlayoutEnded(say=str(say)) if asked := self.answers.said(say):
                if index := self.bound.get(asked):
                    self._deliver(at_ns, msgspec.structs.replace(event, say=f"say_{index}"))
            case _ if recorded := self.answers.answered(event):
                if index := self.bound.get(recorded):
                    self._deliver(at_ns, readdress(event, index))
            case e.CallersGone():
                self.mouth.gone = True
                self._deliver(at_ns, event)
                for say in self.mouth.spoken_here:
                    self._settle(at_ns, e.SaySettled(say=say, status="failed", code="caller_gone"))
            case _:
                self._deliver(at_ns, event)

    def _ender(self, event: e.SessionEnding) -> int:
        """The recorded command that this end came of; 0 if it came from outside."""
        return next((one.number for one in self.answers.by_index.values() if any(a.event is event for a in one.answers)), 0)

    def _close_if_done(self) -> None:
        if self.ending == "handler" and not self.mouth.open and not self.today.asked:
            self._deliver(self.today.asked_ns, e.SessionEnded(reason="completed"))
            raise _Stopped("")

    # --- the end ---

    def _run_out(self) -> None:
        """The record has no more: what was asked for and answered still comes. Timers do not: there is no clock any more."""
        while True:
            if self.today.asked:
                self._accept_all(self.today.asked_ns)
            elif not self._do_next(2**63, timers=False):
                return

    def _where_it_waits(self) -> str:
        ends = f"the record ends at event {self.here.seq}, and the handler goes on"
        return "" if self.today.live.finished else f"{ends}: {self.today.place()}"
