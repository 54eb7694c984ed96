"""Tests for engine/handlers/watchdog.py: who is reported, who is stopped, and that nobody else ever is."""

import asyncio
import gc
import logging
import pdb
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import StringIO

import pytest

from turnlog.core.errors import HandlerError, HandlerStuck
from turnlog.engine.handlers import watchdog
from turnlog.engine.handlers.escapes import run_callbacks
from turnlog.engine.handlers.handler_loop import HandlerLoop
from turnlog.engine.handlers.strict import run_refusing, strictly
from turnlog.engine.handlers.watchdog import HandlerLimits, Watch, stack_of

pytestmark = pytest.mark.realtime

Handler = Callable[[], Awaitable[object]]
QUICK = HandlerLimits(report_ms=30, stuck_ms=60)
PATIENCE_S = 20


@contextmanager
def watched(handler: Handler, limits: HandlerLimits = QUICK) -> Iterator[tuple[Watch, asyncio.Task[object]]]:
    """A handler on a watched loop, run to its first rest."""
    watch = Watch("sess_1", limits)
    loop = HandlerLoop(0, partial(watch.run, run_callbacks))
    task = loop.start(handler())
    try:
        loop.drain()
        yield watch, task
    finally:
        loop.close_all()
        watch.close()


def spin_until(done: Callable[[], bool]) -> None:
    """Burn time without yielding, until something else has happened, at most PATIENCE_S."""
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until


def spin_for(seconds: float) -> None:
    """Burn that time without yielding."""
    until = time.monotonic() + seconds
    spin_until(lambda: time.monotonic() > until)


async def for_ever() -> None:
    """A handler that never yields."""
    spin_until(lambda: False)


def test_one_that_does_not_yield_is_stopped() -> None:
    """HandlerStuck is raised in it, wherever it is."""
    with watched(for_ever) as (watch, task):
        assert isinstance(task.exception(), HandlerStuck)
        assert watch.interrupted


def test_steps_without_rest_are_one_drain() -> None:
    """A handler that awaits only what is ready, over and over, holds up the others as well."""

    async def handler() -> None:
        while True:  # noqa: ASYNC110 -- what must be stopped
            await asyncio.sleep(0)

    with watched(handler) as (watch, _):
        assert watch.interrupted


def test_one_that_swallows_it_is_stopped_all_the_same() -> None:
    """What comes after HandlerStuck is caught by no `except Exception`."""
    caught = []

    async def handler() -> None:
        while True:
            try:
                spin_until(lambda: False)
            except Exception as error:
                caught.append(error)

    with watched(handler) as (watch, task):
        assert task.done() and not isinstance(task.exception(), Exception)
        assert isinstance(caught[0], HandlerStuck) and watch.interrupted


def test_it_is_reported_first(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the session's name and the handler's stack, innermost last."""

    def reported() -> bool:
        return len(caplog.records) > 0

    async def handler() -> None:
        spin_until(reported)
        spin_until(lambda: time.monotonic() > until)

    until = time.monotonic() + 0.2
    with watched(handler, HandlerLimits(report_ms=20, stuck_ms=None)) as (watch, task):
        assert task.exception() is None
        assert not watch.interrupted
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.name == "turnlog"
    lines = record.getMessage().splitlines()
    assert lines[0].startswith("session sess_1: its handler has not yielded for ")
    assert any(f"{__file__}:" in line and "handler" in line for line in lines[1:])


def test_stopping_is_reported_too(caplog: pytest.LogCaptureFixture) -> None:
    """As an error that names the line."""
    with watched(for_ever, HandlerLimits(report_ms=None, stuck_ms=40)):
        pass
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "is stopped at" in record.getMessage() and __file__ in record.getMessage()


def test_many_short_drains_are_fine(caplog: pytest.LogCaptureFixture) -> None:
    """What counts is one drain, not how busy a handler is."""
    watch = Watch("sess_1", HandlerLimits(report_ms=100, stuck_ms=200))
    loop = HandlerLoop(0, partial(watch.run, run_callbacks))

    async def handler() -> None:
        while True:
            spin_for(0.002)
            await asyncio.sleep(0.01)

    loop.start(handler())
    loop.drain()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        due = loop.next_timer()
        assert due is not None
        loop.fire(*due)
        loop.drain()
    loop.close_all()
    watch.close()
    assert not watch.interrupted and not caplog.records


def test_one_that_sits_in_a_debugger_is_left_alone() -> None:
    """A person at the prompt takes their time."""
    began = time.monotonic()

    class Slow(StringIO):
        def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override] # typeshed: of both its bases
            spin_until(lambda: time.monotonic() > began + 0.3)
            return "continue\n"

    async def handler() -> None:
        pdb.Pdb(stdin=Slow(), stdout=StringIO(), nosigint=True, readrc=False).set_trace()
        await asyncio.sleep(0)

    tracer = sys.gettrace()
    try:
        with watched(handler) as (watch, task):
            assert task.exception() is None and not watch.interrupted
    finally:
        sys.settrace(tracer)  # pdb leaves none: what measures coverage is one


def test_teardown_is_watched() -> None:
    """A handler that will not end when it is cancelled, or closed, holds up nobody either."""

    async def handler() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            spin_until(lambda: False)

    with watched(handler) as (watch, task):
        before = watch.interrupted
    assert (before, watch.interrupted) == (False, True)
    assert isinstance(task.exception(), HandlerStuck)


def test_it_sleeps_while_nothing_runs_and_wakes() -> None:
    """With watches but without drains the thread sleeps; a drain wakes it."""
    watch = Watch("sess_1", QUICK)
    spin_until(lambda: watchdog._DOG.asleep)
    with watched(for_ever) as (other, _):
        assert other.interrupted
    watch.close()


def test_the_thread_lives_as_long_as_there_are_watches() -> None:
    """The first starts it, the last takes it along; closing twice is as good as once."""

    def alive() -> bool:
        return any(thread.name == "turnlog watchdog" for thread in threading.enumerate())

    assert not alive()
    one, two = Watch("one", QUICK), Watch("two", QUICK)
    one.close()
    one.close()
    assert alive()
    two.close()
    assert not alive()


def test_the_last_watch_ends_a_thread_that_sleeps() -> None:
    """It is woken to end."""
    watch = Watch("sess_1", QUICK)
    spin_until(lambda: watchdog._DOG.asleep)
    watch.close()
    assert not watchdog._DOG.asleep


def test_one_that_strikes_between_two_callbacks() -> None:
    """In the engine's own code, it ends the drain and goes no further; nothing is pending behind it."""
    watch = Watch("sess_1", QUICK)

    def run(ready: object, limit: int) -> None:
        watch.interrupted = True
        raise HandlerStuck

    watch.run(run, deque(), 1)
    spin_for(0.01)
    watch.close()


def test_a_thread_that_is_gone_is_started_anew() -> None:
    """As after a fork, which takes no threads along."""
    one = Watch("one", QUICK)
    dead = threading.Thread(target=int)
    dead.start()
    dead.join()
    alive, watchdog._DOG._thread = watchdog._DOG._thread, dead
    two = Watch("two", QUICK)
    assert watchdog._DOG._thread is not dead
    assert alive is not None
    alive.join()
    one.close()
    two.close()


def test_two_loops_in_two_threads_are_told_apart() -> None:
    """One is stuck, the other busy but well: only the first is stopped."""
    stuck: list[bool] = []
    beside = threading.Thread(target=lambda: stuck.append(_is_stuck(for_ever)))
    beside.start()

    async def handler() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    calm = [_is_stuck(handler)]
    while beside.is_alive():
        calm.append(_is_stuck(handler))
    beside.join()
    assert stuck == [True] and not any(calm)


def _is_stuck(handler: Handler) -> bool:
    with watched(handler) as (watch, _):
        return watch.interrupted


def test_an_interruption_that_comes_too_late_is_none() -> None:
    """Whoever has left the drain, is in another, or is just leaving it, is not struck."""
    watch = Watch("sess_1", QUICK)
    me = threading.get_ident()
    assert not watch.interrupt(me, 0)
    with watch._lock:
        held: list[bool] = []
        other = threading.Thread(target=lambda: held.append(watch.interrupt(me, 0)))
        other.start()
        other.join()
    watch.close()
    assert held == [False] and not watch.interrupted


def test_a_stack_of_no_handler_is_empty() -> None:
    """Threads that run no handler, or are gone, have none."""
    assert stack_of(threading.get_ident()) == []
    assert stack_of(0) == []


@pytest.mark.parametrize("limits", [{"report_ms": 0}, {"stuck_ms": -1}, {"stuck_ms": 1.5}, {"report_ms": True}])
def test_limits_are_positive_whole_numbers(limits: dict[str, int]) -> None:
    """Or None, for never."""
    (name,) = limits
    with pytest.raises(ValueError, match=name):
        HandlerLimits(**limits)
    assert HandlerLimits(report_ms=None, stuck_ms=None).stuck_ms is None


def strike(rounds: int, seed: int, switch_s: float) -> tuple[int, int]:
    """Interrupt drains at random moments, often just as they end; (struck in the drain, struck outside of it)."""
    before, tracer = sys.getswitchinterval(), sys.gettrace()
    sys.settrace(None)  # what measures coverage takes a lock in Python code, which this would strike as well
    sys.setswitchinterval(switch_s)
    draw = random.Random(seed)
    watch = Watch("sess_1", HandlerLimits(report_ms=None, stuck_ms=None))
    me, stop, inside, outside = threading.get_ident(), threading.Event(), 0, 0

    def striker() -> None:
        while not stop.is_set():
            watch.interrupt(me, watch.drains)
            for _ in range(draw.randrange(200)):
                pass

    thread = threading.Thread(target=striker)
    thread.start()

    async def handler() -> None:
        for _ in range(draw.randrange(100)):
            len("")
        time.sleep(0)  # noqa: ASYNC251 -- let the striker aim at what comes next: the end

    try:
        for _ in range(rounds):
            try:
                watch.interrupted = False
                loop = HandlerLoop(0, partial(watch.run, run_callbacks))
                task = loop.start(handler())
                loop.drain()
                inside += watch.interrupted
                watch.interrupted = watch.interrupted and draw.random() < 0.5  # the other kind of exception too
                assert asyncio._get_running_loop() is None
                assert gc.isenabled()
                loop.close_all()
                if task.done() and not task.cancelled():
                    task.exception()
            except (HandlerStuck, watchdog._Unheeded):
                outside += 1
    finally:
        stop.set()
        with suppress(HandlerStuck):
            thread.join()
        watch.close()
        sys.setswitchinterval(before)
        sys.settrace(tracer)
    return inside, outside


def test_nothing_is_ever_struck_outside_of_a_drain() -> None:
    """Thousands of exceptions aimed at the very end of drains: each strikes inside or not at all."""
    inside, outside = strike(3_000, 1, 1e-6)
    assert inside > 500
    assert outside == 0


def test_the_interpreter_is_left_as_it_was() -> None:
    """A strict drain, which is profiled, does not wait for an exception that was announced and never came."""
    strike(200, 2, 1e-6)

    async def handler() -> None:
        with pytest.raises(HandlerError):
            time.time()

    loop = HandlerLoop(0, partial(strictly, run_refusing))
    task = loop.start(handler())
    loop.drain()
    loop.close_all()
    assert task.exception() is None


@pytest.mark.soak
def test_nothing_is_ever_struck_outside_of_a_drain_for_long() -> None:
    """The same, for some minutes, with short switch intervals."""
    for seed, switch_s in enumerate((1e-6, 1e-5, 1e-4)):
        inside, outside = strike(50_000, seed, switch_s)
        assert inside > 5_000 and outside == 0
