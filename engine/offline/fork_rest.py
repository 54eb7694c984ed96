"""The rest of a fork: a script's turns and signals against a standing handler, decided as live, answered from the record.

A script has a line for each thing that happens: a turn's words; `/signal NAME [JSON]`; `/wait SECONDS`, in which the
handler's timers fire; `/hangup`. Empty lines and lines that begin with # are left out. At its end the session is ended.
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from ...core import commands as c
from ...core import events as e
from ...core.core import SessionCore, Staged
from ...core.errors import HandlerError
from ...core.ports import Recorded
from ...core.state import State
from ..handlers.handler_run import DELIVERED, Asked, HandlerRun
from .answers import Answers, readdress, say_ms
from .divergence import brief

__all__ = ["Line", "Rest", "parse_script"]

_S = 1_000_000_000
_STEP_NS = 1_000_000  # what happens by itself takes a millisecond
_MOST = 10_000  # events without a line of the script between them


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens. text: a turn's words, or a signal's name; data: a signal's, as msgpack; seconds: of a wait."""

    kind: Literal["turn", "signal", "wait", "hangup"]
    text: str = ""
    data: bytes = b"\xc0"
    seconds: float = 0.0


def parse_script(text: str) -> list[Line]:
    """The lines of a script. Raises HandlerError TL105 naming the line that cannot be read."""
    return [_parse(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip() and line.strip()[0] != "#"]


def _parse(n: int, line: str) -> Line:
    word, _, rest = line.partition(" ")
    try:
        match word:
            case "/signal" if rest:
                name, _, data = rest.strip().partition(" ")
                value = msgspec.json.decode(data) if data.strip() else None
                return Line(kind="signal", text=name, data=msgspec.msgpack.encode(value))
            case "/wait" if 0 < float(rest) < 86_400:
                return Line(kind="wait", seconds=float(rest))
            case "/hangup" if not rest:
                return Line(kind="hangup")
    except ValueError as error:
        raise HandlerError("TL105", f"line {n} of the script, {line!r}: {error}", _FORMS) from None
    if word.startswith("/"):
        raise HandlerError("TL105", f"line {n} of the script, {line!r}, is not understood", _FORMS)
    return Line(kind="turn", text=line)


_FORMS = "a turn's words, /signal NAME [JSON], /wait SECONDS (less than a day), or /hangup"


class Rest:
    """What follows a past. `asked` holds what the handler asked for there and the past has not recorded."""

    def __init__(self, live: HandlerRun, state: State, answers: Answers, last: Recorded) -> None:
        self.live = live
        self.core = SessionCore()
        self.core.state, self.core.seq = state, last.seq
        self.answers = answers
        self.asked: deque[Asked] = deque()
        self.not_recorded: list[str] = []
        self._now_ns = last.at_ns
        self._told = 0  # staged events that the handler has seen

    def play(self, script: Iterable[Line]) -> list[Staged]:
        """The events of the rest, SessionEnded the last."""
        self._take_over()
        for line in script:
            self._rest()
            if self.live.finished or self.core.state.life.ending:
                break
            self._pass(line.seconds if line.kind == "wait" else 1.0)
            self._happens(line)
        self._rest()
        self.core.ending(e.SessionEnding(reason="script_ended", drain=True), self._now_ns)
        for _ in range(_MOST):
            self._rest()
            if self.core.ended:
                return self.core.events_to_append()
            self._now_ns += _STEP_NS
            self.core.close_when_done(self._now_ns)
        raise HandlerError("TL108", "the session does not come to its end: the handler asks for more and more", "fork earlier")

    def _take_over(self) -> None:
        """The past's links are not here; what it had begun to say, and what it waits for, ends by the record."""
        links, past = self.core.state.links, self.core.seq
        for name in filter(None, (links.provider, links.voice, *links.callers)):
            self.core.record(e.LinkClosed(link=name, code=1001, reason="forked"), e.Root.API, self._now_ns)
        for known in self.answers.by_index.values():
            for answer in known.answers:
                if known.seq <= past < answer.seq and not isinstance(answer.event, e.SessionEnding):
                    self._answered(answer.event, known.seq)
        self._settle_open()

    def _happens(self, line: Line) -> None:
        turns = self.core.state.turns
        match line.kind:
            case "turn":
                item = f"fork_{self.core.seq + 1}"
                ended = e.TurnEnded(turn=turns.count + 1, item=item, text=line.text, channel="text", transcript_status="none")
                self.core.record(ended, e.Root.API, self._now_ns)
            case "signal":
                self.core.signal(e.SignalReceived(name=line.text, data=line.data), self._now_ns)
            case "hangup":
                self.core.record(e.CallersGone(reason="script"), e.Root.API, self._now_ns)
            case "wait":
                pass  # the time has passed

    # --- the handler ---

    def _rest(self) -> None:
        """Until the handler waits for something from outside, or for time."""
        for _ in range(_MOST):
            if self._told < len(self.core.staged):
                self._deliver(self.core.staged[self._told])
            elif self.asked:
                self._accept(self.asked.popleft())
            else:
                return
        raise HandlerError("TL108", "the handler asks for more and more without waiting", "fork earlier, or correct it")

    def _deliver(self, staged: Staged) -> None:
        self._told += 1
        self.live.observe(staged.seq, staged.at_ns, staged.event)
        if isinstance(staged.event, DELIVERED):
            asked = self.live.deliver(staged.seq, staged.at_ns, staged.event)
            if not self.core.ended:
                self.asked.extend(asked)

    def _accept(self, asked: Asked) -> None:
        index, command, site = asked.issued.index, asked.issued.command, asked.issued.site
        self._now_ns += _STEP_NS
        known = self.answers.claim(command)
        seq = self.core.seq + 1
        self.core.command(index, command, site, asked.cause, self._now_ns)
        if known:
            for answer in known.answers:
                if not isinstance(answer.event, e.SessionEnding):
                    self._answered(readdress(answer.event, index), seq, max(0, answer.at_ns - known.at_ns))
        elif isinstance(command, c.Call | c.Step | c.Stream):
            self.not_recorded.append(brief(command))
            failed = e.StreamEnded if isinstance(command, c.Stream) else e.CallFailed
            message = f"the record has no answer to {brief(command)}"
            self._answered(failed(index=index, type_name="NotRecorded", message=message), seq)
        for update in list(self.core.state.links.updates):
            self._answered(e.UpdateApplied(index=update), seq)
        self._settle_open()

    # --- answers ---

    def _answered(self, event: e.Event, cause: int, after_ns: int = 0) -> None:
        state = self.core.state
        if isinstance(event, e.SaySettled) and event.say not in state.delivery.says:
            return
        if isinstance(event, e.UpdateApplied | e.UpdateRefused) and event.index not in state.links.updates:
            return
        if self.core.ended:
            return
        self._now_ns += after_ns if isinstance(event, e.SaySettled) else _STEP_NS
        self.core.record(event, cause, self._now_ns)

    def _settle_open(self) -> None:
        """Says that the record does not know count as played, after the time that their words, or their recording, take."""
        for say in list(self.core.state.delivery.says.values()):
            text = "".join(say.pieces).strip()  # of a stream: what the record's has brought
            length_ms = say_ms(msgspec.structs.replace(say.command, text=text))
            for response, one in list(self.core.state.playout.responses.items()):
                if one.say == say.requested.say:
                    self.core.record(e.PlayoutEnded(response=response), say.seq, self._now_ns)
            played = e.SaySettled(
                say=say.requested.say,
                status="played",
                generated_ms=length_ms,
                heard_ms=length_ms,
                source="clock",
                heard_text=text,
            )
            self._answered(played, say.seq, length_ms * 1_000_000)

    # --- time ---

    def _pass(self, seconds: float) -> None:
        """Let time go by; the handler's timers fire in it."""
        until_ns = self._now_ns + int(seconds * _S)
        for _ in range(_MOST):
            timer = self.live.next_timer()
            if timer is None or timer[1] > until_ns or self.core.state.life.ending:
                self._now_ns = max(self._now_ns, until_ns)
                self.core.time_passed(self._now_ns)
                self._rest()
                return
            self._now_ns = max(self._now_ns, timer[1])
            self.core.record(e.TimerFired(timer=timer[0], deadline_ns=timer[1]), e.Root.TIMER, self._now_ns)
            self._rest()
        raise HandlerError("TL108", f"the handler's timers never end within {seconds:g} s", "make its pauses longer")
