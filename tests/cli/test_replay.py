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
    """The changed handler that the demo wrote diverges: both sides on stdout; on stderr only that it is another one."""
    words = ("replay", "last", "--handler", "out.hotel_edited:frontdesk", "--db", "out/demo.db")
    done = typed.command.run(*words)
    other = "note: recorded with turnlog.examples.hotel:frontdesk, replayed with out.hotel_edited:frontdesk\n"
    assert (done.returncode, done.stderr) == (3, other)
    assert re.match(r"TL101 divergence in sess_\S+ at command \d+ \(seq \d+\)\n  RECORDED  ", done.stdout)
    assert "hotel_edited.py:" in done.stdout
    found = json.loads(typed.command.run(*words, "--json").stdout)
    assert (found["identical"], found["code"]) == (False, "TL101")
    report = found["report"]
    assert (report["kind"], report["field"], report["now"]["file"][-15:]) == ("arguments", "text", "hotel_edited.py")
    assert max(map(len, done.stdout.splitlines())) <= 115


def test_a_handler_that_cannot_be_loaded_is_named(typed: Typed) -> None:
    """No such module, no such function, and no coroutine function are TL206."""
    for handler in ("nosuch:f", "turnlog.examples.hotel:nosuch", "turnlog.examples.hotel:nights_in", "hotel"):
        done = typed.command.run("replay", "last", "--handler", handler, "--db", "out/demo.db")
        assert done.returncode == 1 and done.stderr.startswith("error TL206: "), handler


EDITED = ("--handler", "out.hotel_edited:frontdesk", "--db", "out/demo.db")


def replayed(typed: Typed, *words: str, typed_in: str = "") -> tuple[int, str]:
    """Exit code and stdout of `turnlog replay`."""
    done = typed.command.run("replay", *words, typed=typed_in)
    return done.returncode, done.stdout


def test_until_stops_before_a_divergence(typed: Typed) -> None:
    """--until SEQ: what comes behind it is not looked at, and the log counts as open."""
    code, out = replayed(typed, "last", "--until", "20", *EDITED)
    assert code == 0 and "the log has no end (yet)" in out


def test_what_if_shows_both_sequences(typed: Typed) -> None:
    """Equal and changed commands side by side in a hundred columns; exit code 3, as something differs."""
    code, out = replayed(typed, "last", "--what-if", *EDITED)
    assert code == 3
    assert re.search(r"#6 say\(\"Breakfast is .* ~ +#6 say\(\"Certainly\.", out)
    assert "8 equal, 1 changed, up to event" in out
    assert max(map(len, out.splitlines())) <= 100
    found = json.loads(replayed(typed, "last", "--what-if", "--json", *EDITED)[1])
    assert [row["status"] for row in found["rows"]].count("equal") == 8
    assert replayed(typed, "last", "--what-if", "--db", "out/demo.db")[0] == 0


def test_a_whole_store_is_replayed(typed: Typed) -> None:
    """--all: totals, and as JSON an object for each session and one for the total; others' sessions are skipped by name."""
    code, out = replayed(typed, "--all", "--db", "out/demo.db")
    assert code == 0 and out.startswith("replay: 1 identical, 0 diverged; ")
    code, out = replayed(typed, "--all", *EDITED)
    assert code == 0 and "1 skipped (handler turnlog.examples.hotel:frontdesk)" in out
    session, total = map(json.loads, replayed(typed, "--all", "--json", "--db", "out/demo.db")[1].splitlines())
    assert (session["status"], session["replayed"]["commands"]) == ("identical", 9)
    assert (total["total"], total["identical"]) == (1, 1)


def test_all_since_a_date_or_a_session(typed: Typed) -> None:
    """--since takes a date or a session; --target an app's session; what is neither is a usage error."""
    db = ("--db", "out/demo.db")
    assert "1 identical" in replayed(typed, "--all", "--since", "last", *db)[1]
    assert "1 identical" in replayed(typed, "--all", "--since", "2026-01-01", *db)[1]
    assert "0 identical" in replayed(typed, "--all", "--since", "2999-01-01T00:00:00+00:00", *db)[1]
    assert "0 identical" in replayed(typed, "--all", "--target", "hotel.other", *db)[1]
    done = typed.command.run("replay", "--all", "--since", "whenever", *db)
    assert done.returncode == 2 and "no date like 2026-11-22" in done.stderr


def test_pdb_stands_on_the_line_that_diverged(typed: Typed) -> None:
    """`p` sees the handler's variables there; `back SEQ` goes to where it stood at an event; stepping is refused."""
    commands = "p turn.text\nn\nback 9\nw\nback 9999\nback x\nback\nq\n"
    code, out = replayed(typed, "last", "--pdb", *EDITED, typed_in=commands)
    assert code == 3
    assert "hotel_edited.py(36)frontdesk()" in out and "'breakfast?'" in out
    assert "*** the handler stands still" in out
    assert re.search(r"at event 9: 2 commands were the same\n> .*hotel_edited.py\(30\)frontdesk\(\)", out)
    assert out.count("*** back SEQ: a number from 1 to ") == 2
    assert out.count("TL101 divergence") == 2


def test_pdb_stands_at_an_event_and_at_the_end(typed: Typed) -> None:
    """--pdb=SEQ stops there; without a divergence --pdb stops where the handler returned, its variables still there."""
    code, out = replayed(typed, "last", "--pdb=9", "--db", "out/demo.db", typed_in="c\n")
    assert code == 0 and "-> async for turn in session.turns():" in out
    code, out = replayed(typed, "last", "--pdb", "--db", "out/demo.db", typed_in="p turn.text\n")
    assert code == 0 and "the handler has returned; this is its last line" in out and "'bye'" in out


def test_what_does_not_go_together_is_a_usage_error(typed: Typed) -> None:
    """No session and not --all, both, --since without --all, two modes at once, a stop that is no number."""
    for words in ((), ("last", "--all"), ("last", "--since", "last"), ("last", "--what-if", "--pdb"), ("last", "--pdb=x")):
        done = typed.command.run("replay", *words, "--db", "out/demo.db")
        assert done.returncode == 2, words
