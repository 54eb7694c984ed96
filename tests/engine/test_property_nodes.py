"""A handler at a node leaves the log that it would leave here: random programs in random sessions, across the wire and back."""

import asyncio
from collections import deque
from collections.abc import Iterator
from random import Random

from hypothesis import given, settings

from tests.engine.programs import Program
from tests.engine.statements import PROGRAMS, QUIET, SEEDS
from tests.engine.worlds import World, replayed
from turnlog.core import events as e
from turnlog.core.ports import Recorded
from turnlog.engine.app import App
from turnlog.engine.handlers.handler_run import Asked, HandlerRun
from turnlog.engine.nodes import wire
from turnlog.engine.nodes.remote import RemoteRun, Shore
from turnlog.engine.nodes.worker import NodeWorker
from turnlog.engine.toolbox import Toolbox

__all__: list[str] = []


class Faraway(RemoteRun):
    """A handler behind the protocol, message by message; `between` says when a message arrives, or the link breaks.

    What it asks for comes with the next event, as a world knows no other way.
    """

    def __init__(self, world: "RemoteWorld", started: e.SessionStarted, at_ns: int) -> None:
        super().__init__(started, at_ns)
        self.world = world
        self.down: deque[bytes] = deque()
        self.asks: list[Asked] = []
        self.deaf = False
        self.connect(Shore(self.asks.append, lambda: None, lambda done: None, self.past, lambda: True))
        self.join()

    def join(self) -> None:
        """A new node, with nothing in its head."""
        self.worker = NodeWorker(self.world.app, Toolbox("hotel", {}), self.up)
        self.belongs(self.down.append, lambda: None)

    def past(self, after: int, until: int) -> Iterator[Recorded]:
        """The world's log."""
        return (recorded for recorded in self.world.log if after < recorded.seq <= until)

    def up(self, raw: bytes) -> None:
        """A message of the node, unless the link broke meanwhile."""
        if self.deaf:
            return
        match wire.read_up(raw):
            case wire.AskedFor() as message:
                self.asked(message)
            case wire.Seen() as message:
                self.seen(message)
            case wire.Diverged() as message:
                raise AssertionError(message.message)

    def travel(self, most: int) -> None:
        """So many messages arrive at the node; what it says arrives at once."""
        for _ in range(min(most, len(self.down))):
            self.world.loop.run_until_complete(self.worker.receive(wire.read_down(self.down.popleft())))

    def breaks(self) -> None:
        """The link breaks, with all that was on its way either way; the same node comes back, or another one takes over."""
        self.deaf = True
        self.travel(self.world.wire.choice([0, 0, 1, 3]))
        self.deaf = False
        self.down.clear()
        self.lost()
        kept = (0, 0)
        if self.world.wire.random() < 0.6:
            self.world.loop.run_until_complete(self.worker.lost())
            kept = self.worker.kept().get(self.session, kept)
            self.belongs(self.down.append, lambda: None)
        else:
            self.world.loop.run_until_complete(self.worker.close())
            self.join()
        self.world.loop.run_until_complete(self.resume(self.down.append, lambda: None, kept))

    def take(self) -> list[Asked]:
        """What has come from the node."""
        taken = list(self.asks)
        self.asks.clear()
        return taken


class RemoteWorld(World):
    """A world whose handler is far away. breaks: how often in a hundred rounds its node is lost."""

    def __init__(self, program: Program, seed: int, *, breaks: int = 0) -> None:
        super().__init__(program, seed)
        self.loop = asyncio.new_event_loop()
        self.wire = Random(seed)
        self.breaks = breaks
        self.app = App("hotel")
        self.app.session("desk", provider="scripted", transport="in_process")(self.handler)

    async def handler(self, session: object) -> None:
        """Today's interpreter: a node that takes over begins anew."""
        self.interpreter = type(self.interpreter)(self.interpreter.program)
        await self.interpreter.handler(session)  # type: ignore[arg-type] # a RealtimeSession, as App.session wants it

    def made(self, started: e.SessionStarted) -> HandlerRun:
        """The run that the world drives."""
        self.far = Faraway(self, started, self.now_ns)
        return self.far  # type: ignore[return-value] # it looks like one

    def round(self, *, hurry: bool) -> None:
        """Some of what is on its way arrives, and then what happens in any world; all of it before the end."""
        if self.wire.random() * 100 < self.breaks:
            self.far.breaks()
        self.far.travel(len(self.far.down) if hurry else self.wire.choice([0, 1, 1, 2, 100]))
        self.first += self.far.take()
        super().round(hurry=hurry)

    @property
    def caught_up(self) -> bool:
        """Whether the session may end."""
        return self.far.caught_up

    def play(self) -> "RemoteWorld":
        """The session from its start to its end."""
        try:
            super().play()
            self.far.travel(len(self.far.down))
            self.loop.run_until_complete(self.far.worker.close())
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
        return self


@settings(QUIET, max_examples=60)
@given(program=PROGRAMS, seed=SEEDS)
def test_any_program_at_a_node_leaves_a_log_that_replays_here(program: Program, seed: int) -> None:
    """However late its messages come: what the handler noticed there, a replay of the log notices."""
    world = RemoteWorld(program, seed).play()
    assert replayed(program, world.log) == world.interpreter.trace


@settings(QUIET, max_examples=40)
@given(program=PROGRAMS, seed=SEEDS)
def test_any_program_survives_its_node(program: Program, seed: int) -> None:
    """Lost at any moment and built anew from the log elsewhere, it goes on as if nothing had been."""
    world = RemoteWorld(program, seed, breaks=20).play()
    assert replayed(program, world.log) == world.interpreter.trace


@settings(QUIET, max_examples=40)
@given(program=PROGRAMS, seed=SEEDS)
def test_a_node_without_delay_changes_nothing(program: Program, seed: int) -> None:
    """The same session, here and there: the same events at the same times from the same causes."""

    class AtOnce(RemoteWorld):
        """All that is on its way arrives at once."""

        def commit(self) -> None:
            super().commit()
            self.far.travel(len(self.far.down))
            self.first += self.far.take()

    here, there = World(program, seed).play(), AtOnce(program, seed).play()
    assert [recorded[:6] for recorded in there.log] == [recorded[:6] for recorded in here.log]  # not the lines of the handlers
    assert there.interpreter.trace == here.interpreter.trace
