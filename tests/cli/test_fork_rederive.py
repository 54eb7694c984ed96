"""`turnlog fork` and `turnlog rederive`."""

import json
import shutil
from pathlib import Path

from tests.cli.commands import Command, Typed


def copy_of(typed: Typed, folder: Path) -> Command:
    """The demo's log in a folder of its own."""
    shutil.copy(typed.folder / "out" / "demo.db", folder / "demo.db")
    return Command(folder)


def test_a_fork_is_stored_verifies_and_replays(typed: Typed, tmp_path: Path) -> None:
    """With a script; what had no recorded answer is told; the original stays as it was."""
    command = copy_of(typed, tmp_path)
    (tmp_path / "rest.txt").write_text("I would like a room for three nights\n# then\nbreakfast?\nbye\n")
    done = command.run("fork", "last", "--at", "9", "--script", "rest.txt", "--name", "again", "--db", "demo.db")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("again: 9 events of sess_") and done.stdout.count("\n") == 1
    assert command.run("verify", "again", "--db", "demo.db").returncode == 0
    assert "replay: identical (9 commands)" in command.run("replay", "again", "--db", "demo.db").stdout
    done = command.run("fork", "again", "--at", "9", "--db", "demo.db", "--json")
    assert json.loads(done.stdout)["forked_from"] == "again"
    assert "replay: 3 identical" in command.run("replay", "--all", "--db", "demo.db").stdout


def test_what_cannot_be_forked_is_named(typed: Typed, tmp_path: Path) -> None:
    """No such event, a script that is not there or not understood, a handler that does not repeat the past."""
    command = copy_of(typed, tmp_path)
    (tmp_path / "bad.txt").write_text("/jump\n")
    for words, code, error in (
        (("--at", "9999"), 1, "error TL418: "),
        (("--at", "9", "--script", "nosuch.txt"), 1, "error TL404: "),
        (("--at", "9", "--script", "bad.txt"), 1, "error TL105: line 1 of the script"),
        (("--at", "20", "--handler", "turnlog.examples.hotel:nosuch"), 1, "error TL206: "),
    ):
        done = command.run("fork", "last", *words, "--db", "demo.db")
        assert (done.returncode, done.stderr[: len(error)]) == (code, error)
    assert command.run("sessions", "--db", "demo.db", "--json").stdout.count("\n") == 1


def test_a_past_that_a_handler_does_not_repeat_is_a_divergence(typed: Typed, tmp_path: Path) -> None:
    """Exit code 3 and TL101, and nothing was stored."""
    command = copy_of(typed, tmp_path)
    shutil.copy(typed.folder / "out" / "hotel_edited.py", tmp_path / "hotel_edited.py")
    last = json.loads(command.run("sessions", "--db", "demo.db", "--json").stdout)["head_seq"]
    done = command.run("fork", "last", "--at", str(last - 1), "--handler", "hotel_edited:frontdesk", "--db", "demo.db")
    assert done.returncode == 3 and "error TL101: " in done.stderr
    assert command.run("sessions", "--db", "demo.db", "--json").stdout.count("\n") == 1


def test_rederive_compares_the_turns(typed: Typed) -> None:
    """The demo's three typed turns are decided as they were."""
    done = typed.command.run("rederive", "last", "--db", "out/demo.db")
    assert done.returncode == 0 and done.stdout.startswith("rederive: 3 turns are the same, none differs (")
    assert json.loads(typed.command.run("rederive", "last", "--json", "--db", "out/demo.db").stdout)["equal"] == 3
