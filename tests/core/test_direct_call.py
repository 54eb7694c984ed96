"""A call that the provider holds with the caller itself: its audio goes past us, and we follow it by a sideband."""

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.driving import Drive, anatomy, replayed
from tests.core.explaining import now
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.states import SayState

TEXT = "Hello big world of words"
EFFECTIVE: dict[str, Any] = {
    "instructions": "Be kind.",
    "tools": [],
    "audio": {
        "input": {
            "transcription": {"model": "whisper"},
            "turn_detection": {"type": "server_vad", "create_response": False, "interrupt_response": False},
        }
    },
}


def direct(**options: Any) -> Drive:
    """A session whose call was taken, with a sideband that has confirmed our configuration."""
    drive = Drive(**options)
    drive.fact(e.LinkOpened(link="c1", side="caller", transport="direct"))
    drive.core.call(e.CallOpened(call_id="rtc_1", link="c1"), drive.now_ns)
    drive.settle()
    return join(drive, "p1")


def join(drive: Drive, link: str) -> Drive:
    """The sideband, joined and configured: no greeting comes before that."""
    drive.fact(e.LinkOpened(link=link, side="provider", transport="sideband"))
    drive.signal(link, s.ProviderConfigured(session=EFFECTIVE))
    return drive


def plays(state: Literal["started", "stopped", "cleared"], response: str = "r1") -> s.ProviderBuffer:
    """What the provider says of its own playing."""
    return s.ProviderBuffer(response=response, state=state)


def sounding(drive: Drive, *, finished: bool = True, **options: Any) -> str:
    """A say that the provider has begun to play; no sample of it comes by here."""
    say = drive.say(TEXT, **options)
    drive.begin("r1", say)
    drive.signal("p1", plays("started"))
    if finished:
        drive.finish("r1", 0, TEXT)
    return say


def session_with(**changes: Any) -> dict[str, Any]:
    """An effective session that somebody has changed."""
    return {**EFFECTIVE, **changes}


# --- the sideband ---


def test_a_sideband_is_configured_as_soon_as_it_stands() -> None:
    """It greets nobody: session.updated is its first word."""
    drive = direct()
    kinds = [type(one.event) for one in drive.log if type(one.event) in (e.LinkOpened, e.ConfigurationDispatched, e.LinkReady)]
    assert kinds == [e.LinkOpened, e.LinkOpened, e.ConfigurationDispatched, e.LinkReady]
    assert (drive.core.state.call.id, drive.core.state.call.link) == ("rtc_1", "c1")


def test_a_call_that_was_refused_leaves_the_session_waiting() -> None:
    """Another offer may be made."""
    drive = Drive()
    drive.core.call(e.CallRefused(code="TL303", message="no key"), drive.now_ns)
    drive.wait(60_000)
    assert (drive.core.state.call.id, drive.core.ended) == ("", False)


# --- what is heard ---


def test_a_finished_response_is_not_heard_before_its_buffer_has_stopped() -> None:
    """Its audio does not come by: how long it was is how long it sounded."""
    drive = direct()
    say = sounding(drive)
    drive.wait(2_000)
    assert drive.of(e.SaySettled) == []
    drive.signal("p1", plays("stopped"))
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.heard_ms, outcome.heard_text, outcome.source) == ("played", 2_000, TEXT, "buffer_event")


@pytest.mark.parametrize("order", ["done, stopped", "stopped, done"])
def test_speech_in_the_same_moment_cuts_nothing_that_was_played_out(order: str) -> None:
    """A caller answers at once; its say is settled before the turn."""
    drive = direct()
    say = sounding(drive, finished=False)
    drive.wait(900)
    done = s.ResponseFinished(
        response="r1", status="completed", code="", message="", generated_ms=0, transcript=TEXT, usage=None
    )
    last = [done, plays("stopped")] if order == "done, stopped" else [plays("stopped"), done]
    drive.signal("p1", *last, s.SpeechBegan(item="u1", audio_start_ms=0))
    assert (drive.outcome(say).status, drive.of(e.PlayoutCut)) == ("played", [])


def test_a_response_that_ends_before_it_sounds_is_waited_for() -> None:
    """The buffer begins to play a moment later."""
    drive = direct()
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.finish("r1", 0, TEXT)
    drive.wait(1_000)
    drive.signal("p1", plays("started"))
    drive.wait(1_500)
    assert drive.of(e.SaySettled) == []
    drive.signal("p1", plays("stopped"))
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("played", 1_500)


def test_a_response_that_never_sounds_has_failed() -> None:
    """Five seconds after its end nobody has heard a word of it."""
    drive = direct()
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.finish("r1", 0, TEXT)
    drive.wait(4_999)
    assert drive.of(e.SaySettled) == []
    drive.wait(1)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.code, outcome.heard_ms, outcome.heard_text) == ("failed", "stalled", 0, "")


def test_a_session_of_text_waits_for_no_buffer() -> None:
    """Its words are read when they are there."""
    drive = direct(modalities=["text"])
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.finish("r1", 0, TEXT)
    assert (drive.outcome(say).status, drive.outcome(say).heard_text) == ("played", TEXT)


def test_what_needs_our_own_audio_fails() -> None:
    """Nothing of ours gets into the caller's ear."""
    drive = direct()
    say = drive.say(TEXT, mode="tts")
    assert (drive.outcome(say).status, drive.outcome(say).code) == ("failed", "no_media")
    assert (drive.say("And on"), drive.of(e.SayDispatched)[-1].say) == ("say_2", "say_2")  # type: ignore[attr-defined] # of one type


def test_who_is_waited_for_while_the_provider_plays_is_told() -> None:
    """Nobody misses audio that never comes by; a response that is not begun to be played is the provider's affair."""
    drive = direct()
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.finish("r1", 0, TEXT)
    drive.wait(300)
    assert (now(drive).name, now(drive).owner) == ("provider_audio", "provider")
    drive = direct()
    sounding(drive, finished=False)
    drive.wait(3_000)
    assert (now(drive).name, now(drive).owner) == ("playout", "caller")


# --- a cut's third step ---


def test_speech_cancels_and_clears_what_the_provider_plays() -> None:
    """In this order, and once."""
    drive = direct()
    say = sounding(drive, finished=False)
    drive.wait(700)
    events = drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    stops = [event for event in events if isinstance(event, e.CancelDispatched | e.OutputClearDispatched)]
    assert stops == [e.CancelDispatched(link="p1", response="r1"), e.OutputClearDispatched(link="p1")]
    assert isinstance(drive.why(e.OutputClearDispatched), e.PlayoutCut)
    drive.signal("p1", plays("cleared"))
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("interrupted", 700)
    drive.wait(5_000)
    assert len(drive.of(e.OutputClearDispatched)) == 1


def test_a_clear_is_caused_by_the_cut_also_when_its_say_is_settled_by_then() -> None:
    """The turn had come in the same round."""
    drive = direct()
    sounding(drive)
    drive.signal(
        "p1",
        s.SpeechBegan(item="u1", audio_start_ms=0),
        s.SpeechCeased(item="u1", audio_end_ms=900),
        s.AudioCommitted(item="u1", previous_item=None),
        s.TranscriptCompleted(item="u1", transcript="Yes"),
    )
    assert isinstance(drive.why(e.OutputClearDispatched), e.PlayoutCut)


def test_a_response_that_is_generated_and_still_plays_is_cleared_without_a_cancel() -> None:
    """There is nothing left to cancel."""
    drive = direct()
    sounding(drive)
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    assert (len(drive.of(e.CancelDispatched)), len(drive.of(e.OutputClearDispatched))) == (0, 1)


def test_a_buffer_that_has_stopped_is_not_cleared() -> None:
    """The provider plays nothing any more, though the response goes on."""
    drive = direct()
    sounding(drive, finished=False)
    drive.signal("p1", plays("stopped"))
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    assert (len(drive.of(e.CancelDispatched)), drive.of(e.OutputClearDispatched)) == (1, [])


def test_a_buffer_that_its_provider_has_cleared_is_not_cleared_again() -> None:
    """It was faster than we."""
    drive = direct()
    sounding(drive)
    drive.signal("p1", plays("cleared"))
    assert drive.of(e.OutputClearDispatched) == []


def test_what_was_cut_before_it_sounded_is_cleared_when_it_does() -> None:
    """The cancel came too late for what lay in the provider's buffer."""
    drive = direct()
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.command(c.CancelSay(say=say))
    drive.finish("r1", 0, TEXT, status="cancelled")
    assert drive.of(e.OutputClearDispatched) == []
    drive.signal("p1", plays("started"))
    assert drive.of(e.OutputClearDispatched) == [e.OutputClearDispatched(link="p1")]
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("cancelled", 0)


def test_a_terminated_call_clears_no_buffer_of_its_provider() -> None:
    """The callers' own are cut here."""
    drive = Drive().open_provider().open_caller()
    sounding(drive, finished=False)
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    assert (len(drive.of(e.CancelDispatched)), drive.of(e.OutputClearDispatched)) == (1, [])


@pytest.mark.parametrize("echo", [None, "guard", "half_duplex"])
def test_no_echo_is_looked_for(echo: str | None) -> None:
    """Not where it was declared, nor for a caller who only watches: there is no audio here to look for it in."""
    drive = direct(echo=echo)
    drive.fact(e.LinkOpened(link="c2", side="caller", transport="websocket"))
    sounding(drive)
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    assert len(drive.of(e.OutputClearDispatched)) == 1


# --- what the client does past us ---


def test_a_response_that_the_client_asked_for_is_stopped_where_a_handler_answers() -> None:
    """In the conversation at once; beside it when it sounds."""
    drive = direct()
    drive.begin("r1", None)
    assert drive.of(e.CancelDispatched) == [e.CancelDispatched(link="p1", response="r1")]
    drive.begin("r2", None, in_band=False)
    assert len(drive.of(e.CancelDispatched)) == 1
    events = drive.signal("p1", plays("started", "r2"))
    assert [type(event) for event in events[-2:]] == [e.CancelDispatched, e.OutputClearDispatched]


def test_the_model_speaks_where_it_answers() -> None:
    """Its response is heard as the provider plays it."""
    drive = direct(answers="model")
    drive.begin("r1", None)
    drive.signal("p1", plays("started"))
    drive.finish("r1", 0, TEXT)
    drive.wait(900)
    drive.signal("p1", plays("stopped"))
    (ended,) = [event for event in drive.of(e.PlayoutEnded) if isinstance(event, e.PlayoutEnded)]
    assert ([part.heard_ms for part in ended.heard], drive.of(e.CancelDispatched)) == ([900], [])


@pytest.mark.parametrize("answers", ["handler", "model"])
def test_what_was_typed_past_us_is_a_turn_when_an_answer_is_asked_for(answers: str) -> None:
    """And it is not told to the provider, which has it."""
    drive = direct(answers=answers)
    item = s.ItemAdded(item="t1", previous_item=None, kind="message", role="user", text="Seven", has_audio=False)
    drive.signal("p1", item)
    assert drive.turns() == []
    drive.begin("r1", None)
    (turn,) = drive.turns()
    assert (turn.text, turn.channel, drive.of(e.ItemForwarded)) == ("Seven", "text", [])


def test_items_that_came_by_us_are_no_turns() -> None:
    """What the engine put into the conversation comes back as added."""
    drive = direct(answers="model")
    drive.fact(e.LinkOpened(link="c2", side="caller", transport="websocket"))
    drive.signal("c2", s.ItemCreated(item="t1", kind="message", role="user", text="Seven", raw={}))
    drive.signal("p1", s.ItemAdded(item="t1", previous_item=None, kind="message", role="user", text="Seven", has_audio=False))
    assert len(drive.of(e.ItemSeeded)) == 1


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"instructions": "Obey me."}, ["instructions"]),
        ({"tools": [{"type": "function", "name": "transfer"}]}, ["tools"]),
        ({"audio": {"input": {**EFFECTIVE["audio"]["input"], "transcription": None}}}, ["transcription"]),
        (
            {"audio": {"input": {"transcription": {"model": "whisper"}, "turn_detection": None}}},
            ["create_response", "interrupt_response"],
        ),
        ({"audio": "of another shape"}, ["transcription", "create_response", "interrupt_response"]),
    ],
)
def test_a_configuration_that_the_client_sent_is_answered_with_ours(changes: dict[str, Any], parts: list[str]) -> None:
    """A fact that names the parts, and our own session.update behind it."""
    drive = direct()
    events = drive.signal("p1", s.ProviderConfigured(session=session_with(**changes)))
    (overridden,) = [event for event in events if isinstance(event, e.ConfigurationOverridden)]
    assert overridden.changed == parts
    assert isinstance(drive.why(e.ConfigurationDispatched), e.ConfigurationOverridden)
    assert len(drive.of(e.ConfigurationDispatched)) == 2
    drive.signal("p1", s.ProviderConfigured(session=EFFECTIVE))
    assert (len(drive.of(e.ConfigurationOverridden)), len(drive.of(e.ConfigurationDispatched))) == (1, 2)


def test_changes_that_let_nobody_act_in_our_place_are_the_clients_affair() -> None:
    """A voice, a format, a threshold."""
    drive = direct()
    drive.signal("p1", s.ProviderConfigured(session=session_with(speed=1.2)))
    assert (drive.of(e.ConfigurationOverridden), len(drive.of(e.ConfigurationDispatched))) == ([], 1)


def test_two_that_fight_do_not_do_so_for_ever() -> None:
    """Five answers a minute; the sixth when the first is a minute old."""
    drive = direct()
    began_ns = drive.now_ns
    for n in range(8):
        drive.wait(1_000)
        drive.signal("p1", s.ProviderConfigured(session=session_with(instructions=f"No {n}")))
        if n < 5:
            drive.signal("p1", s.ProviderConfigured(session=EFFECTIVE))
    assert (len(drive.of(e.ConfigurationOverridden)), len(drive.of(e.ConfigurationDispatched))) == (8, 6)
    drive.wait(60_999 - (drive.now_ns - began_ns) / 1e6)
    assert len(drive.of(e.ConfigurationDispatched)) == 6
    drive.wait(1)
    assert len(drive.of(e.ConfigurationDispatched)) == 7


def test_a_session_may_refuse_what_the_client_sends() -> None:
    """It ends, by a name of its own."""
    drive = direct(client_updates="refuse")
    drive.signal("p1", s.ProviderConfigured(session=session_with(instructions="Obey me.")))
    (ended,) = [event for event in drive.of(e.SessionEnded) if isinstance(event, e.SessionEnded)]
    assert (ended.reason, ended.code, len(drive.of(e.ConfigurationDispatched))) == ("client_update", "TL313", 1)
    assert "instructions" in ended.detail


def test_the_model_is_held_while_a_say_is_open() -> None:
    """It neither answers nor cuts what must not be interrupted; that change is our own, and no override."""
    drive = direct(answers="model")
    drive.say(TEXT, interruptible=False)
    held = drive.of(e.ConfigurationDispatched)[-1]
    assert isinstance(held, e.ConfigurationDispatched) and held.answer_held
    drive.signal("p1", s.ProviderConfigured(session=session_with(speed=1)))
    assert (len(drive.of(e.SayDispatched)), drive.of(e.ConfigurationOverridden)) == (1, [])


# --- the sideband is lost ---


def test_a_gap_settles_what_was_asked_for_and_keeps_what_waits() -> None:
    """What becomes of it is not told again; the session goes on when it is joined anew."""
    drive = direct()
    first, second = sounding(drive), drive.say("And on")
    drive.wait(600)
    drive.close("p1")
    outcome = drive.outcome(first)
    assert (outcome.status, outcome.code, outcome.heard_ms) == ("failed", "outcome_unknown", 600)
    assert (drive.core.state.life.ending, list(drive.core.state.delivery.says)) == (None, [second])
    join(drive, "p2")
    assert [(one.link, one.say) for one in drive.of(e.SayDispatched) if isinstance(one, e.SayDispatched)] == [
        ("p1", first),
        ("p2", second),
    ]
    assert anatomy(drive.core.state) == anatomy(replayed(drive.log))


@pytest.mark.parametrize("begun", [False, True])
def test_a_gap_settles_what_had_not_begun_to_sound(begun: bool) -> None:
    """It was asked for, and may sound or not."""
    drive = direct()
    say = drive.say(TEXT)
    if begun:
        drive.begin("r1", say)
    drive.close("p1")
    assert (drive.outcome(say).status, drive.outcome(say).code) == ("failed", "outcome_unknown")


def test_a_gap_settles_what_speech_had_cut() -> None:
    """Whether it was speech is never known: it counts as such, with what was heard."""
    drive = direct(resume_after_false_start=True)
    say = sounding(drive)
    drive.wait(900)
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    drive.wait(250)
    assert drive.of(e.SaySettled) == []
    drive.close("p1")
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("interrupted", 900)
    assert not drive.core.state.floor.speech


def test_a_gap_forgets_the_models_response_and_its_tools_wait() -> None:
    """Its end is not told again, so nothing waits for it: the output of a tool goes when the sideband is there again."""
    drive = direct(answers="model")
    drive.begin("r1", None)
    drive.signal("p1", s.FunctionCalled(response="r1", item="i1", call_id="k1", name="find", arguments="{}"))
    drive.close("p1")
    assert drive.of(e.PlayoutEnded) == [e.PlayoutEnded(response="r1", interrupted=True)]
    assert not drive.core.state.conversation.model_speaks
    drive.fact(e.ToolAnswered(call_id="k1", output="{}"))
    assert drive.of(e.ToolOutputDispatched) == []
    join(drive, "p2")
    assert drive.of(e.ToolOutputDispatched) == [e.ToolOutputDispatched(link="p2", call_id="k1", output="{}")]


def test_who_waits_for_a_lost_sideband_is_told_so() -> None:
    """why_silent names it, since when it is lost."""
    drive = direct()
    drive.close("p1")
    drive.wait(700)
    waiter = now(drive)
    assert (waiter.name, waiter.owner, waiter.age_ms) == ("sideband", "provider", 700)


def test_a_sideband_that_cannot_be_joined_again_is_a_lost_provider() -> None:
    """Whoever tries gives up, and the session ends."""
    drive = direct()
    drive.close("p1")
    drive.core.link_failed(e.LinkFailed(side="provider", code="TL301", message="no connection"), drive.now_ns)
    drive.settle()
    (ended,) = [event for event in drive.of(e.SessionEnded) if isinstance(event, e.SessionEnded)]
    assert (ended.reason, ended.code) == ("provider_lost", "TL301")


def test_a_call_that_has_ended_ends_the_session_as_a_caller_who_hung_up() -> None:
    """What sounded was heard so far; the handler may finish."""
    drive = direct()
    say = sounding(drive)
    drive.wait(800)
    drive.core.call(e.CallEnded(call_id="rtc_1", reason="gone"), drive.now_ns)
    drive.core.call(e.CallEnded(call_id="rtc_1", reason="twice"), drive.now_ns)
    for link in ("c1", "p1"):
        drive.core.link_closed(e.LinkClosed(link=link, code=1000), drive.now_ns)
    drive.settle()
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.code, outcome.heard_ms) == ("interrupted", "caller_gone", 800)
    assert (len(drive.of(e.CallEnded)), len(drive.of(e.CallersGone))) == (1, 1)
    drive.command(c.Return())
    (ended,) = [event for event in drive.of(e.SessionEnded) if isinstance(event, e.SessionEnded)]
    assert ended.reason == "caller_gone"


def test_callers_who_only_watched_a_call_do_not_keep_its_session() -> None:
    """Its provider is gone with the call."""
    drive = direct()
    drive.fact(e.LinkOpened(link="c2", side="caller", transport="websocket"))
    drive.core.call(e.CallEnded(call_id="rtc_1"), drive.now_ns)
    drive.settle()
    (ended,) = [event for event in drive.of(e.SessionEnded) if isinstance(event, e.SessionEnded)]
    assert ended.reason == "caller_gone"


def test_what_its_caller_asked_for_with_the_offer_is_asked_of_the_provider() -> None:
    """As if it had sent a session.update."""
    drive = Drive()
    drive.fact(e.LinkOpened(link="c1", side="caller", transport="direct"))
    drive.core.call(e.CallOpened(call_id="rtc_1", link="c1"), drive.now_ns, {"voice": "ash"})
    join(drive, "p1")
    (asked,) = drive.of(e.ConfigurationDispatched)
    assert isinstance(asked, e.ConfigurationDispatched) and asked.settings == {"voice": "ash"}


# --- any order of all this ---

INPUTS = st.one_of(
    st.sampled_from("say firm begin finish own typed speech silence gap join override ours lost".split()),
    st.tuples(st.sampled_from(["started", "stopped", "cleared"]), st.sampled_from(["r1", "r2", "own1"])),
    st.integers(1, 20_000),
)


@given(answers=st.sampled_from(["handler", "model"]), inputs=st.lists(INPUTS, max_size=25))
@settings(max_examples=150, deadline=None)
def test_every_say_ends_once_whatever_comes_in_whatever_order(answers: str, inputs: list[Any]) -> None:
    """The session ends in order, its log folds to its state, and no deadline is in vain (Drive.wait)."""
    drive = direct(answers=answers)
    for given_ in inputs:
        play(drive, given_)
    drive.core.call(e.CallEnded(call_id="rtc_1"), drive.now_ns)
    for link in ("c1", drive.core.state.links.provider):
        if link and not drive.core.ended:
            drive.core.link_closed(e.LinkClosed(link=link, code=1000), drive.now_ns)
    drive.settle()
    if not drive.core.ended:
        drive.command(c.Return())
    drive.wait(60_000)
    assert drive.core.ended
    asked = [event.say for event in drive.of(e.SayRequested) if isinstance(event, e.SayRequested)]
    settled = [event.say for event in drive.of(e.SaySettled) if isinstance(event, e.SaySettled)]
    assert sorted(asked) == sorted(settled)
    assert anatomy(drive.core.state) == anatomy(replayed(drive.log))


def play(drive: Drive, what: Any) -> None:
    """One input."""
    state = drive.core.state
    link = state.links.provider
    if drive.core.ended:
        return
    match what:
        case int():
            drive.wait(what)
        case "say" | "firm":
            drive.say(TEXT, interruptible=what == "say")
        case "join" if link is None:
            join(drive, f"p{len(drive.of(e.LinkOpened))}")
        case _ if link is None:
            return
        case "gap":
            drive.close(link)
        case "lost":
            drive.close(link)
            drive.core.link_failed(e.LinkFailed(side="provider", code="TL301", message="no"), drive.now_ns)
            drive.settle()
        case _:
            heard(drive, link, what)


def heard(drive: Drive, link: str, what: Any) -> None:
    """What the sideband says."""
    says = [say for say in drive.core.state.delivery.says.values() if say.state is SayState.DISPATCHED]
    n = len(drive.of(e.ResponseStarted)) + 1
    match what:
        case "begin" if says:
            say = says[0]
            signal = s.ResponseBegan(response=f"r{n}", say=say.requested.say, attempt=say.attempt, in_band=False)
            drive.signal(link, signal)
        case "own":
            drive.signal(link, s.ResponseBegan(response=f"own{n}", say=None, attempt=0, in_band=True))
        case "finish":
            for response in [*drive.core.state.playout.responses, *drive.core.state.playout.unheard]:
                done = s.ResponseFinished(
                    response=response, status="completed", code="", message="", generated_ms=0, transcript=TEXT, usage=None
                )
                drive.signal(link, done)
        case "typed":
            added = s.ItemAdded(item=f"t{n}", previous_item=None, kind="message", role="user", text="Seven", has_audio=False)
            drive.signal(link, added)
        case "speech":
            drive.signal(link, s.SpeechBegan(item=f"u{n}", audio_start_ms=0))
        case "silence":
            for item in list(drive.core.state.floor.speech):
                drive.signal(link, s.SpeechCeased(item=item, audio_end_ms=900), s.AudioCommitted(item=item, previous_item=None))
                drive.signal(link, s.TranscriptCompleted(item=item, transcript="Yes"))
        case "override":
            drive.signal(link, s.ProviderConfigured(session=session_with(instructions=f"No {n}")))
        case "ours":
            drive.signal(link, s.ProviderConfigured(session=EFFECTIVE))
        case (str(state), str(response)):
            drive.signal(link, plays(state, response))  # type: ignore[arg-type] # one of three
