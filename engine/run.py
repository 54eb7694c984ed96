"""The live loop of one session: take what happened, decide, append, act. Nothing here decides and nothing skips the log.

`run` is the loop. A step turns inputs into staged events and the messages they cause; they leave only after the append.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from ..core import events as e
from ..core.chain import NONCE_SIZE
from ..core.codec import encode
from ..core.commands import Update
from ..core.core import SessionCore, Staged
from ..core.errors import LinkClosed, ProtocolError, TurnlogError
from ..core.ports import DirectLink, Draft, Head, Link, Log, Segment
from ..transports.realtime.wire import MEDIA_TYPES, InvalidMessage, Message, parse
from .clock import Clock
from .effects import Effects
from .handler_run import DELIVERED, Asked, HandlerRun, words_of
from .host_run import HostRun
from .inbox import (
    Arrived,
    Attempted,
    CallDone,
    Down,
    Ending,
    Failed,
    Faulted,
    FirstAudio,
    Inbox,
    Input,
    Signalled,
    ToolDone,
    Unreadable,
    Up,
)
from .journal import Issued
from .line import Leg, Line
from .media import MediaRouter
from .step import Behind, Step

__all__ = ["SessionRun"]

_RUNS_HANDLER = (*DELIVERED, e.SessionStarted)
_WIRE = (e.TransportReceived, e.TransportSent, e.MediaRecorded, e.PeerFaulted)
Handling = HandlerRun | HostRun

_RETRY_NS = 10_000_000  # how soon a deadline that has passed without effect is looked at again


class SessionRun:
    """One live session, from SessionStarted to SessionEnded."""

    def __init__(self, core: SessionCore, log: Log, head: Head, clock: Clock, handler: Handling, effects: Effects) -> None:
        self.core = core
        self.log = log
        self.head = head
        self.clock = clock
        self.handler = handler
        self.effects = effects
        effects.work = handler.journal.work
        self.inbox = Inbox()
        self.lines: dict[str, Line] = {}
        self.media = MediaRouter(core.state, self.lines, self._first_audio)
        self.first: list[Asked | FirstAudio] = []  # goes before what lies in the inbox: it came from an earlier round
        self.behind = Behind()

    async def run(self) -> None:
        """Drive the session to its end. Raises StoreError when the log cannot be written: then nothing more may happen."""
        while not self.core.ended:
            for inputs in rounds(await self.inbox.take(self._delay_s())):
                if not self.core.ended:  # what came with the last message of a session came after its end
                    await self.round(inputs)

    async def round(self, inputs: list[Input]) -> None:
        """Decide, append, act, once."""
        now_ns = self.clock.now_ns()
        step = self.step(inputs, now_ns)
        if inputs and step.can_wait():
            self.behind.add(step, now_ns)
            return
        await self.append(step)
        self.send(step)
        await self.wake_handler(step.staged)

    # --- decide ---

    def step(self, inputs: list[Input], now_ns: int) -> Step:
        """Turn what happened into facts, applied and staged, and the messages by which the peers learn of them."""
        media = [item for item in inputs if isinstance(item, Arrived) and _is_media(item)]
        only_media = not self.first and len(media) == len(inputs)
        segments = self._close_segments(now_ns, everything=not only_media or self._time_decides(now_ns))
        answers: list[tuple[Line, bytes, int]] = []
        first, self.first = self.first, []
        for item in (*first, *inputs):
            self._take(item, now_ns, answers)
        self.core.time_passed(now_ns)
        self._fire_timer(now_ns)
        if not any(isinstance(staged.event, e.LinkReady) for staged in self.core.staged):
            self.core.sends_due(now_ns)  # else in the next round: what callers said before goes first
        sends = self._present(answers, 0, now_ns)
        told = len(self.core.staged)
        if not any(isinstance(staged.event, DELIVERED) for staged in self.core.staged):
            self.core.close_when_done(now_ns)
        if not self.core.ended:  # nothing is sent, and nothing recorded, behind SessionEnded
            sends += self._present([], told, now_ns)
        return Step(self.core.events_to_append(), segments, sends, media)

    def _take(self, item: Input | Asked | FirstAudio, now_ns: int, answers: list[tuple[Line, bytes, int]]) -> None:
        core = self.core
        match item:
            case Arrived(line, message):
                if message.type not in MEDIA_TYPES:
                    self._receive(line, message, now_ns, answers)
            case Unreadable(line, raw, error):
                seq = core.record(e.TransportReceived(link=line.name, n=line.received.next(), data=raw), e.Root.WIRE, now_ns)
                core.record(e.PeerFaulted(link=line.name, code=error.code, message=error.message), seq, now_ns)
                answers += [(line, owed, seq) for owed in line.leg.refuse(raw, error)]
            case Asked(issued, cause):
                self._enter(issued, cause, now_ns)
            case Faulted(line, error, owed):
                seq = core.record(e.PeerFaulted(link=line.name, code=error.code, message=error.message), e.Root.WIRE, now_ns)
                answers += [(line, raw, seq) for raw in owed]
            case CallDone(index, seq, result, error):
                core.record(_call_event(index, result, error), seq, now_ns)
            case ToolDone(call_id, seq, output, ok):
                core.record(e.ToolAnswered(call_id=call_id, output=output, ok=ok), seq, now_ns)
            case FirstAudio(response):
                core.record(e.AudioStarted(response=response), e.Root.WIRE, now_ns)
            case Up(line, transport, peer):
                line.since = core.record(line.opened(transport, peer), e.Root.HOST, now_ns)
            case Down(line, code, reason):
                del self.lines[line.name]
                core.link_closed(e.LinkClosed(link=line.name, code=code, reason=reason), now_ns)
            case Failed(error):
                core.link_failed(e.LinkFailed(side="provider", code=error.code, message=error.message), now_ns)
            case Attempted(event, seq):
                core.record(event, seq, now_ns)
            case Signalled(event):
                core.signal(event, now_ns)
            case Ending(event):
                core.ending(event, now_ns)

    def _enter(self, issued: Issued, cause: int, now_ns: int) -> None:
        """What the handler asked for. An update that names tools which are not declared is a fact and refused."""
        command = issued.command
        unknown = self.effects.unknown(command.tools or []) if isinstance(command, Update) else []
        if isinstance(command, Update) and unknown and not self.core.ended:
            asked = e.UpdateRequested(index=issued.index, command=command, site=issued.site)
            message = f"no tool {unknown[0]!r} is declared"
            seq = self.core.record(asked, cause, now_ns)
            self.core.record(e.UpdateRefused(index=issued.index, code="unknown_tool", message=message), seq, now_ns)
        else:
            self.core.command(issued.index, command, issued.site, cause, now_ns)

    def _receive(self, line: Line, message: Message, now_ns: int, answers: list[tuple[Line, bytes, int]]) -> None:
        received = e.TransportReceived(link=line.name, n=line.received.next(), data=message.raw)
        seq = self.core.record(received, e.Root.WIRE, now_ns)
        try:
            signals = line.leg.receive(message)
        except TurnlogError as error:
            self.core.record(e.PeerFaulted(link=line.name, code=error.code, message=error.message), seq, now_ns)
            signals = []
        answers += [(line, owed, seq) for owed in line.leg.owed()]
        for signal in signals:
            self.core.decide(line.name, signal, seq, now_ns)

    def _fire_timer(self, now_ns: int) -> None:
        timer = self.handler.next_timer()
        if timer and now_ns >= timer[1]:
            self.core.record(e.TimerFired(timer=timer[0], deadline_ns=timer[1]), e.Root.TIMER, now_ns)

    def _present(self, answers: list[tuple[Line, bytes, int]], start: int, now_ns: int) -> list[tuple[Line, bytes]]:
        """Stage the messages that tell the peers of the facts staged from `start` on, behind the protocol's own answers."""
        told = list(answers)
        for staged in self.core.staged[start:]:
            for line in self.lines.values():
                if staged.seq >= line.since:  # a peer learns of nothing before its own line stands
                    told += [(line, raw, staged.seq) for raw in self._told(line, staged)]
        for line, raw, cause in told:
            self.core.record(e.TransportSent(link=line.name, n=line.sent.next(), data=raw), cause, now_ns)
        return [(line, raw) for line, raw, _ in told]

    def _told(self, line: Line, staged: Staged) -> list[bytes]:
        try:
            return line.leg.present(staged, self.core.state)
        except TurnlogError as error:  # the other side's fact breaks this side's protocol, e.g. an item's id used twice
            self.core.record(e.PeerFaulted(link=line.name, code=error.code, message=error.message), staged.seq, staged.at_ns)
            return line.leg.owed()

    def _time_decides(self, now_ns: int) -> bool:
        """Whether this step may bring facts that refer to media, though no message does."""
        timer = self.handler.next_timer()
        due = self.core.next_deadline()
        ending = self.core.state.life.ending is not None
        return ending or (due is not None and now_ns >= due) or (timer is not None and now_ns >= timer[1])

    def _close_segments(self, now_ns: int, *, everything: bool) -> list[Segment]:
        closed = self.media.segments_to_append(now_ns, self.core.seq + 1, everything=everything)
        for recorded, _ in closed:
            self.core.record(recorded, e.Root.WIRE, now_ns)
        return [segment for _, segment in closed]

    # --- append ---

    async def append(self, step: Step) -> None:
        """Commit the step's events; until this returns nothing of them has happened for anyone else."""
        before, segments = self.behind.take()
        events = [*before, *step.staged]
        if not events:
            return
        nonces = os.urandom(NONCE_SIZE * len(events))
        drafts = []
        for n, staged in enumerate(events):
            type_, version, data = encode(staged.event, nonces[n * NONCE_SIZE : (n + 1) * NONCE_SIZE])
            drafts.append(Draft(type_, version, staged.at_ns, staged.cause, data))
        status = "ended" if self.core.ended else None
        self.head = await self.log.append(self.head, drafts, [*segments, *step.segments], status=status)

    # --- act ---

    def send(self, step: Step) -> None:
        """Let the committed messages leave, then the media that waited behind them."""
        for line, raw in step.sends:
            try:
                line.link.send(raw)
            except LinkClosed:
                continue  # its reader reports the loss
        for staged in step.staged:
            if isinstance(staged.event, e.LinkReady):
                self.media.provider_ready(self.clock.now_ns())
                self.inbox.wake()  # its dispatches are due, behind what callers said before
        for line, message, at_ns in step.media if not self.core.ended else ():  # no segment could hold it any more
            self._hand_on(line, message, at_ns)

    async def wake_handler(self, staged: list[Staged]) -> None:
        """Start the tools that were called, and give the handler each event it is to see, one at a time."""
        for one in staged:
            self.effects.start(one, self.inbox.put)
        if any(isinstance(one.event, _RUNS_HANDLER) for one in staged):
            await in_callback(self._deliver, staged)
            if self.core.state.life.ending:
                self.inbox.wake()  # what is ending may end, now that the handler has seen all there was
        else:
            self._deliver(staged)

    def _deliver(self, staged: list[Staged]) -> None:
        for seq, at_ns, _, event in staged:
            if isinstance(event, _WIRE):
                continue
            self.handler.observe(seq, at_ns, event)
            if not isinstance(event, _RUNS_HANDLER):
                continue
            asked = self.handler.start(seq) if isinstance(event, e.SessionStarted) else self.handler.deliver(seq, at_ns, event)
            self.first += asked
        if self.first:
            self.inbox.wake()

    def ask(self, asked: Asked) -> None:
        """Take a command that a handler on the host's loop asks for at a moment of its own."""
        self.first.append(asked)
        self.inbox.wake()

    def _first_audio(self, response: str, at_ns: int) -> None:
        self.first.append(FirstAudio(response, at_ns))
        self.inbox.wake()

    # --- lines ---

    def attach(self, name: str, link: Link, leg: Leg, transport: str, peer: str) -> Coroutine[Any, Any, None]:
        """Add a line; returns the coroutine that reads it to its end."""
        line = Line(name, link, leg)
        self.lines[name] = line
        self.inbox.put(Up(line, transport, peer))
        return self._read(line)

    async def _read(self, line: Line) -> None:
        link = line.link
        direct = link if isinstance(link, DirectLink) else None
        if direct:
            direct.listen(lambda raw: self.offer(line, raw))
        try:
            while True:
                try:
                    raw = await link.receive()
                except LinkClosed as closed:
                    self.inbox.put(Down(line, closed.close_code, closed.reason))
                    return
                self.offer(line, raw)
        finally:
            if direct:
                direct.listen(None)

    def offer(self, line: Line, raw: bytes) -> None:
        """Take a message: media goes on at once if nothing before it waits to be decided."""
        at_ns = self.clock.now_ns()
        try:
            message = parse(raw)
        except InvalidMessage as error:
            self.inbox.put(Unreadable(line, raw, error, at_ns))
            return
        if message.type in MEDIA_TYPES and self.inbox.idle:
            was_due = self.media.due_ns()
            self._hand_on(line, message, at_ns)
            if was_due is None and (due := self.media.due_ns()) is not None:
                asyncio.get_running_loop().call_later((due - at_ns) / 1e9, self.inbox.wake)
        else:
            self.inbox.put(Arrived(line, message, at_ns))

    def _hand_on(self, line: Line, message: Message, at_ns: int) -> None:
        """Media to the other lines; what is wrong with it is a fact for the next round, and never the session's end."""
        fault: TurnlogError | None = None
        try:
            self.media.receive(line, message, at_ns)
        except TurnlogError as error:
            fault = error
        owed = line.leg.owed()
        if owed and fault is None:
            fault = ProtocolError("TL305", f"{message.type} was refused: the answer says why")
        if fault is not None:
            self.inbox.put(Faulted(line, fault, owed))

    def _delay_s(self) -> float | None:
        now_ns = self.clock.now_ns()
        timer, decision = self.handler.next_timer(), self.core.next_deadline()
        if decision is not None:
            decision = max(decision, now_ns + _RETRY_NS)  # one that is past had its chance: it waits for more than the clock
        due = (decision, self.media.due_ns(), self.behind.due_ns, timer[1] if timer else None)
        known = [at_ns for at_ns in due if at_ns is not None]
        return max(0.0, (min(known) - now_ns) / 1e9) if known else None


def rounds(inputs: list[Input]) -> Iterator[list[Input]]:
    """Cut what happened where a control message follows media: media leaves after the commit of what came before it,
    and before anything that came later is decided."""
    at = 0
    for n, item in enumerate(inputs):
        if n > at and _is_media(inputs[n - 1]) and not _is_media(item):
            yield inputs[at:n]
            at = n
    yield inputs[at:]


def _is_media(item: Input) -> bool:
    return isinstance(item, Arrived) and item.message.type in MEDIA_TYPES


def _call_event(index: int, result: bytes | None, error: BaseException | None) -> e.Event:
    if error is not None:
        return e.CallFailed(index=index, type_name=type(error).__name__, message=words_of(error))
    return e.CallCompleted(index=index, result=result or b"\xc0")


async def in_callback(function: Callable[..., object], *args: Any) -> None:
    """Run a function in a callback of the running loop: a handler's loop must not be driven inside a host task (3.14)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def call() -> None:
        error: Exception | None = None
        try:
            function(*args)
        except Exception as raised:
            error = raised
        if done.cancelled():
            return  # whoever waited is gone; the function has run
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(None)

    loop.call_soon(call)
    await done
