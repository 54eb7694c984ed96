"""Any handler replays: random programs in random sessions take the same steps again, in any process, from any prefix."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.engine.programs import Program
from tests.engine.statements import PROGRAMS, QUIET, SEEDS, SIMPLE, TALKS
from tests.engine.worlds import World, digest, main, replayed
from turnlog.core.errors import Divergence
from turnlog.engine.offline.replay import replay

ROOT = Path(__file__).parents[2]


def assert_replays(program: Program, seed: int) -> None:
    """Live and replay notice the same; every prefix replays."""
    world = World(program, seed).play()
    assert replayed(program, world.log) == world.interpreter.trace
    for length in range(1, len(world.log), max(1, len(world.log) // 12)):
        replayed(program, world.log[:length])


@settings(QUIET, max_examples=150)
@given(program=PROGRAMS, seed=SEEDS)
def test_any_program_replays(program: Program, seed: int) -> None:
    """What a random handler does in a random session, a replay of it does again, whole and cut anywhere."""
    assert_replays(program, seed)


@settings(QUIET, max_examples=60)
@given(program=TALKS, seed=SEEDS)
def test_says_streams_and_speech_over_them_replay(program: Program, seed: int) -> None:
    """Tasks that say, take back, stream, watch and switch who answers, beside a provider and a user who interrupts."""
    assert_replays(program, seed)


@settings(QUIET, max_examples=40)
@given(bodies=st.lists(st.lists(SIMPLE, min_size=1, max_size=3), min_size=8, max_size=24), seed=SEEDS)
def test_many_tasks_at_once_replay(bodies: list[Program], seed: int) -> None:
    """Many small tasks, raced against each other, input and timers; half of them in groups that fail together."""
    half = len(bodies) // 2
    program = [["gather", bodies[:half], True], ["group", bodies[half:]], ["look"]]
    assert_replays([["spawn", [["wait", bodies[:4], "first", 0.25]]], ["try", program, [["say", "Sorry."]]]], seed)


def elsewhere(sessions: list[tuple[Program, Any]], hash_seed: str) -> list[str]:
    """What the handlers of these sessions notice when another process replays them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sessions"
        file.write_bytes(msgspec.msgpack.encode(sessions))
        done = subprocess.run(
            [sys.executable, "-c", f"from tests.engine.worlds import main; main({str(file)!r})"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def assert_replays_elsewhere(programs: list[Program], seed: int) -> None:
    """The same in processes with other hashes and other memory."""
    worlds = [World(program, seed + number).play() for number, program in enumerate(programs)]
    noticed = [digest(world.interpreter.trace) for world in worlds]
    sessions = [(world.interpreter.program, world.log) for world in worlds]
    for hash_seed in ("0", "4711"):
        for program, here, there in zip(programs, noticed, elsewhere(sessions, hash_seed), strict=True):
            assert there == here, program


@settings(QUIET, max_examples=2, phases=[Phase.generate])  # each failure names its program; making it smaller takes long
@given(programs=st.lists(PROGRAMS | TALKS, min_size=15, max_size=30), seed=SEEDS)
def test_any_program_replays_in_another_process(programs: list[Program], seed: int) -> None:
    """With another PYTHONHASHSEED."""
    assert_replays_elsewhere(programs, seed)


@pytest.mark.soak
@settings(QUIET, max_examples=3000)
@given(program=PROGRAMS | TALKS, seed=SEEDS)
def test_any_program_replays_for_long(program: Program, seed: int) -> None:
    """The same, many times."""
    assert_replays(program, seed)


@pytest.mark.soak
@settings(QUIET, max_examples=40, phases=[Phase.generate])
@given(programs=st.lists(PROGRAMS | TALKS, min_size=50, max_size=100), seed=SEEDS)
def test_any_program_replays_in_another_process_for_long(programs: list[Program], seed: int) -> None:
    """The same, many times."""
    assert_replays_elsewhere(programs, seed)


def test_a_program_that_does_something_else_diverges() -> None:
    """The comparison above can fail: another program on the same log is found out."""
    program = [["say", "Good evening."], ["call", 1], ["say", "Goodbye."]]
    world = World(program, 3).play()
    assert {"SayRequested", "CallRequested"} <= {recorded.type for recorded in world.log}
    changed = [["say", "Good evening."], ["call", 2], ["say", "Goodbye."]]
    with pytest.raises(Divergence):
        replayed(changed, world.log)
    assert replay(world.log, World(program, 3).interpreter.handler).complete


def test_the_other_process_tells_what_diverges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the error in the place of a digest."""
    world = World([["say", "Good evening."]], 3).play()
    file = tmp_path / "sessions"
    file.write_bytes(msgspec.msgpack.encode([([["say", "Goodbye."]], world.log), (world.interpreter.program, world.log)]))
    main(str(file))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("TL101") and second == digest(world.interpreter.trace)
