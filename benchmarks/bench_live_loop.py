"""What a live session costs, log included: CPU per event against openai-agents and pipecat, which keep no log.

40 sessions at 50 events a second each, from one loopback server (paced_server.py); one process a contender
(live_contender.py), one after the other, in rounds; ratios are taken within a round and their median is given, because the
machine is shared. turnlog's logs are verified after each run, outside the measured time: a message that is missing there
stops the benchmark.

    python benchmarks/bench_live_loop.py [--quick] [--rounds N] [--seconds S] [--only NAME,NAME]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
RATE = 50
NAMES = [
    "floor",
    "floor+uvloop",
    "turnlog",
    "turnlog+uvloop",
    "turnlog-iterated",
    "turnlog-wire",
    "turnlog-wire-direct",
    "turnlog-alone",
    "openai-agents",
    "openai-agents+uvloop",
    "pipecat",
]
GOALS = [
    ("turnlog", "openai-agents", 1.0),
    ("turnlog", "pipecat", 0.5),
    ("turnlog+uvloop", "openai-agents", 0.5),
]

Result = dict[str, Any]


def measure(name: str, sessions: int, seconds: float) -> Result:
    """One contender against a fresh server, both in processes of their own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])}
    serving = [sys.executable, str(HERE / "paced_server.py"), str(sessions), str(RATE), str(seconds + 7)]
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as server, tempfile.TemporaryDirectory() as folder:
        try:
            port = (server.stdout.readline() if server.stdout else "").strip()
            ran = [sys.executable, str(HERE / "live_contender.py"), name, port, str(sessions), str(seconds), folder]
            done = subprocess.run(ran, env=environment, capture_output=True, text=True, timeout=seconds + 120)
        finally:
            server.kill()
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr or done.stdout}")
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def table(results: dict[str, list[Result]]) -> None:
    """A line a contender: medians over the rounds."""
    print(f"{'':<22}{'CPU us/event':>13}{'events/s':>10}{'p50 ms':>8}{'p99 ms':>8}{'commits/s':>11}{'RSS MB':>8}")
    for name, rounds in results.items():
        commits = f"{middle(rounds, 'commits_s'):.0f}" if "commits_s" in rounds[0] else "-"
        print(
            f"{name:<22}{middle(rounds, 'cpu_us'):>13.1f}{middle(rounds, 'events_s'):>10.0f}{middle(rounds, 'p50_ms'):>8.2f}"
            f"{middle(rounds, 'p99_ms'):>8.2f}{commits:>11}{middle(rounds, 'rss_mb'):>8.0f}"
        )
    for name, rounds in results.items():
        if "messages" in rounds[0]:
            print(f"{name}: {sum(r['messages'] for r in rounds):,} received messages found in logs that verify")


def middle(rounds: list[Result], key: str) -> float:
    """Median over the rounds."""
    return statistics.median(r[key] for r in rounds)


def ratio(results: dict[str, list[Result]], mine: str, other: str) -> float:
    """Median of the rounds' own ratios of CPU per event."""
    return statistics.median(a["cpu_us"] / b["cpu_us"] for a, b in zip(results[mine], results[other], strict=True))


def goals(results: dict[str, list[Result]]) -> None:
    """A line a goal. Latency counts from the server's send to the application's hands, over the same of the bare socket."""
    for mine, other, bound in GOALS:
        if mine in results and other in results:
            measured = ratio(results, mine, other)
            word = "met" if measured <= bound else "missed"
            print(f"goal {mine} CPU per event <= {bound:g} of {other}: measured {measured:.2f}: {word}")
    for mine in ("turnlog", "turnlog+uvloop"):
        if mine in results and "floor" in results:
            p50, p99 = (
                statistics.median(a[key] - b[key] for a, b in zip(results[mine], results["floor"], strict=True))
                for key in ("p50_ms", "p99_ms")
            )
            print(f"{mine}: added latency, arrival to caller: p50 {p50:.2f} ms, p99 {p99:.2f} ms over a bare socket")


def main() -> None:
    """Run all rounds and print the table."""
    options = argparse.ArgumentParser(description="CPU per event of live sessions")
    options.add_argument("--quick", action="store_true", help="a short run, to see that everything works")
    options.add_argument("--rounds", type=int, default=0)
    options.add_argument("--seconds", type=float, default=0)
    options.add_argument("--sessions", type=int, default=40)
    options.add_argument("--only", default="", help="contenders, separated by commas")
    given = options.parse_args()
    names = [name for name in NAMES if not given.only or name in given.only.split(",")]
    rounds = given.rounds or (1 if given.quick else 3)
    seconds = given.seconds or (2.0 if given.quick else 8.0)
    print(
        f"live loop: {given.sessions} sessions x {RATE} events/s, 90 % audio deltas of 2 KB base64; "
        f"{rounds} rounds of {seconds:g} s; Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    results: dict[str, list[Result]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            results[name].append(measure(name, given.sessions, seconds))
    table(results)
    goals(results)


if __name__ == "__main__":
    main()
