"""What is still to come in an offline run: the order of events, and one mouth for all says."""

from turnlog.core import events as e
from turnlog.core.commands import Say
from turnlog.engine.offline.answers import say_words_ms
from turnlog.engine.offline.to_come import Agenda, Mouth


def test_events_come_at_their_times_and_in_the_order_planned() -> None:
    """The earliest first; of one time the one that was planned first; then there is none."""
    agenda = Agenda()
    for at_ns, index in ((20, 1), (10, 2), (20, 3), (10, 4)):
        agenda.plan(at_ns, e.UpdateApplied(index=index))
    taken = []
    while (due_ns := agenda.due_ns) is not None:
        at_ns, event = agenda.take()
        assert at_ns == due_ns and isinstance(event, e.UpdateApplied)
        taken.append((at_ns, event.index))
    assert taken == [(10, 2), (10, 4), (20, 1), (20, 3)]


def test_says_are_spoken_one_behind_the_other() -> None:
    """The second begins when the first has ended, and both count as played whole by the clock."""
    mouth = Mouth()
    first_ns, first = mouth.speak("say_1", Say(text="Good evening"), 5)
    second_ns, second = mouth.speak("say_2", Say(text="Bye"), 6)
    assert first_ns == 5 + say_words_ms("Good evening") * 1_000_000
    assert second_ns == first_ns + say_words_ms("Bye") * 1_000_000
    assert [(one.status, one.heard_text, one.source) for one in (first, second)] == [
        ("played", "Good evening", "clock"),
        ("played", "Bye", "clock"),
    ]
    assert mouth.open == mouth.spoken_here == ["say_1", "say_2"]


def test_a_say_ends_once() -> None:
    """A second end is none; one whose end a record tells is open, and not spoken here."""
    mouth = Mouth()
    mouth.ask("say_1")
    assert (mouth.open, mouth.spoken_here) == (["say_1"], [])
    assert mouth.settle("say_1")
    assert not mouth.settle("say_1")
    assert mouth.open == []


def test_when_the_callers_have_gone_nothing_is_spoken() -> None:
    """A say fails at once as caller_gone, and is open until that is settled."""
    mouth = Mouth()
    mouth.gone = True
    at_ns, end = mouth.speak("say_1", Say(text="Hello?"), 7)
    assert (at_ns, end.status, end.code) == (7, "failed", "caller_gone")
    assert (mouth.open, mouth.spoken_here) == (["say_1"], [])
