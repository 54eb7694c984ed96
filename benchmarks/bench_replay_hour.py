"""An hour of talk: how much faster than real time it replays, and how soon its log opens.

The log has 200 exchanges of 18 s (about 3,000 semantic events) and 200,000 messages of the wire between them, in a SQLite file.
Replay reads the semantic events alone. "opens" is `turnlog show SESSION --json | head -1`, as a process of its own, from its
start to its last line: so it holds the interpreter's start, too.

    python benchmarks/bench_replay_hour.py [--quick]
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.codec import encode
from turnlog.core.definition import define_session
from turnlog.core.ports import Draft, SessionRow
from turnlog.engine.handlers.handler_run import ENGINE_FLAGS
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay
from turnlog.store.open import open_store

__all__ = ["desk", "main"]

EXCHANGES = 200
EXCHANGE_NS = 18_000_000_000
SITE = c.Site("desk.py", 12)
TEMPO_GOAL = 3000
OPEN_GOAL_S = 1.0


async def desk(session: RealtimeSession) -> None:
    """The recorded handler: looks up what was asked, and answers."""
    async for turn in session.turns():
        found = await session.call("find", name=turn.text)
        await session.say(f"That is {found}.")


def exchange(n: int) -> list[e.Event]:
    """One question and its answer."""
    item, response, words, index = f"item_{n}", f"resp_{n}", f"question number {n}", 3 * n + 1
    asked = c.Call(target="find", kwargs={"name": words})
    return [
        e.SpeechStarted(item=item, audio_start_ms=18_000 * n),
        e.SpeechStopped(item=item, audio_end_ms=18_000 * n + 4000),
        e.InputCommitted(item=item),
        e.InputTranscribed(item=item, transcript=words),
        e.TurnEnded(turn=n + 1, item=item, text=words, transcript=words),
        e.CallRequested(index=index + 1, call=f"call_{index + 1}", command=asked, site=SITE),
        e.CallCompleted(index=index + 1, result=msgspec.msgpack.encode(n)),
        e.SayRequested(index=index + 2, say=f"say_{index + 2}", command=c.Say(text=f"That is {n}."), site=SITE),
        e.InputRequested(index=index + 3, command=c.Input(), site=SITE),
        e.SayDispatched(say=f"say_{index + 2}", attempt=1, link="p1", text=f"That is {n}."),
        e.ResponseStarted(response=response, say=f"say_{index + 2}", attempt=1),
        e.AudioStarted(response=response),
        e.ResponseEnded(response=response, status="completed", generated_ms=3000, transcript=f"That is {n}."),
        e.PlayoutEnded(response=response),
        e.SaySettled(say=f"say_{index + 2}", status="played", generated_ms=3000, heard_ms=3000, heard_text=f"That is {n}."),
    ]


def hour(wire: int) -> Iterator[tuple[e.Event, int]]:
    """The events and their times, with `wire` messages spread among them."""
    definition = define_session("hour", provider="scripted", transport="in_process")
    yield e.SessionStarted(session="hour", target="bench.hour", definition=definition, engine_flags=ENGINE_FLAGS), 0
    yield e.InputRequested(index=1, command=c.Input(), site=SITE), 0
    yield e.LinkOpened(link="p1", side="provider", transport="in_process"), 0
    yield e.LinkOpened(link="c1", side="caller", transport="in_process"), 0
    each, n = wire // (15 * EXCHANGES), 0
    for number in range(EXCHANGES):
        for at, event in enumerate(exchange(number)):
            at_ns = number * EXCHANGE_NS + at * EXCHANGE_NS // 15
            yield event, at_ns
            for _ in range(each):
                n += 1
                kind = e.TransportReceived if n % 2 else e.TransportSent
                yield kind(link="p1", n=n, data=os.urandom(130).hex().encode()), at_ns


async def write(path: Path, wire: int) -> int:
    """Write the log; returns how many events it has."""
    store = open_store(path)
    names = ("hour", "", "bench.hour", "scripted", "in_process", "active", "3.11", "")
    row = SessionRow(*names, ENGINE_FLAGS, 0, time.time_ns(), None)
    head = await store.create(row)
    drafts: list[Draft] = []
    start_ns = time.time_ns()
    for event, at_ns in hour(wire):
        type_, version, data = encode(event, os.urandom(16))
        drafts.append(Draft(type_, version, start_ns + at_ns, e.Root.WIRE, data))
        if len(drafts) == 2000:
            head, drafts = await store.append(head, drafts), []
    head = await store.append(head, drafts)
    await store.close()
    return head.seq


def tempo(path: Path) -> tuple[float, int]:
    """How many times faster than real time the hour replays, reading included; and how many events that were."""
    store = open_store(path, read_only=True)
    began = time.perf_counter()
    done = replay(store.scan("hour", semantic=True), desk)
    return done.recorded_s / (time.perf_counter() - began), done.events


def opens(path: Path) -> float:
    """Seconds until the first event is shown."""
    command = f"{sys.executable} -m turnlog show hour --json --db {path} | head -1"
    began = time.perf_counter()
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Print both figures with their goals."""
    rounds, wire = (3, 20_000) if "--quick" in sys.argv else (7, 200_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.db"
        events = asyncio.run(write(path, wire))
        tempos = [tempo(path) for _ in range(rounds)]
        shown = [opens(path) for _ in range(rounds)]
    print(f"an hour of talk, {events:,} events: median of {rounds}")
    times = statistics.median(one for one, _ in tempos)
    print(f"  replay  {times:>10,.0f} times real time ({tempos[0][1]:,} semantic events; goal {TEMPO_GOAL:,})")
    print(f"  opens   {statistics.median(shown):>10.2f} s (goal {OPEN_GOAL_S:.0f})")


if __name__ == "__main__":
    main()
