"""What a log answered is given out again, in order, to equal commands."""

import pytest

from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.engine.offline.answers import Answers, Decoded, readdress, say_ms, say_words_ms

SITE = c.Site("desk.py", 3)


def call(n: int, name: str) -> e.CallRequested:
    """The n-th command: a call."""
    return e.CallRequested(index=n, call=f"call_{n}", command=c.Call(target=name), site=SITE)


def log(*events: e.Event) -> list[Decoded]:
    """Events a millisecond apart."""
    return [Decoded(n, n * 1_000_000, event) for n, event in enumerate(events, 1)]


def test_equal_commands_take_their_answers_in_order() -> None:
    """Each once; a command that was not recorded, or not so often, has none."""
    done = [e.CallCompleted(index=n, result=bytes([n])) for n in (1, 3)]
    answers = Answers(log(call(1, "a"), call(2, "b"), call(3, "a"), *done))
    found = [answers.claim(c.Call(target=name)) for name in ("a", "b", "a", "a", "c")]
    assert [one and [answer.event for answer in one.answers] for one in found] == [[done[0]], [], [done[1]], None, None]
    assert answers.claimed == {1, 2, 3}


def test_a_says_outcome_is_its_answer() -> None:
    """Found by the say's name; of a say that is not in the log there is none."""
    said = e.SayRequested(index=1, say="say_1", command=c.Say(text="Hi"), site=SITE)
    settled = e.SaySettled(say="say_1", status="played")
    answers = Answers(log(said, settled, e.SaySettled(say="say_9", status="played")))
    found = answers.claim(c.Say(text="Hi"))
    assert found is not None and [answer.event for answer in found.answers] == [settled]
    assert (answers.answered(settled), answers.answered(e.CallersGone())) == (1, 0)


def test_an_end_is_the_answer_of_the_command_right_before_it() -> None:
    """An end that something else stands before came from outside."""
    ending = e.SessionEnding(reason="completed")
    returned = e.HandlerReturned(index=1)
    assert Answers(log(returned, ending)).by_index[1].answers[0].event is ending
    assert Answers(log(returned, e.CallersGone(), ending)).by_index[1].answers == []


def test_every_cancellation_equals_every_other() -> None:
    """Their indexes are of another run."""
    assert Answers(log(e.CommandAbandoned(index=2, command=1))).claim(c.Abandon(command=7)) is not None


@pytest.mark.parametrize("event", [e.CallFailed(index=1, type_name="T", message="m"), e.StreamEnded(index=1)])
def test_an_answer_is_readdressed(event: e.CallFailed | e.StreamEnded) -> None:
    """To the index that the command has now; what answers nothing stays."""
    assert getattr(readdress(event, 5), "index") == 5  # noqa: B009 -- of a union
    assert readdress(e.SaySettled(say="say_1", status="played"), 5) == e.SaySettled(say="say_5", status="played")
    gone = e.CallersGone()
    assert readdress(gone, 5) is gone


def test_words_take_time() -> None:
    """65 ms a character, never nothing."""
    assert (say_words_ms("abcd"), say_words_ms("")) == (260, 1)


def test_a_recording_takes_its_own_time() -> None:
    """However long its words, which it has none of, would take."""
    assert say_ms(c.Say(text="", clip=c.Clip(name="hold.wav", digest="", rate=8000, ms=4000))) == 4000
    assert say_ms(c.Say(text="abcd")) == 260
