"""The live loop of one session: take what happened, decide, append, act. Nothing here decides and nothing skips the log.

`run` is the loop. A step turns inputs into staged events and the messages they cause; they leave only after the append.
"""

from collections.abc import Coroutine
from functools import partial
from typing import Any

from ..core import events as e
from ..core.commands import Say
from ..core.core import SessionCore, Staged
from ..core.errors import LinkClosed
from ..core.line_heads import LinePlayheads
from ..core.ports import Link
from .clock import Clock
from .decider import Decider, Handling
from .earlier import reader
from .effects import STARTED, Effects
from .handlers.callback import in_callback
from .handlers.handler_run import DELIVERED, Asked
from .handlers.record import OBSERVED
from .inbox import FirstAudio, Inbox, Input, Overheard, rounds
from .intake import Intake
from .line import Leg, Line
from .session_log import SessionLog
from .sound.ears import Ears
from .sound.media import MediaRouter
from .sound.mouth import Mouth
from .sound.speaking import Speaking
from .step import Send, Step
from .writing import Writing

__all__ = ["PACED", "SessionRun"]

PACED = True
"""Whether a handler's audio is held back to `lead_ms`. Callers would be told of a response's end while its audio still waits."""

_CHANGES_NO_WAY = frozenset({e.MediaRecorded})
_RUNS_HANDLER = frozenset({*DELIVERED, e.SessionStarted})
_NEVER = (None, None, None, None)
_RETRY_NS = 10_000_000  # how soon a deadline that has passed without effect is looked at again


class SessionRun:
    """One live session, from SessionStarted to SessionEnded."""

    def __init__(self, core: SessionCore, log: SessionLog, clock: Clock, handler: Handling, effects: Effects) -> None:
        self.core = core
        self.log = log
        self.clock = clock
        self.handler = handler
        self.effects = effects
        effects.work = handler.journal.asking.host.work
        effects.taken = handler.journal.taken
        handler.journal.asking.host.earlier = reader(log)
        self.inbox = Inbox()
        self.lines: dict[str, Line] = {}
        definition = core.state.life.definition
        self.mouth = Mouth(definition.lead_ms, paced=PACED and definition.answers == "handler")
        self.ears = Ears(core.state, partial(_overheard, self.inbox))
        core.delivers(LinePlayheads(core.state, self.mouth))
        self.media = MediaRouter(core.state, self.lines, self.mouth, self.ears)
        self.decider = Decider(core, handler, effects, self.lines, self.media)
        self.intake = Intake(self.inbox, self.lines, self.media, clock)
        started = partial(_first_audio, self.decider, self.inbox)
        self.speaking = Speaking(self.mouth, self.media, self.intake, clock, started, self.inbox.wake)
        self.writing = Writing(log)
        self.left = False
        self._ahead: Step | Exception | None = None  # decided while media was being written

    async def run(self) -> None:
        """Drive the session to its end, or until it is left. Raises StoreError when the log cannot be written: then nothing
        more may happen."""
        try:
            while not (self.core.ended or self.left):
                inputs = await self.inbox.take(0 if self.inbox.awake else self._delay_s())
                if self.inbox.was_asked():
                    self.core.look_again()
                elif not inputs and self.decider.has_nothing_to_decide(now_ns := self.clock.now_ns()):
                    await self._write_media(now_ns)
                    continue
                for happened in rounds(inputs):
                    if not self.core.ended:  # what came with the last message of a session came after its end
                        await self.round(happened)
            if not self.core.ended:
                await self.append(self.decider.rest(self.clock.now_ns()))
        finally:
            self.speaking.stop()

    def leave(self) -> None:
        """Go no further. What has happened is written down, and the log gets no end."""
        self.left, self.effects.kept = True, "all"
        self.inbox.wake()

    async def round(self, inputs: list[Input]) -> None:
        """Decide, append, act, once."""
        step = self._decide(inputs)
        if step is not None:
            await self._carry_out(step)

    def _decide(self, inputs: list[Input]) -> Step | None:
        """Decide, and do what waits for no append; None if all of it goes with a later one."""
        now_ns = self.clock.now_ns()
        step = self.decider.step(inputs, now_ns)
        if not step.types <= _CHANGES_NO_WAY:
            self.media.look_again()
        self.mouth.observe(step.staged)  # a cut waits for no append
        self.ears.observe(step.staged)
        if inputs and self.writing.lets_wait(step, now_ns):
            return None
        self.tell(step.take_reducing())
        return step

    async def _carry_out(self, step: Step) -> None:
        """Append, and do what waited for that."""
        if step.lets_media_pass:
            await self._append_beside_media(step)
        else:
            await self.append(step)
        self.send(step)
        await self.wake_handler(step)

    async def _write_media(self, now_ns: int) -> None:
        """Write the media that is due. What comes meanwhile is decided: a disk that hangs holds up no cut."""
        step = self.decider.due_media(now_ns)
        if not step.staged and not self.writing.is_due(now_ns):
            return  # it was the moment of media that went with something else
        self.inbox.meanwhile = self._decide_ahead
        try:
            await self._append_beside_media(step)
        finally:
            self.inbox.meanwhile = None
            ahead, self._ahead = self._ahead, None
        if isinstance(ahead, Exception):
            raise ahead
        if ahead is not None:
            await self._carry_out(ahead)

    def _decide_ahead(self) -> None:
        """Decide what has come first; what it brings is carried out when the media is written, and the rest decided then."""
        while self._ahead is None and self.inbox.meanwhile is not None and (inputs := self.inbox.take_round()):
            try:
                self._ahead = self._decide(inputs)
            except Exception as error:  # it ends the session, like any other
                self._ahead = error
            if self._ahead is not None:
                self.intake.media_may_pass = False  # it would overtake what waits now

    # --- append ---

    async def append(self, step: Step) -> None:
        """Commit the step's events; until this returns nothing of them has happened for anyone else."""
        await self.writing.write(step, ended=self.core.ended)

    async def _append_beside_media(self, step: Step) -> None:
        """Commit a step of which no message to a peer waits: media goes on meanwhile."""
        self.intake.media_may_pass = True
        try:
            await self.append(step)
        finally:
            self.intake.media_may_pass = False

    # --- act ---

    def tell(self, sends: list[Send]) -> None:
        """Send messages to the peers."""
        for line, raw, _ in sends:
            try:
                line.link.send(raw)
            except LinkClosed:
                continue  # its reader reports the loss

    def send(self, step: Step) -> None:
        """Let the committed messages leave, then the media that waited behind them."""
        self.tell(step.sends)
        if e.LinkReady in step.types:
            self.media.provider_ready(self.clock.now_ns())
            self.inbox.wake()  # its dispatches are due, behind what callers said before
        for line, message, at_ns in step.media if not self.core.ended else ():  # no segment could hold it any more
            self.intake.hand_on(line, message, at_ns, self.clock.now_ns())

    async def wake_handler(self, step: Step) -> None:
        """Start the tools that were called, and give the handler each event it is to see, one at a time."""
        if not STARTED.isdisjoint(step.types):
            for one in step.staged:
                if type(one.event) in STARTED:
                    with self.log.watched.around(one.seq):
                        self.effects.start(one, self.inbox.put)
        if not _RUNS_HANDLER.isdisjoint(step.types):
            await in_callback(self._deliver, step.staged)
            if self.core.state.life.ending:
                self.inbox.wake()  # what is ending may end, now that the handler has seen all there was
        elif not OBSERVED.isdisjoint(step.types):
            self._deliver(step.staged)

    def _deliver(self, staged: list[Staged]) -> None:
        for seq, at_ns, _, event in staged:
            kind = type(event)
            if kind in OBSERVED:
                self.handler.observe(seq, at_ns, event)
            if kind not in _RUNS_HANDLER:
                continue
            asked = self.handler.start(seq) if isinstance(event, e.SessionStarted) else self.handler.deliver(seq, at_ns, event)
            self.decider.first += asked
        if self.decider.first:
            self.inbox.wake()

    def ask(self, asked: Asked) -> None:
        """Take a command that a handler on the host's loop asks for at a moment of its own."""
        self.decider.first.append(asked)
        self.inbox.wake()

    def let_go(self) -> None:
        """The session is over and its lines are closed: what refers to it in circles is let go of, so that it is freed at once.

        Else it is found by a collection, which stops all sessions. Its state can still be asked.
        """
        self.speaking.stop()
        self.mouth.let_go()
        self.inbox.clear()
        self.effects.spawn, self.effects.voice = _nothing_runs, _nothing_is_said

    def attach(self, name: str, link: Link, leg: Leg, transport: str, peer: str) -> Coroutine[Any, Any, None]:
        """Add a line; returns the coroutine that reads it to its end."""
        return self.intake.attach(name, link, leg, transport, peer)

    def _delay_s(self) -> float | None:
        timer, decision = self.handler.next_timer(), self.core.next_deadline()
        due = (decision, self.media.due_ns, self.writing.due_ns, timer[1] if timer else None)
        if due == _NEVER:
            return None
        now_ns = self.clock.now_ns()
        if decision is not None:  # one that is past had its chance: it waits for more than the clock
            due = (max(decision, now_ns + _RETRY_NS), *due[1:])
        return max(0.0, (min(at_ns for at_ns in due if at_ns is not None) - now_ns) / 1e9)


def _first_audio(decider: Decider, inbox: Inbox, response: str, at_ns: int) -> None:
    decider.first.append(FirstAudio(response, at_ns))
    inbox.wake()


def _overheard(inbox: Inbox, link: str, ms: int) -> None:
    inbox.put(Overheard(link, ms))


def _nothing_runs(work: Coroutine[Any, Any, None]) -> None:
    work.close()


def _nothing_is_said(say: Say) -> None:
    """There is no line for it any more."""
