"""A projection that is killed amid its work goes on behind what it had committed: nothing skipped, nothing twice."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.projecting import Writer, closed
from turnlog import ProjectionFolder
from turnlog.store import open_store

__all__: list[str] = []

TURNS = 4_000

# Says a line for each 100 events that it was given, so that it can be killed amid a page.
CHILD = """
import os, sys
import turnlog

@turnlog.projection("ledger", on=("TurnEnded",), tables="CREATE TABLE ledger (session TEXT, seq INTEGER)")
def ledger(event, ctx):
    ctx.execute("INSERT INTO ledger VALUES (?, ?)", (ctx.session, ctx.seq))
    if ctx.execute("SELECT COUNT(*) FROM ledger")[0][0] % 100 == 50:
        os.write(1, b"on\\n")

turnlog.catch_up(f"sqlite:///{sys.argv[1]}", [ledger], rebuild=sys.argv[2:])
os.write(1, b"done\\n")
"""


def run(database: Path, *rebuild: str, kill_after: int | None = None) -> bool:
    """Run the child, to its end or until it has said so many lines; whether it came to its end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", CHILD, str(database), *rebuild]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        for n, line in enumerate(iter(child.stdout.readline, b""), start=1):
            if line == b"done\n":
                break
            if n == kill_after:
                child.send_signal(signal.SIGKILL)
        child.stdout.read()
    assert child.returncode == (0 if line == b"done\n" else -signal.SIGKILL)
    return line == b"done\n"


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """A log of turns in four sessions."""
    store = await asyncio.to_thread(open_store, tmp_path / "calls.db")
    writer = Writer(store)
    await asyncio.gather(*(writer.turns(f"s{n}", TURNS // 4) for n in range(4)))
    await closed(store)
    return tmp_path / "calls.db"


def given(database: Path) -> list[tuple[str, int]]:
    """The turns in the order of their commits."""
    raw = sqlite3.connect(database)
    rows = raw.execute("SELECT s.key, e.seq FROM events e JOIN sessions s ON s.id = e.sid ORDER BY e.pos").fetchall()
    raw.close()
    return rows


def test_kill_9_amid_a_catch_up_skips_nothing_and_takes_nothing_twice(database: Path) -> None:
    """Killed at several places and started again each time, it holds each turn once, in order."""
    for lines in (1, 4, 7, 3):
        assert not run(database, kill_after=lines)
    assert run(database)
    folder = ProjectionFolder.beside(database)
    assert folder.query("ledger", "SELECT session, seq FROM ledger ORDER BY rowid") == given(database)
    assert len(folder.builds()) == 1


def test_kill_9_amid_a_rebuild_leaves_the_old_one_to_readers(database: Path) -> None:
    """What served before the kill serves after it, and the next run finishes the rebuild that was begun."""
    assert run(database)
    assert not run(database, "ledger", kill_after=9)
    folder = ProjectionFolder.beside(database)
    assert folder.serving("ledger").number == 1
    assert len(folder.query("ledger", "SELECT 1 FROM ledger")) == TURNS
    assert run(database)
    assert folder.serving("ledger").number == 2
    assert folder.query("ledger", "SELECT session, seq FROM ledger ORDER BY rowid") == given(database)
