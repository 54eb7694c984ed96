"""What one command of a handler costs live: CPU of the process per `await session.call(…)`, journal and both appends included.

Handlers loop over a command whose tool (or step) answers at a paced tick, so that request and completion are an append each, as
they are with any tool that takes time. A real SQLite file, a real provider link, no audio; time and CPU are taken while all
sessions are busy, and every log is verified and counted afterwards, outside of the measured time. "bare await" is the same tick
awaited as a task of plain asyncio, without session or log. Rounds are interleaved and medians given: the machine is shared.

    python benchmarks/bench_command.py [--quick] [--rounds N] [--seconds S]
"""

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from turnlog import App, Engine, RealtimeSession
from turnlog.core.events import CallCompleted
from turnlog.store import Store, open_store
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.speech.engines import Speech, detect

__all__ = ["main"]

GOAL_US = 200
SESSIONS = 40
RATE = 25
PACED = f"call, {SESSIONS} sessions x {RATE}/s"  # the ticks are spread evenly, so that hardly two appends meet in one commit
UNPACED = f"call, {SESSIONS} sessions, unpaced"
GOALS = (PACED, UNPACED)


class Sample(NamedTuple):
    """One run: CPU microseconds a command (all threads), commands a second, ms from asking to the answer beyond the tick."""

    cpu_us: float
    per_s: float
    p50_ms: float


class Tick:
    """The work behind each command: wait for the caller's next tick, then say whether to go on. Counts what it answered."""

    def __init__(self, sessions: int, rate: float) -> None:
        self.answered = 0
        self.going = True
        self.late_ms: list[float] = []
        self._interval_s = 1 / rate if rate else 0.0
        self._base = time.perf_counter() + 0.2
        self._due = [self._base + self._interval_s * number / sessions for number in range(sessions)]

    async def __call__(self, number: int) -> bool:
        """Answer caller `number` at its tick; at once where there is no pace."""
        now = time.perf_counter()
        if self._interval_s:
            due = self._due[number]
            self.late_ms.append((now - due + self._interval_s) * 1000)  # since the tick that its last command was answered at
            self._due[number] = max(due, now) + self._interval_s if now > due + self._interval_s else due + self._interval_s
            await asyncio.sleep(due - now)
        self.answered += 1
        return self.going


async def measured(tick: Tick, seconds: float) -> Sample:
    """CPU and count between two moments at which everyone is busy."""
    await asyncio.sleep(0.7)
    tick.late_ms.clear()
    count, cpu, began = tick.answered, time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    done, cpu, took = tick.answered - count, time.process_time() - cpu, time.perf_counter() - began
    late = statistics.median(tick.late_ms) if tick.late_ms else 0.0
    tick.going = False
    return Sample(cpu / done * 1e6, done / took, late)


def app_of(tick: Tick, kind: str) -> App:
    """A session whose handler loops over one kind of command."""
    app = App("bench")

    @app.tool
    async def noop(number: int) -> bool:
        return await tick(number)

    @app.session("busy", provider="local", transport="in_process", modalities=["text"], tools=["noop"])
    async def busy(session: RealtimeSession) -> None:
        number = session.metadata["number"]
        if kind == "call":
            while await session.call("noop", number=number):
                pass
        else:
            while await session.step(noop, number):
                pass

    return app


async def turnlog(folder: Path, kind: str, sessions: int, rate: float, seconds: float) -> Sample:
    """So many live sessions on one engine; their logs are counted and verified afterwards."""
    tick = Tick(sessions, rate)
    silent = Speech(engines=detect(), voice_activity=None, recogniser=None, synthesiser=None)
    store = f"sqlite:///{folder / 'calls.db'}"
    async with Engine(app_of(tick, kind), store=store, providers={"local": LocalProvider(speech=silent)}) as engine:
        live = [await engine.start("bench.busy", metadata={"number": number}) for number in range(sessions)]
        sample = await measured(tick, seconds)
        await asyncio.gather(*(session.ended() for session in live))
    await check(open_store(store, read_only=True), [session.id for session in live], tick.answered)
    return sample


async def check(store: Store, sessions: list[str], answered: int) -> None:
    """Stop the benchmark if a command is not in a log, or a log does not verify."""
    found = 0
    for session in sessions:
        report = await store.verify(session)
        if not report.ok:
            raise SystemExit(f"{session} does not verify: {report.problems[0]}")
        found += sum(recorded.type == CallCompleted.__name__ for recorded in store.scan(session))
    await store.close()
    if found != answered:
        raise SystemExit(f"{answered} commands were answered, {found} are in the logs")


async def bare(sessions: int, rate: float, seconds: float) -> Sample:
    """The same ticks, each awaited as a task, and nothing else."""
    tick = Tick(sessions, rate)

    async def busy(number: int) -> None:
        while await asyncio.create_task(tick(number)):
            pass

    async with asyncio.TaskGroup() as tasks:
        for number in range(sessions):
            tasks.create_task(busy(number))
        return await measured(tick, seconds)


def run(make: Callable[[Path], Coroutine[Any, Any, Sample]]) -> Sample:
    """One run in a loop and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(make(Path(folder)))


def contenders(seconds: float) -> dict[str, Callable[[Path], Coroutine[Any, Any, Sample]]]:
    """What is measured, by the name it is printed under."""
    return {
        PACED: lambda folder: turnlog(folder, "call", SESSIONS, RATE, seconds),
        f"step, {SESSIONS} sessions x {RATE}/s": lambda folder: turnlog(folder, "step", SESSIONS, RATE, seconds),
        f"call, 1 session x {RATE}/s": lambda folder: turnlog(folder, "call", 1, RATE, seconds),
        UNPACED: lambda folder: turnlog(folder, "call", SESSIONS, 0, seconds),
        "call, 1 session, unpaced": lambda folder: turnlog(folder, "call", 1, 0, seconds),
        f"bare await, {SESSIONS} tasks x {RATE}/s": lambda _: bare(SESSIONS, RATE, seconds),
        f"bare await, {SESSIONS} tasks, unpaced": lambda _: bare(SESSIONS, 0, seconds),
    }


def main() -> None:
    """Run all rounds, print the table and a line a goal."""
    options = argparse.ArgumentParser(description="CPU per command of live sessions")
    options.add_argument("--quick", action="store_true", help="a short run, to see that everything works")
    options.add_argument("--rounds", type=int, default=0)
    options.add_argument("--seconds", type=float, default=0)
    given = options.parse_args()
    rounds = given.rounds or (1 if given.quick else 5)
    seconds = given.seconds or (1.5 if given.quick else 3.0)
    print(
        f"commands: median of {rounds} rounds of {seconds:g} s; SQLite file; Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    runs = contenders(seconds)
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            samples[name].append(run(runs[name]))
    print(f"{'':<34}{'CPU us/command':>15}{'commands/s':>12}{'added p50 ms':>14}")
    for name, of in samples.items():
        added = f"{statistics.median(s.p50_ms for s in of):.2f}" if "/s" in name else "-"
        cpu_us, per_s = (statistics.median(values) for values in ((s.cpu_us for s in of), (s.per_s for s in of)))
        print(f"{name:<34}{cpu_us:>15.1f}{per_s:>12,.0f}{added:>14}")
    for name in GOALS:
        cost = statistics.median(s.cpu_us for s in samples[name])
        word = "met" if cost <= GOAL_US else "missed"
        print(f"goal {name}: CPU per command <= {GOAL_US} us: measured {cost:.0f}: {word}")


if __name__ == "__main__":
    main()
