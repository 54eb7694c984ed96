"""`turnlog search` and `turnlog projections`, as their users run them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__: list[str] = []

OWNER = """
import sys
import turnlog
from turnlog.engine.projections import folder_of, transcripts
from turnlog.engine.projections.builds import opened
from turnlog.store import open_store
store = open_store(sys.argv[1], read_only=True)
with opened(store, folder_of(store), [transcripts]) as builds:
    while builds.round():
        pass
    print("built", flush=True)
    sys.stdin.readline()
"""

OWN = """
import turnlog

@turnlog.projection("shouts", on=("TurnEnded",), tables="CREATE TABLE shouts (text TEXT)")
def shouts(event, ctx):
    ctx.execute("INSERT INTO shouts VALUES (?)", (event.text.upper(),))

@turnlog.projection("never", on=("TurnEnded",))
def never(event, ctx):
    raise ValueError("cannot")
"""


@pytest.fixture
def called(typed, tmp_path: Path):  # type: ignore[no-untyped-def] # a conftest's type
    """A folder with the log of a typed call, as calls.db."""
    shutil.copy(typed.folder / "out" / "demo.db", tmp_path / "turnlog.db")
    return typed.command._replace(folder=tmp_path)


def test_what_was_said_is_found(called) -> None:  # type: ignore[no-untyped-def]
    """Both sides' words, one a line with session, time, side and the words; a second search finds the same."""
    done = called.run("search", "room")
    assert done.returncode == 0, done.stderr
    by_handler, by_user = done.stdout.splitlines()
    assert by_handler.split()[0] == by_user.split()[0] and by_user.startswith("sess_")
    assert "handler  Room 12 is free." in by_handler and "user     I would like a room for three nights" in by_user
    assert called.run("search", "ROOM").stdout == done.stdout


def test_search_narrows(called) -> None:  # type: ignore[no-untyped-def]
    """By side, phrase, beginning and session; JSON has a whole object a line."""
    [found] = map(json.loads, called.run("search", "three nights", "--who", "user", "--json").stdout.splitlines())
    assert found["snippet"] == "I would like a room for [three nights]" and found["who"] == "user" and found["ms"] >= 0
    assert len(called.run("search", "break*", "--session", found["session"]).stdout.splitlines()) == 2
    assert called.run("search", "room", "--limit", "1").stdout.count("\n") == 1


def test_nothing_found_is_said(called) -> None:  # type: ignore[no-untyped-def]
    """Exit code 1 and a sentence, or nothing at all as JSON."""
    done = called.run("search", "zebra")
    assert (done.returncode, done.stdout) == (1, "nothing was said with these words\n")
    assert called.run("search", "zebra", "--json").stdout == ""


def test_a_store_that_is_not_there_is_named(turnlog_in) -> None:  # type: ignore[no-untyped-def]
    """Both commands say which file, and make none."""
    for words in (["search", "x"], ["says"], ["projections"], ["projections", "rebuild", "usage"]):
        done = turnlog_in.run(*words)
        assert done.returncode == 1 and "TL404" in done.stderr and "turnlog.db" in done.stderr
    assert list(turnlog_in.folder.iterdir()) == []


def test_what_became_of_says_is_counted(called) -> None:  # type: ignore[no-untyped-def]
    """A row a session, target or day; JSON has a whole object a line."""
    title, row = called.run("says").stdout.splitlines()
    assert title.split()[:2] == ["session", "says"] and row.startswith("sess_")
    [one] = map(json.loads, called.run("says", "--by", "target", "--json").stdout.splitlines())
    assert one["says"] == one["played"] + one["interrupted"] + one["cancelled"] + one["failed"] > 0
    assert one["target"] == "hotel.frontdesk" and "session" not in one


def test_status_and_rebuild(called) -> None:  # type: ignore[no-untyped-def]
    """No projection at first; then each with version, build, status and lag; a rebuild counts on."""
    assert "no projection here yet" in called.run("projections").stdout
    assert called.run("search", "room").returncode == 0
    table = called.run("projections").stdout
    assert table.split()[:2] == ["projection", "version"]
    assert table.splitlines()[1].split() == ["transcripts", "2", "1", "live", "0", "0"]
    done = called.run("projections", "rebuild", "transcripts")
    assert (done.returncode, done.stdout) == (0, "transcripts: version 2, build 2, lag 0, dead letters 0\n")
    [one] = map(json.loads, called.run("projections", "status", "--json").stdout.splitlines())
    assert (one["name"], one["build"], one["serving"]) == ("transcripts", 2, True)


def test_a_projection_of_ones_own_is_built(called) -> None:  # type: ignore[no-untyped-def]
    """--declared names it; a wrong name, module or object is refused by name."""
    (called.folder / "own.py").write_text(OWN)
    done = called.run("projections", "rebuild", "shouts", "--declared", "own:shouts")
    assert done.returncode == 0 and done.stdout.startswith("shouts: version 1, build 1, lag 0")
    for words, code in (
        (["shouts"], "TL417"),
        (["shouts", "--declared", "own:nix"], "TL206"),
        (["shouts", "--declared", "nix:shouts"], "TL206"),
        (["other", "--declared", "own:shouts"], "TL208"),
    ):
        refused = called.run("projections", "rebuild", *words)
        assert refused.returncode == 1 and code in refused.stderr, refused.stderr


def test_a_rebuild_that_stops_is_an_error(called) -> None:  # type: ignore[no-untyped-def]
    """It says at which event and why, and the status shows it."""
    (called.folder / "own.py").write_text(OWN)
    done = called.run("projections", "rebuild", "never", "--declared", "own:never")
    assert done.returncode == 1 and "TL417" in done.stderr and "ValueError: cannot" in done.stderr
    shown = called.run("projections").stdout
    assert "stopped, not read" in shown and "never: event" in shown


def test_search_reads_what_a_running_engine_builds(called, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """While another process writes the projections, search reads them, and a rebuild is refused with that process's id."""
    command = [sys.executable, "-c", OWNER, str(called.folder / "turnlog.db")]
    with subprocess.Popen(
        command, env=called.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None and owner.stdin is not None and owner.stdout.readline() == "built\n"
        assert called.run("search", "room").stdout.count("\n") == 2
        refused = called.run("projections", "rebuild", "transcripts")
        assert refused.returncode == 1 and "TL401" in refused.stderr and f"process {owner.pid}" in refused.stderr
        owner.stdin.write("\n")
        owner.stdin.close()
