"""`turnlog replay`."""

import json
import re

from tests.cli.commands import Typed


def test_the_recorded_handler_is_the_default(typed: Typed) -> None:
    """Without --handler the session's own handler runs; the last line is the verdict."""
    done = typed.command.run("replay", "last", "--db", "out/demo.db")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "replay: identical (9 commands)")


def test_a_named_handler_is_run(typed: Typed) -> None:
    """--handler MODULE:FUNCTION; with --json the result is one object."""
    handler = "turnlog.examples.hotel:frontdesk"
    done = typed.command.run("replay", "last", "--json", "--handler", handler, "--db", "out/demo.db")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert (found["identical"], found["commands"], found["complete"]) == (True, 9, True)
    assert found["recorded_s"] > 0 and found["took_s"] > 0


def test_a_divergence_is_exit_code_3_and_a_report(typed: Typed) -> None:
    """The changed handler that the demo wrote diverges: both sides on stdout, nothing on stderr."""
    words = ("replay", "last", "--handler", "out.hotel_edited:frontdesk", "--db", "out/demo.db")
    done = typed.command.run(*words)
    assert (done.returncode, done.stderr) == (3, "")
    assert re.match(r"TL101 divergence in sess_\S+ at command \d+ \(seq \d+\)\n  RECORDED  ", done.stdout)
    assert "hotel_edited.py:" in done.stdout
    found = json.loads(typed.command.run(*words, "--json").stdout)
    assert (found["identical"], found["code"]) == (False, "TL101")


def test_a_handler_that_cannot_be_loaded_is_named(typed: Typed) -> None:
    """No such module, no such function, and no coroutine function are TL206."""
    for handler in ("nosuch:f", "turnlog.examples.hotel:nosuch", "turnlog.examples.hotel:nights_in", "hotel"):
        done = typed.command.run("replay", "last", "--handler", handler, "--db", "out/demo.db")
        assert done.returncode == 1 and done.stderr.startswith("error TL206: "), handler
