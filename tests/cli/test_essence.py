"""What of an event is shown."""

import json

import msgspec
import pytest

from tests.cli.commands import Typed
from turnlog.cli.essence import essence
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.core.facts import cause_name, event_facts
from turnlog.store import open_store

SITE = c.Site("desk.py", 7)
FILLER = c.Say(text="One moment", when="drop", metadata={"filler": "find"})
HEARD = e.HeardPart(item="i", generated_ms=1_900, delivered_ms=900, heard_ms=640, heard_text="Room twelve")
CUT_SHORT = 'the model, cut short, heard 640 of 1900 ms (ack): "Room twelve"'
RAISED = "#3 KeyError: 'ann' at b.py:9 f"
HELD = "p1, the model answers, but not while a say is open"


def asked(index: int, say: c.Say) -> e.SayRequested:
    """A say's request."""
    return e.SayRequested(index=index, say=f"say_{index}", command=say, site=SITE)


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
        (e.CallerAwaited(grace_ms=30_000, link="c1", code=1006, reason="lost"), "c1 dropped (1006 lost), awaited for 30 s"),
        (e.CallerAwaited(grace_ms=60_000), "the session's first caller, awaited for 60 s"),
        (e.CallOpened(call_id="rtc_1", link="c1"), "the provider holds rtc_1 with c1 itself"),
        (e.CallRefused(code="TL303", message="no key"), "TL303 no key"),
        (e.CallEnded(call_id="rtc_1", reason="gone"), "rtc_1: gone"),
        (e.ConfigurationOverridden(link="p1", changed=["tools"]), "somebody else has changed tools on p1"),
        (e.OutputClearDispatched(link="p1"), "p1 is to drop what it has not played"),
        (e.HandlerFailed(index=3, type_name="KeyError", message="'ann'", traceback=["/a/b.py:9 f"]), RAISED),
        (e.EndRequested(index=4, command=c.End(reason="closing time"), site=SITE), '#4 end("closing time")'),
        (e.CommandAbandoned(index=5, command=3), "#5 waits for #3 no more"),
        (e.SayCancelRequested(index=6, command=c.CancelSay(say="say_1"), site=SITE), "#6 cancel(say_1)"),
        (e.SayRepeated(index=2, say="say_1", command=c.Say(text="Hi", key="k"), site=SITE), "#2 say_1 again, by its key 'k'"),
        (asked(7, c.Say(text="Well, ", stream=6)), '#7 say_7 "Well, ", then the stream #6'),
        (asked(7, c.Say(text="", stream=6)), "#7 say_7 the stream #6"),
        (asked(8, c.Say(text="Now", when="interrupt")), '#8 say_8 interrupt: "Now"'),
        (msgspec.structs.replace(asked(0, FILLER), say="filler_call_2"), '#0 filler_call_2 filler of find: "One moment"'),
        (asked(0, c.Say(text="Taxi", when="interrupt")), '#0 say_0 from outside: interrupt: "Taxi"'),
        (e.SayDispatched(say="say_1", attempt=2, link="p1", text="It is.", part=1), 'say_1 part 2 attempt 2 on p1: "It is."'),
        (e.SayRefused(say="say_1", attempt=1, code="busy", message="later"), "say_1 attempt 1: busy later"),
        (e.SayResumed(say="say_1", text="to the bay"), 'say_1 goes on with "to the bay"'),
        (e.SaySpoken(say="say_1", requested="Hi Ann", spoken="Hi", similarity=0.667), 'say_1 67% alike: "Hi"'),
        (e.SaySpoken(say="say_1", requested="Hi", spoken="hi", similarity=1.0), "say_1 as asked for"),
        (e.PlayoutCut(response="r", reason="speech", say="s", heard=[HEARD]), 's by speech, heard 640 of 1900 ms: "Room twelve"'),
        (e.PlayoutEnded(response="r", heard=[HEARD], interrupted=True, source="ack"), CUT_SHORT),
        (e.ResponseDelivered(response="r", delivered_ms=1_900), "r, 1900 ms"),
        (e.PlayoutAcknowledged(link="c1", response="r", item="i", played_ms=640), "c1 played 640 ms of i"),
        (e.CancelDispatched(link="p1", response="r"), "r on p1"),
        (e.TruncateDispatched(link="p1", item="i", audio_end_ms=640), "i at 640 ms on p1"),
        (e.ItemTruncated(link="p1", item="i", audio_end_ms=640), "i at 640 ms on p1"),
        (e.ItemDeleteDispatched(link="p1", item="i"), "i on p1, of which nothing was heard"),
        (e.SpeechStarted(item="i", audio_start_ms=90, held=True), "at 90 ms of the input, i, callers are not told yet"),
        (e.SpeechSustained(link="c1", ms=200), "200 ms above what is played, on c1"),
        (e.SpeechConfirmed(item="i", audio_start_ms=90), "i is speech: callers are told"),
        (e.TurnDiscarded(item="i", reason="suspected echo"), "i: suspected echo"),
        (e.TurnEnded(turn=2, item="i", text="stop", interrupted=["say_1"]), 'turn 2 "stop", cut say_1'),
        (e.CallerCancelled(link="c1"), "c1 wants no more of what sounds"),
        (e.DigitPressed(digit="5"), "5"),
        (e.AnswersSwitched(answers="model"), "the model answers from here on"),
        (e.AnswerRefused(link="p1", code="busy", message="later"), "busy later"),
        (e.ClientToolCalled(response="r", item="i", call_id="c_1", name="open", arguments="{}"), "c_1 open({}), a client's"),
        (e.ConfigurationDispatched(link="p1", answers="model", answer_held=True), HELD),
        (e.ResponseStarted(response="r", dead=True), "nobody waits for r"),
        (e.AnswerAsked(link="c1", request={"a": [1]}), 'c1 {"a":[1]}'),
        (e.AnswerAsked(link="c1", held=True), "c1, once the session's tools have answered, too"),
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
