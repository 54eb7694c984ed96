"""The suite's two passes: each test runs in one of them, and both decide the exit status."""

from pathlib import Path

import pytest

from tools import suite
from tools.suite import Ran

ROOT = Path(__file__).resolve().parents[2]

TESTS = """
import os
import pytest

def test_together() -> None:
    assert os.environ["PYTEST_XDIST_WORKER"]

@pytest.mark.realtime
def test_alone() -> None:
    assert "PYTEST_XDIST_WORKER" not in os.environ

def test_wrong() -> None:
    assert False
"""
HOOKS = "pytest_addoption, pytest_collection_modifyitems, pytest_ignore_collect, pytest_terminal_summary"
CONFTEST = f"from tests.conftest import {HOOKS}"
SETTINGS = '[tool.pytest.ini_options]\nmarkers = ["realtime"]\naddopts = ["-p", "no:cacheprovider"]\n'


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a suite of three tests, and one worker."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setattr(suite, "workers", lambda: 1)
    return tmp_path


def test_a_failure_is_told_and_is_the_status(small: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What is marked runs alone, the rest in workers; a failure in one does not keep the other from running."""
    (small / "test_small.py").write_text(TESTS)
    assert suite.main([]) == 1
    first, second = capfd.readouterr().out.splitlines()[-2:]
    assert first.startswith("parallel: 1 passed, 1 failed in ") and "FAILED" in first
    assert second.startswith("realtime: 1 passed in ") and "FAILED" not in second


def test_a_narrowed_run_may_leave_one_pass_empty(small: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Words of TESTS reach pytest; a pass of which nothing is left is no failure."""
    (small / "test_small.py").write_text(TESTS)
    assert suite.main(["-k", "alone"]) == 0
    first, second = capfd.readouterr().out.splitlines()[-2:]
    assert first.startswith("parallel: no test in ") and second.startswith("realtime: 1 passed in ")


@pytest.mark.parametrize(("statuses", "wanted"), [([0, 0], 0), ([0, 5], 0), ([5, 0], 0), ([5, 5], 5), ([0, 1], 1), ([3, 0], 3)])
def test_the_status_is_that_of_both(statuses: list[int], wanted: int) -> None:
    """0 only if no pass failed and at least one chose tests."""
    assert suite.verdict([Ran("", status, {}, 0.0) for status in statuses]) == wanted
