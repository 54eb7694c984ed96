"""Why it is silent: each injected cause is named, with its owner, its age and the handler's line."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.driving import MS, SITE, START_NS, Drive
from tests.core.explaining import listening, now, ready, spoke, trail
from tests.core.test_core import INPUTS, play
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.errors import StoreError
from turnlog.core.explain import Trail, Waiter, why_silent


def told(waiter: Waiter) -> tuple[str, str, int]:
    """Name, owner and age."""
    return waiter.name, waiter.owner, waiter.age_ms


# --- the line ---


def test_nobody_has_called_yet() -> None:
    """Without a caller nothing is to be heard, whatever else is open."""
    drive = Drive().open_provider()
    drive.say("Hi")
    drive.wait(4_000)
    assert told(now(drive)) == ("no_caller", "caller", 4_000)


def test_a_provider_that_does_not_come_up() -> None:
    """Before its link stands, and until it has confirmed our configuration."""
    drive = Drive().open_caller()
    drive.wait(700)
    assert told(now(drive)) == ("provider_link", "provider", 700)
    drive.fact(e.LinkOpened(link="p1", side="provider", transport="in_process"))
    drive.wait(300)
    assert told(now(drive)) == ("provider_link", "provider", 300)


def test_a_caller_who_hung_up() -> None:
    """The caller is named, since it went, until the handler's grace ends; also where a say was sounding."""
    drive = ready()
    say = drive.say("A long sentence")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.wait(100)
    drive.close("c1")
    drive.wait(2_000)
    waiter = now(drive)
    assert told(waiter) == ("no_caller", "caller", 2_000)
    assert waiter.until_ns == waiter.since_ns + 10_000 * MS
    gone = next(one.seq for one in drive.log if isinstance(one.event, e.CallersGone))
    assert why_silent(trail(drive), seq=gone).name == "no_caller"


def test_a_provider_that_drops() -> None:
    """The session ends: nobody else is waited for."""
    drive = ready()
    drive.say("Hi")
    closed = drive.core.seq
    drive.close("p1")
    names = [why_silent(trail(drive), seq=seq).name for seq in range(closed + 2, drive.core.seq + 1)]
    assert names[0] == "ending"
    assert names[-1] == "ended"


def test_a_handler_that_raised() -> None:
    """The end is what comes next, and the reason is told."""
    drive = listening()
    drive.command(c.Fail(type_name="KeyError", message="'room'"))
    ending = next(one.seq for one in drive.log if isinstance(one.event, e.SessionEnding))
    waiter = why_silent(trail(drive), seq=ending)
    assert (waiter.name, waiter.owner) == ("ending", "engine")
    assert "handler_failed" in waiter.what


# --- words on their way ---


def test_a_provider_that_never_responds() -> None:
    """Asked for and no response: the provider's, until the attempt is given up."""
    drive = ready()
    drive.say("Hello there")
    drive.wait(2_500)
    waiter = now(drive)
    assert told(waiter) == ("provider_response", "provider", 2_500)
    assert (waiter.site, waiter.stands) == (SITE, True)
    assert '"Hello there" was asked for (attempt 1)' in waiter.what
    assert waiter.until_ns == waiter.since_ns + 10_000 * MS


def test_a_response_that_has_no_audio_yet() -> None:
    """Begun is not heard."""
    drive = ready()
    drive.begin("r1", drive.say("Hi"))
    drive.wait(1_200)
    assert told(now(drive)) == ("provider_audio", "provider", 1_200)


def test_audio_that_is_being_heard() -> None:
    """Until its playout ends, by the clock, it is the caller's ear; then the handler goes on."""
    drive = ready()
    drive.begin("r1", drive.say("Hi"))
    drive.sound("r1")
    drive.finish("r1", 3_000, "Hi")
    drive.wait(1_000)
    waiter = now(drive)
    assert told(waiter) == ("playout", "caller", 1_000)
    assert waiter.until_ns == waiter.since_ns + 3_000 * MS
    drive.wait(2_000)
    assert now(drive).name == "handler"


def test_audio_that_stopped_coming() -> None:
    """What was delivered has been heard and the response has not ended: the provider stalls."""
    drive = ready()
    drive.begin("r1", drive.say("A long sentence"))
    drive.sound("r1")
    for n in range(1, 6):
        drive.fact(e.MediaRecorded(track="p1.in", n=n, duration_ms=200, digest=b"", messages=10, first=n), e.Root.WIRE)
    drive.wait(1_300)
    assert now(drive).name == "playout"
    drive.wait(200)
    assert told(now(drive)) == ("generation", "provider", 1_500)


def test_a_provider_that_refuses_twice() -> None:
    """The engine waits out the pause; between the pauses the provider is to answer."""
    drive = ready()
    say = drive.say("Hi")
    drive.refuse(say, 1)
    drive.wait(400)
    waiter = now(drive)
    assert told(waiter) == ("refusal_pause", "engine", 400)
    assert waiter.until_ns == waiter.since_ns + 1_000 * MS
    drive.wait(600)
    assert now(drive).name == "provider_response"
    drive.refuse(say, 2)
    drive.wait(999)
    waiter = now(drive)
    assert told(waiter) == ("refusal_pause", "engine", 999)
    assert "2 times" in waiter.what


def test_a_say_behind_another_response() -> None:
    """It was refused for a response that nobody asked for: the provider must end that one."""
    drive = ready()
    drive.begin("r_model", None)
    say = drive.say("Hi")
    drive.refuse(say)
    drive.wait(800)
    waiter = now(drive)
    assert told(waiter) == ("other_response", "provider", 800)
    assert "r_model" in waiter.what


# --- the user ---


def test_a_user_who_says_nothing() -> None:
    """The handler listens at its line; the age counts from when it could be answered."""
    drive = ready()
    drive.spoken("How can I help?", 1_000)
    drive.command(c.Input(timeout_s=20))
    asked = drive.core.seq
    drive.wait(7_000)
    waiter = now(drive)
    assert told(waiter) == ("input", "user", 7_000)
    assert (waiter.since_seq, waiter.site, waiter.stands) == (asked, SITE, True)
    assert waiter.until_ns == waiter.since_ns + 20_000 * MS


def test_silence_is_counted_from_the_end_of_the_greeting() -> None:
    """input() called while words sound: nobody could be expected to speak before they ended."""
    drive = ready()
    say = drive.say("Hello")
    drive.command(c.Input())
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 2_000, "Hello")
    drive.wait(5_000)
    assert told(now(drive)) == ("input", "user", 3_000)


def test_typed_words_without_an_ask_are_pointed_out() -> None:
    """A client that forgets response.create waits for ever; the answer says what lies there."""
    drive = listening()
    drive.signal("c1", s.ItemCreated(item="t1", kind="message", role="user", text="hello?", raw={}))
    assert "1 typed items lie there" in now(drive).what


def test_a_turn_step_by_step() -> None:
    """Speaking, end of turn, transcription, and then the handler that was given the turn."""
    drive = listening()
    drive.signal("p1", s.SpeechBegan(item="i1", audio_start_ms=0))
    drive.wait(900)
    assert told(now(drive)) == ("speaking", "user", 900)
    drive.signal("p1", s.SpeechCeased(item="i1", audio_end_ms=900))
    drive.wait(30)
    assert told(now(drive)) == ("end_of_turn", "provider", 30)
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    drive.wait(2_000)
    waiter = now(drive)
    assert told(waiter) == ("transcription", "provider", 2_000)
    assert (waiter.site, waiter.until_ns) == (SITE, waiter.since_ns + 3_000 * MS)
    drive.signal("p1", s.TranscriptCompleted(item="i1", transcript="hello"))
    drive.wait(4_000)
    waiter = now(drive)
    assert told(waiter) == ("handler", "handler", 4_000)
    assert (waiter.site, waiter.stands) == (SITE, False)


# --- the handler ---


def test_a_slow_tool() -> None:
    """The tool is named, with the line that called it; words that come meanwhile do not change that."""
    drive = listening()
    spoke(drive, "Is Ms Ito in?")
    drive.command(c.Call(target="find_guest"))
    drive.wait(6_000)
    waiter = now(drive)
    assert told(waiter) == ("tool", "tool", 6_000)
    assert "the tool find_guest has not returned" in waiter.what
    assert (waiter.site, waiter.stands) == (SITE, True)
    drive.signal("p1", s.SpeechBegan(item="i2", audio_start_ms=9_000))
    assert now(drive).name == "tool"


def test_a_tool_that_is_tried_again() -> None:
    """Failed attempts are told."""
    drive = ready()
    drive.command(c.Call(target="find_guest"))
    drive.fact(e.AttemptFailed(index=drive.index, attempt=2, type_name="OSError", message="gone"))
    assert "2 attempts failed" in now(drive).what


def test_a_step_a_stream_an_update_and_a_signal() -> None:
    """Each thing a handler can await has its name, its owner, and is over when its completion has come."""
    drive = ready()
    drive.command(c.Step(name="desk:ask_model"))
    assert (now(drive).owner, now(drive).what) == ("tool", "the step desk:ask_model has not returned")
    drive.fact(e.CallFailed(index=drive.index, type_name="OSError", message=""))
    drive.command(c.Stream(name="desk:tokens"))
    assert now(drive).what == "the stream desk:tokens has not returned"
    drive.fact(e.StreamEnded(index=drive.index))
    drive.command(c.AwaitSignal(name="paid"))
    assert (now(drive).name, now(drive).owner, now(drive).stands) == ("signal", "program", True)
    drive.fact(e.SignalReceived(name="paid", data=b"\xc0"), e.Root.API)
    drive.command(c.Update(instructions="Be brief"))
    assert (now(drive).name, now(drive).owner) == ("update", "provider")
    drive.signal("p1", s.ProviderConfigured(session={}))
    assert now(drive).name == "handler"


def test_a_stream_that_was_left_is_waited_for_by_nobody() -> None:
    """A handler that listens since has gone on: it is the user's turn. One that listened before may be taking its items."""
    drive = ready()
    drive.command(c.Stream(name="desk:tokens"))
    drive.fact(e.StreamItem(index=drive.index, n=1, item=b"\xc0"))
    drive.command(c.Input())
    assert (now(drive).name, now(drive).owner) == ("input", "user")
    drive.command(c.Stream(name="desk:others"))
    assert now(drive).what == "the stream desk:others has not returned"


def test_a_handler_that_never_answers() -> None:
    """A turn was delivered and nothing came of it."""
    drive = listening()
    spoke(drive, "hello?")
    turn = drive.core.seq
    drive.wait(30_000)
    waiter = now(drive)
    assert told(waiter) == ("handler", "handler", 30_000)
    assert (waiter.since_seq, waiter.what) == (turn, "the handler neither listens nor asks for anything since TurnEnded")


def test_a_turn_that_nobody_takes() -> None:
    """The handler does not await input: the turn that lies there is named."""
    drive = ready()
    spoke(drive, "hello?")
    drive.wait(500)
    assert 'turn 1 "hello?" was delivered and the handler has not taken it' in now(drive).what


def test_input_that_was_given_up() -> None:
    """A cancelled input() waits for nobody; its turn lies there for the next one."""
    drive = listening()
    drive.command(c.Abandon(command=1))
    assert now(drive).owner == "handler"
    spoke(drive, "hello?")
    assert "has not taken it" in now(drive).what
    drive.command(c.Input())
    drive.command(c.Input())
    assert now(drive).name == "input"


# --- where the model answers ---


def test_the_models_own_answer() -> None:
    """Its beginning, its tool, and its audio are the provider's, the tool's and the caller's."""
    drive = Drive(answers="model").open_provider().open_caller()
    spoke(drive, "hello?")
    assert now(drive).name == "provider_response"
    drive.begin("r1", None)
    assert now(drive).name == "provider_audio"
    drive.signal("p1", s.FunctionCalled(response="r1", item="f1", call_id="t1", name="find", arguments="{}"))
    assert "the model called find" in now(drive).what
    drive.fact(e.ToolAnswered(call_id="t1", output="1"))
    drive.finish("r1")
    assert now(drive).name == "provider_response"
    drive.begin("r2", None)
    drive.sound("r2")
    assert now(drive).owner == "caller"


# --- always ---


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(["handler", "model"]), st.booleans(), st.lists(INPUTS, max_size=30))
def test_at_every_place_exactly_one_is_named(answers: str, up: bool, inputs: list[tuple[str, Any]]) -> None:
    """Whatever happened, in any order: an answer, never an error, and it began at or before the place that was asked about."""
    drive = Drive(answers=answers)
    if up:
        drive.open_provider().open_caller()
    for kind, what in inputs:
        play(drive, kind, what)
        drive.wait(10)
    whole = trail(drive)
    for staged in drive.log:
        waiter = why_silent(whole, seq=staged.seq)
        assert waiter.name and waiter.what
        assert waiter.since_seq <= waiter.seq == staged.seq
        assert waiter.age_ms == (staged.at_ns - waiter.since_ns) // MS >= 0
    assert why_silent(whole, at_ns=drive.now_ns + 60_000 * MS).at_ns == drive.now_ns + 60_000 * MS


@settings(max_examples=60, deadline=None)
@given(st.lists(INPUTS, max_size=25), st.data())
def test_a_cut_log_is_explained_as_far_as_it_goes(inputs: list[tuple[str, Any]], data: st.DataObject) -> None:
    """What comes later changes no answer about what came before."""
    drive = ready()
    for kind, what in inputs:
        play(drive, kind, what)
    cut = data.draw(st.integers(1, len(drive.log)))
    assert why_silent(Trail(drive.log[:cut])) == why_silent(trail(drive), seq=cut)


@pytest.mark.parametrize("place", [{"seq": 0}, {"seq": 99}, {"at_ns": START_NS - 1}])
def test_a_place_that_is_not_in_the_log_is_refused(place: dict[str, int]) -> None:
    """TL418, with what there is."""
    with pytest.raises(StoreError, match="TL418"):
        why_silent(trail(ready()), **place)
