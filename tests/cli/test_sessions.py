"""`turnlog sessions`."""

import json

import pytest

from tests.cli.commands import Command, Typed
from turnlog.store import open_store


def test_sessions_are_listed_with_whole_ids(typed: Typed) -> None:
    """The table has a session a line, its id not cut; it fits 100 columns."""
    done = typed.command.run("sessions", "--db", "out/demo.db")
    heading, line = done.stdout.splitlines()
    assert heading.split() == ["session", "target", "provider", "started", "status", "events", "length"]
    assert line.split()[0].startswith("sess_") and len(line.split()[0]) == 29
    assert "hotel.frontdesk" in line and " ended " in line
    assert max(len(heading), len(line)) <= 100


def test_the_store_may_come_from_the_environment(typed: Typed) -> None:
    """$TURNLOG_DB stands in for --db; --json is an object a line."""
    done = typed.command.run("sessions", "--json", TURNLOG_DB="sqlite:///out/demo.db")
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (row["target"], row["provider"], row["status"]) == ("hotel.frontdesk", "local", "ended")
    assert row["ended_ns"] > row["created_ns"]


@pytest.mark.parametrize(
    ("words", "count"),
    [(("--target", "hotel.frontdesk"), 1), (("--target", "x.y"), 0), (("--status", "active"), 0), (("--limit", "1"), 1)],
)
def test_the_list_can_be_narrowed(typed: Typed, words: tuple[str, ...], count: int) -> None:
    """By target, by status, and to the newest few."""
    done = typed.command.run("sessions", "--json", "--db", "out/demo.db", *words)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, count)


async def test_an_empty_store_is_no_error(turnlog_in: Command) -> None:
    """A store without sessions says so; asking for its last one is TL408."""
    store = open_store(turnlog_in.folder / "empty.db")
    await store.close()
    assert turnlog_in.run("sessions", "--db", "empty.db").stdout == "no session here yet\n"
    assert turnlog_in.run("show", "last", "--db", "empty.db").stderr.startswith("error TL408: ")
