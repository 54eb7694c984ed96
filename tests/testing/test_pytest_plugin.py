"""The pytest plugin, as another suite meets it: in a pytest of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DESK = """
import turnlog
app = turnlog.App("hotel")

@app.session("desk", provider="openai", transport="websocket")
async def desk(session):
    await session.say("Good morning")
"""


def inner(folder: Path, test: str, *options: str, name: str = "test_it.py") -> "subprocess.CompletedProcess[str]":
    """Run a file of tests in a pytest that has this plugin alone."""
    (folder / name).write_text(test)
    environment = {"PYTHONPATH": f"{folder}:{ROOT}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_a_failure_prints_the_command_that_repeats_it(tmp_path: Path) -> None:
    """The seed and one command stand under a failure; run as printed, the command draws the same faults again."""
    (tmp_path / "desk.py").write_text(DESK)
    test = '''
from desk import app
async def test_it(turnlog):
    """Fails of its faults."""
    faults = turnlog.faults(drop=1.0)
    async with turnlog.call(app, "hotel.desk", faults=faults) as call:
        await call.caller.hears("good morning")
'''
    first = inner(tmp_path, test, "-p", "_turnlog_pytest", "--turnlog-seed", "77", name="test_faults.py")
    assert first.returncode == 1
    found = re.search(r"^python (-m pytest .*)$", first.stdout, re.MULTILINE)
    assert found and "test_faults.py::test_it --turnlog-seed 77" in found[1], first.stdout
    again = inner(tmp_path, test, *found[1].split()[2:], name="test_faults.py")
    happened = [re.findall(r"provider 1: \w+ [\w.]+|faults of seed \d+", run.stdout) for run in (first, again)]
    assert happened[0] == happened[1] != []


def test_a_seed_is_drawn_on_request(tmp_path: Path) -> None:
    """--turnlog-seed random draws one and says which at the top."""
    run = inner(tmp_path, "def test_it(turnlog): assert turnlog.seed", "-p", "_turnlog_pytest", "--turnlog-seed", "random", "-v")
    assert run.returncode == 0 and re.search(r"^turnlog seed: \d+$", run.stdout, re.MULTILINE), run.stdout


def test_a_suite_without_it_is_left_alone(tmp_path: Path) -> None:
    """Where no test asks for the fixture, turnlog is not imported, and nothing is printed; nor is what a file imports a test."""
    test = 'import inspect, sys\ndef test_it(): assert not [name for name in sys.modules if name.startswith("turnlog")]'
    run = inner(tmp_path, test, "-p", "_turnlog_pytest")
    assert run.returncode == 0 and "turnlog" not in run.stdout, run.stdout


def test_collecting_imports_nothing(tmp_path: Path) -> None:
    """Collecting a test that asks for the fixture does not import turnlog either."""
    (tmp_path / "conftest.py").write_text(
        "import sys\ndef pytest_collection_finish(session):\n"
        '    assert not [name for name in sys.modules if name.startswith("turnlog")]\n'
    )
    run = inner(tmp_path, "async def test_it(turnlog): pass", "-p", "_turnlog_pytest", "--collect-only")
    assert run.returncode == 0 and "test_it.py::test_it" in run.stdout, run.stdout


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_it_gets_on_with_pytest_asyncio(tmp_path: Path, mode: str) -> None:
    """In both modes of pytest-asyncio a test with the fixture runs on virtual time, and others on that plugin's loop."""
    test = """
import asyncio, pytest
async def test_virtual(turnlog):
    await asyncio.sleep(3600)

@pytest.mark.asyncio
async def test_real():
    await asyncio.sleep(0)
    assert type(asyncio.get_running_loop()).__name__ != "VirtualLoop"
"""
    run = inner(tmp_path, test, "-p", "pytest_asyncio.plugin", "-p", "_turnlog_pytest", "-o", f"asyncio_mode={mode}")
    assert run.returncode == 0 and "2 passed" in run.stdout, run.stdout


def test_it_can_be_named_twice(tmp_path: Path) -> None:
    """A suite that names it in a conftest and on the command line loads it once."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["_turnlog_pytest"]\n')
    run = inner(tmp_path, "def test_it(turnlog): pass", "-p", "_turnlog_pytest")
    assert run.returncode == 0, run.stdout + run.stderr
