"""`turnlog export`, `turnlog import`, and the commands that take an archive for a session."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import Command, Typed


@pytest.fixture
def archive(typed: Typed, tmp_path: Path) -> Path:
    """The typed conversation, exported."""
    done = typed.command.run("export", "last", "-o", tmp_path / "call.turnlog", "--db", "out/demo.db")
    assert done.returncode == 0, done.stderr
    return tmp_path / "call.turnlog"


def test_a_session_is_exported_to_a_file_of_its_name(typed: Typed, turnlog_in: Command) -> None:
    """Without -o the file is SESSION.turnlog; it says what it holds, as text and as JSON, and replaces nothing unasked."""
    db = typed.folder / "out/demo.db"
    done = turnlog_in.run("export", "last", "--db", db)
    assert done.returncode == 0 and ".turnlog: " in done.stdout and " events, " in done.stdout
    (file,) = turnlog_in.folder.glob("sess_*.turnlog")
    again = turnlog_in.run("export", "last", "--db", db)
    assert again.returncode == 1 and again.stderr.startswith("error TL406: ") and "is there already" in again.stderr
    facts = json.loads(turnlog_in.run("export", "last", "--force", "--json", "--db", db).stdout)
    assert facts["file"] == file.name and facts["bytes"] == file.stat().st_size and facts["verifies"] is True


def test_an_exported_session_is_imported_whole_and_once(turnlog_in: Command, archive: Path) -> None:
    """A new store takes it, its log verifies and shows the same; a second time it is TL409."""
    done = turnlog_in.run("import", archive, "--db", "new.db")
    assert done.returncode == 0 and "events verified and entered" in done.stdout
    assert turnlog_in.run("verify", "last", "--db", "new.db").returncode == 0
    shown = [turnlog_in.run("show", name, "--wire", "--json", "--db", "new.db").stdout for name in ("last", str(archive))]
    assert shown[0] == shown[1] and shown[0].count("\n") > 50
    again = turnlog_in.run("import", archive, "--json", "--db", "new.db")
    assert again.returncode == 1 and again.stderr.startswith("error TL409: ")
    facts = json.loads(turnlog_in.run("import", archive, "--json", "--db", "third.db").stdout)
    assert facts["events"] == json.loads(shown[0].splitlines()[-1])["seq"]


def test_an_archive_is_a_session_to_replay_show_and_verify(turnlog_in: Command, archive: Path) -> None:
    """FILE.turnlog stands where a session's id stands, and where a store stands for reading."""
    assert turnlog_in.run("replay", archive).stdout.splitlines()[-1] == "replay: identical (9 commands)"
    named = turnlog_in.run("replay", archive, "--handler", "turnlog.examples.hotel:frontdesk", "--json")
    assert json.loads(named.stdout)["identical"] is True
    assert turnlog_in.run("show", archive).stdout.splitlines()[-1].endswith("--wire shows them)")
    assert turnlog_in.run("verify", archive).stdout.rstrip().endswith("verifies")
    assert "hotel.frontdesk" in turnlog_in.run("sessions", "--db", archive).stdout
    assert turnlog_in.run("replay", "last", "--db", archive).returncode == 0


def test_a_damaged_archive_is_named_and_read_in_part_when_asked(turnlog_in: Command, archive: Path) -> None:
    """Cut, altered, foreign and missing files have a code each; --partial shows and replays what stands before the damage."""
    data = archive.read_bytes()
    cut, altered = turnlog_in.folder / "cut.turnlog", turnlog_in.folder / "altered.turnlog"
    cut.write_bytes(data[: len(data) * 3 // 5])
    altered.write_bytes(data[:-400] + bytes([data[-400] ^ 1]) + data[-399:])
    (turnlog_in.folder / "foreign.turnlog").write_text("a poem")
    for name, code in (("cut", "TL413"), ("altered", "TL414"), ("foreign", "TL412"), ("missing", "TL404")):
        for words in (("show",), ("replay",), ("verify",), ("import", "--db", "new.db")):
            done = turnlog_in.run(*words, f"{name}.turnlog")
            assert done.returncode == 1 and done.stderr.startswith(f"error {code}: "), (name, words)
    assert not (turnlog_in.folder / "new.db").exists()
    replayed = turnlog_in.run("replay", cut, "--partial").stdout.splitlines()
    assert replayed[-1].startswith("replay: identical (") and "the log has no end (yet)" in replayed[0]
    shown = turnlog_in.run("show", cut, "--partial", "--wire", "--json").stdout.splitlines()
    assert 10 < len(shown) < len(turnlog_in.run("show", archive, "--wire", "--json").stdout.splitlines())
    verified = turnlog_in.run("verify", cut, "--partial")
    assert verified.returncode == 1 and "  archive: " in verified.stdout and verified.stdout.count("\n") == 2


def test_an_archive_is_no_store_to_write_to(turnlog_in: Command, archive: Path) -> None:
    """Importing into an archive is TL410."""
    done = turnlog_in.run("import", archive, "--db", archive)
    assert done.returncode == 1 and done.stderr.startswith("error TL410: ")
