"""`turnlog capture`: the test that it writes is run by plain pytest, as a user's would be."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Command, Typed

GREEN, RED = 0, 1


def pytest_in(command: Command, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest there, with no option and no configuration of ours."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio", *words],
        cwd=command.folder, env=command.environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def db(typed: Typed) -> Path:
    """The store of the typed conversation."""
    return typed.folder / "out/demo.db"


def test_a_captured_session_is_a_green_test(turnlog_in: Command, db: Path) -> None:
    """The default place is tests/; the archive stands beside the test; pytest collects it and it passes."""
    done = turnlog_in.run("capture", "last", "--db", db)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "replay: identical (9 commands)"
    (test,) = (turnlog_in.folder / "tests").glob("test_sess_*.py")
    assert test.with_suffix(".turnlog").is_file()
    ran = pytest_in(turnlog_in)
    assert ran.returncode == GREEN and ran.stdout.startswith("."), ran.stdout


def test_a_captured_test_fails_when_the_handler_changes(turnlog_in: Command, db: Path) -> None:
    """A module of the user's own: green as it was recorded, red with the divergence once a line says something else."""
    source = Path(__file__).parents[2] / "examples" / "hotel.py"
    mine = turnlog_in.folder / "desk.py"
    mine.write_text(source.read_text())
    words = ("capture", "last", "-o", "checks/test_desk.py", "--handler", "desk:frontdesk", "--db", db)
    assert turnlog_in.run(*words).returncode == 0
    assert pytest_in(turnlog_in).returncode == GREEN
    mine.write_text(source.read_text().replace("Goodbye, and", "Farewell, and"))
    ran = pytest_in(turnlog_in)
    assert ran.returncode == RED and "TL101 divergence" in ran.stdout and "Farewell" in ran.stdout
    again = turnlog_in.run(*words, "--force")
    assert again.returncode == 3 and again.stdout.splitlines()[-1] == "The test fails until the handler is corrected."


def test_an_archive_is_captured_like_a_session(turnlog_in: Command, db: Path) -> None:
    """A colleague's file is enough; the archive beside the test is the same file."""
    turnlog_in.run("export", "last", "-o", "call.turnlog", "--db", db)
    assert turnlog_in.run("capture", "call.turnlog", "-o", "test_call.py").returncode == 0
    assert pytest_in(turnlog_in, "test_call.py").returncode == GREEN


def test_nothing_is_written_when_it_cannot_be_a_test(turnlog_in: Command, db: Path) -> None:
    """A handler that cannot be imported, a file that is there, a name that is no Python file: each with its answer."""
    absent = turnlog_in.run("capture", "last", "--handler", "nosuch:f", "--db", db)
    assert absent.returncode == 1 and absent.stderr.startswith("error TL206: ")
    assert turnlog_in.run("capture", "last", "-o", "notes.txt", "--db", db).returncode == 2
    (turnlog_in.folder / "test_mine.py").write_text("mine")
    there = turnlog_in.run("capture", "last", "-o", "test_mine.py", "--db", db)
    assert there.returncode == 1 and there.stderr.startswith("error TL406: ")
    assert [path.name for path in turnlog_in.folder.iterdir() if path.name != "__pycache__"] == ["test_mine.py"]
    into_file = turnlog_in.run("capture", "last", "-o", "test_mine.py/test_x.py", "--db", db)
    assert into_file.returncode == 1 and into_file.stderr.startswith("error TL406: ")
