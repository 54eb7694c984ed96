"""The folds one by one, where the scenarios of decide and due do not look."""

import pytest

from tests.core.driving import SITE, START_NS, Drive
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.definition import SessionDefinition
from turnlog.core.folds.conversation import Conversation, Line
from turnlog.core.folds.delivery import Delivery
from turnlog.core.folds.lifecycle import Lifecycle, Links
from turnlog.core.folds.playout import Playout
from turnlog.core.folds.relay import Relay
from turnlog.core.folds.tools import Tools
from turnlog.core.folds.turns import Turns
from turnlog.core.states import SayState, SessionState

ASK = s.AnswerRequested(event_id=None, request={}, out_of_band=False, response="resp")
STARTED = {
    answers: e.SessionStarted(
        session="s",
        target="hotel.desk",
        definition=SessionDefinition(name="desk", provider="local", transport="websocket", answers=answers),
    )
    for answers in ("handler", "model")
}


def test_the_conversation_is_what_was_said_and_heard() -> None:
    """Turns, seeded assistant items and the heard words of says, each with its seq, in order."""
    drive = Drive().open_provider().open_caller()
    drive.signal("c1", s.ItemCreated(item="a", kind="message", role="assistant", text="Earlier", raw={}))
    drive.signal("c1", s.ItemCreated(item="i", kind="message", role="user", text="Hello", raw={}), ASK)
    drive.spoken("Welcome")
    lines = drive.core.state.conversation.lines
    assert [(line.role, line.text) for line in lines] == [
        ("assistant", "Earlier"),
        ("user", "Hello"),
        ("assistant", "Welcome"),
    ]
    assert [type(drive.log[line.seq - 1].event) for line in lines] == [e.ItemSeeded, e.TurnEnded, e.SaySettled]


@pytest.mark.parametrize(("answers", "lines"), [("model", [Line(4, "assistant", "Su")]), ("handler", [])])
def test_the_models_own_words_count_where_the_model_answers(answers: str, lines: list[Line]) -> None:
    """As they were heard; while a handler answers nobody hears them."""
    fold = Conversation()
    fold.apply(1, 0, STARTED[answers])
    fold.apply(2, 0, e.ResponseStarted(response="r"))
    fold.apply(3, 0, e.ResponseEnded(response="r", status="completed", transcript="Sure"))
    fold.apply(4, 0, e.PlayoutEnded(response="r", heard=[e.HeardPart(item="i", heard_text="Su")]))
    assert list(fold.lines) == lines


def test_turns_and_says_without_words_are_no_lines() -> None:
    """Nothing was said."""
    fold = Conversation()
    fold.apply(1, 0, e.TurnEnded(turn=1, item="i", text=""))
    fold.apply(2, 0, e.SaySettled(say="say_1", status="cancelled"))
    assert not fold.lines


def test_the_conversation_is_bounded() -> None:
    """The last 200 lines."""
    fold = Conversation()
    for n in range(250):
        fold.apply(n, 0, e.TurnEnded(turn=n, item=str(n), text=str(n)))
    assert (len(fold.lines), fold.lines[0].text, fold.lines[-1].text) == (200, "50", "249")


def test_delivery_forgets_what_is_settled() -> None:
    """A long session does not grow; the count stays."""
    fold = Delivery()
    for n in range(3):
        fold.apply(n, 0, e.SayRequested(index=n, say=f"say_{n}", command=c.Say(text="x"), site=SITE))
    fold.apply(3, 0, e.SaySettled(say="say_1", status="cancelled"))
    assert (list(fold.says), fold.settled) == (["say_0", "say_2"], 1)


def test_a_says_place_is_known_at_every_step() -> None:
    """Pending, dispatched, refused, dispatched again, sounding, playing."""
    fold = Delivery()
    states = []
    for event in (
        e.SayRequested(index=1, say="say_1", command=c.Say(text="x"), site=SITE),
        e.SayDispatched(say="say_1", attempt=1, link="p1"),
        e.SayRefused(say="say_1", attempt=1, code="busy"),
        e.SayDispatched(say="say_1", attempt=2, link="p1"),
        e.ResponseStarted(response="r", say="say_1", attempt=2),
        e.ResponseEnded(response="r", status="completed"),
    ):
        fold.apply(1, 5, event)
        states.append(fold.says["say_1"].state)
    expected = [SayState.PENDING, SayState.DISPATCHED, SayState.PENDING, SayState.DISPATCHED, SayState.SOUNDING, SayState.PLAYING]
    assert states == expected
    assert (fold.says["say_1"].attempt, fold.by_response("r")) == (2, fold.says["say_1"])
    assert fold.by_response("other") is None


def test_the_lifecycle_knows_why_it_ends() -> None:
    """The ending, its seq, and whether the handler is done."""
    fold = Lifecycle()
    fold.apply(1, 7, STARTED["handler"])
    assert (fold.phase, fold.started_ns, fold.definition.name) == (SessionState.ACTIVE, 7, "desk")
    fold.apply(2, 8, e.HandlerReturned(index=1))
    fold.apply(3, 8, e.SessionEnding(reason="r"))
    assert (fold.handler_done, fold.ending, fold.ending_seq) == (True, e.SessionEnding(reason="r"), 3)
    fold.apply(4, 9, e.SessionEnded(reason="r"))
    assert fold.phase is SessionState.ENDED


def test_links_follow_openings_and_losses() -> None:
    """Callers in the order they came; a provider's readiness goes with its link."""
    fold = Links()
    for n, event in enumerate(
        (
            e.LinkOpened(link="c1", side="caller", transport="t"),
            e.LinkOpened(link="c2", side="caller", transport="t"),
            e.LinkOpened(link="p1", side="provider", transport="t"),
            e.ConfigurationDispatched(link="p1"),
            e.LinkReady(link="p1"),
            e.LinkClosed(link="c1"),
        ),
        start=1,
    ):
        fold.apply(n, n, event)
    assert (fold.callers, fold.provider, fold.provider_ready, fold.configuration_owed) == ({"c2": 2}, "p1", True, None)
    fold.apply(7, 7, e.LinkClosed(link="p1"))
    assert (fold.callers, fold.provider, fold.provider_ready) == ({"c2": 2}, None, False)


def test_a_lost_provider_silences_what_had_not_sounded() -> None:
    """What sounds stays until it is written down; a caller's loss changes nothing here."""
    fold = Playout()
    for response in ("r1", "r2"):
        fold.apply(1, START_NS, e.ResponseStarted(response=response, say=f"say_{response}"))
    fold.apply(2, START_NS, e.AudioStarted(response="r1"))
    fold.apply(3, START_NS, e.LinkClosed(link="c1"))
    assert list(fold.responses) == ["r1", "r2"]
    fold.apply(4, START_NS, e.LinkClosed(link="p1"))
    assert list(fold.responses) == ["r1"]


def test_the_relay_owes_in_the_order_it_was_asked() -> None:
    """Each dispatch takes the head off; the follow-up of a tool takes nothing."""
    fold = Relay()
    fold.apply(1, 0, STARTED["model"])
    fold.apply(2, 0, e.ItemSeeded(link="c1", item="i", role="user", text="t"))
    fold.apply(3, 0, e.AnswerAsked(link="c1"))
    assert [owed.seq for owed in fold.owed] == [2, 3]
    fold.apply(4, 0, e.ItemForwarded(link="p1", item="i", raw={}))
    fold.apply(5, 0, e.AnswerDispatched(link="p1"))
    assert not fold.owed
    fold.apply(6, 0, e.AnswerDispatched(link="p1"))
    fold.apply(7, 0, e.InputClearAsked(link="c1"))
    fold.apply(8, 0, e.AnswerDispatched(link="p1"))
    assert [owed.seq for owed in fold.owed] == [7]


def test_a_handlers_calls_are_open_until_they_complete() -> None:
    """By index; a completion of an unknown one is passed over."""
    fold = Tools()
    for index in (1, 2):
        fold.apply(index, 0, e.CallRequested(index=index, call=f"call_{index}", command=c.Call(target="t"), site=SITE))
    fold.apply(3, 0, e.CallCompleted(index=1, result=b"\xc0"))
    fold.apply(4, 0, e.CallFailed(index=9, type_name="E", message="m"))
    assert list(fold.calls) == [2]
    fold.apply(5, 0, e.CallFailed(index=2, type_name="E", message="m"))
    assert not fold.calls


def test_late_words_are_recognised_for_the_last_items_only() -> None:
    """The memory of ended items is bounded."""
    fold = Turns()
    for n in range(100):
        fold.apply(n, 0, e.InputCommitted(item=f"i{n}"))
        fold.apply(n, 0, e.TurnEnded(turn=n, item=f"i{n}", text="x"))
    assert (len(fold.closed), next(iter(fold.closed)), fold.open) == (64, "i36", {})
