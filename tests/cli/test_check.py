"""Tests for cli/check.py: what a developer reads, and how it ends."""

import json

import pytest

from tests.cli.commands import Command

APP = """
import time

import turnlog

app = turnlog.App("hotel")


@app.session("desk", provider="scripted", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    print(time.time())
    await greet(session)


async def greet(session: turnlog.RealtimeSession) -> None:
    session.say("Good evening.")
"""


@pytest.fixture
def checking(turnlog_in: Command) -> Command:
    """The command in a folder with an app to be checked."""
    (turnlog_in.folder / "frontdesk.py").write_text(APP)
    return turnlog_in


def test_findings_are_told_by_line(checking: Command) -> None:
    """What, in which function, why, and what to do instead; exit code 1."""
    done = checking.run("check", "frontdesk:app")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "frontdesk.py:11: wall-clock: time.time(), in desk",
        "    the clock shows another time in a replay",
        "    session.now() is the time of the event it stands at",
        "frontdesk.py:16: not-awaited: session.say(…) is not awaited, in greet",
        "    what it raises or returns is lost",
        "    await it, or give it to asyncio.create_task(…)",
    ]


def test_findings_as_json(checking: Command) -> None:
    """One object a line."""
    done = checking.run("check", "frontdesk:app", "--json")
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["line"], line["rule"]) for line in lines] == [(11, "wall-clock"), (16, "not-awaited")]


def test_nothing_found(checking: Command) -> None:
    """Exit code 0, and nothing in JSON; the shipped example is clean."""
    module = checking.folder / "frontdesk.py"
    fine = APP.replace("print(time.time())", "pass").replace("    session.say", "    await session.say")
    module.write_text(fine)
    done = checking.run("check", "frontdesk:app")
    assert (done.returncode, done.stdout) == (0, "frontdesk:app: 1 handlers, nothing found\n")
    assert checking.run("check", "frontdesk:app", "--json").stdout == ""
    assert checking.run("check", "turnlog.examples.hotel:app").returncode == 0


def test_an_app_that_is_not_there(checking: Command) -> None:
    """TL206, exit code 1."""
    done = checking.run("check", "frontdesk:nothing")
    assert done.returncode == 1 and "TL206" in done.stderr
