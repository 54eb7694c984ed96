"""Virtual time: it passes when nothing else is left to do, and never while anything is."""

import asyncio
import threading
import time

import pytest

from turnlog.core.errors import TurnlogError
from turnlog.testing import VirtualClock, VirtualLoop, run_virtual, virtual_loop, virtual_time
from turnlog.testing.virtual_loop import START_NS, running_loop


@virtual_time
async def test_an_hour_passes_at_once() -> None:
    """A sleep of an hour moves the loop's time and the engine's clock by exactly an hour, and the real one hardly."""
    loop, began = running_loop(), time.monotonic()
    await asyncio.sleep(3600)
    assert (loop.time(), VirtualClock().now_ns()) == (3600.0, START_NS + 3600 * 10**9)
    assert time.monotonic() - began < 60


@virtual_time
async def test_timers_fire_in_the_order_of_their_time() -> None:
    """Sleepers wake by their deadlines, whatever the order they were started in, each at its own time."""
    woken: list[tuple[float, float]] = []

    async def sleep(s: float) -> None:
        await asyncio.sleep(s)
        woken.append((s, asyncio.get_running_loop().time()))

    await asyncio.gather(*(sleep(s) for s in (0.3, 0.1, 7200.5, 0.2)))
    assert woken == [(s, s) for s in (0.1, 0.2, 0.3, 7200.5)]


@virtual_time
async def test_time_stands_still_for_a_thread() -> None:
    """While a job runs in an executor no timer fires; then it goes on from where it stood."""
    loop = running_loop()
    sleeper = asyncio.create_task(asyncio.sleep(1))
    release = threading.Event()
    working = asyncio.create_task(asyncio.to_thread(release.wait, 10))
    for _ in range(20):
        await asyncio.sleep(0)
    threading.Timer(0.05, release.set).start()
    assert await working and not sleeper.done()
    assert loop.time() == 0.0
    await sleeper


@virtual_time
async def test_time_stands_still_for_work_that_is_declared() -> None:
    """Work that the loop cannot see holds time still inside of `outside`."""
    loop = running_loop()
    done = loop.create_future()
    threading.Timer(0.05, lambda: loop.call_soon_threadsafe(done.set_result, None)).start()
    sleeper = asyncio.create_task(asyncio.sleep(0.001))
    with loop.outside():
        await done
        assert not sleeper.done()
    await sleeper


@virtual_time
async def test_what_a_thread_brings_waits_for_what_is_ready() -> None:
    """A callback from a thread runs when nothing else is ready, however early it came: so no thread's speed changes the order."""
    loop, order = running_loop(), list[str]()
    with loop.outside():
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(order.append, "thread"))
        thread.start()
        thread.join()
        for n in range(3):
            await asyncio.sleep(0)
            order.append(f"turn {n}")
    await asyncio.sleep(0.001)
    assert order == ["turn 0", "turn 1", "turn 2", "thread"]


def test_a_wait_that_nothing_can_end_is_an_error() -> None:
    """Where everybody waits and there is no timer, the run fails and names who waits where."""

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(TurnlogError, match=r"TL701 after 0\.000 s of virtual time every task waits.*\n.*test_virtual_loop\.py"):
        run_virtual(main())


@virtual_time
async def test_a_connection_in_this_process_takes_no_time() -> None:
    """Two ends of a TCP connection on the loop talk to each other before time passes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with asyncio.timeout(0.5):
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
        writer.close()
        await writer.wait_closed()


def test_the_clock_needs_a_virtual_loop() -> None:
    """On an ordinary loop there is no virtual time to read."""

    async def main() -> VirtualClock:
        return VirtualClock()

    with pytest.raises(TurnlogError, match="TL701 this event loop is not on virtual time"):
        asyncio.run(main())


def test_each_run_begins_at_zero() -> None:
    """Two runs have loops of their own."""

    async def main() -> float:
        assert isinstance(asyncio.get_running_loop(), VirtualLoop)
        await asyncio.sleep(5)
        return asyncio.get_running_loop().time()

    assert (run_virtual(main()), run_virtual(main())) == (5.0, 5.0)


def test_work_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work outside of the loop has so much real time; then the run fails and says what it waits for."""
    monkeypatch.setattr(virtual_loop, "_WORK_PATIENCE_S", 0.05)

    async def main() -> None:
        with running_loop().outside():
            await asyncio.sleep(1)

    with pytest.raises(TurnlogError, match=r"TL701 .* 1 pieces of work outside of the loop have not ended"):
        run_virtual(main())
