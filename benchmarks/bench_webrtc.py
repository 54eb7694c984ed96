"""What a WebRTC call costs: CPU of a core a session, turnlog's media path against aiortc's own, at equal heard quality.

Each contender answers the same calls in a process on a core of its own (webrtc_contender.py); the far ends talk all the time from
another core. We talk all the time, a third of it, or not at all. One after the other, in rounds; ratios are taken within a
round. That both are heard as well is measured: the correlation of what either end heard with the source. `sessions a core` is
one over the CPU of a session.

On a machine that others use, give it real-time priority (chrt --rr 1): a process that waits for its turn reads several packets
at a time, pays less for each, and loses some.

    python benchmarks/bench_webrtc.py [--quick] [--rounds N] [--seconds S] [--sessions N]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
NAMES = ["stock", "turnlog"]
SHARES = {"both talk": 1.0, "we talk a third": 1 / 3, "we are silent": 0.0}
GOALS = [("both talk", 31), ("we are silent", 47)]

Result = dict[str, Any]


def measure(name: str, share: float, sessions: int, seconds: float) -> Result:
    """One contender, in processes of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])}
    ran = [sys.executable, str(HERE / "webrtc_contender.py"), name, str(share), str(sessions), str(seconds)]
    done = subprocess.run(ran, env=environment, capture_output=True, text=True, timeout=seconds + 120)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr or done.stdout}")
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def middle(rounds: list[Result], key: str) -> float:
    """Median over the rounds."""
    return statistics.median(r[key] for r in rounds)


def table(results: dict[tuple[str, str], list[Result]]) -> None:
    """A line a contender and share: medians over the rounds."""
    columns = ("% of a core", "sessions/core", "lag p99 ms", "switches/s", "RSS MB", "emitted", "we heard", "they heard")
    print(f"{'':<26}" + "".join(f"{column:>14}" for column in columns))
    for (talk, name), rounds in results.items():
        cpu = middle(rounds, "cpu")
        they = f"{middle(rounds, 'they_heard'):.3f}" if SHARES[talk] == 1 else "-"
        print(
            f"{talk + ', ' + name:<26}{cpu * 100:>14.2f}{1 / cpu:>14.0f}{middle(rounds, 'lag_p99_ms'):>14.1f}"
            f"{middle(rounds, 'switches_s'):>14.0f}{middle(rounds, 'rss_mb'):>14.0f}{middle(rounds, 'heard_share'):>14.1%}"
            f"{middle(rounds, 'we_heard'):>14.3f}{they:>14}"
        )


def goals(results: dict[tuple[str, str], list[Result]]) -> None:
    """A line a ratio and a goal."""
    for talk in SHARES:
        pairs = zip(results[talk, "stock"], results[talk, "turnlog"], strict=True)
        print(f"{talk}: sessions a core, turnlog over stock: {statistics.median(a['cpu'] / b['cpu'] for a, b in pairs):.2f}")
    for talk, bound in GOALS:
        measured = 1 / middle(results[talk, "turnlog"], "cpu")
        word = "met" if measured >= bound else "missed"
        print(f"goal turnlog sessions a core, {talk}, >= {bound}: measured {measured:.0f}: {word}")
    worst = min(
        middle(results["both talk", "turnlog"], key) - middle(results["both talk", "stock"], key)
        for key in ("we_heard", "they_heard")
    )
    print(
        f"goal heard as well as stock, correlation >= -0.02 of it: measured {worst:+.3f}: {'met' if worst >= -0.02 else 'missed'}"
    )


def main() -> None:
    """Run all rounds and print the table."""
    options = argparse.ArgumentParser(description="CPU of WebRTC sessions")
    options.add_argument("--quick", action="store_true", help="a short run, to see that everything works")
    options.add_argument("--rounds", type=int, default=0)
    options.add_argument("--seconds", type=float, default=0)
    options.add_argument("--sessions", type=int, default=0)
    given = options.parse_args()
    rounds = given.rounds or (1 if given.quick else 3)
    seconds = given.seconds or (2.0 if given.quick else 12.0)  # whole cycles of 6 s
    sessions = given.sessions or (2 if given.quick else 15)
    print(
        f"WebRTC: {sessions} sessions, 20 ms frames both ways; {rounds} rounds of {seconds:g} s; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    results: dict[tuple[str, str], list[Result]] = {(talk, name): [] for talk in SHARES for name in NAMES}
    for number in range(rounds):
        for talk, share in SHARES.items():
            for name in NAMES if number % 2 == 0 else NAMES[::-1]:
                results[talk, name].append(measure(name, share, sessions, seconds))
    table(results)
    goals(results)


if __name__ == "__main__":
    main()
