"""Decisions while somebody is awaited: the drop, what becomes of says and speech, and the end of the grace."""

from typing import Any

import pytest

from tests.core.driving import Drive, anatomy, replayed
from tests.core.explaining import now, trail
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s


def ready(**options: Any) -> Drive:
    """A session with its provider and one caller."""
    return Drive(**options).open_provider().open_caller()


def waiter(drive: Drive) -> tuple[str, str, int | None]:
    """Who is to act next, and until when, in ms from now."""
    found = now(drive)
    return found.name, found.what, None if found.until_ns is None else (found.until_ns - drive.now_ns) // 1_000_000


@pytest.mark.parametrize("code", [1001, 1005, 1006])
def test_who_did_not_hang_up_is_awaited(code: int) -> None:
    """CallerAwaited names the connection and the grace; nothing ends."""
    drive = ready(reattach_grace_s=20)
    drive.close("c1", code)
    assert drive.of(e.CallerAwaited, e.CallersGone) == [e.CallerAwaited(grace_ms=20_000, link="c1", code=code)]
    assert drive.why(e.CallerAwaited) == e.LinkClosed(link="c1", code=code)


@pytest.mark.parametrize("code", [1000, 1003, 1008, 1009, 1011, 4000])
def test_who_hung_up_or_was_refused_is_not(code: int) -> None:
    """An orderly end, a protocol error and an application's own code are the end."""
    drive = ready()
    drive.close("c1", code)
    assert drive.of(e.CallerAwaited, e.CallersGone) == [e.CallersGone()]


def test_one_of_two_callers_is_not_awaited() -> None:
    """Somebody is there."""
    drive = ready().open_caller("c2")
    drive.close("c1", 1006)
    assert drive.of(e.CallerAwaited, e.CallersGone) == []
    drive.close("c2", 1006)
    assert [one.link for one in drive.of(e.CallerAwaited) if isinstance(one, e.CallerAwaited)] == ["c2"]


def test_the_grace_ends_as_a_hang_up_and_the_reason_says_caller_lost() -> None:
    """CallersGone by the clock; a handler that returns then, or does not within its own grace, ends caller_lost."""
    for returns in (True, False):
        drive = ready(reattach_grace_s=30)
        drive.close("c1", 1006)
        drive.wait(29_999)
        assert not drive.of(e.CallersGone)
        drive.wait(1)
        assert drive.why(e.CallersGone) is e.Root.TIMER
        if returns:
            drive.command(c.Return())
        else:
            drive.wait(10_000)
        assert drive.of(e.SessionEnded) == [e.SessionEnded(reason="caller_lost")]


def test_who_comes_back_in_time_ends_the_waiting() -> None:
    """Nothing is due any more, and the next drop has a grace of its own."""
    drive = ready()
    drive.close("c1", 1006)
    drive.wait(20_000)
    drive.open_caller("c2")
    assert drive.core.next_deadline() is None
    drive.wait(60_000)
    assert not drive.of(e.CallersGone, e.SessionEnding)
    assert anatomy(replayed(drive.log)) == anatomy(drive.core.state)


def test_what_sounded_was_heard_until_the_drop() -> None:
    """The existing rule for callers that have gone, at the moment of the drop: interrupted, with what was heard."""
    drive = ready()
    say = drive.say("Front desk, how can I help?")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 2000, "Front desk, how can I help?")
    drive.wait(800)
    drive.close("c1", 1006)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.code, outcome.heard_ms, outcome.generated_ms) == ("interrupted", "caller_lost", 800, 2000)


def test_what_nobody_heard_is_said_to_who_comes_back() -> None:
    """A say that had begun without sounding is owed again, whole; so is one that was asked for and had not begun."""
    begun = ready()
    say = begun.say("Front desk.")
    begun.begin("r1", say)
    begun.close("c1", 1006)
    assert begun.of(e.SayResumed) == [e.SayResumed(say=say, text="Front desk.")]
    asked = ready()
    say = asked.say("Front desk.")
    asked.close("c1", 1006)
    (refused,) = [one for one in asked.of(e.SayRefused) if isinstance(one, e.SayRefused)]
    assert refused.code == "caller_lost"
    asked.begin("r1", say)  # it comes all the same, and is dead
    assert asked.of(e.CancelDispatched) == [e.CancelDispatched(link="p1", response="r1")]
    for drive in (begun, asked):
        drive.wait(20_000)
        assert not drive.of(e.SaySettled)
        drive.open_caller("c2")
        (again,) = [one for one in drive.of(e.SayDispatched)[1:] if isinstance(one, e.SayDispatched)]
        assert (again.text, again.attempt) == ("Front desk.", 2)


def test_the_models_answer_is_cut_when_nobody_is_there() -> None:
    """Also one that begins meanwhile: its history must not hold what nobody heard."""
    drive = ready(answers="model")
    drive.close("c1", 1006)
    drive.begin("r1", None)
    (cut,) = [one for one in drive.of(e.PlayoutCut) if isinstance(one, e.PlayoutCut)]
    assert (cut.response, cut.reason) == ("r1", "caller_lost")


def test_speech_under_way_is_committed_and_its_words_are_a_turn() -> None:
    """The provider is asked to make an item of what it has heard."""
    drive = ready()
    drive.signal("c1", s.AudioAppended(audio=b"", ms=20))
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=100))
    drive.close("c1", 1006)
    assert drive.of(e.InputCommitDispatched) == [e.InputCommitDispatched(link="p1")]
    drive.signal("p1", s.AudioCommitted(item="u1", previous_item=None))
    drive.signal("p1", s.TranscriptCompleted(item="u1", transcript="I would like"))
    assert [turn.text for turn in drive.turns()] == ["I would like"]


def test_speech_of_which_no_item_is_made_is_discarded() -> None:
    """After three seconds; what comes of it later is no turn, and no say waits for its end."""
    drive = ready()
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=100))
    drive.close("c1", 1006)
    drive.wait(2_999)
    assert not drive.of(e.TurnDiscarded)
    drive.wait(1)
    assert drive.of(e.TurnDiscarded) == [e.TurnDiscarded(item="u1", reason="its caller was lost")]
    assert drive.of(e.InputClearDispatched) == [e.InputClearDispatched(link="p1")]
    drive.signal("p1", s.AudioCommitted(item="u1", previous_item=None))
    drive.say("Are you there?")
    drive.open_caller("c2")
    assert not drive.turns() and len(drive.of(e.SayDispatched)) == 1


def test_what_was_half_said_is_cleared_where_the_caller_commits_by_hand() -> None:
    """Its next press must not begin with the rest of the last one."""
    drive = ready()
    drive.signal("c1", s.CallerConfigured(changes={"audio": {"input": {"turn_detection": None}}}, session={}))
    drive.close("c1", 1006)
    assert drive.of(e.InputClearDispatched) == [e.InputClearDispatched(link="p1")]


def test_a_session_that_is_ending_hard_waits_for_nobody() -> None:
    """One that drains does, as long as the grace: its last words are owed."""
    hard = ready()
    hard.say("Goodbye.")
    hard.end(drain=False)
    assert hard.core.ended
    drains = ready()
    say = drains.say("Goodbye.")
    drains.end(drain=True)
    drains.close("c1", 1006)
    drains.wait(29_000)
    assert not drains.core.ended
    drains.wait(1_000)
    assert (drains.outcome(say).status, drains.outcome(say).code) == ("failed", "caller_lost")
    assert drains.of(e.SessionEnded) == [e.SessionEnded(reason="enough")]


def test_a_session_that_is_started_for_a_caller_does_not_wait_for_ever() -> None:
    """Where none comes within the time that was set it ends no_caller; who comes in time ends the waiting."""
    drive = Drive().open_provider()
    drive.fact(e.CallerAwaited(grace_ms=60_000), e.Root.START)
    say = drive.say("Front desk.")
    assert waiter(drive) == ("caller_awaited", "the session was started for a caller, which has not come yet", 60_000)
    drive.wait(60_000)
    assert (drive.outcome(say).status, drive.outcome(say).code) == ("failed", "no_caller")
    drive.command(c.Return())
    assert drive.of(e.SessionEnded) == [e.SessionEnded(reason="no_caller")]


def test_who_is_awaited_is_named() -> None:
    """why_silent says who, why and until when, and afterwards that nobody came back."""
    drive = ready()
    drive.core.link_closed(e.LinkClosed(link="c1", code=1006, reason="lost"), drive.now_ns)
    drive.settle()
    drive.wait(10_000)
    assert waiter(drive) == ("caller_awaited", "the caller's connection dropped (lost) and it may come back", 20_000)
    drive.wait(20_000)
    assert waiter(drive) == ("no_caller", "the caller has not come back; the handler may finish, then the session ends", 10_000)


def test_who_comes_later_hears_nothing_of_what_began_before() -> None:
    """Where the one who heard it leaves, it was heard until then: a connection that was taken over."""
    drive = ready()
    say = drive.say("Front desk, how can I help?")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.wait(500)
    drive.open_caller("c2")
    drive.close("c1", 1001)
    assert (drive.outcome(say).status, drive.outcome(say).code) == ("interrupted", "caller_lost")
    assert not drive.of(e.CallerAwaited)


def test_the_chain_of_a_lost_say_goes_back_to_the_connection() -> None:
    """Also where the clock settled it."""
    drive = ready(reattach_grace_s=5)
    drive.close("c1", 1006)
    drive.say("Are you there?")
    drive.wait(5_000)
    whole = trail(drive)
    settled = whole.latest(whole.last.seq, e.SaySettled)
    assert settled is not None
    types = [type(link.entry.event) for link in whole.chain(settled.seq)]
    assert types == [e.SaySettled, e.CallersGone, e.CallerAwaited, e.LinkClosed]
