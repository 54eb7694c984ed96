"""When an environment counts as up to date, and what set-up says and returns otherwise."""

import re
from pathlib import Path

import pytest

from tools import debian, setup

ROOT = Path(__file__).resolve().parents[2]
ABSENT = debian.Package("nosuch", "/nosuch/file", 1, frozenset({"test"}), "tests of nosuch", "nowhere")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of only what set-up reads, with an environment that has an interpreter and no stamp."""
    for name in ("pyproject.toml", "requirements-dev.lock", "requirements-bench.lock"):
        (tmp_path / name).write_text(name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    return tmp_path


def test_an_environment_without_a_stamp_is_not_current(checkout: Path) -> None:
    """An installation that was broken off leaves no stamp, so it is done again."""
    assert checkout.is_dir() and not setup.is_current("test")


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements-dev.lock"])
def test_a_changed_file_makes_the_environment_stale(checkout: Path, name: str) -> None:
    """The stamp holds for these very files only."""
    setup.stamp("test").write_text(setup.digest("test"))
    assert setup.is_current("test")
    (checkout / name).write_text("changed")
    assert not setup.is_current("test")


def test_the_larger_installation_serves_the_smaller(checkout: Path) -> None:
    """After `make test` the demo installs nothing; after `make demo TEXT=1` the spoken demo does."""
    setup.stamp("test").write_text(setup.digest("test"))
    assert setup.is_current("demo") and setup.is_current("text")
    setup.stamp("test").rename(setup.stamp("text"))
    assert setup.is_current("text") and not setup.is_current("demo")
    assert checkout.is_dir()


def test_an_environment_whose_python_is_gone_is_not_current(checkout: Path) -> None:
    """A stamp alone is not an environment."""
    setup.stamp("test").write_text(setup.digest("test"))
    (checkout / ".venv" / "bin" / "python").unlink()
    assert not setup.is_current("test")


def test_a_missing_package_is_named_with_what_does_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where packages may not be installed, set-up names them, goes on for a person, and fails in CI."""
    monkeypatch.setattr(debian, "DEBIAN", (ABSENT,))
    monkeypatch.setattr(debian, "can_install", lambda: False)
    monkeypatch.delenv("TURNLOG_REQUIRE_ALL", raising=False)
    monkeypatch.setenv("CI", "")
    assert setup.set_up_debian("test") is True
    said = capsys.readouterr().out
    assert "missing: nosuch; not run without it: tests of nosuch" in said
    assert "apt-get install nosuch" in said
    monkeypatch.setenv("CI", "true")
    assert setup.set_up_debian("test") is False


@pytest.mark.parametrize("arguments", [[], ["nosuch"], ["test", "demo"]])
def test_a_wrong_call_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Anything but one known profile prints the usage and returns 2."""
    assert setup.main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


def test_make_asks_for_profiles_that_exist() -> None:
    """Every `tools.setup NAME` in the Makefile is a profile, and every profile is used."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"tools\.setup (\w+)$", text, re.MULTILINE)) | {"text", "demo"}
    assert "$(if $(TEXT),text,demo)" in text
    assert named == set(setup.PROFILES)


def test_a_command_that_fails_tells_why() -> None:
    """What a failed step said last is kept; success says nothing."""
    assert setup.run(["sh", "-c", "echo why >&2; exit 3"]) == "why"
    assert setup.run(["sh", "-c", "echo fine"]) == ""
