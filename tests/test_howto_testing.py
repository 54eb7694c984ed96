"""docs/howto/test-a-handler.md, done as its reader does it: files saved, tests run, what they print compared."""

import inspect
import re
from pathlib import Path

import pytest

import turnlog.testing
from tests import test_tutorial
from tests.test_tutorial import FENCE, matches, run, typed
from turnlog.testing import Listener, Mishaps, ScriptedCaller, SpeakingProvider
from turnlog.testing.behaviour import Behaviour

__all__: list[str] = []

PAGE = Path(__file__).resolve().parent.parent / "docs" / "howto" / "test-a-handler.md"


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test of the page passes, but the one that the page shows failing, and that prints what the page says."""
    # What installing turnlog does for the reader's pytest.
    monkeypatch.setitem(test_tutorial.SETTINGS, "PYTEST_ADDOPTS", "-p _turnlog_pytest -p no:cacheprovider")
    blocks = list(FENCE.finditer(PAGE.read_text(encoding="utf-8")))
    files = [block["body"] for block in blocks if block["language"] == "python"]
    for body in files:
        (tmp_path / body.partition("\n")[0].removeprefix("# ")).write_text(body)
    for block in (block for block in blocks if block["language"] == "console"):
        for words, printed in typed(block["body"]):
            done = run(tmp_path, words)
            assert matches(printed, done.stdout), f"{words} printed\n{done.stdout}{done.stderr}"
    everything = run(tmp_path, ["python", "-m", "pytest", "-q"])
    failed = re.findall(r"^FAILED (\S+)", everything.stdout, re.MULTILINE)
    assert failed == ["test_faults.py::test_a_dead_line_is_noticed"], everything.stdout
    assert f"1 failed, {len(re.findall(r'^(?:async )?def test_', ''.join(files), re.MULTILINE)) - 1} passed" in everything.stdout


@pytest.mark.parametrize("part", ["caller", "provider"])
def test_the_page_names_what_there_is(part: str) -> None:
    """Every method and field in the page's tables exists on what it describes."""
    text = PAGE.read_text(encoding="utf-8").partition(f"## The {part}")[2].partition("\n## ")[0]
    kind = {"caller": ScriptedCaller, "provider": SpeakingProvider}[part]
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(?:await )?([A-Za-z_.]+)", row)]
    assert len(names) > 10
    source = "".join(inspect.getsource(one) for one in (kind, Behaviour, Mishaps, Listener))
    known = set(dir(turnlog.testing)) | set(re.findall(r"self\.(\w+)", source)) | set(dir(kind))
    assert [name for name in names if not set(name.split(".")) <= known] == []
