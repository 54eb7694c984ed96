"""What is due by the state and the clock alone: dispatches, time-outs, the end."""

from typing import Any

import pytest

from tests.core.driving import MS, START_NS, Drive
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.core import SessionCore

ASK = s.AnswerRequested(event_id="evt", request={"metadata": {"k": "v"}}, out_of_band=False, response="resp")


def ready(**options: Any) -> Drive:
    """A session with both links."""
    return Drive(**options).open_provider().open_caller()


def dispatched(drive: Drive) -> list[tuple[str, int]]:
    """Each dispatch of a say: (say, attempt)."""
    return [(event.say, event.attempt) for event in drive.of(e.SayDispatched) if isinstance(event, e.SayDispatched)]


# --- configuration ---


def test_a_provider_is_configured_once_its_link_stands() -> None:
    """First of all, caused by the link's opening, and once."""
    drive = Drive()
    drive.fact(e.LinkOpened(link="p1", side="provider", transport="websocket"))
    drive.wait(5_000)
    assert drive.of(e.ConfigurationDispatched) == [e.ConfigurationDispatched(link="p1", settings={}, answers="handler")]
    assert isinstance(drive.why(e.ConfigurationDispatched), e.LinkOpened)


def test_what_callers_asked_for_before_is_in_the_configuration() -> None:
    """Settings gather while there is no provider."""
    drive = Drive().open_caller()
    drive.signal("c1", s.CallerConfigured(changes={"audio": {"output": {"voice": "ash"}}}, session={}))
    drive.signal("c1", s.CallerConfigured(changes={"output_modalities": ["audio"]}, session={}))
    assert drive.of(e.ConfigurationDispatched) == []
    drive.open_provider()
    assert drive.of(e.ConfigurationDispatched) == [
        e.ConfigurationDispatched(
            link="p1", settings={"voice": "ash", "output_modalities": ["audio"]}, answers="handler"
        )
    ]


def test_settings_asked_for_later_configure_again() -> None:
    """Merged over the earlier ones; caused by the asking."""
    drive = ready()
    drive.signal("c1", s.CallerConfigured(changes={"audio": {"output": {"voice": "ash"}}}, session={}))
    assert drive.of(e.ConfigurationDispatched)[-1] == e.ConfigurationDispatched(
        link="p1", settings={"voice": "ash"}, answers="handler"
    )
    assert isinstance(drive.why(e.ConfigurationDispatched), e.SettingsAsked)


# --- one mouth ---


@pytest.mark.parametrize("order", [("say", "provider", "caller"), ("say", "caller", "provider"), ("caller", "say", "provider")])
def test_a_say_waits_for_both_links_in_any_order(order: tuple[str, ...]) -> None:
    """Pending while nobody could speak it or hear it; then it goes by itself."""
    drive = Drive()
    for what in order:
        assert dispatched(drive) == []
        match what:
            case "say":
                drive.say("Hi")
            case "caller":
                drive.open_caller()
            case _:
                drive.open_provider()
    assert dispatched(drive) == [("say_1", 1)]
    assert isinstance(drive.why(e.SayDispatched), e.SayRequested)


def test_a_say_is_dispatched_from_the_log_alone() -> None:
    """SayRequested folded from a log, then links: nothing but the state calls for the dispatch."""
    before = Drive()
    before.say("Hi")
    drive = Drive()
    drive.core = SessionCore()
    for staged in before.log:
        drive.core.apply(staged.seq, staged.at_ns, staged.event)
    drive.log = list(before.log)
    drive.open_provider().open_caller()
    assert drive.of(e.SayDispatched) == [e.SayDispatched(say="say_1", attempt=1, link="p1", text="Hi")]


def test_says_are_spoken_in_the_order_of_their_requests() -> None:
    """One after the other."""
    drive = ready()
    first, second = drive.say("One"), drive.say("Two")
    drive.begin("r1", first)
    drive.sound("r1")
    drive.finish("r1", 400, "One")
    assert dispatched(drive) == [(first, 1)]
    drive.wait(399)
    assert dispatched(drive) == [(first, 1)]
    drive.wait(1)
    assert dispatched(drive) == [(first, 1), (second, 1)]


def test_no_say_is_asked_for_while_the_model_is_heard() -> None:
    """The model's own words hold the mouth too, to the end of their playout."""
    drive = ready(answers="model")
    drive.begin("r1", None)
    drive.sound("r1")
    say = drive.say("Hi")
    drive.signal("p1", s.ProviderConfigured(session={}))
    assert dispatched(drive) == []
    drive.finish("r1", 1_000, "model's words")
    drive.wait(999)
    assert dispatched(drive) == []
    drive.wait(1)
    assert dispatched(drive) == [(say, 1)]


# --- refusals ---


def test_a_refused_say_is_tried_again_after_a_second() -> None:
    """Where nothing tells when the provider is free."""
    drive = ready()
    say = drive.say("Hi")
    drive.refuse(say)
    drive.wait(999)
    assert dispatched(drive) == [(say, 1)]
    drive.wait(1)
    assert dispatched(drive) == [(say, 1), (say, 2)]


def test_a_refused_say_is_tried_again_when_the_blocking_response_has_ended() -> None:
    """At once: response.done is what it waits for."""
    drive = ready()
    say = drive.say("Hi")
    drive.begin("r1", None)
    drive.refuse(say)
    drive.finish("r1")
    assert dispatched(drive) == [(say, 1), (say, 2)]


def test_a_refused_say_waits_for_the_response_that_blocks_it() -> None:
    """For as long as a provider may take for it, not second by second."""
    drive = ready()
    say = drive.say("Hi")
    drive.begin("r1", None)
    drive.refuse(say)
    drive.wait(14_000)
    assert dispatched(drive) == [(say, 1)]
    drive.finish("r1")
    assert dispatched(drive) == [(say, 1), (say, 2)]


def test_a_response_that_never_ends_blocks_no_say_for_ever() -> None:
    """After 15 s without its end the say is tried again."""
    drive = ready()
    say = drive.say("Hi")
    drive.begin("r1", None)
    drive.refuse(say)
    drive.wait(15_000)
    assert dispatched(drive) == [(say, 1), (say, 2)]


@pytest.mark.parametrize("lost", ["c1", "p1", "end"])
def test_a_pause_is_no_deadline_once_nobody_can_speak_or_hear(lost: str) -> None:
    """The say is settled; nothing is left to wake for but what ends the session."""
    drive = ready()
    say = drive.say("Hi")
    drive.refuse(say)
    if lost == "end":
        drive.end(drain=False)
    else:
        drive.close(lost)
    drive.wait(60_000)
    assert drive.core.next_deadline() is None
    assert drive.outcome(say).status in ("failed", "cancelled")


def test_an_attempt_that_is_not_answered_is_made_again() -> None:
    """A provider that loses a request must not silence the session: ten seconds, a pause, the next attempt."""
    drive = ready()
    say = drive.say("Hi")
    drive.wait(9_999)
    assert drive.of(e.SayRefused) == []
    drive.wait(1)
    assert drive.of(e.SayRefused) == [
        e.SayRefused(say=say, attempt=1, code="no_answer", message="no response within 10 s")
    ]
    drive.wait(1_000)
    assert dispatched(drive) == [(say, 1), (say, 2)]


def test_a_provider_that_never_answers_fails_every_say() -> None:
    """After the last attempt, and the next say gets its own."""
    drive = ready()
    first, second = drive.say("One"), drive.say("Two")
    drive.wait(200_000)
    assert [(drive.outcome(say).status, drive.outcome(say).code) for say in (first, second)] == [("failed", "no_answer")] * 2
    assert drive.core.next_deadline() is None


# --- playout ---


def test_a_say_is_played_when_its_audio_has_sounded() -> None:
    """By the clock, from the first delivered sample on."""
    drive = ready()
    say = drive.say("Hi there")
    drive.begin("r1", say)
    drive.wait(300)
    drive.sound("r1")
    drive.wait(200)
    drive.finish("r1", 1_000, "Hi there")
    drive.wait(799)
    assert drive.of(e.SaySettled) == []
    drive.wait(1)
    assert drive.outcome(say) == e.SaySettled(
        say=say, status="played", generated_ms=1_000, heard_ms=1_000, source="clock", heard_text="Hi there"
    )
    assert len(drive.of(e.PlayoutEnded)) == 1


def test_audio_that_has_sounded_before_its_response_ends_is_played_at_once() -> None:
    """A slow response.done holds up nothing."""
    drive = ready()
    say = drive.say("Hi")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.wait(5_000)
    drive.finish("r1", 1_000, "Hi")
    assert drive.outcome(say).status == "played"


def finished(response: str, ms: int, transcript: str) -> s.ResponseFinished:
    """response.done of a completed response."""
    return s.ResponseFinished(
        response=response, status="completed", code="", message="", generated_ms=ms, transcript=transcript, usage=None
    )


def test_a_say_in_text_is_played_when_its_response_ends() -> None:
    """Nothing sounds; the words were delivered as text."""
    drive = ready()
    say = drive.say("Hi")
    drive.begin("r1", say)
    drive.finish("r1", 0, "Hi")
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.heard_ms, outcome.source, outcome.heard_text) == ("played", 0, "none", "Hi")


def test_audio_without_a_transcript_was_heard_as_it_was_requested() -> None:
    """Not every provider transcribes itself."""
    drive = ready()
    say = drive.say("Hi there")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 500)
    drive.wait(500)
    assert drive.outcome(say).heard_text == "Hi there"


@pytest.mark.parametrize(("ms", "transcript", "code"), [(0, "", "no_output"), (500, "Hi", "not_delivered")])
def test_a_say_of_which_nothing_reached_anybody_failed(ms: int, transcript: str, code: str) -> None:
    """A completed response is no proof that anything was heard."""
    drive = ready()
    say = drive.say("Hi")
    drive.begin("r1", say)
    drive.finish("r1", ms, transcript)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.code, outcome.heard_ms, outcome.heard_text) == ("failed", code, 0, "")


@pytest.mark.parametrize(("code", "expected"), [("no_model", "no_model"), ("", "failed")])
def test_a_failed_response_fails_its_say(code: str, expected: str) -> None:
    """With the provider's code, at once where nothing sounds; nothing was heard."""
    drive = ready()
    say = drive.say("Hi")
    drive.begin("r1", say)
    drive.finish("r1", status="failed", code=code)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.code, outcome.heard_ms, outcome.heard_text) == ("failed", expected, 0, "")


def test_what_sounded_before_a_failure_was_heard() -> None:
    """The mouth is free only when it has sounded; the outcome says failed and what was heard."""
    drive = ready()
    say, following = drive.say("Hi there"), drive.say("Next")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 600, "Hi", status="failed", code="server_error")
    drive.wait(599)
    assert (following, 1) not in dispatched(drive)
    drive.wait(1)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.code, outcome.heard_ms, outcome.heard_text) == ("failed", "server_error", 600, "Hi")
    assert (following, 1) in dispatched(drive)


@pytest.mark.parametrize(("status", "code"), [("cancelled", "turn_detected"), ("incomplete", "max_output_tokens")])
def test_a_response_that_was_cut_interrupts_its_say(status: str, code: str) -> None:
    """Heard is what was generated."""
    drive = ready()
    say = drive.say("Hello big world")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 300, "Hello big", status=status, code=code)
    drive.wait(300)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.code, outcome.heard_ms, outcome.heard_text) == ("interrupted", code, 300, "Hello big")


def test_a_response_that_was_cut_before_its_first_sample_was_not_heard() -> None:
    """No word of the request stands in the outcome."""
    drive = ready()
    say = drive.say("Hello big world")
    drive.begin("r1", say)
    drive.finish("r1", status="cancelled", code="client_cancelled")
    assert drive.outcome(say).heard_text == ""


# --- transcripts and asks ---


def test_words_that_do_not_come_within_three_seconds_are_late() -> None:
    """The turn ends without them, at three seconds and not before."""
    drive = ready()
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    drive.wait(2_999)
    assert drive.turns() == []
    drive.wait(1)
    (turn,) = drive.turns()
    assert (turn.text, turn.transcript_status) == ("", "late")


def test_words_known_behind_a_late_turn_follow_it_at_once() -> None:
    """One slow transcript holds up the next turn for three seconds at most."""
    drive = ready()
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    drive.wait(1_000)
    drive.signal("p1", s.AudioCommitted(item="i2", previous_item="i1"), s.TranscriptCompleted(item="i2", transcript="two"))
    drive.wait(2_000)
    assert [(turn.item, turn.text) for turn in drive.turns()] == [("i1", ""), ("i2", "two")]


def test_each_late_turn_is_late_by_its_own_clock() -> None:
    """Two commits, two deadlines."""
    drive = ready()
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    drive.wait(1_000)
    drive.signal("p1", s.AudioCommitted(item="i2", previous_item="i1"))
    drive.wait(2_000)
    assert [turn.item for turn in drive.turns()] == ["i1"]
    drive.wait(1_000)
    assert [turn.item for turn in drive.turns()] == ["i1", "i2"]


def test_an_ask_that_no_say_answers_times_out_after_ten_seconds() -> None:
    """Once, on the link that asked."""
    drive = ready()
    drive.signal("c1", ASK)
    drive.wait(9_999)
    assert drive.of(e.AnswerTimedOut) == []
    drive.wait(60_000)
    assert drive.of(e.AnswerTimedOut) == [e.AnswerTimedOut(link="c1")]


def test_an_ask_is_answered_by_the_next_say_that_begins() -> None:
    """Then nothing times out."""
    drive = ready()
    drive.signal("c1", ASK)
    drive.spoken("Hi")
    drive.wait(60_000)
    assert drive.of(e.AnswerTimedOut) == []


def test_an_ask_does_not_time_out_while_says_are_open() -> None:
    """The next one to begin answers it: here it is queued behind a long one."""
    drive = ready()
    long, answer = drive.say("A long story"), drive.say("The answer")
    drive.begin("r1", long)
    drive.sound("r1")
    drive.finish("r1", 30_000, "A long story")
    drive.signal("c1", ASK)
    drive.wait(30_000)
    assert (answer, 1) in dispatched(drive)
    assert drive.of(e.AnswerTimedOut) == []


def test_an_ask_during_a_say_has_its_ten_seconds_after_it() -> None:
    """A handler that waits for its say to be heard may still answer."""
    drive = ready()
    say = drive.say("A long story")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 30_000, "A long story")
    drive.signal("c1", ASK)
    drive.wait(39_999)
    assert drive.of(e.AnswerTimedOut) == []
    drive.wait(1)
    assert drive.of(e.AnswerTimedOut) == [e.AnswerTimedOut(link="c1")]


def test_a_response_that_nobody_hears_answers_no_ask() -> None:
    """While a handler answers, the model's own words reach nobody."""
    drive = ready()
    drive.signal("c1", ASK)
    drive.begin("r1", None)
    drive.finish("r1", 100, "unheard")
    drive.wait(10_000)
    assert drive.of(e.AnswerTimedOut) == [e.AnswerTimedOut(link="c1")]


def test_an_ask_of_a_caller_that_left_is_forgotten() -> None:
    """Nobody is there to be answered."""
    drive = ready().open_caller("c2")
    drive.signal("c1", ASK)
    drive.close("c1")
    drive.wait(60_000)
    assert drive.of(e.AnswerTimedOut) == []


# --- where the model answers ---


def item(name: str) -> s.ItemCreated:
    """A caller's user item."""
    return s.ItemCreated(item=name, kind="message", role="user", text=name, raw={"id": name})


def test_items_and_asks_reach_the_model_in_order_and_once() -> None:
    """As they came, as soon as it is there; caused by what the caller did."""
    drive = Drive(answers="model").open_caller()
    drive.signal("c1", item("i1"), ASK, item("i2"), s.CommitRequested(item="x"), ASK)
    drive.open_provider()
    drive.wait(1_000)
    relayed = drive.of(e.ItemForwarded, e.AnswerDispatched, e.InputCommitDispatched)
    assert relayed == [
        e.ItemForwarded(link="p1", item="i1", raw={"id": "i1"}),
        e.AnswerDispatched(link="p1", request=ASK.request),
        e.ItemForwarded(link="p1", item="i2", raw={"id": "i2"}),
        e.InputCommitDispatched(link="p1"),
        e.AnswerDispatched(link="p1", request=ASK.request),
    ]
    assert isinstance(drive.why(e.AnswerDispatched), e.AnswerAsked)
    assert isinstance(drive.why(e.ItemForwarded), e.ItemSeeded)


def test_where_a_handler_answers_only_commits_and_clears_are_relayed() -> None:
    """Items and asks are the handler's."""
    drive = ready()
    drive.signal("c1", item("i1"), ASK, s.CommitRequested(item="x"), s.AudioCleared())
    assert drive.of(e.ItemForwarded, e.AnswerDispatched) == []
    assert drive.of(e.InputCommitDispatched, e.InputClearDispatched) == [
        e.InputCommitDispatched(link="p1"),
        e.InputClearDispatched(link="p1"),
    ]


# --- the caller has gone ---


def test_what_was_owed_to_a_caller_that_left_has_failed() -> None:
    """Every open say: what sounded is interrupted with what was heard, the rest failed(caller_gone)."""
    drive = ready()
    first, second = drive.say("Hello big world"), drive.say("Two")
    drive.begin("r1", first)
    drive.sound("r1")
    drive.finish("r1", 1_000, "Hello big world")
    drive.wait(700)
    drive.close("c1")
    assert (drive.outcome(first).status, drive.outcome(first).heard_ms, drive.outcome(first).heard_text) == (
        "interrupted",
        700,
        "Hello big",
    )
    assert (drive.outcome(second).status, drive.outcome(second).code) == ("failed", "caller_gone")


def test_a_say_to_nobody_fails_at_once() -> None:
    """It does not wait for the end."""
    drive = ready()
    drive.close("c1")
    say = drive.say("Anybody?")
    assert (drive.outcome(say).status, drive.outcome(say).code) == ("failed", "caller_gone")


def test_a_handler_has_ten_seconds_after_its_caller_left() -> None:
    """Then the session ends without it."""
    drive = ready()
    drive.close("c1")
    drive.wait(9_999)
    assert drive.of(e.SessionEnding) == []
    drive.wait(1)
    assert drive.of(e.SessionEnded) == [e.SessionEnded(reason="caller_gone")]


def test_a_caller_that_comes_in_time_keeps_the_session() -> None:
    """Somebody is there again: no deadline is left, and says are spoken."""
    drive = ready()
    drive.close("c1")
    drive.wait(5_000)
    drive.open_caller("c2")
    drive.wait(60_000)
    assert drive.of(e.SessionEnding) == []
    say = drive.spoken("Hi again")
    assert drive.outcome(say).status == "played"


# --- the end ---


def test_a_drained_end_speaks_what_is_queued() -> None:
    """Then it ends."""
    drive = ready()
    first, second = drive.say("One"), drive.say("Two")
    drive.end(drain=True)
    for say in (first, second):
        drive.begin(f"r_{say}", say)
        drive.sound(f"r_{say}")
        drive.finish(f"r_{say}", 100, "x")
        assert drive.of(e.SessionEnded) == []
        drive.wait(100)
    assert [drive.outcome(say).status for say in (first, second)] == ["played", "played"]
    assert drive.of(e.SessionEnded) == [e.SessionEnded(reason="enough")]


def test_an_end_without_drain_cancels_what_is_queued() -> None:
    """With the end's reason as code."""
    drive = ready()
    first, second = drive.say("One"), drive.say("Two")
    drive.end(drain=False)
    assert [(drive.outcome(say).status, drive.outcome(say).code) for say in (first, second)] == [("cancelled", "enough")] * 2
    assert len(drive.of(e.SessionEnded)) == 1


def test_a_drain_with_nobody_listening_cancels() -> None:
    """What nobody will hear is not waited for."""
    drive = Drive().open_provider()
    say = drive.say("Hi")
    drive.end(drain=True)
    assert drive.outcome(say).status == "cancelled"
    assert len(drive.of(e.SessionEnded)) == 1


def test_a_session_ends_in_a_step_of_its_own() -> None:
    """The handler sees how its says ended before SessionEnded, so that what it does then is in the log."""
    drive = ready()
    drive.say("Hi")
    drive.core.ending(e.SessionEnding(reason="r"), drive.now_ns)
    drive.round()
    assert [type(event) for event in drive.round()] == [e.SaySettled]
    assert [type(event) for event in drive.round()] == [e.SessionEnded]


def test_settling_and_ending_are_caused_by_the_ending() -> None:
    """Why a say was cancelled, and why the session ended: because it was to end."""
    drive = ready()
    drive.say("Hi")
    drive.end(drain=False)
    assert isinstance(drive.why(e.SaySettled), e.SessionEnding)
    assert isinstance(drive.why(e.SessionEnded), e.SessionEnding)


def test_losing_the_provider_settles_what_sounded_with_what_was_heard() -> None:
    """The words that came before the loss were heard all the same."""
    drive = ready()
    first, second = drive.say("Hello big world"), drive.say("Two")
    drive.begin("r1", first)
    drive.sound("r1")
    drive.finish("r1", 1_000, "Hello big world")
    drive.wait(700)
    drive.close("p1")
    assert (drive.outcome(first).status, drive.outcome(first).heard_ms, drive.outcome(first).heard_text) == (
        "interrupted",
        700,
        "Hello big",
    )
    assert (drive.outcome(second).status, drive.outcome(second).code) == ("failed", "provider_lost")


def test_a_say_whose_response_is_cut_off_by_the_loss_of_the_provider_was_heard_so_far() -> None:
    """Its end is not known: what is known is since when it sounded."""
    drive = ready()
    say = drive.say("Hello")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.wait(400)
    drive.close("p1")
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("interrupted", 400)


@pytest.mark.parametrize("how", ["caller", "provider", "fail", "end", "drain"])
@pytest.mark.parametrize("stage", ["pending", "dispatched", "begun", "sounding", "playing"])
def test_every_say_is_settled_exactly_once_wherever_it_is_cut(stage: str, how: str) -> None:
    """Every way a session can end, at every point of a say's life."""
    drive = Drive().open_caller()
    if stage != "pending":
        drive.open_provider()
    say, behind = drive.say("Hello big world"), drive.say("Two")
    if stage in ("begun", "sounding", "playing"):
        drive.begin("r1", say)
    if stage in ("sounding", "playing"):
        drive.sound("r1")
    if stage == "playing":
        drive.finish("r1", 5_000, "Hello big world")
    drive.wait(100)
    match how:
        case "caller":
            drive.close("c1")
        case "provider":
            drive.core.link_failed(e.LinkFailed(side="provider", code="TL301", message="m"), drive.now_ns)
            drive.settle()
        case "fail":
            drive.command(c.Fail(type_name="E", message="m"))
        case _:
            drive.end(drain=how == "drain")
            drive.close("c1")
    drive.wait(60_000)
    for name in (say, behind):
        assert drive.outcome(name).status in ("interrupted", "cancelled", "failed")
    assert len(drive.of(e.SessionEnded)) == 1
    assert isinstance(drive.log[-1].event, e.SessionEnded)


def test_nothing_is_sent_once_a_session_ends_without_drain() -> None:
    """Neither says nor configuration nor what callers asked for."""
    drive = ready(answers="model")
    drive.core.ending(e.SessionEnding(reason="r"), drive.now_ns)
    seq = drive.core.record(e.TransportReceived(link="c1", n=1, data=b"{}"), e.Root.WIRE, drive.now_ns)
    for signal in (item("i1"), ASK, s.CallerConfigured(changes={"output_modalities": ["text"]}, session={})):
        drive.core.decide("c1", signal, seq, drive.now_ns)
    drive.settle()
    assert drive.of(e.ItemForwarded, e.AnswerDispatched) == []
    assert len(drive.of(e.ConfigurationDispatched)) == 1


# --- deadlines ---


def test_an_idle_session_has_no_deadline() -> None:
    """The live loop sleeps until something happens."""
    assert Drive().core.next_deadline() is None
    assert ready().core.next_deadline() is None


def test_deadlines_are_where_they_are_due() -> None:
    """The nearest of them: playout, transcript, refusal, ask, grace."""
    drive = ready()
    drive.signal("c1", ASK)
    assert drive.core.next_deadline() == START_NS + 10_000 * MS
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    assert drive.core.next_deadline() == START_NS + 3_000 * MS
    say = drive.say("Hi")
    drive.refuse(say)
    assert drive.core.next_deadline() == START_NS + 1_000 * MS
    drive.wait(1_000)
    drive.begin("r1", say, 2)
    drive.sound("r1")
    drive.finish("r1", 500, "Hi")
    assert drive.core.next_deadline() == START_NS + 1_500 * MS
    drive.close("c1")
    assert drive.core.next_deadline() == START_NS + 3_000 * MS
    drive.wait(2_000)
    assert drive.core.next_deadline() == START_NS + 11_000 * MS


def test_a_clock_that_begins_at_zero_misses_no_deadline() -> None:
    """0 ns is a time like any other."""
    drive = ready()
    drive.now_ns = 0
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    assert drive.core.next_deadline() == 3_000 * MS


def test_unrelated_facts_of_one_moment_do_not_cause_each_other() -> None:
    """A late transcript and a played say at the same instant: the clock caused both."""
    drive = ready()
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    say = drive.say("Hi")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 3_000, "Hi")
    drive.wait(3_000)
    assert drive.why(e.InputTranscribed) is e.Root.TIMER
    assert drive.why(e.PlayoutEnded) is e.Root.TIMER
    assert isinstance(drive.why(e.SaySettled), e.PlayoutEnded)
    assert isinstance(drive.why(e.TurnEnded), e.InputTranscribed)
