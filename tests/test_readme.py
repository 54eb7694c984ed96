"""What the README (and the install guide) tells people to type works: commands exist, code compiles and is accepted.

The fenced blocks are read from the text itself, so that no one has to keep a list of them here.
"""

import ast
import re
import shlex
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import click
import pytest

import turnlog
import turnlog.cli.main
from turnlog.testing import Kit, run_virtual

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/howto/install.md", "docs/howto/replay.md", "docs/howto/talk-in-the-browser.md")
SHELL = {"sh", "bash", "shell", "console"}
ELSEWHERE = {"apt-get", "brew", "cd", "export", "git", "printf", "python3", "source"}  # not ours: nothing to check
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[\w+-]*)[^\n]*\n(?P<body>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    body: str


def blocks(page: str, text: str) -> list[Block]:
    """The fenced blocks of a Markdown text."""
    return [Block(page, found["language"], found["body"]) for found in FENCE.finditer(text)]


def commands(block: Block) -> list[list[str]]:
    """The commands of a shell block as words: comments go, and in a `$ ` block so do the lines of output."""
    text = block.body.replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    words = [shlex.split(part, comments=True) for line in lines for part in re.split(r"\s(?:&&|\|\|?|;)\s", line)]
    return [without_settings(one) for one in words if one]


def without_settings(words: list[str]) -> list[str]:
    """Drop leading sudo and NAME=value settings of the environment."""
    while words and (words[0] == "sudo" or re.match(r"^[A-Z_]+=", words[0])):
        words = words[1:]
    return words


def complaint(words: list[str]) -> str:
    """What is wrong with a command of ours, "" if nothing."""
    match words:
        case ["make", *rest]:
            targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
            return ", ".join(f"make has no target {word}" for word in rest if "=" not in word and word not in targets)
        case ["pip", "install", *rest]:
            return ", ".join(filter(None, (unknown_extras(word) for word in rest)))
        case ["turnlog", *rest] | ["python" | "python3", "-m", "turnlog", *rest]:
            return unknown_command(rest)
        case [] | [""]:
            return ""
        case [program, *_]:
            return "" if program in ELSEWHERE else f"{program} is neither ours nor known to this test"
    return f"not understood: {words}"


def unknown_extras(requirement: str) -> str:
    """Names the extras of turnlog[…] (or of the checkout, .[…]) that pyproject.toml does not declare."""
    found = re.fullmatch(r"(?:turnlog|\.)\[([\w,-]+)\]", requirement)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return ", ".join(f"there is no extra {name}" for name in (found[1].split(",") if found else []) if name not in declared)


def unknown_command(words: list[str]) -> str:
    """Walks the click commands along the words; names the first that no group holds, or an option that is not there."""
    # The console script may wrap the group; the group is what holds the commands.
    command: click.Command = next(value for value in vars(turnlog.cli.main).values() if isinstance(value, click.Group))
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        below = command.get_command(click.Context(command), words[0])
        if below is None:
            return f"turnlog has no command {words[0]}"
        command, words = below, words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    return ", ".join(f"{command.name} has no option {option}" for option in options if option not in known)


ALL = [block for page in PAGES if (ROOT / page).exists() for block in blocks(page, (ROOT / page).read_text(encoding="utf-8"))]
TYPED = [(block.page, words) for block in ALL if block.language in SHELL for words in commands(block)]
PYTHON = [block for block in ALL if block.language in {"python", "py"}]


def test_the_readme_leads_with_the_two_commands() -> None:
    """README.md tells to run `make demo` and `make test`, which do everything on a fresh machine."""
    readme = [words[:2] for page, words in TYPED if page == "README.md"]
    assert ["make", "demo"] in readme
    assert ["make", "test"] in readme


@pytest.mark.parametrize(("page", "words"), TYPED, ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_a_command_in_the_text_exists(page: str, words: list[str]) -> None:
    """Each make target, turnlog command, option and extra that the text names is there."""
    assert complaint(words) == "", page


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.page)
def test_a_python_block_compiles(block: Block) -> None:
    """Each Python block is valid as it stands (with await at the top where it shows a snippet)."""
    compile(block.body, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_handler_of_the_readme_is_accepted() -> None:
    """The README has a block that declares a turnlog.App with a session; running it declares them without an error."""
    declaring = [block for block in PYTHON if block.page == "README.md" and "@app.session" in block.body]
    assert declaring, "no Python block of README.md declares a session"
    for block in declaring:
        namespace: dict[str, object] = {"__name__": "readme"}
        exec(compile(block.body, block.page, "exec"), namespace)  # its annotations and decorators are what is under test
        assert any(isinstance(value, turnlog.App) for value in namespace.values())


def test_the_test_of_the_readme_passes_on_its_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's handler is what its test says: a caller is greeted, asks, and hears the tool's answer."""
    [declares] = [block for block in PYTHON if block.page == "README.md" and "@app.session" in block.body]
    [tests] = [block for block in PYTHON if block.page == "README.md" and "def test_" in block.body]
    readme = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", readme)
    for block in (declares, tests):
        exec(compile(block.body, block.page, "exec"), vars(readme))  # what a reader would paste
    [test] = [value for name, value in vars(readme).items() if name.startswith("test_")]
    run_virtual(test(Kit(0)))


def test_the_reader_of_commands_finds_what_is_wrong() -> None:
    """Unknown targets, extras, commands and programs are each named; comments, output and settings are not commands."""
    console = "```console\n$ FOO=1 make nosuch WAV=x.wav  # why\noutput\n```\n"
    text = console + "```sh\npip install 'turnlog[nosuch]' && frobnicate\n```\n"
    found = [words for block in blocks("page", text) for words in commands(block)]
    assert found == [["make", "nosuch", "WAV=x.wav"], ["pip", "install", "turnlog[nosuch]"], ["frobnicate"]]
    assert [complaint(words) for words in found] == [
        "make has no target nosuch",
        "there is no extra nosuch",
        "frobnicate is neither ours nor known to this test",
    ]
    assert complaint(["turnlog", "nosuch"]) == "turnlog has no command nosuch"
