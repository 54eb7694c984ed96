"""`turnlog show`."""

import json

from tests.cli.commands import Typed
from turnlog.core.events import WIRE_TYPES


def test_the_timeline_fits_a_hundred_columns(typed: Typed) -> None:
    """Each line has seq, ms, cause, type and the essential, rising, in 100 columns; the wire is left out and counted."""
    done = typed.command.run("show", "last", "--db", "out/demo.db")
    _, heading, *lines, hidden = done.stdout.splitlines()
    assert heading.split() == ["seq", "ms", "cause", "event", "what"]
    assert max(map(len, lines)) <= 100
    seqs = [int(line.split()[0]) for line in lines]
    assert seqs == sorted(seqs) and seqs[0] == 1
    text = done.stdout
    assert "find_room(nights=3)" in text and "{'room': 12, 'price': 270}" in text and '"Front desk, how can I help you?"' in text
    assert not any(f" {name} " in text for name in WIRE_TYPES)
    assert "are not shown; --wire shows them" in hidden


def test_json_holds_every_event_whole(typed: Typed) -> None:
    """With --wire and --json each event of the log is an object with its place, cause, digest, hash and all its fields."""
    done = typed.command.run("show", "last", "--json", "--wire", "--db", "out/demo.db")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["cause"] == "start" and events[0]["event"]["target"] == "hotel.frontdesk"
    assert all(len(event["hash"]) == len(events[0]["hash"]) > 0 for event in events)
    called = next(event for event in events if event["type"] == "CallCompleted")
    assert called["event"]["result"] == {"room": 12, "price": 270}
    assert events[called["cause"] - 1]["type"] == "CallRequested"
    sent = [event for event in events if event["type"] == "TransportSent"]
    assert all(json.loads(event["event"]["data"])["type"] for event in sent) and sent


def test_a_session_may_be_given_by_its_beginning(typed: Typed) -> None:
    """A unique beginning of an id is enough; what begins no id is TL408."""
    listed = typed.command.run("sessions", "--json", "--db", "out/demo.db").stdout
    session = json.loads(listed)["session"]
    by_id = typed.command.run("show", session, "--db", "out/demo.db")
    by_prefix = typed.command.run("show", session[:15], "--db", "out/demo.db")
    assert by_id.returncode == 0 and by_id.stdout == by_prefix.stdout
    unknown = typed.command.run("show", "nosuch", "--db", "out/demo.db")
    assert unknown.returncode == 1 and unknown.stderr.startswith("error TL408: no session begins with 'nosuch'")
