"""When the npm packages of the tests count as installed."""

import shutil
from pathlib import Path

import pytest

from tools import debian, node, setup

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The committed package.json and lock, and packages that are complete."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(node.FOLDER / name, tmp_path / name)
    (tmp_path / "node_modules").mkdir()
    node.stamp(tmp_path).write_text(node.digest(tmp_path))
    return tmp_path


def test_what_was_installed_from_these_very_files_is_current(folder: Path) -> None:
    """An installation that was broken off has no stamp; a changed lock or package.json is another one."""
    assert node.is_current(folder)
    for name in ("package.json", "package-lock.json"):
        before = (folder / name).read_text()
        (folder / name).write_text(before + "\n")
        assert not node.is_current(folder)
        (folder / name).write_text(before)
    node.stamp(folder).unlink()
    assert not node.is_current(folder)


def test_without_npm_the_error_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no stamp of its own."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    node.stamp(folder).unlink()
    assert node.install(folder) == "there is no npm"
    assert not node.is_current(folder)


def test_a_machine_without_node_sets_up_the_rest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its absence was told by the table of packages; a failure of npm where it is there fails the set-up."""
    absent = debian.Package("npm", "/nosuch/npm", 1, frozenset({"test"}), "tests", "nowhere")
    monkeypatch.setattr(node, "is_current", lambda: False)
    monkeypatch.setattr(debian, "DEBIAN", (absent,))
    assert setup.set_up_node("test") and setup.set_up_node("demo")
    monkeypatch.setattr(debian, "DEBIAN", ())
    monkeypatch.setattr(node, "install", lambda: "no network")
    assert not setup.set_up_node("test")
    assert "could not set up tests/node: no network" in capsys.readouterr().err


def test_the_packages_are_pinned_and_are_in_no_commit() -> None:
    """The lock has an integrity for each package; node_modules is ignored."""
    lock = (node.FOLDER / "package-lock.json").read_text()
    assert lock.count('"integrity"') == lock.count('"node_modules/')
    assert "node_modules/" in (ROOT / ".gitignore").read_text().splitlines()
