"""Tests for engine/handlers/handler_loop.py: plain asyncio on it, the host's side, and the end."""

import asyncio
import contextvars
import gc
import inspect
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from turnlog.core.errors import HandlerError
from turnlog.engine.handlers.handler_loop import HandlerLoop

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000

Handler = Callable[[], Coroutine[Any, Any, Any]]
Made = list[asyncio.Future[Any]]


def begin(handler: Handler, loop: HandlerLoop | None = None) -> tuple[HandlerLoop, asyncio.Task[Any]]:
    """A handler run to its first rest."""
    loop = loop or HandlerLoop(START)
    main = loop.start(handler())
    loop.drain()
    return loop, main


def finish(handler: Handler, loop: HandlerLoop | None = None) -> Any:
    """The result of a handler that needs no event but its timers, which fire on time."""
    loop, main = begin(handler, loop)
    while not main.done():
        due = loop.next_timer()
        assert due is not None, loop.blocked()
        assert loop.fire(*due)
        loop.drain()
    loop.close_all()
    return main.result()


def now() -> float:
    """Loop time, for handlers."""
    return asyncio.get_running_loop().time()


# --- plain asyncio ---


def test_sleep_takes_its_time_and_none_of_the_worlds() -> None:
    """Sleeps move loop time by exactly their length."""

    async def handler() -> list[float]:
        times = [now()]
        for delay in (0, 0.1, 0.2, 3600.0):
            await asyncio.sleep(delay)
            times.append(now())
        return times

    assert finish(handler) == [0.0, 0.0, 0.1, 0.3, 3600.3]


def test_a_timeout_of_thirty_days_fires_to_the_nanosecond() -> None:
    """Neither floats nor a selector's longest wait cut a long timeout."""
    loop = HandlerLoop(START)

    async def handler() -> str:
        await asyncio.sleep(0.123456789)
        try:
            async with asyncio.timeout(30 * 24 * 3600):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "woke"

    assert finish(handler, loop) == "timed out"
    assert loop.now_ns == START + 123_456_789 + 30 * 24 * 3600 * SECOND


def test_gather_wait_for_and_shield() -> None:
    """gather keeps its order, wait_for times out and cancels, shield protects."""
    cancelled: list[str] = []

    async def work(name: str, delay: float) -> str:
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            cancelled.append(name)
            raise
        return name

    async def handler() -> list[object]:
        both: list[object] = list(await asyncio.gather(work("slow", 2), work("fast", 1)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work("late", 5), 1)
        kept = asyncio.create_task(work("kept", 2))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(kept), 1)
        return [*both, await kept, await asyncio.wait_for(work("soon", 1), 5), now()]

    assert finish(handler) == ["slow", "fast", "kept", "soon", 6.0]
    assert cancelled == ["late"]


def test_wait_in_its_three_ways() -> None:
    """FIRST_COMPLETED, FIRST_EXCEPTION and a timeout; timers of one instant come one by one, so only one is done first."""

    async def work(delay: float) -> float:
        await asyncio.sleep(delay)
        if delay == 2.5:
            raise LookupError
        return delay

    async def handler() -> None:
        tasks = [asyncio.create_task(work(delay)) for delay in (3, 1, 4, 1, 2.5, 9)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert [list(done), list(pending)] == [[tasks[1]], [tasks[0], *tasks[2:]]]
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        assert isinstance(tasks[4].exception(), LookupError)
        done, pending = await asyncio.wait(pending, timeout=4)
        assert [list(done), list(pending), now()] == [[tasks[0], tasks[2]], [tasks[5]], 6.5]

    finish(handler)


def test_a_task_group_cancels_its_tasks_in_the_order_of_their_hashes() -> None:
    """One failure cancels the others; the first tasks of a session in order of creation."""
    order: list[int] = []

    async def waits(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            order.append(number)

    async def fails() -> None:
        raise LookupError

    async def handler() -> None:
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for number in range(8):
                    group.create_task(waits(number))
                group.create_task(fails())

    finish(handler)
    assert order == list(range(8))


def test_locks_queues_and_their_kin() -> None:
    """Queue, Event, Condition, Semaphore, Lock and Barrier wake their waiters in order."""
    log: list[object] = []

    async def member(number: int, barrier: asyncio.Barrier, lock: asyncio.Lock, slots: asyncio.Semaphore) -> None:
        async with slots, lock:
            log.append(number)
        await barrier.wait()

    async def handler() -> None:
        barrier, lock, slots = asyncio.Barrier(3), asyncio.Lock(), asyncio.Semaphore(2)
        await asyncio.gather(*(member(number, barrier, lock, slots) for number in range(3)))
        queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
        event, condition = asyncio.Event(), asyncio.Condition()
        async with asyncio.TaskGroup() as group:

            async def feed() -> None:
                for number in (10, 11, 12):
                    await queue.put(number)
                event.set()

            async def wait_notified(number: int) -> None:
                async with condition:
                    await condition.wait()
                    log.append(number)

            group.create_task(feed())
            group.create_task(wait_notified(20))
            group.create_task(wait_notified(21))
            log.extend([await queue.get() for _ in range(3)])
            await event.wait()
            async with condition:
                condition.notify_all()

    finish(handler)
    assert log == [0, 1, 2, 10, 11, 12, 20, 21]


def test_timeout_at_and_rescheduling() -> None:
    """timeout_at takes loop times; a deadline moved while it waits counts."""

    async def handler() -> float:
        async with asyncio.timeout_at(now() + 1) as limit:
            limit.reschedule(now() + 3)
            await asyncio.sleep(2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout_at(now() - 1):
                await asyncio.sleep(5)
        return now()

    assert finish(handler) == 2.0


def test_async_generators_and_context_managers() -> None:
    """A generator left by break is closed at once, its finally may await."""
    log: list[object] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(9):
                await asyncio.sleep(1)
                yield number
        finally:
            await asyncio.sleep(1)
            log.append(now())

    @asynccontextmanager
    async def held() -> AsyncIterator[None]:
        yield
        log.append("released")

    async def handler() -> None:
        async for number in numbers():
            if number == 1:
                break
        async with held():
            await asyncio.sleep(5)

    finish(handler)
    assert log == [3.0, "released"]


def test_create_task_takes_names_contexts_and_what_newer_pythons_pass() -> None:
    """name, context and eager_start=False or None are accepted, eager_start=True is refused."""
    value: contextvars.ContextVar[str] = contextvars.ContextVar("value", default="none")

    async def read() -> str:
        return value.get()

    async def handler() -> None:
        loop: Any = asyncio.get_running_loop()  # newer Pythons declare more arguments than older ones
        context = contextvars.Context()
        context.run(value.set, "given")
        task = loop.create_task(read(), name="reader", context=context, eager_start=None)
        assert (task.get_name(), await task) == ("reader", "given")
        assert await loop.create_task(read(), eager_start=False) == "none"
        with pytest.raises(HandlerError, match="eager_start"):
            await loop.create_task(read(), eager_start=True)
        with pytest.raises(TypeError):
            await loop.create_task(read(), colour="red")
        with pytest.raises(TypeError):
            await loop.create_task(3)

    finish(handler)


def test_timer_handles_can_be_cancelled_and_asked() -> None:
    """call_later and call_at give handles in loop seconds; a cancelled one never comes due."""
    log: list[object] = []

    async def handler() -> None:
        loop = asyncio.get_running_loop()
        dropped = loop.call_later(1, log.append, "dropped")
        loop.call_at(2.5, log.append, "kept")
        assert dropped.when() == 1.0
        dropped.cancel()
        await asyncio.sleep(3)
        log.append(loop.time())

    finish(handler)
    assert log == ["kept", 3.0]


# --- the host's side ---


def test_timers_are_numbered_and_fired_by_number() -> None:
    """next_timer() gives number and absolute deadline; firing one that is cancelled, fired or unknown does nothing."""
    log: list[object] = []

    async def handler() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(2, log.append, "first")
        loop.call_later(1, log.append, "second").cancel()
        loop.call_later(1, log.append, "third")
        loop.call_later(1, log.append, "fourth")

    loop, _ = begin(handler)
    assert loop.next_timer() == (3, START + SECOND)
    assert [loop.fire(number, START + SECOND) for number in (2, 9, 3, 3)] == [False, False, True, False]
    assert log == []
    loop.drain()
    assert log == ["third"]
    assert loop.next_timer() == (4, START + SECOND)
    loop.close_all()
    assert loop.next_timer() is None


def test_a_timer_cancelled_after_it_fired_but_before_it_ran_does_not_run() -> None:
    """Two timers due together: the first one's callback may still cancel the second."""
    log: list[str] = []

    async def handler() -> None:
        loop = asyncio.get_running_loop()
        handles: list[asyncio.TimerHandle] = []
        loop.call_later(1, lambda: handles[0].cancel())
        handles.append(loop.call_later(1, log.append, "late"))

    loop, _ = begin(handler)
    assert loop.fire(1, START) and loop.fire(2, START)
    loop.drain()
    assert log == []
    loop.close_all()


def test_time_is_the_delivered_events_and_never_goes_back() -> None:
    """advance() moves time; an event with an earlier stamp leaves it."""
    loop = HandlerLoop(START)
    loop.advance(START + 5 * SECOND)
    assert (loop.time(), loop.now_ns) == (5.0, START + 5 * SECOND)
    loop.advance(START)
    assert loop.time() == 5.0
    loop.close_all()


def test_settle_completes_a_future_once() -> None:
    """A future takes the first completion; a later one, or one after a cancellation, is ignored."""
    futures: Made = []

    async def handler() -> str:
        futures.extend(asyncio.get_running_loop().create_future() for _ in range(3))
        result = str(await futures[0])
        with pytest.raises(LookupError):
            await futures[1]
        futures[2].cancel()
        return result

    loop, main = begin(handler)
    assert loop.settle(futures[0], "first")
    assert not loop.settle(futures[0], "second")
    assert not main.done()
    loop.drain()
    assert loop.settle(futures[1], error=LookupError())
    loop.drain()
    assert main.result() == "first"
    assert not loop.settle(futures[2], "late")
    loop.close_all()


def test_what_was_ready_before_runs_before() -> None:
    """Two completions drained together wake their waiters in the order they were delivered."""
    futures: Made = []
    log: list[int] = []

    async def wait(number: int) -> None:
        await futures[number]
        log.append(number)

    async def handler() -> None:
        futures.extend(asyncio.get_running_loop().create_future() for _ in range(3))
        await asyncio.gather(*map(wait, range(3)))

    loop, _ = begin(handler)
    for number in (2, 0, 1):
        loop.settle(futures[number])
    loop.drain()
    assert log == [2, 0, 1]
    loop.close_all()


def test_the_handler_sees_nothing_of_the_hosts_context() -> None:
    """The main task starts in an empty context, and two sessions never see each other's values."""
    value: contextvars.ContextVar[str] = contextvars.ContextVar("value", default="none")
    value.set("host")
    seen: list[str] = []

    async def child() -> None:
        seen.append(value.get())

    def handler(name: str) -> Handler:
        async def run() -> None:
            seen.append(value.get())
            value.set(name)
            await asyncio.sleep(1)
            await asyncio.create_task(child())

        return run

    one, _ = begin(handler("one"))
    two, _ = begin(handler("two"))
    for loop in (one, two):
        loop.fire(1, START)
        loop.drain()
        loop.close_all()
    assert seen == ["none", "none", "one", "two"]
    assert value.get() == "host"


def test_a_drain_puts_everything_back() -> None:
    """The running loop, the async generator hooks and the garbage collector are as before, whatever the handler raised."""

    def hook(agen: AsyncGenerator[Any, Any]) -> None:
        raise AssertionError

    async def handler() -> None:
        assert asyncio.get_running_loop().is_running()
        assert sys.get_asyncgen_hooks().firstiter is not hook
        assert not gc.isenabled()
        raise KeyboardInterrupt

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=hook, finalizer=hook)
    try:
        loop = HandlerLoop(START)
        main = loop.start(handler())
        with pytest.raises(KeyboardInterrupt):
            loop.drain()
        assert sys.get_asyncgen_hooks() == (hook, hook)
    finally:
        sys.set_asyncgen_hooks(*before)
    assert asyncio._get_running_loop() is None
    assert not loop.is_running()
    assert gc.isenabled()
    assert isinstance(main.exception(), KeyboardInterrupt)
    loop.close_all()


def test_a_collector_that_was_off_stays_off() -> None:
    """A host that runs without the cyclic collector gets no surprise from a drain."""

    async def handler() -> None:
        pass

    gc.disable()
    try:
        finish(handler)
        assert not gc.isenabled()
    finally:
        gc.enable()


async def test_it_runs_under_a_host_loop() -> None:
    """Drained from a host's call_soon callback, the handler has its own loop and the host keeps its own."""
    host = asyncio.get_running_loop()
    loop = HandlerLoop(START)
    seen: list[object] = []
    ended = asyncio.Event()

    async def handler() -> None:
        seen.append(asyncio.get_running_loop() is loop)
        seen.append(asyncio.current_task() is main)
        await asyncio.sleep(1)
        seen.append(now())

    def begin_it() -> None:
        loop.drain()
        seen.append(asyncio.get_running_loop() is host)
        host.call_soon(fire_it)

    def fire_it() -> None:
        due = loop.next_timer()
        assert due is not None
        loop.fire(*due)
        loop.drain()
        loop.close_all()
        ended.set()

    main = loop.start(handler())
    host.call_soon(begin_it)
    async with asyncio.timeout(5):
        await ended.wait()
    assert seen == [True, True, True, 1.0]
    assert asyncio.get_running_loop() is host
    assert main.done()


def test_scheduling_from_outside_a_drain_is_refused() -> None:
    """The host, or another session, cannot slip work in between the events: TL104 names the line."""

    async def nothing() -> None:
        pass

    loop = HandlerLoop(START)
    for method, args in (
        ("call_soon", (int,)),
        ("call_soon_threadsafe", (int,)),
        ("call_later", (1, int)),
        ("call_at", (1, int)),
        ("create_task", (nothing(),)),
    ):
        line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
        with pytest.raises(HandlerError) as caught:
            getattr(loop, method)(*args)
        assert caught.value.code == "TL104"
        assert f"loop.{method}() at {__file__}:{line}:" in caught.value.message
        assert "session.call" in caught.value.hint
    assert loop.next_timer() is None
    loop.close_all()


def test_scheduling_from_another_thread_is_refused() -> None:
    """call_soon_threadsafe is the same as call_soon on the loop's own thread, and refused on any other."""
    log: list[object] = []
    release, tried = threading.Event(), threading.Event()
    loop = HandlerLoop(START)

    def other() -> None:
        release.wait(5)
        try:
            loop.call_soon_threadsafe(log.append, "from a thread")
        except HandlerError as error:
            log.append(error.code)
        tried.set()

    async def handler() -> None:
        asyncio.get_running_loop().call_soon_threadsafe(log.append, "own")
        release.set()
        assert tried.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    finish(handler, loop)
    thread.join()
    assert log == ["TL104", "own"]


def test_a_handler_can_neither_drain_nor_close_its_loop() -> None:
    """drain() and close_all() inside a drain are refused."""
    loop = HandlerLoop(START)

    async def handler() -> None:
        loop.call_soon(int)
        with pytest.raises(HandlerError, match="draining already"):
            loop.drain()
        with pytest.raises(HandlerError, match="only the host"):
            loop.close_all()

    finish(handler, loop)


def test_errors_that_nobody_awaits_are_collected() -> None:
    """Failed callbacks and tasks whose error nobody reads stand in `unhandled`, not on stderr."""

    async def fails() -> None:
        raise LookupError("unread")

    async def handler() -> None:
        asyncio.get_running_loop().call_soon(int, "x")
        asyncio.create_task(fails())  # noqa: RUF006 -- that nobody reads it is the point
        await asyncio.sleep(0)

    loop = HandlerLoop(START)
    finish(handler, loop)
    gc.collect()
    assert [type(context["exception"]) for context in loop.unhandled] == [ValueError, LookupError]
    assert loop.unhandled[1]["message"] == "HandlerTask exception was never retrieved"


def test_an_exception_handler_of_the_handlers_own_is_called_in_drains_only() -> None:
    """set_exception_handler works; outside a drain, or if it raises itself, the context is collected."""
    seen: list[object] = []

    def own(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        seen.append(context["message"])
        if context["message"] == "bad":
            raise LookupError

    async def handler() -> None:
        loop = asyncio.get_running_loop()
        assert loop.get_exception_handler() is None
        loop.set_exception_handler(own)
        assert loop.get_exception_handler() is own
        loop.call_exception_handler({"message": "good"})
        loop.call_exception_handler({"message": "bad"})

    loop = HandlerLoop(START)
    finish(handler, loop)
    loop.call_exception_handler({"message": "outside"})
    assert seen == ["good", "bad"]
    assert [context["message"] for context in loop.unhandled] == ["bad", "the exception handler raised", "outside"]


def test_blocked_names_every_waiting_line_when_nothing_can_come() -> None:
    """With tasks left and no timer, blocked() shows their await stacks; otherwise it has nothing to say."""

    async def child() -> None:
        await asyncio.Event().wait()

    async def handler() -> None:
        await asyncio.sleep(1)
        await asyncio.gather(child(), child())

    loop = HandlerLoop(START)
    main = loop.start(handler())
    assert loop.blocked() is None
    loop.drain()
    assert loop.blocked() is None
    loop.fire(1, START)
    loop.drain()
    text = loop.blocked()
    assert text is not None
    assert [line.split(" ")[0] for line in text.splitlines()] == ["Task-1:", "Task-2:", "Task-3:"]
    assert f"test_handler_loop.py:{child.__code__.co_firstlineno + 1}" in text
    ((file, line, function),) = loop.where(main)
    assert (file, line, function.endswith("handler")) == (__file__, handler.__code__.co_firstlineno + 2, True)
    loop.close_all()
    assert loop.blocked() is None


# --- the end ---


def test_leftover_tasks_end_in_order_of_creation() -> None:
    """Teardown cancels each task and lets it finish before the next one; commands can tell by `closing`."""
    loop = HandlerLoop(START)
    log: list[object] = []

    async def child(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append((number, loop.closing))

    async def handler() -> None:
        tasks = [asyncio.create_task(child(number)) for number in range(12)]
        try:
            await asyncio.Event().wait()
        finally:
            log.append((len(tasks), loop.closing))

    _, main = begin(handler, loop)
    assert not loop.closing
    loop.close_all()
    assert log == [(12, True), *((number, True) for number in range(12))]
    assert main.cancelled()
    assert loop.is_closed()
    loop.close_all()
    assert loop.unhandled == []


def test_leftover_generators_are_closed_in_order_of_creation() -> None:
    """Generators still held, and those that only the cyclic collector found, run their finally at the end, in order."""
    log: list[int] = []
    held: list[object] = []

    async def numbers(number: int) -> AsyncIterator[int]:
        try:
            yield number
        finally:
            await asyncio.sleep(0)
            log.append(number)

    async def handler() -> None:
        for number in range(6):
            agen = numbers(number)
            await anext(agen)
            if number % 2:
                held.append(agen)
            else:
                ring: list[object] = [agen]
                ring.append(ring)
            del agen

    loop, _ = begin(handler)
    gc.collect()
    assert log == []
    loop.close_all()
    assert log == [0, 1, 2, 3, 4, 5]


def test_a_task_that_will_not_be_cancelled_is_closed() -> None:
    """Teardown does not wait for tasks that ignore cancellation, spin, or ignore being closed; it reports the last kind."""
    log: list[str] = []

    async def ignores_cancellation() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                log.append("again")

    async def spins() -> None:
        while True:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                pass

    async def ignores_closing() -> None:
        for _ in range(6):
            try:
                await asyncio.Event().wait()
            except BaseException as error:
                log.append(type(error).__name__)

    async def handler() -> None:
        made.extend([asyncio.create_task(ignores_cancellation()), asyncio.create_task(ignores_closing())])
        await asyncio.sleep(1)
        made.append(asyncio.create_task(spins()))

    made: list[asyncio.Task[None]] = []
    loop, main = begin(handler)
    loop.fire(1, START)
    with pytest.MonkeyPatch.context() as patch:
        # A handler that never rests would never end a drain either: let it spin only in the teardown.
        patch.setattr(loop, "drain", lambda: loop._run(10))
        loop.drain()
    loop.close_all()
    assert main.done() and all(task.done() for task in made)
    assert log.count("again") >= 4
    assert "GeneratorExit" in log
    assert [context["message"] for context in loop.unhandled] == ["a task refused to end with its session"]


def test_a_generator_that_drops_out_of_the_teardown_is_left_alone() -> None:
    """A generator held past the end of its session can be dropped later without harm."""
    held: list[AsyncGenerator[int, None]] = []
    never: list[asyncio.Future[None]] = []

    async def numbers() -> AsyncGenerator[int, None]:
        yield 1
        await never[0]

    async def handler() -> None:
        never.append(asyncio.get_running_loop().create_future())
        held.append(numbers())
        await anext(held[0])

    loop, _ = begin(handler)
    loop.close_all()
    assert loop.unhandled == []
    with pytest.raises(StopAsyncIteration):
        held[0].asend(None).send(None)
    held.clear()
    gc.collect()


def test_a_closed_loop_refuses_work() -> None:
    """After close_all() nothing can be started, timers are gone, completions are ignored."""

    async def handler() -> None:
        futures.append(asyncio.get_running_loop().create_future())
        futures[0].add_done_callback(lambda _: None)
        asyncio.get_running_loop().call_later(1, int)

    futures: Made = []
    loop, _ = begin(handler)
    loop.close_all()
    coro = handler()
    with pytest.raises(HandlerError, match="closed") as caught:
        loop.start(coro)
    assert caught.value.code == "TL104"
    with pytest.raises(HandlerError, match="closed"):
        loop.call_later(1, int)
    assert not loop.settle(futures[0])
    assert not loop.fire(1, START)
    loop.drain()
    assert loop.is_closed()
