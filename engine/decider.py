"""Decider: what happened becomes facts, staged in order, and the messages by which the peers learn of them. No I/O.

The order rules of docs/design.md stand here; run.py appends and sends what a step brings, and decides nothing.
"""

from typing import NamedTuple

from ..core import events as e
from ..core import signals as s
from ..core.commands import Update
from ..core.core import SessionCore, Staged
from ..core.errors import TurnlogError
from ..core.ports import Segment
from ..transports.realtime.wire import MEDIA_TYPES, Message
from .effects import Effects, carried_by
from .handlers.handler_run import DELIVERED, Asked, HandlerRun, words_of
from .handlers.host_run import HostRun
from .handlers.issued import Issued
from .inbox import (
    Arrived,
    Attempted,
    CallDone,
    Down,
    Ending,
    Failed,
    Faulted,
    FirstAudio,
    Input,
    OfCall,
    Overheard,
    Signalled,
    Told,
    ToolDone,
    Unreadable,
    Up,
    is_media,
)
from .line import Line
from .nodes.remote import RemoteRun
from .sound.media import MediaRouter
from .step import REDUCING, Send, Step

__all__ = ["Decider", "Handling"]

Handling = HandlerRun | HostRun | RemoteRun
_DELIVERED = frozenset(DELIVERED)
_WIRE = frozenset({e.TransportReceived, e.TransportSent, e.MediaRecorded})  # no peer learns of it
_QUIETENS = frozenset({"output_audio_buffer.clear"})  # what answers it throws away what is being played: it waits for no append


class _Answer(NamedTuple):
    """A message for a peer, and the seq of what calls for it. reduces: see Send."""

    line: Line
    raw: bytes
    cause: int
    reduces: bool = False


class Decider:
    """Turns the inputs of one session into steps. `first` goes before the inputs: it came from an earlier round."""

    def __init__(
        self, core: SessionCore, handler: Handling, effects: Effects, lines: dict[str, Line], media: MediaRouter
    ) -> None:
        self.core = core
        self.first: list[Asked | FirstAudio] = []
        self._handler = handler
        self._effects = effects
        self._lines = lines
        self._media = media

    def step(self, inputs: list[Input], now_ns: int) -> Step:
        """Turn what happened into facts, applied and staged, and the messages by which the peers learn of them."""
        media = [item for item in inputs if isinstance(item, Arrived) and is_media(item)]
        only_media = not self.first and len(media) == len(inputs)
        segments = self._close_segments(now_ns, only_media)
        answers: list[_Answer] = []
        core, first, self.first = self.core, self.first, []
        for item in (*first, *inputs):
            self._take(item, now_ns, answers)
        if core.has_changed or self._time_decides(now_ns):
            core.time_passed(now_ns)
            self._fire_timer(now_ns)
            if e.LinkReady not in core.staged_types():
                core.sends_due(now_ns)  # else in the next round: what callers said before goes first
        sends = self._present(answers, 0, now_ns)
        told = len(core.staged)
        if core.state.life.ending is not None and self._handler.caught_up and _DELIVERED.isdisjoint(core.staged_types()):
            core.close_when_done(now_ns)
            if not core.ended:  # nothing is sent, and nothing recorded, behind SessionEnded
                sends += self._present([], told, now_ns)
        return Step(core.events_to_append(), segments, sends, media)

    def has_nothing_to_decide(self, now_ns: int) -> bool:
        """Whether at most media is due in the log."""
        return not (self.first or self.core.has_changed or self._time_decides(now_ns))

    def due_media(self, now_ns: int) -> Step:
        """The media that is due in the log. Nothing is decided."""
        segments = self._close_segments(now_ns, only_media=True)
        return Step(self.core.events_to_append(), segments, [], [])

    def rest(self, now_ns: int) -> Step:
        """What was gathered and only waits to be written. Nothing is decided."""
        segments = self._close_segments(now_ns, only_media=False)
        return Step(self.core.events_to_append(), segments, [], [])

    def _take(self, item: Input | Asked | FirstAudio, now_ns: int, answers: list[_Answer]) -> None:
        core = self.core
        match item:
            case Arrived(line, message):
                if message.type not in MEDIA_TYPES:
                    self._receive(line, message, now_ns, answers)
            case Unreadable(line, raw, error):
                seq = core.record(e.TransportReceived(link=line.name, n=line.received.next(), data=raw), e.Root.WIRE, now_ns)
                core.record(e.PeerFaulted(link=line.name, code=error.code, message=error.message), seq, now_ns)
                answers += [_Answer(line, owed, seq) for owed in line.leg.refuse(raw, error)]
            case Asked(issued, cause):
                self._enter(issued, cause, now_ns)
            case Faulted(line, error, owed):
                seq = core.record(e.PeerFaulted(link=line.name, code=error.code, message=error.message), e.Root.WIRE, now_ns)
                answers += [_Answer(line, raw, seq) for raw in owed]
            case CallDone() | ToolDone():
                self._complete(item, now_ns)
            case FirstAudio(response):
                core.record(e.AudioStarted(response=response), e.Root.WIRE, now_ns)
            case Overheard(link, ms):
                core.decide(link, s.SpeechLasted(ms=ms), e.Root.WIRE, now_ns)
            case Up(line, peer):
                line.since = core.record(line.opened(peer), e.Root.HOST, now_ns)
            case Down(line, code, reason):
                del self._lines[line.name]
                core.link_closed(e.LinkClosed(link=line.name, code=code, reason=reason), now_ns)
            case Failed(error):
                core.link_failed(e.LinkFailed(side="provider", code=error.code, message=error.message), now_ns)
            case OfCall(event, settings):
                core.call(event, now_ns, settings)
            case Attempted(event, seq):
                if not isinstance(event, e.AttemptFailed) or event.index in core.state.tools.calls:
                    core.record(event, seq, now_ns)
            case Signalled(event):
                core.signal(event, now_ns)
            case Told(event):
                core.said(event, now_ns)
            case Ending(event):
                core.ending(event, now_ns)

    def _complete(self, done: CallDone | ToolDone, now_ns: int) -> None:
        """What came of a call. One that was cancelled meanwhile has had its end."""
        tools = self.core.state.tools
        match done:
            case CallDone(index, seq, result, error):
                if index in tools.calls:
                    self.core.record(_call_event(index, result, error), seq, now_ns)
            case ToolDone(call_id, seq, output, ok):
                if (call := tools.model_calls.get(call_id)) and call.answered is None:
                    self.core.record(e.ToolAnswered(call_id=call_id, output=output, ok=ok), seq, now_ns)

    def _enter(self, issued: Issued, cause: int, now_ns: int) -> None:
        """What the handler asked for. An update that names tools which are not declared is a fact and refused."""
        command = issued.command
        unknown = self._effects.unknown(command.tools or []) if isinstance(command, Update) else []
        if isinstance(command, Update) and unknown and not self.core.ended:
            asked = e.UpdateRequested(index=issued.index, command=command, site=issued.site)
            message = f"no tool {unknown[0]!r} is declared"
            seq = self.core.record(asked, cause, now_ns)
            self.core.record(e.UpdateRefused(index=issued.index, code="unknown_tool", message=message), seq, now_ns)
        else:
            self.core.command(issued.index, command, issued.site, cause, now_ns)

    def _receive(self, line: Line, message: Message, now_ns: int, answers: list[_Answer]) -> None:
        received = e.TransportReceived(link=line.name, n=line.received.next(), data=message.raw)
        seq = self.core.record(received, e.Root.WIRE, now_ns)
        try:
            signals = line.leg.receive(message)
        except TurnlogError as error:
            self.core.record(e.PeerFaulted(link=line.name, code=error.code, message=error.message), seq, now_ns)
            signals = []
        reduces = message.type in _QUIETENS
        answers += [_Answer(line, owed, seq, reduces) for owed in line.leg.owed()]
        for signal in signals:
            self.core.decide(line.name, signal, seq, now_ns)

    def _fire_timer(self, now_ns: int) -> None:
        timer = self._handler.next_timer()
        if timer and now_ns >= timer[1]:
            self.core.record(e.TimerFired(timer=timer[0], deadline_ns=timer[1]), e.Root.TIMER, now_ns)

    def _present(self, answers: list[_Answer], start: int, now_ns: int) -> list[Send]:
        """Stage the messages that tell the peers of the facts staged from `start` on, behind the protocol's own answers.

        A peer that said something with its line itself is greeted before it is answered.
        """
        staged = self.core.staged[start:]
        opened = [one for one in staged if type(one.event) is e.LinkOpened] if e.LinkOpened in self.core.staged_types() else []
        told = self._telling(opened) + answers
        told += self._telling([one for one in staged if type(one.event) is not e.LinkOpened] if opened else staged)
        if not told:
            return []
        for line, raw, cause, _ in told:
            self.core.record(e.TransportSent(link=line.name, n=line.sent.next(), data=raw), cause, now_ns)
        return [Send(line, raw, reduces) for line, raw, _, reduces in told]

    def _telling(self, staged: list[Staged]) -> list[_Answer]:
        told: list[_Answer] = []
        lines = list(self._lines.values())
        for one in staged:
            if type(one.event) in _WIRE:
                continue
            for line in lines:
                if one.seq >= line.since:  # a peer learns of nothing before its own line stands
                    reduces = type(one.event) in REDUCING
                    told += [_Answer(line, raw, one.seq, reduces) for raw in self._told(line, one)]
        return told

    def _told(self, line: Line, staged: Staged) -> list[bytes]:
        try:
            return line.leg.present(staged, self.core.state)
        except TurnlogError as error:  # the other side's fact breaks this side's protocol, e.g. an item's id used twice
            self.core.record(e.PeerFaulted(link=line.name, code=error.code, message=error.message), staged.seq, staged.at_ns)
            return line.leg.owed()

    def _time_decides(self, now_ns: int) -> bool:
        """Whether this step may bring facts that refer to media, though no message does."""
        timer = self._handler.next_timer()
        due = self.core.next_deadline()
        ending = self.core.state.life.ending is not None
        return ending or (due is not None and now_ns >= due) or (timer is not None and now_ns >= timer[1])

    def _close_segments(self, now_ns: int, only_media: bool) -> list[Segment]:
        if self._media.due_ns is None:  # nothing was gathered
            return []
        everything = not only_media or self._time_decides(now_ns)
        closed = self._media.segments_to_append(now_ns, self.core.seq + 1, everything=everything)
        for recorded, _ in closed:
            self.core.record(recorded, e.Root.WIRE, now_ns)
        return [segment for _, segment in closed]


def _call_event(index: int, result: bytes | None, error: BaseException | None) -> e.Event:
    if error is not None:
        return e.CallFailed(
            index=index, type_name=type(error).__name__, message=words_of(error), data=carried_by(error)
        )
    return e.CallCompleted(index=index, result=result or b"\xc0")
