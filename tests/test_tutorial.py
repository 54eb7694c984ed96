"""docs/tutorial.md, done as its reader does it: files saved, changes made, commands typed, what they print compared.

Numbers, times and versions of code may be others than on the page; a line "…" stands for any lines, a "…" in a line for any
words. Everything runs in one new folder, in the order of the page.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.warm import warm

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tutorial.md"
FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS = {
    "PYTHONIOENCODING": "utf-8",
    "PYTHONDONTWRITEBYTECODE": "1",  # two versions of a file may be saved within the second that its time is compared by
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the reader has pytest alone
}
FOUND = {"TL101": 3, "what if": 3, "desk.py:": 1}  # exit codes of a command that finds something, by what it then prints first
LOOSE = [  # what may differ from run to run, the longest first
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    (r"\bcode [0-9a-f]{8}\b", r"code [0-9a-f]{8}"),
    (r"-?\d[\d.,]*", r"-?\d[\d.,]*"),
    (r"\s+", r"\s+"),
    ("…", ".*"),
]


class Typed(NamedTuple):
    """A command of the page, and the lines that it prints there."""

    words: list[str]
    printed: list[str]


def typed(body: str) -> list[Typed]:
    """The commands of a console block."""
    found: list[Typed] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Typed(shlex.split(line[2:]), []))
        else:
            found[-1].printed.append(line)
    return found


def pattern(line: str) -> str:
    """A regular expression for a line of the page."""
    loose = "|".join(f"({what})" for what, _ in LOOSE)
    out, at = "", 0
    for found in re.finditer(loose, line):
        out += re.escape(line[at : found.start()]) + LOOSE[(found.lastindex or 1) - 1][1]
        at = found.end()
    return out + re.escape(line[at:])


def matches(page: list[str], output: str) -> bool:
    """Whether the output is what the page shows."""
    lines = [r"(?:.*\n)*?" if line.strip() == "…" else rf"\s*{pattern(line.strip())}\s*\n" for line in page]
    return re.fullmatch("".join(lines), output) is not None


def apply(folder: Path, change: str) -> None:
    """A change as the page shows it: lines that go, lines that come, in the file that it names."""
    head, *lines = change.splitlines()
    file = folder / head.removeprefix("--- ")
    old = "".join(f"{line[1:]}\n" for line in lines if line[0] in "- ")
    new = "".join(f"{line[1:]}\n" for line in lines if line[0] in "+ ")
    text = file.read_text()
    assert text.count(old) == 1, f"{file.name} has {text.count(old)} places like\n{old}"
    file.write_text(text.replace(old, new))


def run(folder: Path, words: list[str]) -> "subprocess.CompletedProcess[str]":
    """Type a command, where `turnlog` is ours, started warm, and `python` that of this test."""
    unset = ("TURNLOG_", "OPENAI_", "COVERAGE_", "PYTHON", "PYTEST_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    if words[0] == "turnlog":
        given = {**clean, "PYTHONPATH": str(ROOT), **SETTINGS}
        return warm(*given.items()).run(words[1:], folder, given, "")
    assert words[0] == "python"
    return subprocess.run(
        [sys.executable, *words[1:]],
        cwd=folder,
        env={**clean, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", **SETTINGS},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_the_tutorial_is_true(tmp_path: Path) -> None:
    """Each file, change and command of the page, in order, does what the page says."""
    kinds = set()
    for block in FENCE.finditer(PAGE.read_text(encoding="utf-8")):
        kinds.add(block["language"])
        body = block["body"]
        match block["language"]:
            case "python":
                (tmp_path / body.partition("\n")[0].removeprefix("# ")).write_text(body)
            case "diff":
                apply(tmp_path, body)
            case "console":
                for words, printed in typed(body):
                    done = run(tmp_path, words)
                    told = done.stdout + done.stderr
                    assert matches(printed, told), f"{shlex.join(words)} printed\n{told}\nand on the page\n" + "\n".join(printed)
                    assert done.returncode == next((code for start, code in FOUND.items() if told.startswith(start)), 0), told
            case other:
                assert other == "sh", f"a {other} block: nobody runs it"
    assert kinds == {"sh", "python", "diff", "console"}


@pytest.mark.parametrize(
    ("page", "output", "same"),
    [
        (["say_7 at 5 ms"], "say_9 at 1,204 ms\n", True),
        (["say_7 at 5 ms"], "say_9 at five ms\n", False),
        (["…", "end"], "one\ntwo\nend\n", True),
        (["begin", "…"], "begin\n", True),
        (["one"], "one\ntwo\n", False),
        (["code 0123abcd  Python 3.11"], "code ffffffff  Python 3.14\n", True),
        (["first: …"], "first: text, and so on\n", True),
        (["first: …"], "second: text\n", False),
    ],
)
def test_pages_are_compared_loosely(page: list[str], output: str, same: bool) -> None:
    """Numbers may differ and … stands for anything; words and whole lines may not."""
    assert matches(page, output) is same
