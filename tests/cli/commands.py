"""The command line as a user has it: processes of their own, in a folder of their own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.warm import warm

ROOT = Path(__file__).resolve().parents[2]

HIDE = """
import sys
HIDDEN = {names!r}
class Hiding:
    def __init__(self, finder): self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, path, target)
    def __getattr__(self, name): return getattr(self.finder, name)
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


class Command(NamedTuple):
    """`python -m turnlog` in a folder. `often`: this very one runs many times, so that it is worth a warm process of its own."""

    folder: Path
    hidden: Path | None = None
    often: bool = False
    prefix: tuple[str, ...] = ()

    def environment(self, **more: str) -> dict[str, str]:
        """Ours, without what a developer may have set for turnlog, and without pytest's own: it names another test each time."""
        unset = ("TURNLOG_", "OPENAI_", "COVERAGE_", "PYTHON", "PYTEST_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
        path = os.pathsep.join(str(part) for part in (self.hidden, ROOT) if part)
        return {**clean, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **more}

    def start(self, *words: str | Path, stdin: int = subprocess.DEVNULL, **environment: str) -> "subprocess.Popen[str]":
        """Start it."""
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "turnlog", *map(str, words)],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *words: str | Path, typed: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end: as a fork of a process that has imported turnlog, where that makes no difference."""
        given = self.environment(**environment)
        if not (self.prefix or (self.hidden and not self.often) or any(name.startswith("PYTHON") for name in environment)):
            try:
                return warm(*self.environment().items()).run(list(map(str, words)), self.folder, given, typed)
            except TimeoutError:
                pytest.fail(f"turnlog {words} did not end")
        process = self.start(*words, stdin=subprocess.PIPE, **environment)
        return finish(process, typed)

    def limited(self, blocks: int) -> "Command":
        """The same where no file can grow beyond so many blocks of 512 bytes."""
        return self._replace(prefix=("sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh"))

    def without(self, *packages: str) -> "Command":
        """The same on a machine where these packages are not installed."""
        hidden = self.folder / "hidden"
        hidden.mkdir(exist_ok=True)
        (hidden / "sitecustomize.py").write_text(HIDE.format(names=set(packages)))
        return self._replace(hidden=hidden)


def finish(process: "subprocess.Popen[str]", typed: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Wait for a process to end; one that hangs is killed and fails the test."""
    try:
        out, err = process.communicate(typed, timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"turnlog did not end\n{out}\n{err}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Typed(NamedTuple):
    """A typed demo that was held once for all tests that only read its log."""

    folder: Path
    done: "subprocess.CompletedProcess[str]"

    @property
    def command(self) -> Command:
        """The command, where the log is out/demo.db."""
        return Command(self.folder)
