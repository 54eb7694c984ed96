"""Random sessions around random programs, and their replays.

A World drives a HandlerRun with a SessionCore as the live loop does, but dice decide what happens next: which call completes,
what is said, which timer fires, who is gone. No clock, no sleeps, no store.
"""

import hashlib
import itertools
from pathlib import Path
from random import Random

import msgspec

from tests.engine.programs import Interpreter, Program, Trace
from tests.engine.voices import Voice
from turnlog.core import events as e
from turnlog.core.codec import encode
from turnlog.core.core import SessionCore
from turnlog.core.definition import define_session
from turnlog.core.errors import TurnlogError
from turnlog.core.ports import Recorded
from turnlog.engine.earlier import EARLIER
from turnlog.engine.handlers.handler_run import DELIVERED, Asked, HandlerRun
from turnlog.engine.offline.replay import replay

__all__ = ["World", "digest", "main", "replayed"]

START_NS = 1_760_000_000_000_000_000
MS = 1_000_000
ROUNDS = 200

STARTED = e.SessionStarted(
    session="sess_1",
    target="hotel.desk",
    definition=define_session("desk", provider="scripted", transport="in_process", resume_after_false_start=True),
    tools=[e.ToolRules(name="lookup", filler="One moment.", after_ms=300)],
)


class World:
    """A session around a program: everything that is not the handler, by dice."""

    def __init__(self, program: Program, seed: int) -> None:
        self.dice = Random(seed)
        self.interpreter = Interpreter(program)
        self.core = SessionCore()
        self.log: list[Recorded] = []
        self.now_ns = START_NS + self.dice.randrange(10**9)
        self.first: list[Asked] = []
        self.calls: list[int] = []
        self.readings: set[int] = set()  # steps that read what was said earlier
        self.voice = Voice(self.core, self.dice) if self.dice.random() < 0.6 else None
        self.streams: dict[int, int] = {}
        self.turns = self.keys = 0

    def play(self) -> "World":
        """The session from its start to its end."""
        self.run = self.made(STARTED)
        self.core.record(STARTED, e.Root.START, self.now_ns)
        self.core.record(e.LinkOpened(link="c1", side="caller", transport="in_process"), e.Root.HOST, self.now_ns)
        if self.voice:
            self.voice.open(self.now_ns)
        try:
            self.commit()
            rounds = itertools.count()
            while not self.core.ended:
                self.round(hurry=next(rounds) > ROUNDS)
        finally:
            self.run.close()
        return self

    def made(self, started: e.SessionStarted) -> HandlerRun:
        """The run that the world drives."""
        return HandlerRun(self.interpreter.handler, started, self.now_ns)

    @property
    def caught_up(self) -> bool:
        """Whether the session may end."""
        return True

    def round(self, *, hurry: bool) -> None:
        """What the handler asked for, what else happens, an append, and what the handler sees of it; `hurry` ends it."""
        self.now_ns += self.dice.choice([0, 1, 20 * MS, 300 * MS])
        timer = self.run.next_timer()
        if timer and not self.first and self.dice.random() < 0.5:
            self.now_ns = max(self.now_ns, timer[1] + self.dice.choice([0, 0, MS]))
        first, self.first = self.first, []
        for issued, cause in first:
            self.core.command(issued.index, issued.command, issued.site, cause, self.now_ns)
        for _ in range(self.dice.choice([0, 1, 1, 1, 2, 3])):
            self.something_happens()
        if self.voice:
            self.core.time_passed(self.now_ns)
            self.core.sends_due(self.now_ns)
        if hurry:
            self.core.ending(e.SessionEnding(reason="engine_stopped"), self.now_ns)
        self.may_timer()  # none that is due waits for the end
        if self.caught_up and not any(isinstance(staged.event, DELIVERED) for staged in self.core.staged):
            self.core.close_when_done(self.now_ns)
        self.commit()

    def commit(self) -> None:
        """Append what is staged, and deliver it."""
        staged = self.core.events_to_append()
        for seq, at_ns, cause, event in staged:
            type_, version, data = encode(event, bytes(16))
            self.log.append(Recorded(seq, type_, version, at_ns, 1, cause, b"", b"", data))
            match event:
                case e.CallRequested() | e.StepRequested():
                    self.calls.append(event.index)
                    if isinstance(event, e.StepRequested) and event.command.name == EARLIER:
                        self.readings.add(event.index)
                case e.StreamRequested():
                    self.streams[event.index] = 0
        for seq, at_ns, _, event in staged:
            self.run.observe(seq, at_ns, event)
            if isinstance(event, e.SessionStarted):
                self.first += self.run.start(seq)
            elif isinstance(event, DELIVERED):
                self.first += self.run.deliver(seq, at_ns, event)

    def something_happens(self) -> None:
        """One thing that may happen now."""
        likely = ["timer"] * 4 + ["call"] * 4 + ["stream"] * 3 + ["heard"] * 3 + ["turn"] * 2 + ["signal", "update"]
        what = self.dice.choice([*likely, "gone"] if self.dice.random() < 0.05 else likely)
        if self.core.ended:
            return
        if self.voice and self.dice.random() < 0.6:
            self.voice.act(self.now_ns)
        else:
            getattr(self, f"may_{what}")()

    def record(self, event: e.Event, cause: int = e.Root.HOST) -> None:
        """A fact."""
        self.core.record(event, cause, self.now_ns)

    def may_timer(self) -> None:
        """The earliest timer that is due fires, at most once a round."""
        timer = self.run.next_timer()
        fired = any(isinstance(staged.event, e.TimerFired) for staged in self.core.staged)
        if timer and timer[1] <= self.now_ns and not fired:
            self.record(e.TimerFired(timer=timer[0], deadline_ns=timer[1]), e.Root.TIMER)

    def may_call(self) -> None:
        """Any of the open calls and steps completes or fails."""
        if self.calls:
            index = self.calls.pop(self.dice.randrange(len(self.calls)))
            if self.dice.random() < 0.8:
                known: object = {"value": self.dice.randrange(9)}
                result = [[1, "user", "Hello."]] if index in self.readings else known
                self.record(e.CallCompleted(index=index, result=msgspec.msgpack.encode(result)))
            else:
                self.record(e.CallFailed(index=index, type_name="LookupError", message="nobody"))

    def may_stream(self) -> None:
        """Any of the open streams brings an item, or ends."""
        if self.streams:
            index = self.dice.choice(list(self.streams))
            if self.dice.random() < 0.6:
                self.streams[index] += 1
                item = self.dice.choice(["Well. ", "And so ", "it is. ", "Yes! ", self.dice.randrange(9)])
                self.record(e.StreamItem(index=index, n=self.streams[index], item=msgspec.msgpack.encode(item)))
            else:
                del self.streams[index]
                self.record(e.StreamEnded(index=index, type_name=self.dice.choice(["", "", "OSError"])))

    def may_heard(self) -> None:
        """The oldest say ends in one of its ways, where no provider speaks it."""
        for say in [] if self.voice else list(self.core.state.delivery.says)[:1]:
            status = self.dice.choice(["played", "played", "interrupted", "failed"])
            self.record(e.SaySettled(say=say, status=status, heard_ms=5, heard_text="heard"))  # type: ignore[arg-type]

    def may_turn(self) -> None:
        """The user says something."""
        self.turns += 1
        item, text = f"item_{self.turns}", f"turn {self.turns}"
        self.record(e.TurnEnded(turn=self.turns, item=item, text=text, channel="text"), e.Root.WIRE)

    def may_signal(self) -> None:
        """The embedding program sends a signal."""
        self.keys += 1
        name = self.dice.choice(["a", "b"])
        self.record(e.SignalReceived(name=name, data=msgspec.msgpack.encode(self.keys), key=str(self.keys)), e.Root.API)

    def may_update(self) -> None:
        """Any of the updates that wait is confirmed, or refused."""
        if waiting := self.core.state.links.updates:
            index = self.dice.choice(waiting)
            refused = e.UpdateRefused(index=index, code="refused", message="no")
            self.record(self.dice.choice([e.UpdateApplied(index=index), refused]))

    def may_gone(self) -> None:
        """The caller hangs up, or the session is ended from outside."""
        if self.core.state.links.callers and self.dice.random() < 0.5:
            self.core.link_closed(e.LinkClosed(link="c1"), self.now_ns)
        else:
            self.core.ending(e.SessionEnding(reason="ended", drain=self.dice.random() < 0.5), self.now_ns)


def replayed(program: Program, log: list[Recorded]) -> Trace:
    """What the program's handler notices in a replay."""
    again = Interpreter(program)
    replay(log, again.handler)
    return again.trace


def digest(trace: Trace) -> str:
    """A trace in a few letters."""
    return hashlib.sha256(repr(list(trace)).encode()).hexdigest()[:16]


def main(path: str) -> None:
    """Replay every session of a file, [[program, log]…] in msgpack; a digest a line, or the error."""
    for program, log in msgspec.msgpack.decode(Path(path).read_bytes(), type=list[tuple[Program, list[Recorded]]]):
        try:
            print(digest(replayed(program, log)))
        except TurnlogError as error:
            print(" ".join(str(error).split()))
