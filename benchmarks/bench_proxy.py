"""What a proxied session costs an event: against the provider reached directly, and through a bare relay of `websockets`.

Four processes: the provider, which answers each message with one of the same size; turnlog's server before it, with its log in
SQLite; the relay, which does nothing but `async for message in one: await other.send(message)` both ways; and this one.
The three ways take turns within a round, so that noise meets all alike. Told are the time from sending to the answer, which
passes the proxy twice; what is added an event is half of what that is longer than without one; and the CPU time of the proxying
process, in us an event. Events are audio deltas as providers send them (2 and 20 KB) and small control messages.

    python benchmarks/bench_proxy.py [--quick]
"""

import asyncio
import base64
import json
import multiprocessing
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

__all__ = ["main"]

ROUNDS: Final = 5
EVENTS: Final = 1000
PAUSE_S: Final = 0.002  # between two events: what is written behind must have its turn, as in a call
WAYS: Final = ("direct", "bare relay", "turnlog")
GOAL_MS: Final = 1.0
MAX: Final = 32 << 20


def _messages() -> dict[str, str]:
    delta = {"type": "response.output_audio.delta", "event_id": "event_1", "response_id": "r", "item_id": "i"}
    places = {"output_index": 0, "content_index": 0}
    return {
        "control, 0.2 KB": json.dumps({"type": "conversation.item.retrieve", "event_id": "e" * 100, "item_id": "i" * 40}),
        "audio, 2 KB": json.dumps({**delta, **places, "delta": base64.b64encode(os.urandom(1440)).decode()}),
        "audio, 20 KB": json.dumps({**delta, **places, "delta": base64.b64encode(os.urandom(14_400)).decode()}),
    }


# --- the other processes: each tells its port, and then its CPU time when it is asked ---


def _serve_process(run: Callable[..., Any], pipe: Pipe, *given: Any) -> None:
    asyncio.run(run(pipe, *given))


async def _answer_asked(pipe: Pipe) -> None:
    """Tell the CPU time of this process, in seconds, each time it is asked, until the pipe is closed."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            await loop.run_in_executor(None, pipe.recv)
        except EOFError:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        pipe.send(used.ru_utime + used.ru_stime)


async def provider(pipe: Pipe) -> None:
    """Sends back what it gets."""

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, compression=None, max_size=MAX) as server:
        pipe.send(server.sockets[0].getsockname()[1])
        await _answer_asked(pipe)


async def bare_relay(pipe: Pipe, provider_port: int) -> None:
    """The least that a relay does."""

    async def relay(caller: ServerConnection) -> None:
        async with connect(f"ws://127.0.0.1:{provider_port}", compression=None, max_size=MAX, proxy=None) as far:
            await asyncio.wait(
                [asyncio.create_task(_pass(caller, far)), asyncio.create_task(_pass(far, caller))],
                return_when=asyncio.FIRST_COMPLETED,
            )

    async with serve(relay, "127.0.0.1", 0, compression=None, max_size=MAX) as server:
        pipe.send(server.sockets[0].getsockname()[1])
        await _answer_asked(pipe)


async def _pass(source: Any, sink: Any) -> None:
    async for message in source:
        await sink.send(message)


async def turnlog_server(pipe: Pipe, provider_port: int, folder: str) -> None:
    """turnlog's server, with its log in a file."""
    from turnlog import App, Engine
    from turnlog.server.serve import listen, serve_on
    from turnlog.transports.providers.openai import OpenAIProvider

    app = App("bench")
    app.proxy("line", provider="openai", transport="websocket")
    openai = OpenAIProvider(base_url=f"http://127.0.0.1:{provider_port}", api_key="none")
    stop = asyncio.Event()
    with listen("127.0.0.1", 0) as listener:
        async with Engine(app, store=str(Path(folder) / "bench.db"), providers={"openai": openai}) as engine:
            serving = asyncio.create_task(serve_on(listener, engine, stop))
            pipe.send(listener.getsockname()[1])
            await _answer_asked(pipe)
            stop.set()
            await serving


# --- this process ---


class Way:
    """One way to the provider, and the process that stands on it."""

    def __init__(self, url: str, pipe: Pipe) -> None:
        self.url = url
        self._pipe = pipe

    def cpu_s(self) -> float:
        """The CPU time of its process so far."""
        self._pipe.send(None)
        used: float = self._pipe.recv()
        return used

    async def measure(self, message: str, events: int) -> tuple[list[float], float]:
        """The times from sending to the answer (ms), and the CPU time of an event (us), of which there are two each."""
        async with connect(self.url, compression=None, max_size=MAX, proxy=None) as caller:
            _no_delay(caller)
            for _ in range(50):
                await _there_and_back(caller, message)
            before, took = self.cpu_s(), []
            for _ in range(events):
                took.append(await _there_and_back(caller, message))
                await asyncio.sleep(PAUSE_S)
            await asyncio.sleep(0.3)  # what is written behind is part of the price
            return took, (self.cpu_s() - before) / events / 2 * 1e6


async def _there_and_back(caller: ClientConnection, message: str) -> float:
    began = time.perf_counter()
    await caller.send(message)
    assert len(await caller.recv()) == len(message)
    return (time.perf_counter() - began) * 1e3


def _no_delay(caller: ClientConnection) -> None:
    caller.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _started(run: Callable[..., Any], *given: Any) -> tuple[int, Pipe]:
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve_process, args=(run, there, *given), daemon=True)
    process.start()
    there.close()
    port: int = here.recv()
    return port, here


async def _compare(ways: dict[str, Way], rounds: int, events: int) -> None:
    worst_ms = 0.0
    for name, message in _messages().items():
        took: dict[str, list[float]] = {way: [] for way in ways}
        cpu: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, path in ways.items():
                times, used = await path.measure(message, events)
                took[way] += times
                cpu[way].append(used)
        print(f"{name}: p50 and p99 there and back, added an event, CPU of the process an event")
        direct = statistics.median(took["direct"])
        for way, times in took.items():
            p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
            added = "" if way == "direct" else f"  +{(p50 - direct) / 2:.3f} ms"
            print(f"  {way:<12} {p50:6.3f} ms {p99:7.3f} ms{added:<14}  {statistics.median(cpu[way]):6.0f} us")
        added_ms = [statistics.median(took[way]) - direct for way in ("turnlog", "bare relay")]
        worst_ms = max(worst_ms, added_ms[0] / 2)
        ratio = statistics.median(cpu["turnlog"]) / max(statistics.median(cpu["bare relay"]), 1e-9)
        print(f"  turnlog / bare relay: added {added_ms[0] / max(added_ms[1], 1e-9):.2f}, CPU {ratio:.2f}")
    verdict = "met" if worst_ms <= GOAL_MS else "missed"
    print(f"goal a proxied event takes at most {GOAL_MS:g} ms more at p50: measured {worst_ms:.3f}: {verdict}")


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        far, far_pipe = _started(provider)
        bare, bare_pipe = _started(bare_relay, far)
        ours, our_pipe = _started(turnlog_server, far, folder)
        ways = {
            WAYS[0]: Way(f"ws://127.0.0.1:{far}", far_pipe),
            WAYS[1]: Way(f"ws://127.0.0.1:{bare}", bare_pipe),
            WAYS[2]: Way(f"ws://127.0.0.1:{ours}/v1/realtime?model=bench.line", our_pipe),
        }
        asyncio.run(_compare(ways, 1 if quick else ROUNDS, 200 if quick else EVENTS))
        for pipe in (our_pipe, bare_pipe, far_pipe):
            pipe.close()
        for process in multiprocessing.active_children():
            process.join(5)


if __name__ == "__main__":
    main()
