"""The commands of docs/howto/replay.md run as they stand, one after another, on the demo's log."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import ROOT, Command, Typed

PAGE = (ROOT / "docs" / "howto" / "replay.md").read_text(encoding="utf-8")
DIVERGES = "out.hotel_edited:frontdesk"


def lines() -> list[str]:
    """What the page tells to type."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def folder(typed: Typed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, copied: the page's commands write."""
    place = tmp_path_factory.mktemp("howto")
    shutil.copytree(typed.folder / "out", place / "out")
    return place


def test_every_command_of_the_page_does_what_it_says(folder: Path) -> None:
    """Exit code 3 where the page shows a changed handler, else 0; what `replay` ends with is on the page."""
    command, ran = Command(folder), 0
    for line in lines():
        words = shlex.split(line)
        if words[0] == "turnlog":
            done = command.run(*words[1:], typed="q\n", TURNLOG_DB="out/demo.db")
            assert done.returncode == (3 if DIVERGES in line else 0), f"{line}\n{done.stdout}\n{done.stderr}"
            ran += 1
        elif words[0] == "printf":
            subprocess.run(line, shell=True, check=True, cwd=folder, env=os.environ)
        else:
            assert line == "export TURNLOG_DB=out/demo.db"
    assert ran >= 13


def test_the_output_on_the_page_is_what_comes(folder: Path) -> None:
    """The report of the divergence, ids and digests aside, and the verdict."""
    command = Command(folder)
    shown = re.search(r"^```\n(TL101.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    session = re.search(r"sess_\w+", command.run("sessions", "--db", "out/demo.db").stdout)
    assert session is not None
    done = command.run("replay", session[0], "--handler", DIVERGES, "--db", "out/demo.db")
    assert _plain(shown[1]).splitlines() == _plain(done.stdout).splitlines()[: shown[1].count("\n")]


def _plain(text: str) -> str:
    text = re.sub(r"sess_\w+|code [0-9a-f]{8}|seq \d+", "…", text)
    return re.sub(r"Python 3\.\d+", "Python", text)
