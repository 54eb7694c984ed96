"""docs/howto/interruptions.md, done as its reader does it: files saved, tests run, what they print compared."""

from pathlib import Path

import pytest

from tests import test_tutorial
from tests.test_readme import blocks, commands, complaint
from tests.test_tutorial import FENCE, matches, run, typed

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "howto" / "interruptions.md"
TEXT = PAGE.read_text(encoding="utf-8")
TYPED = [words for block in blocks(str(PAGE), TEXT) if block.language == "sh" for words in commands(block)]


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tests pass on its handlers, and print what the page says."""
    monkeypatch.setitem(test_tutorial.SETTINGS, "PYTEST_ADDOPTS", "-p _turnlog_pytest -p no:cacheprovider")
    found = list(FENCE.finditer(TEXT))
    for body in (block["body"] for block in found if block["language"] == "python"):
        (tmp_path / body.partition("\n")[0].removeprefix("# ")).write_text(body)
    (console,) = (block for block in found if block["language"] == "console")
    for words, printed in typed(console["body"]):
        done = run(tmp_path, words)
        assert matches(printed, done.stdout), f"{words} printed\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("words", TYPED, ids=" ".join)
def test_its_commands_exist(words: list[str]) -> None:
    """Each command and option of the page is there."""
    assert complaint(words) == ""
