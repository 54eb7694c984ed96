"""What a random handler does again when its session is run on offline: in a what-if, and in forks at any event."""

from collections import Counter

from hypothesis import given, settings

from tests.engine.programs import Interpreter, Program
from tests.engine.statements import PROGRAMS, QUIET, SEEDS, TALKS
from tests.engine.worlds import World
from turnlog.core import events as e
from turnlog.core.codec import decode, encode
from turnlog.core.ports import Recorded
from turnlog.engine.offline.fork import _remembered, _renamed
from turnlog.engine.offline.fork_rest import Rest, parse_script
from turnlog.engine.offline.replay import ReplayRun, replay
from turnlog.engine.offline.what_if import what_if

SCRIPT = parse_script("ann\n/wait 2\n/signal a\n")


@settings(QUIET, max_examples=120)
@given(program=PROGRAMS | TALKS, seed=SEEDS)
def test_an_unchanged_program_notices_the_same_in_a_what_if(program: Program, seed: int) -> None:
    """No row differs, and each task is told the same at the same time in the same order."""
    world = World(program, seed).play()
    again = Interpreter(program)
    found = what_if(world.log, again.handler)
    assert [row for row in found.rows if row.status != "equal"] == []
    assert found.stopped == ""
    assert again.trace == world.interpreter.trace


@settings(QUIET, max_examples=20)
@given(program=PROGRAMS | TALKS, seed=SEEDS)
def test_a_fork_at_any_event_replays(program: Program, seed: int) -> None:
    """Whatever sounds, waits or is cut then: each say of the fork has one end, and the fork replays."""
    log = World(program, seed).play().log
    for at in range(1, len(log) - 1, max(1, len(log) // 10)):
        forked = _forked(program, log, at)
        events = [decode(one) for one in forked]
        asked = [event.say for event in events if isinstance(event, e.SayRequested)]
        settled = [event.say for event in events if isinstance(event, e.SaySettled)]
        assert Counter(settled) == Counter(asked)
        assert isinstance(events[-1], e.SessionEnded)
        replay(forked, Interpreter(program).handler)


def _forked(program: Program, log: list[Recorded], at: int) -> list[Recorded]:
    """The events of a fork, as they would be stored."""
    past = _renamed(log[:at], "fork", Interpreter(program).handler)
    run = ReplayRun(Interpreter(program).handler, past)
    try:
        run.run()
        assert run.live is not None
        rest = Rest(run.live, run.state, _remembered(log, at), past[-1])
        rest.asked.extend(run.asked)
        staged = rest.play(SCRIPT)
    finally:
        run.close()
    recorded = list(past)
    for one in staged:
        type_, version, data = encode(one.event, bytes(16))
        recorded.append(Recorded(one.seq, type_, version, one.at_ns, 1, one.cause, b"", b"", data))
    return recorded
