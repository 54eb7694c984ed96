"""Tests of what HandlerLoop is for: the same steps in any process, whatever else happens in it."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from turnlog.engine.handlers.handler_loop import HandlerLoop

START = 1_760_000_000_000_000_000
ROOT = Path(__file__).parents[2]

SCENARIO = """
import asyncio, os, random, sys
from turnlog.engine.handlers.handler_loop import HandlerLoop

log, junk = [], []

def clutter():
    junk.append([bytearray(random.randrange(10, 3000)) for _ in range(random.randrange(40))])

async def waits(number):
    clutter()
    try:
        await asyncio.sleep(9 + number % 3)
    except asyncio.CancelledError:
        log.append(("cancelled", number))
        raise
    return number

async def fails():
    await asyncio.sleep(1)
    raise ValueError

async def numbers():
    try:
        yield 1
    finally:
        log.append("closed")

async def handler():
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(waits(number))
                clutter()
            group.create_task(fails())
    except* ValueError:
        pass
    tasks = []
    for number in range(40):
        tasks.append(asyncio.create_task(waits(number)))
        clutter()
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    log.append([task.result() for task in done])
    log.append([task.get_name() for task in pending])
    for task in asyncio.as_completed(pending):
        log.append(await task)
        clutter()
    async for _ in numbers():
        break
    loop = asyncio.get_running_loop()
    waiters = {loop.create_future() for _ in range(50)}
    for number, waiter in enumerate(waiters):
        waiter.add_done_callback(lambda _, number=number: log.append(number))
        waiter.cancel()
    await asyncio.Event().wait()

loop = HandlerLoop(1_760_000_000_123_456_789)
loop.start(handler())
loop.drain()
while due := loop.next_timer():
    loop.fire(*due)
    loop.drain()
    clutter()
log.append(loop.blocked())
loop.close_all()
print(log)
"""


def test_three_processes_take_the_same_steps() -> None:
    """Neither hash seeds nor what else is allocated changes the order of cancellations, sets or completions."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCENARIO],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    (output,) = outputs
    assert output.count("cancelled") == 40


STEP = st.one_of(
    st.tuples(st.just("sleep"), st.sampled_from([0, 0.001, 0.1, 0.25, 1.0, 7.3])),
    st.tuples(st.just("put"), st.integers(0, 2)),
    st.tuples(st.just("get"), st.integers(0, 2)),
    st.tuples(st.just("lock"), st.sampled_from([0, 0.1, 0.5])),
    st.tuples(st.just("spawn"), st.integers(0, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0])),
    st.tuples(st.just("group"), st.integers(0, 3)),
)
PROGRAMS = st.lists(st.lists(STEP, max_size=6), min_size=4, max_size=4)


def loop_time() -> float:
    """Loop time, for handlers."""
    return asyncio.get_running_loop().time()


class Program:
    """Runs step lists as tasks and writes down who did what when."""

    def __init__(self, bodies: list[list[tuple[str, Any]]], clutter: Callable[[], object]) -> None:
        self.bodies = bodies
        self.clutter = clutter
        self.trace: list[object] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def main(self) -> None:
        """Body 0, with queues and a lock that all bodies share."""
        self.queues = [asyncio.Queue[int](maxsize=2) for _ in range(3)]
        self.lock = asyncio.Lock()
        await self.body(0, 0)

    async def body(self, number: int, depth: int) -> None:
        """One step list; children only go three deep."""
        task = asyncio.current_task()
        assert task is not None
        name = task.get_name()
        try:
            for kind, value in self.bodies[number]:
                self.clutter()
                result = await self.step(kind, value, depth)
                self.trace.append((name, kind, result, loop_time()))
        except BaseException as error:
            self.trace.append((name, type(error).__name__, loop_time()))
            raise

    async def step(self, kind: str, value: Any, depth: int) -> object:
        """One step; what it returns goes into the trace."""
        match kind:
            case "sleep":
                await asyncio.sleep(value)
            case "put":
                async with asyncio.timeout(0.4):
                    await self.queues[value].put(len(self.trace))
            case "get":
                return await asyncio.wait_for(self.queues[value].get(), 0.3)
            case "lock":
                async with self.lock:
                    await asyncio.sleep(value)
            case "spawn" if depth < 3:
                self.tasks.append(asyncio.create_task(self.body(value, depth + 1)))
            case "cancel" if value < len(self.tasks):
                return self.tasks[value].cancel()
            case "wait":
                others = [task for task in self.tasks if task is not asyncio.current_task()]
                if others:
                    done, pending = await asyncio.wait(others, timeout=value)
                    return [[task.get_name() for task in kind] for kind in (done, pending)]
            case "group" if depth < 3:
                async with asyncio.TaskGroup() as group:
                    self.tasks += [group.create_task(self.body(one, depth + 1)) for one in (value, 3 - value)]
        return None


def traced(bodies: list[list[tuple[str, Any]]], clutter: Callable[[], object]) -> list[object]:
    """The trace of one run, to the point where nothing more comes, and of its teardown."""
    program = Program(bodies, clutter)
    loop = HandlerLoop(START)
    loop.start(program.main())
    loop.drain()
    while due := loop.next_timer():
        loop.fire(*due)
        loop.drain()
        clutter()
    program.trace.append(loop.blocked())
    loop.close_all()
    return program.trace


@settings(max_examples=60, deadline=None)
@given(bodies=PROGRAMS, seed=st.integers())
def test_any_program_takes_the_same_steps_again(bodies: list[list[tuple[str, Any]]], seed: int) -> None:
    """Random programs of sleeps, queues, locks, tasks and groups give one trace, whatever else is allocated meanwhile."""
    shuffle = random.Random(seed)
    junk: list[bytearray] = []

    def clutter() -> None:
        junk.append(bytearray(shuffle.randrange(1, 4000)))
        del junk[: shuffle.randrange(3)]

    assert traced(bodies, clutter) == traced(bodies, int)
