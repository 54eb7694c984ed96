"""`turnlog verify`."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.commands import Command, Typed


@pytest.fixture
def store(typed: Typed, turnlog_in: Command) -> Path:
    """A copy of the typed conversation's store."""
    path = turnlog_in.folder / "calls.db"
    source = sqlite3.connect(typed.folder / "out/demo.db")
    target = sqlite3.connect(path)
    source.backup(target)
    target.close()
    source.close()
    return path


def test_a_whole_log_verifies(turnlog_in: Command, store: Path) -> None:
    """One line a session, exit code 0, by id and for --all; the report as JSON."""
    for words in (("last",), ("--all",)):
        done = turnlog_in.run("verify", *words, "--db", store)
        assert done.returncode == 0 and done.stdout.rstrip().endswith(" media segments  verifies")
    facts = json.loads(turnlog_in.run("verify", "--all", "--json", "--db", store).stdout)
    assert facts["ok"] is True and facts["problems"] == [] and facts["events"] > 50


def test_each_problem_is_named_and_the_exit_code_is_1(turnlog_in: Command, store: Path) -> None:
    """Changed data, a changed time and a missing event: where, of what kind, and in words."""
    raw = sqlite3.connect(store)
    raw.execute("UPDATE events SET data = zeroblob(40) WHERE seq = 3")
    raw.execute("UPDATE events SET at_ns = at_ns + 1 WHERE seq = 5")
    raw.execute("DELETE FROM events WHERE seq = 9")
    raw.commit()
    raw.close()
    for words in (("last",), ("--all",)):
        done = turnlog_in.run("verify", *words, "--db", store)
        found = [line.split(":")[0] for line in done.stdout.splitlines()[1:]]
        assert done.returncode == 1 and "DOES NOT VERIFY: 4 problems" in done.stdout
        assert found == ["  seq 3  digest", "  seq 5  chain", "  seq 10  gap", "  seq 10  chain"]
    facts = json.loads(turnlog_in.run("verify", "last", "--json", "--db", store).stdout)
    assert [problem["kind"] for problem in facts["problems"]] == ["digest", "chain", "gap", "chain"]


def test_what_does_not_verify_is_exported_with_exit_code_1_and_not_imported(turnlog_in: Command, store: Path) -> None:
    """The archive is evidence: it is written, and refused by import (TL407)."""
    raw = sqlite3.connect(store)
    raw.execute("UPDATE events SET at_ns = at_ns + 1 WHERE seq = 5")
    raw.commit()
    raw.close()
    exported = turnlog_in.run("export", "last", "-o", "bad.turnlog", "--db", store)
    assert exported.returncode == 1 and "seq 5  chain" in exported.stdout
    imported = turnlog_in.run("import", "bad.turnlog", "--db", "new.db")
    assert imported.returncode == 1 and imported.stderr.startswith("error TL407: ")
    assert turnlog_in.run("sessions", "--db", "new.db").stdout == "no session here yet\n"


def test_a_session_or_all_must_be_named(turnlog_in: Command, store: Path) -> None:
    """Neither and both are usage errors; a name that is not there is TL408; an empty store says so."""
    assert turnlog_in.run("verify", "--db", store).returncode == 2
    assert turnlog_in.run("verify", "last", "--all", "--db", store).returncode == 2
    assert turnlog_in.run("verify", "nosuch", "--db", store).stderr.startswith("error TL408: ")
    raw = sqlite3.connect(store)
    raw.execute("DELETE FROM sessions")
    raw.commit()
    raw.close()
    done = turnlog_in.run("verify", "--all", "--db", store)
    assert (done.returncode, done.stdout) == (0, "no session here yet\n")
