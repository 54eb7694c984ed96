"""Which packages the lock leaves out on which Pythons."""

import re
from pathlib import Path

import pytest

from tools.lock import limited

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("requirement", ["one==1.2", "one", "one>=1,<2", "one[extra]>=1"])
def test_a_package_for_some_pythons_is_named_with_its_marker(requirement: str) -> None:
    """However its version is given; what holds on every Python, or only off one system, is not named."""
    wanted = [f"{requirement}; python_version < '3.14'", "two>=1", "three; platform_system != 'Windows'"]
    assert limited(f"[dependency-groups]\ndev = {wanted}") == {"one": "python_version < '3.14'"}


def test_the_lock_leaves_out_what_pyproject_leaves_out() -> None:
    """A pin without the marker could not be installed where its package has no release, and nothing else would be."""
    lock = (ROOT / "requirements-dev.lock").read_text()
    marked = dict(re.findall(r"^([\w.-]+)==\S+; (.*)$", lock, re.MULTILINE))
    assert marked == limited((ROOT / "pyproject.toml").read_text()) != {}
