"""What of an event is shown."""

import json

import msgspec
import pytest

from tests.cli.commands import Typed
from turnlog.cli.essence import cause_name, essence, event_facts
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.store import open_store


def test_every_event_of_a_log_has_one_line_and_whole_facts(typed: Typed) -> None:
    """No essence holds a line break; the facts of every event are JSON and hold each of its fields."""
    store = open_store(typed.folder / "out" / "demo.db", read_only=True)
    session = next(line.split()[0][:-1] for line in typed.done.stdout.split("session  ")[1:2])
    for recorded in store.scan(session):
        event = decode(recorded)
        assert "\n" not in essence(event)
        facts = json.loads(msgspec.json.encode(event_facts(recorded, 0)))
        assert facts["type"] == recorded.type and set(facts["event"]) == set(event.__struct_fields__)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (e.SessionEnded(reason="handler_failed", code="TL106", detail="Error: x\ny"), "handler_failed TL106 Error: x y"),
        (e.CallFailed(index=3, type_name="KeyError", message="'ann'"), "#3 KeyError: 'ann'"),
        (e.SaySettled(say="s", status="failed", code="caller_gone"), "s failed caller_gone, heard 0 ms of 0 ms"),
        (e.MediaRecorded(track="c1", n=2, duration_ms=180, digest=b"", messages=9, first=1), "c1 segment 2: 9 messages, 180 ms"),
        (e.TransportReceived(link="c1", n=1, data=b"\xff"), "c1 \N{REPLACEMENT CHARACTER}"),
        (e.TurnEnded(turn=1, item="i", text="", transcript_status="late"), 'turn 1 "" (late)'),
        (e.CallersGone(), ""),
        (e.AnswerAsked(link="c1", request={"a": [1]}), 'link=c1 request={"a":[1]}'),
        (e.Unknown(type="SayMorphed", version=3), "type=SayMorphed version=3"),
        (e.Erased(type="TurnEnded"), "type=TurnEnded"),
    ],
)
def test_the_essence_is_what_matters(event: e.Event | e.Unknown | e.Erased, text: str) -> None:
    """Failures name code and reason; types without a form of their own, also unknown ones, show their fields."""
    assert essence(event) == text


def test_causes_are_seqs_or_named_roots() -> None:
    """#7 is an event; roots have names; a root of a newer version is its number."""
    assert [cause_name(cause) for cause in (7, -1, -2, -3, -4, -5, -99)] == ["#7", "wire", "timer", "api", "start", "host", "-99"]
