"""Runs the test suite in two passes: `python -m tools.suite [pytest's arguments]` (make test).

First everything that may share the machine, in one process a core; then, alone and one after another, what is marked
`realtime`: tests that hold speech in real time, or measure. A test belongs to exactly one pass (tests/conftest.py), so
both together are the suite. The second pass runs whatever became of the first; the exit status is 0 only if both are well.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["Ran", "main", "verdict"]

ROOT = Path(__file__).resolve().parent.parent
NOTHING_COLLECTED = 5  # pytest's exit status where no test was chosen
MOST_WORKERS = 6  # each loads its own speech models (about 1 GB)


class Ran(NamedTuple):
    """How a pass ended: pytest's exit status, the count of each outcome, and how long it took."""

    name: str
    status: int
    counts: dict[str, int]
    seconds: float

    def __str__(self) -> str:
        told = ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items()) or "no test"
        failed = "" if self.status in (0, NOTHING_COLLECTED) else f"; FAILED, pytest's exit status is {self.status}"
        return f"{self.name}: {told} in {self.seconds:.0f} s{failed}"


def workers() -> int:
    """Processes of the parallel pass: one more than cores, for tests wait as well."""
    return min((os.cpu_count() or 1) + 1, MOST_WORKERS)


def passes() -> dict[str, list[str]]:
    """Each pass and its options for pytest."""
    # A file's tests stay together: they share what its fixtures made. Files go out in order: those that take long come first.
    return {"parallel": [f"-n{workers()}", "--dist=loadfile", "--no-loadscope-reorder"], "realtime": []}


def run(name: str, options: list[str]) -> Ran:
    """Run one pass; it prints as pytest does."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = Path(folder) / "tally.json"
        command = [sys.executable, "-m", "pytest", "-q", f"--pass={name}", f"--tally={tally}", *options]
        # What one process has compiled the others read: the tests' own files are 10 s of work, for each that compiles them anew.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        counts = json.loads(tally.read_text()) if tally.exists() else {}
    return Ran(name, status, counts, time.monotonic() - began)


def verdict(ran: list[Ran]) -> int:
    """0 if every pass that chose tests is well; a narrowed run may have none of one kind, but not none at all."""
    failed = [one.status for one in ran if one.status not in (0, NOTHING_COLLECTED)]
    if failed:
        return failed[0]
    return 0 if any(one.status == 0 for one in ran) else NOTHING_COLLECTED


def main(arguments: list[str]) -> int:
    """Run both passes and tell of both."""
    # A shell starts what is in its background with SIGINT ignored: programs that tests stop by it would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ran: list[Ran] = []
    for name, options in passes().items():
        print(f"== {name}", flush=True)
        ran.append(run(name, [*options, *arguments]))
        if ran[-1].status == 2:  # interrupted, or the files cannot be imported: the other pass would tell the same
            break
    print("\n".join(map(str, ran)))
    return verdict(ran)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
