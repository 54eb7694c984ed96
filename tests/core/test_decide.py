"""What messages, commands and losses mean for a session."""

import inspect
from typing import Any

import pytest

from tests.core.driving import MS, Drive
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.decide import decide
from turnlog.core.saying import MAX_ATTEMPTS


def user_item(item: str, text: str, role: str = "user") -> s.ItemCreated:
    """A caller's conversation.item.create."""
    return s.ItemCreated(item=item, kind="message", role=role, text=text, raw={"id": item})


ASK = s.AnswerRequested(event_id="evt", request={}, out_of_band=False, response="resp")


def ready(**options: Any) -> Drive:
    """A session with both links."""
    return Drive(**options).open_provider().open_caller()


def spoke(item: str, start_ms: int = 0) -> list[s.Signal]:
    """Speech from its start to its commit."""
    return [
        s.SpeechBegan(item=item, audio_start_ms=start_ms),
        s.SpeechCeased(item=item, audio_end_ms=start_ms + 500),
        s.AudioCommitted(item=item, previous_item=None),
    ]


def words(item: str, transcript: str) -> s.TranscriptCompleted:
    """A transcript."""
    return s.TranscriptCompleted(item=item, transcript=transcript)


# --- turns by text ---


def test_seeding_makes_no_turn() -> None:
    """Items are context until somebody asks for an answer."""
    drive = ready()
    drive.signal("c1", user_item("i1", "hello"))
    drive.wait(60_000)
    assert drive.turns() == []


def test_an_ask_makes_one_turn_of_the_user_items_since_the_last_answer() -> None:
    """Their texts are joined line by line; the turn has the last item's id and is typed, not spoken."""
    drive = ready()
    drive.signal("c1", user_item("i1", "hello"), user_item("i2", "it is me"), ASK)
    assert drive.turns() == [
        e.TurnEnded(turn=1, item="i2", text="hello\nit is me", transcript=None, channel="text", transcript_status="none")
    ]


def test_an_assistant_item_closes_what_was_seeded() -> None:
    """History that the caller brings along is answered already."""
    drive = ready()
    drive.signal("c1", user_item("i1", "old"), user_item("a1", "answered", role="assistant"), user_item("i2", "new"), ASK)
    assert [turn.text for turn in drive.turns()] == ["new"]


def test_a_system_item_is_no_contribution() -> None:
    """Only the user speaks in turns."""
    drive = ready()
    drive.signal("c1", user_item("s1", "be kind", role="system"), ASK)
    assert drive.turns() == []


def test_an_ask_without_new_items_makes_no_turn() -> None:
    """A second ask does not repeat the first one's turn."""
    drive = ready()
    drive.signal("c1", user_item("i1", "hello"), ASK)
    drive.signal("c1", ASK)
    assert len(drive.turns()) == 1
    assert len(drive.of(e.AnswerAsked)) == 2


def test_blank_items_make_no_turn() -> None:
    """An item without text (audio, or spaces) has nothing to read; it does not stand in the next turn either."""
    drive = ready()
    drive.signal("c1", user_item("i1", " "), ASK)
    assert drive.turns() == []
    drive.signal("c1", user_item("i2", "words"), ASK)
    assert [turn.text for turn in drive.turns()] == ["words"]


# --- turns by voice ---


def test_a_spoken_turn_has_its_transcript_times_and_number() -> None:
    """text is the transcript without the spaces around it."""
    drive = ready()
    drive.signal("p1", *spoke("i1", 300))
    drive.signal("p1", words("i1", " Hello there. "))
    assert drive.turns() == [
        e.TurnEnded(
            turn=1, item="i1", text="Hello there.", transcript=" Hello there. ", channel="audio", start_ms=300, end_ms=800
        )
    ]


def test_a_turn_waits_for_its_words() -> None:
    """A commit alone ends no turn."""
    drive = ready()
    drive.signal("p1", *spoke("i1"))
    assert drive.turns() == []


def test_turns_end_in_the_order_of_their_commits() -> None:
    """Whatever the order of the transcripts."""
    drive = ready()
    drive.signal("p1", *spoke("i1"), *spoke("i2"), *spoke("i3"))
    drive.signal("p1", words("i3", "three"))
    drive.signal("p1", words("i2", "two"))
    assert drive.turns() == []
    drive.signal("p1", words("i1", "one"))
    assert [(turn.turn, turn.text) for turn in drive.turns()] == [(1, "one"), (2, "two"), (3, "three")]


def test_the_order_is_of_commits_and_not_of_first_sounds() -> None:
    """Speech that began first and was committed last comes last."""
    drive = ready()
    drive.signal("p1", s.SpeechBegan(item="i1", audio_start_ms=0), s.AudioCommitted(item="i2", previous_item=None))
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item="i2"), words("i1", "one"), words("i2", "two"))
    assert [turn.text for turn in drive.turns()] == ["two", "one"]


def test_a_transcript_before_the_commit_is_kept_for_it() -> None:
    """The turn ends with the commit then."""
    drive = ready()
    drive.signal("p1", words("i1", "early"))
    assert drive.turns() == []
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    assert [turn.text for turn in drive.turns()] == ["early"]


def test_a_failed_transcript_gives_a_turn_without_words() -> None:
    """text "" and the status: the handler decides what to say."""
    drive = ready()
    drive.signal("p1", *spoke("i1"), s.TranscriptFailed(item="i1", code="c", message="m"))
    (turn,) = drive.turns()
    assert (turn.text, turn.transcript, turn.transcript_status) == ("", "", "failed")


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_blank_transcript_is_no_turn(blank: str) -> None:
    """A cough is discarded, and holds up nobody."""
    drive = ready()
    drive.signal("p1", *spoke("i1"), *spoke("i2"), words("i2", "two"), words("i1", blank))
    assert drive.of(e.TurnDiscarded) == [e.TurnDiscarded(item="i1", reason="the transcript is blank")]
    assert [(turn.turn, turn.text) for turn in drive.turns()] == [(1, "two")]


def test_words_after_the_end_of_their_turn_are_kept_and_change_nothing() -> None:
    """TranscriptArrivedLate, once the turn went without them."""
    drive = ready()
    drive.signal("p1", *spoke("i1"))
    drive.wait(3_000)
    drive.signal("p1", words("i1", "too late"))
    assert drive.of(e.TranscriptArrivedLate) == [e.TranscriptArrivedLate(item="i1", transcript="too late")]
    assert [turn.text for turn in drive.turns()] == [""]


def test_a_late_failure_is_nothing_new() -> None:
    """The turn has ended without words already."""
    drive = ready()
    drive.signal("p1", *spoke("i1"))
    drive.wait(3_000)
    assert not [event for event in drive.signal("p1", s.TranscriptFailed(item="i1", code="c", message="m")) if not wire(event)]


def wire(event: e.Event) -> bool:
    """A record of the wire itself."""
    return isinstance(event, e.TransportReceived)


def test_one_item_ends_one_turn_however_often_it_is_committed() -> None:
    """A provider that repeats itself makes no second turn."""
    drive = ready()
    commit = s.AudioCommitted(item="i1", previous_item=None)
    drive.signal("p1", commit, commit, words("i1", "once"), commit)
    drive.wait(10_000)
    assert [turn.text for turn in drive.turns()] == ["once"]


def test_without_transcription_a_turn_ends_at_its_commit() -> None:
    """No words were wanted: none are waited for."""
    drive = ready(transcription=None)
    drive.signal("p1", *spoke("i1"))
    (turn,) = drive.turns()
    assert (turn.text, turn.transcript_status, turn.start_ms, turn.end_ms) == ("", "none", 0, 500)


# --- says ---


def test_a_response_with_our_metadata_speaks_the_say() -> None:
    """Correlation by say and attempt."""
    drive = ready()
    say = drive.say("Hi")
    drive.begin("r1", say)
    assert drive.of(e.ResponseStarted) == [e.ResponseStarted(response="r1", say=say, attempt=1, link="p1")]


@pytest.mark.parametrize(("named", "attempt"), [("say_9", 1), ("say_1", 2), ("say_1", 0)])
def test_a_response_to_another_attempt_is_not_ours(named: str, attempt: int) -> None:
    """An unknown say or a stale attempt speaks nothing for us: it is dead from the start, and cancelled."""
    drive = ready()
    drive.say("Hi")
    drive.begin("r1", named, attempt)
    assert drive.of(e.ResponseStarted) == [e.ResponseStarted(response="r1", say=None, attempt=0, dead=True, link="p1")]
    assert drive.of(e.CancelDispatched) == [e.CancelDispatched(link="p1", response="r1")]


def test_a_response_of_an_attempt_given_up_does_not_settle_the_say() -> None:
    """The first attempt was refused; should its response come all the same, the second one counts."""
    drive = ready()
    say = drive.say("Hi")
    drive.refuse(say, 1)
    drive.wait(1_000)
    drive.begin("stale", say, 1)
    drive.sound("stale")
    drive.finish("stale", 100, "Hi")
    drive.wait(100)
    assert drive.of(e.SaySettled) == []
    drive.begin("r2", say, 2)
    drive.sound("r2")
    drive.finish("r2", 500, "Hi")
    drive.wait(500)
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("played", 500)


def test_a_refused_say_stays_owed() -> None:
    """The refusal is a fact, not an outcome."""
    drive = ready()
    say = drive.say("Hi")
    drive.refuse(say)
    assert len(drive.of(e.SayRefused)) == 1
    assert drive.of(e.SaySettled) == []


def test_a_say_refused_too_often_fails_with_the_last_code() -> None:
    """MAX_ATTEMPTS, then failed(code): never forgotten, never endless."""
    drive = ready()
    say = drive.say("Hi")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        drive.refuse(say, attempt, f"code_{attempt}")
        drive.wait(1_000)
    assert len(drive.of(e.SayDispatched)) == MAX_ATTEMPTS
    assert (drive.outcome(say).status, drive.outcome(say).code) == ("failed", f"code_{MAX_ATTEMPTS}")
    assert drive.core.next_deadline() is None


def test_a_refusal_of_an_old_attempt_changes_nothing() -> None:
    """Twice the same error is one refusal."""
    drive = ready()
    say = drive.say("Hi")
    drive.refuse(say, 1)
    drive.wait(1_000)
    drive.refuse(say, 1)
    assert len(drive.of(e.SayRefused)) == 1
    drive.begin("r1", say, 2)
    assert len(drive.of(e.ResponseStarted)) == 1


def test_a_refusal_that_is_of_no_say_is_of_an_answer() -> None:
    """It is named in the log; one of a say that is settled is the provider's fault."""
    drive = ready()
    drive.refuse(None, 0)
    busy = "conversation_already_has_active_response"
    assert drive.of(e.AnswerRefused) == [e.AnswerRefused(link="p1", code=busy, message="busy")]
    drive.refuse("say_99")
    assert drive.of(e.PeerFaulted) == [e.PeerFaulted(link="p1", code=busy, message="busy")]


def test_a_response_begins_and_ends_once() -> None:
    """A provider that repeats created or done changes nothing by it."""
    drive = ready()
    say = drive.say("Hi")
    drive.begin("r1", say)
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 500, "Hi")
    drive.finish("r1", 900, "Hi Ho")
    drive.wait(2_000)
    assert len(drive.of(e.ResponseStarted)) == len(drive.of(e.ResponseEnded)) == 1
    assert drive.outcome(say).heard_ms == 500


def test_a_done_without_a_beginning_is_nothing() -> None:
    """A response that this session never saw begin cannot end in it."""
    drive = ready()
    drive.finish("r9", 500, "x")
    assert drive.of(e.ResponseEnded, e.PlayoutEnded) == []


# --- callers and the provider's errors ---


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"instructions": "x", "tools": [], "tool_choice": "none"}, None),
        ({"output_modalities": ["text"]}, {"output_modalities": ["text"]}),
        ({"audio": {"output": {"voice": "ash"}}}, {"voice": "ash"}),
        (
            {"audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcma"}}}},
            {"input_format": {"type": "audio/pcmu"}, "output_format": {"type": "audio/pcma"}},
        ),
        ({"audio": {"input": {"turn_detection": None}}}, {"turn_detection": None}),
        ({"audio": {"input": {"transcription": {"model": "x"}}}}, None),
    ],
)
def test_only_what_applies_of_a_callers_update_is_asked(changes: dict[str, Any], settings: dict[str, Any] | None) -> None:
    """Modalities, formats, voice and turn detection; instructions and tools stay the handler's."""
    drive = ready()
    drive.signal("c1", s.CallerConfigured(changes=changes, session={}))
    assert drive.of(e.SettingsAsked) == ([e.SettingsAsked(link="c1", settings=settings)] if settings else [])


def test_a_providers_error_is_a_fact_and_ends_nothing() -> None:
    """The session stays open."""
    drive = ready()
    drive.signal("p1", s.ProviderError(code="invalid_value", message="m", param=None, event_id=None))
    assert drive.of(e.PeerFaulted) == [e.PeerFaulted(link="p1", code="invalid_value", message="m")]
    assert drive.of(e.SessionEnding) == []


def test_an_expired_provider_session_ends_ours() -> None:
    """Nothing can be said any more: the reason is named."""
    drive = ready()
    drive.signal("p1", s.ProviderError(code="session_expired", message="60 minutes", param=None, event_id=None))
    assert drive.of(e.SessionEnded) == [e.SessionEnded(reason="provider_lost", code="session_expired", detail="60 minutes")]


def test_a_provider_that_refuses_our_configuration_ends_the_session() -> None:
    """It would never be ready, and the session silent for ever."""
    drive = Drive().open_caller()
    drive.fact(e.LinkOpened(link="p1", side="provider", transport="websocket"))
    drive.signal("p1", s.ProviderError(code="model_not_found", message="no such model", param=None, event_id=None))
    assert drive.of(e.SessionEnded) == [e.SessionEnded(reason="provider_lost", code="model_not_found", detail="no such model")]


def test_the_provider_is_ready_once() -> None:
    """A later session.updated is no second beginning."""
    drive = ready()
    drive.signal("p1", s.ProviderConfigured(session={"voice": "ash"}))
    assert len(drive.of(e.LinkReady)) == 1


def test_a_tool_call_is_requested_once() -> None:
    """A repeated announcement of the same call runs no second tool."""
    drive = ready(answers="model")
    call = s.FunctionCalled(response="r1", item="i1", call_id="c1", name="find", arguments="{}")
    drive.signal("p1", call, call)
    assert drive.of(e.ToolRequested) == [e.ToolRequested(response="r1", item="i1", call_id="c1", name="find", arguments="{}")]


def test_signals_that_decide_nothing_are_known_by_name() -> None:
    """A new signal has to be decided on, or added here on purpose: media, greetings, and what a leg answers alone."""
    text = inspect.getsource(decide)
    undecided = {name for name in s.__all__ if f"s.{name}(" not in text}
    assert undecided == {
        *("Signal", "Audio", "AudioAppended"),
        "OutputAudio",
        "OutputText",
        "ProviderGreeted",
        "WatchAsked",
    }


# --- commands ---


def test_ids_come_from_the_index() -> None:
    """A say and a call have the same id on every attempt and in every replay."""
    drive = ready()
    drive.command(c.Input())
    drive.command(c.Say(text="x"))
    drive.command(c.Call(target="t"))
    assert [getattr(event, "say", "") for event in drive.of(e.SayRequested)] == ["say_2"]
    assert [getattr(event, "call", "") for event in drive.of(e.CallRequested)] == ["call_3"]


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (c.Input(), e.InputRequested),
        (c.Say(text="x"), e.SayRequested),
        (c.Call(target="t"), e.CallRequested),
        (c.End(reason="r"), e.EndRequested),
        (c.Abandon(command=1), e.CommandAbandoned),
        (c.Return(), e.HandlerReturned),
        (c.Fail(type_name="E", message="m"), e.HandlerFailed),
    ],
)
def test_every_command_is_journaled(command: c.Command, kind: type[e.Event]) -> None:
    """With its index, first of what follows from it."""
    drive = ready()
    first = drive.command(command)[0]
    assert type(first) is kind
    assert first.index == 1  # type: ignore[attr-defined] # all of them have one


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        (c.End(reason="bye"), e.SessionEnding(reason="bye", drain=True)),
        (c.End(reason="bye", drain=False), e.SessionEnding(reason="bye", drain=False)),
        (c.Return(), e.SessionEnding(reason="completed", drain=True)),
        (
            c.Fail(type_name="KeyError", message="'x'"),
            e.SessionEnding(reason="handler_failed", code="TL106", detail="KeyError: 'x'"),
        ),
    ],
)
def test_how_a_handler_ends_its_session(command: c.Command, ending: e.SessionEnding) -> None:
    """Reason, code, and whether queued says are spoken first."""
    drive = ready()
    drive.command(command)
    assert drive.of(e.SessionEnding) == [ending]
    assert len(drive.of(e.SessionEnded)) == 1


def test_a_handler_that_returns_after_its_caller_left_ends_as_caller_gone() -> None:
    """The reason is why, not how."""
    drive = ready()
    drive.close("c1")
    drive.command(c.Return())
    assert drive.of(e.SessionEnded) == [e.SessionEnded(reason="caller_gone")]


def test_a_drain_is_overtaken_by_a_harder_end_only() -> None:
    """A second drain is nothing new; drain=False is, and a third neither."""
    drive = ready()
    drive.say("Hi")
    drive.end(drain=True)
    drive.end(drain=True)
    assert len(drive.of(e.SessionEnding)) == 1
    drive.end(drain=False)
    assert len(drive.of(e.SessionEnding)) == 2
    drive.end(drain=False)
    assert len(drive.of(e.SessionEnding)) == 2


# --- links ---


def test_losing_the_provider_ends_the_session() -> None:
    """With the close code and reason in the detail."""
    drive = ready()
    drive.core.link_closed(e.LinkClosed(link="p1", code=1011, reason="server error"), drive.now_ns)
    drive.settle()
    assert drive.of(e.SessionEnded) == [e.SessionEnded(reason="provider_lost", code="TL302", detail="1011 server error")]


def test_the_last_caller_to_leave_is_noticed() -> None:
    """One of two is no CallersGone; the session lives on for the handler to end it."""
    drive = ready().open_caller("c2")
    drive.close("c1")
    assert drive.of(e.CallersGone) == []
    drive.close("c2")
    assert len(drive.of(e.CallersGone)) == 1
    assert drive.of(e.SessionEnding) == []


def test_the_loss_of_a_link_nobody_knows_is_no_callers_leaving() -> None:
    """A line that closes twice, or never stood, takes no caller away."""
    drive = Drive()
    drive.close("c7")
    assert drive.of(e.CallersGone) == []


# --- heard words ---


def test_what_was_heard_of_a_cut_say_is_in_its_outcome() -> None:
    """interrupted, with the milliseconds and words up to the cut."""
    drive = ready()
    say = drive.say("Hello big world")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 1000, "Hello big world")
    drive.wait(500)
    drive.end(drain=False)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.heard_ms, outcome.generated_ms, outcome.source) == ("interrupted", 500, 1000, "clock")
    assert outcome.heard_text == "Hello"
    assert drive.now_ns % MS == 0
