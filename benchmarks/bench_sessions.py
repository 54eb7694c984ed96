"""What many sessions cost in one process: 500 that wait and 40 that talk, with their log, the server and the callers' sockets.

This process is `turnlog serve`: engine, SQLite store, HTTP server. The provider and the callers are processes of their own
(sessions_peers.py) and reach it by WebSockets on loopback; there is no voice activity detection in it. Its CPU (user and
system, all threads) and memory alone are taken, at three moments: without a session, with those that wait, with those that talk
beside them. Appends are timed by an observer of the engine. Garbage collections are timed from the first session's coming on:
those that came by themselves ("gc ms"), and one that is forced before each window, for what a full one would cost ("full gc
ms"). Afterwards every log is verified. --plain: full collections come when Python wants them, as where nothing is done about it.

    python benchmarks/bench_sessions.py [--quick] [--plain] [--idle N] [--talking N] [--seconds S]
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from turnlog import App, Engine, RealtimeSession, collections_when_idle
from turnlog.core.core import Staged
from turnlog.server.serve import listen, serve_on, url_of
from turnlog.transports.providers.openai import OpenAIProvider

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
RATE = 30  # events a second of a talking session: a turn lasts 6.7 s, of which 5.8 s sound
GOALS = {"core": 1.0, "idle_cpu": 0.02, "idle_kb": 150.0, "p99_ms": 25.0}
PAGE = resource.getpagesize()


class Appends:
    """An observer: how long appends took, and how many events were in them."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.events = 0

    def appended(self, session: str, staged: Sequence[Staged], seconds: float) -> None:
        """Take note."""
        self.seconds.append(seconds)
        self.events += len(staged)

    def around(self, session: str, seq: int) -> AbstractContextManager[object]:
        """Nothing."""
        return nullcontext()

    def closed(self, session: str, failure: BaseException | None) -> None:
        """Nothing."""

    def reset(self) -> None:
        """Begin anew."""
        self.seconds.clear()
        self.events = 0

    def at(self, share: float) -> float:
        """The append of this rank, in ms."""
        ordered = sorted(self.seconds) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class Pauses:
    """The longest garbage collections since the last look (ms): those of themselves, and those that were forced."""

    def __init__(self) -> None:
        self._began = 0.0
        self._forced = False
        self.longest = {False: 0.0, True: 0.0}
        gc.callbacks.append(self._timed)

    def _timed(self, phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            took = (time.perf_counter() - self._began) * 1000
            self.longest[self._forced] = max(took, self.longest[self._forced])

    def force(self) -> None:
        """A full collection."""
        self._forced = True
        gc.collect()
        self._forced = False

    def taken(self) -> tuple[float, float]:
        """By itself and forced; then begin anew."""
        found, self.longest = self.longest, {False: 0.0, True: 0.0}
        return found[False], found[True]


class Window(NamedTuple):
    """What was seen while it was open."""

    core: float  # share of a core
    rss_mb: float
    events_s: float
    p50_ms: float
    p99_ms: float
    late_ms: float  # by which the event loop came late to a timer, p99
    gc_ms: float  # the longest garbage collection that came by itself, the sessions' coming included
    full_gc_ms: float  # one that was forced


async def window(appends: Appends, pauses: Pauses, seconds: float) -> Window:
    """Measure this process for so long."""
    pauses.force()
    await asyncio.sleep(1)  # what waited for that is over
    appends.reset()
    cpu, began = time.process_time(), time.perf_counter()
    late = []
    while (left := began + seconds - time.perf_counter()) > 0:
        due = time.perf_counter() + min(0.05, left)
        await asyncio.sleep(due - time.perf_counter())
        late.append(time.perf_counter() - due)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    p50, p99 = appends.at(0.5), appends.at(0.99)
    late_ms = sorted(late)[len(late) * 99 // 100] * 1000
    return Window(used / took, rss_mb(), appends.events / took, p50, p99, late_ms, *pauses.taken())


def rss_mb() -> float:
    """What this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def app_of() -> App:
    """Two sessions that differ in their provider's model only."""
    app = App("bench")
    options: dict[str, Any] = {"provider": "openai", "transport": "websocket", "answers": "model", "echo": "client_aec"}

    async def desk(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    for name in ("idle", "talking"):
        app.session(name, model=name, **options)(desk)
    return app


class Peers:
    """The two other processes."""

    def __init__(self, callers: subprocess.Popen[str]) -> None:
        self._callers = callers

    async def come(self, target: str, count: int, *, talk: bool = False) -> None:
        """Have so many callers, and wait until they are there."""
        assert self._callers.stdin is not None and self._callers.stdout is not None
        self._callers.stdin.write(json.dumps({"target": target, "count": count, "talks": talk}) + "\n")
        self._callers.stdin.flush()
        if not await asyncio.to_thread(self._callers.stdout.readline):
            raise SystemExit("the callers have failed")

    def leave(self) -> None:
        """All callers hang up."""
        assert self._callers.stdin is not None
        self._callers.stdin.close()


def start(*arguments: str) -> subprocess.Popen[str]:
    """A peer's process."""
    command = [sys.executable, str(HERE / "sessions_peers.py"), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@asynccontextmanager
async def serving(folder: Path, appends: Appends, talking: int, seconds: float) -> AsyncIterator[tuple[Engine, Peers]]:
    """An engine behind its server, and the peers."""
    async with AsyncExitStack() as stack:
        provider = start("provider", str(talking), str(RATE), str(seconds + 60))
        stack.callback(provider.kill)
        assert provider.stdout is not None
        port = (await asyncio.to_thread(provider.stdout.readline)).strip()
        listener = stack.enter_context(listen("127.0.0.1", 0))
        reached = OpenAIProvider(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
        store = f"sqlite:///{folder / 'calls.db'}"
        engine = await stack.enter_async_context(
            Engine(app_of(), store=store, providers={"openai": reached}, observers=[appends])
        )
        stop = asyncio.Event()
        served = asyncio.create_task(serve_on(listener, engine, stop))
        callers = start("callers", url_of(listener).replace("http", "ws", 1) + "/v1/realtime")
        stack.callback(callers.kill)
        yield engine, Peers(callers)
        stop.set()
        await served


async def measure(folder: Path, idle: int, talking: int, seconds: float, *, plain: bool) -> tuple[float, Window, Window]:
    """Memory without a session, then the window of those that wait, then that of those that talk beside them."""
    appends, pauses = Appends(), Pauses()
    async with AsyncExitStack() as stack:
        engine, peers = await stack.enter_async_context(serving(folder, appends, talking, seconds))
        if not plain:  # as `turnlog serve` does
            stack.enter_context(collections_when_idle(engine))
        gc.collect()
        empty = rss_mb()
        pauses.taken()
        await peers.come("bench.idle", idle)
        await asyncio.sleep(2)  # what was opened has been written
        waiting = await window(appends, pauses, seconds)
        await peers.come("bench.talking", talking, talk=True)
        await asyncio.sleep(2 + 200 / RATE)  # the turns of the sessions start spread over one turn
        talk = await window(appends, pauses, seconds)
        if len(engine.sessions) != idle + talking:
            raise SystemExit(f"{len(engine.sessions)} sessions run, and {idle + talking} should")
        sessions, store = list(engine.sessions), engine.store
        for session in engine.sessions.values():
            session.end(drain=False)
        await asyncio.gather(*(live.ended() for live in list(engine.sessions.values())))
        for session_id in sessions:
            report = await store.verify(session_id)
            if not report.ok:
                raise SystemExit(f"{session_id} does not verify: {report.problems[:3]}")
        peers.leave()
    return empty, waiting, talk


def report(empty: float, waiting: Window, talk: Window, idle: int, talking: int) -> None:
    """The table, and a line a goal."""
    print(
        f"{'':<28}{'core':>8}{'RSS MB':>9}{'events/s':>10}{'append p50 ms':>15}{'p99 ms':>9}{'loop late p99 ms':>18}"
        f"{'gc ms':>8}{'full gc ms':>12}"
    )
    for name, of in ((f"{idle} wait", waiting), (f"the same and {talking} talk", talk)):
        print(
            f"{name:<28}{of.core:>8.3f}{of.rss_mb:>9.0f}{of.events_s:>10,.0f}{of.p50_ms:>15.2f}{of.p99_ms:>9.2f}{of.late_ms:>18.1f}"
            f"{of.gc_ms:>8.1f}{of.full_gc_ms:>12.1f}"
        )
    per_idle = (waiting.rss_mb - empty) * 1024 / idle
    per_talking = (talk.rss_mb - waiting.rss_mb) * 1024 / talking
    cost = (talk.core - waiting.core) / talking
    print(f"{empty:.0f} MB without a session; {per_idle:.0f} KB a session that waits, {per_talking:.0f} KB one that talks")
    print(f"a session that talks {cost * 100:.2f} % of a core, one that waits {waiting.core / idle * 1e6:.0f} us a second")
    found = {"core": talk.core, "idle_cpu": waiting.core, "idle_kb": per_idle, "p99_ms": talk.p99_ms}
    texts = {
        "core": f"{idle} idle and {talking} talking sessions, share of a core",
        "idle_cpu": f"{idle} idle sessions, share of a core",
        "idle_kb": "memory of an idle session, KB",
        "p99_ms": "append p99 while all of them run, ms",
    }
    for key, most in GOALS.items():
        word = "met" if found[key] <= most else "missed"
        print(f"goal {texts[key]} <= {most:g}: measured {found[key]:.3g}: {word}")


def main() -> None:
    """Run once, and print."""
    options = argparse.ArgumentParser(description="Many sessions in one process")
    options.add_argument("--quick", action="store_true", help="a short run, to see that everything works")
    options.add_argument("--plain", action="store_true", help="do nothing about garbage collection")
    options.add_argument("--idle", type=int, default=0)
    options.add_argument("--talking", type=int, default=0)
    options.add_argument("--seconds", type=float, default=0)
    given = options.parse_args()
    idle, talking = given.idle or (20 if given.quick else 500), given.talking or (4 if given.quick else 40)
    seconds = given.seconds or (3 if given.quick else 20)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print(
        f"sessions: {seconds:g} s a window; SQLite file; Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        empty, waiting, talk = asyncio.run(measure(Path(folder), idle, talking, seconds, plain=given.plain))
    report(empty, waiting, talk, idle, talking)


if __name__ == "__main__":
    main()
