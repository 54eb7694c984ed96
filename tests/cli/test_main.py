"""The command `turnlog` itself: help, versions, exit codes, and how an error reaches a user."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Command, Typed

COMMANDS = (
    "demo", "doctor", "provider", "replay", "serve", "sessions", "show", "capture", "db", "export", "import", "verify",
)  # fmt: skip


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command on the core install."""
    core = Command(tmp_path_factory.mktemp("bare"), often=True)
    return core.without("av", "starlette", "uvicorn", "moonshine_voice", "piper", "numpy", "onnxruntime")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_and_every_help_open_without_extras(bare: Command, name: str) -> None:
    """`turnlog --help` names each command; each command but serve explains itself on the core install."""
    if name == COMMANDS[0]:
        overview = bare.run("--help").stdout
        assert all(f"\n  {one} " in overview for one in COMMANDS)
    if name != "serve":
        done = bare.run(name, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"Usage: turnlog {name} ")


def test_a_missing_extra_is_named_with_its_command(turnlog_in: Command) -> None:
    """`turnlog serve` without Starlette says which pip command installs it."""
    done = turnlog_in.without("starlette").run("serve", "turnlog.examples.hotel:app")
    assert done.returncode == 1
    assert done.stderr.startswith("error TL601: ") and 'pip install "turnlog[server]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [(), ("nosuch",), ("sessions", "--nosuch"), ("show",), ("sessions", "--limit", "0")])
def test_wrong_usage_is_exit_code_2(turnlog_in: Command, words: tuple[str, ...]) -> None:
    """Unknown commands and options and missing arguments show the usage on stderr."""
    done = turnlog_in.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: turnlog" in done.stderr


def test_the_traceback_is_for_those_who_ask(turnlog_in: Command) -> None:
    """An error is its code, message and hint; TURNLOG_DEBUG=1 shows where it came from."""
    quiet = turnlog_in.run("sessions", "--db", "nosuch.db")
    loud = turnlog_in.run("sessions", "--db", "nosuch.db", TURNLOG_DEBUG="1")
    assert quiet.returncode == loud.returncode == 1
    assert quiet.stderr.splitlines()[0] == "error TL404: nosuch.db is not there"
    assert "Traceback" not in quiet.stderr and "Traceback" in loud.stderr


def test_a_reader_that_leaves_is_no_error_of_ours(typed: Typed) -> None:
    """`turnlog show … | head -1` ends without a word on stderr."""
    process = typed.command.start("show", "last", "--wire", "--db", "out/demo.db")
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.wait(60) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


def test_the_version_is_printed(turnlog_in: Command) -> None:
    """`turnlog --version` is one line."""
    done = turnlog_in.run("--version")
    assert done.returncode == 0 and done.stdout.startswith("turnlog ") and done.stdout.count("\n") == 1


def test_the_package_runs_as_a_module() -> None:
    """`python -m turnlog` from the checkout is the same command."""
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-m", "turnlog", "--help"], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("Usage: turnlog ")
