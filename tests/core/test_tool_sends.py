"""What tools call for: outputs in order behind their response, one follow-up, fillers, cancellations."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.driving import MS, Drive, anatomy, replayed
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.tool_sends import MAX_FOLLOW_UPS

BUSY = "conversation_already_has_active_response"


def ready(**options: Any) -> Drive:
    """A session that its model answers, with both links and detection of turns by the provider."""
    given = {"answers": "model", "turn_detection": {"type": "server_vad", "create_response": True}, **options}
    drive = Drive(**given).open_provider().open_caller()
    drive.confirms = True
    return drive


def called(call: str, *, response: str = "r1", index: int = 0, name: str = "find") -> s.FunctionCalled:
    """The model calls a tool."""
    return s.FunctionCalled(
        response=response, item=f"i_{call}", call_id=call, name=name, arguments="{}", output_index=index
    )


def answered(call: str, output: str = "1") -> e.ToolAnswered:
    """A tool that the model called has returned."""
    return e.ToolAnswered(call_id=call, output=output)


def calling(drive: Drive, *calls: str, response: str = "r1") -> None:
    """A response that calls tools, and ends."""
    drive.begin(response, None)
    drive.signal("p1", *(called(call, response=response, index=n) for n, call in enumerate(calls)))
    drive.finish(response)


def sent(drive: Drive) -> list[str]:
    """What went to the model for its tools, in order: call ids, and "go on" for each request for an answer."""
    events = drive.of(e.ToolOutputDispatched, e.AnswerDispatched)
    return [event.call_id if isinstance(event, e.ToolOutputDispatched) else "go on" for event in events]


# --- outputs and their order ---


def test_an_output_waits_for_the_end_of_the_response_that_called() -> None:
    """It is sent behind response.done, and then the model is asked to go on, once."""
    drive = ready()
    drive.begin("r1", None)
    drive.signal("p1", called("c1"))
    drive.fact(answered("c1"))
    assert sent(drive) == []
    drive.finish("r1")
    assert sent(drive) == ["c1", "go on"]
    assert isinstance(drive.why(e.ToolOutputDispatched), e.ToolAnswered)
    assert isinstance(drive.why(e.AnswerDispatched), e.ToolOutputDispatched)
    drive.begin("r2", None)
    drive.finish("r2")
    drive.wait(60_000)
    assert sent(drive) == ["c1", "go on"]


@pytest.mark.parametrize("order", list(itertools.permutations(["a", "b", "c"])))
def test_outputs_go_in_the_order_of_their_calls(order: tuple[str, ...]) -> None:
    """Whatever order the tools end in, output_index decides; and one follow-up, behind the last."""
    drive = ready()
    drive.begin("r1", None)
    drive.signal("p1", called("c", index=3), called("a", index=0), called("b", index=1))
    drive.finish("r1")
    for call in order:
        assert "go on" not in sent(drive)
        drive.fact(answered(call))
    assert sent(drive) == ["a", "b", "c", "go on"]


def test_an_early_output_does_not_wait_for_a_later_call() -> None:
    """The first of two goes as soon as it is there: an answer of the provider's own then knows it."""
    drive = ready()
    calling(drive, "a", "b")
    drive.fact(answered("a"))
    assert sent(drive) == ["a"]
    drive.fact(answered("b"))
    assert sent(drive) == ["a", "b", "go on"]


def test_two_responses_that_called_are_followed_up_each() -> None:
    """A slow tool of the first holds up nothing of the second."""
    drive = ready()
    calling(drive, "slow")
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0), s.SpeechCeased(item="u1", audio_end_ms=500))
    calling(drive, "quick", response="r2")
    drive.fact(answered("quick"))
    assert sent(drive) == ["quick", "go on"]
    drive.begin("r3", None)
    drive.fact(answered("slow"))
    assert sent(drive) == ["quick", "go on"]
    drive.finish("r3")
    assert sent(drive) == ["quick", "go on", "slow", "go on"]


def test_a_call_twice_answered_has_one_output() -> None:
    """A second answer, or one to a call that nobody made, sends nothing."""
    drive = ready()
    calling(drive, "a")
    drive.fact(answered("a"))
    drive.fact(answered("a", "2"))
    drive.fact(answered("z"))
    assert sent(drive) == ["a", "go on"]


# --- one follow-up ---


def test_a_caller_that_asks_meanwhile_gets_the_one_answer() -> None:
    """Its response.create goes behind the outputs and is the follow-up."""
    drive = ready()
    drive.begin("r1", None)
    drive.signal("p1", called("a"))
    drive.fact(answered("a"))
    seq = drive.core.record(e.TransportReceived(link="c1", n=9, data=b"{}"), e.Root.WIRE, drive.now_ns)
    ask = s.AnswerRequested(event_id="evt", request={}, out_of_band=False, response="x")
    finished = s.ResponseFinished(
        response="r1", status="completed", code="", message="", generated_ms=0, transcript="", usage=None
    )
    drive.core.decide("c1", ask, seq, drive.now_ns)
    drive.core.decide("p1", finished, seq, drive.now_ns)
    drive.settle()
    assert sent(drive) == ["a", "go on"]
    assert isinstance(drive.why(e.AnswerDispatched), e.AnswerAsked)
    drive.begin("r2", None)
    drive.finish("r2")
    drive.wait(60_000)
    assert sent(drive) == ["a", "go on"]


def test_an_answer_asked_for_before_the_outputs_does_not_count() -> None:
    """Outputs wait until it has begun and ended; only then is the model asked to go on."""
    drive = ready()
    calling(drive, "a")
    drive.signal("c1", s.AnswerRequested(event_id="evt", request={}, out_of_band=False, response="x"))
    drive.fact(answered("a"))
    assert sent(drive) == ["go on"]
    drive.begin("r2", None)
    assert sent(drive) == ["go on"]
    drive.finish("r2")
    assert sent(drive) == ["go on", "a", "go on"]


def test_the_providers_own_answer_is_the_follow_up() -> None:
    """The user speaks while the tool runs: the output goes at once, and the answer to the turn is the only one."""
    drive = ready()
    calling(drive, "a")
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    drive.fact(answered("a"))
    drive.signal("p1", s.SpeechCeased(item="u1", audio_end_ms=900), s.AudioCommitted(item="u1", previous_item=None))
    drive.wait(1_000)
    assert sent(drive) == ["a"]
    drive.begin("r2", None)
    drive.finish("r2")
    drive.wait(60_000)
    assert sent(drive) == ["a"]


def test_an_answer_of_the_provider_that_does_not_come_is_asked_for() -> None:
    """Three seconds after the commit; before, it could have been two."""
    drive = ready()
    calling(drive, "a")
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    drive.fact(answered("a"))
    drive.wait(60_000)
    assert sent(drive) == ["a"]
    drive.signal("p1", s.SpeechCeased(item="u1", audio_end_ms=900), s.AudioCommitted(item="u1", previous_item=None))
    drive.wait(2_999)
    assert sent(drive) == ["a"]
    drive.wait(1)
    assert sent(drive) == ["a", "go on"]


@pytest.mark.parametrize("detection", [None, {"type": "server_vad", "create_response": False}])
def test_where_the_provider_does_not_answer_by_itself_the_commit_is_enough(detection: dict[str, Any] | None) -> None:
    """Nothing comes of itself: the follow-up goes as soon as the user has finished."""
    drive = ready(turn_detection=detection)
    calling(drive, "a")
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    drive.fact(answered("a"))
    assert sent(drive) == ["a"]
    drive.signal("p1", s.AudioCommitted(item="u1", previous_item=None))
    assert sent(drive) == ["a", "go on"]


def test_a_clear_of_the_users_audio_frees_the_floor() -> None:
    """What the caller threw away is no turn, and nobody will answer it."""
    drive = ready()
    calling(drive, "a")
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    drive.fact(answered("a"))
    drive.signal("c1", s.AudioCleared())
    assert sent(drive) == ["a", "go on"]


def test_a_say_is_heard_to_its_end_before_the_model_goes_on() -> None:
    """One mouth; and the say that waits behind the follow-up comes after it."""
    drive = ready()
    say = drive.say("One moment")
    drive.begin("rs", say)
    drive.sound("rs")
    calling(drive, "a")
    drive.fact(answered("a"))
    drive.finish("rs", 1_000, "One moment")
    drive.wait(999)
    assert sent(drive) == ["a"]
    drive.wait(1)
    assert sent(drive) == ["a", "go on"]


def test_a_refused_follow_up_is_asked_for_again_behind_the_response_in_the_way() -> None:
    """The provider's own answer was made before the outputs came: it is taken for the follow-up until the refusal says no."""
    drive = ready()
    calling(drive, "a")
    drive.fact(answered("a"))
    (dispatched,) = [staged.seq for staged in drive.log if isinstance(staged.event, e.AnswerDispatched)]
    drive.begin("r2", None)
    refusal = s.ResponseRefused(say=None, attempt=0, code=BUSY, message="busy", event_id=f"answer_{dispatched}")
    drive.signal("p1", refusal)
    drive.wait(5_000)
    assert sent(drive) == ["a", "go on"]
    drive.finish("r2")
    assert sent(drive) == ["a", "go on", "go on"]
    drive.begin("r3", None)
    drive.finish("r3")
    drive.wait(60_000)
    assert sent(drive) == ["a", "go on", "go on"]


def test_the_refusal_of_a_callers_request_asks_for_nothing() -> None:
    """The response that was in its way is the follow-up, and answers the caller too."""
    drive = ready()
    calling(drive, "a")
    drive.fact(answered("a"))
    drive.signal("c1", s.AnswerRequested(event_id="evt", request={}, out_of_band=False, response="x"))
    first, second = [staged.seq for staged in drive.log if isinstance(staged.event, e.AnswerDispatched)]
    assert first < second
    drive.begin("r2", None)
    refusal = s.ResponseRefused(say=None, attempt=0, code=BUSY, message="busy", event_id=f"answer_{second}")
    drive.signal("p1", refusal)
    drive.finish("r2")
    drive.wait(60_000)
    assert sent(drive) == ["a", "go on", "go on"]


def test_a_follow_up_that_is_always_refused_is_given_up() -> None:
    """After five attempts, a second apart: each refusal is in the log."""
    drive = ready()
    calling(drive, "a")
    drive.fact(answered("a"))
    for n in range(1, MAX_FOLLOW_UPS + 1):
        asked = [staged.seq for staged in drive.log if isinstance(staged.event, e.AnswerDispatched)]
        assert len(asked) == n
        drive.signal(
            "p1", s.ResponseRefused(say=None, attempt=0, code="invalid_value", message="m", event_id=f"answer_{asked[-1]}")
        )
        drive.wait(1_000)
    drive.wait(60_000)
    assert len(drive.of(e.AnswerDispatched)) == len(drive.of(e.AnswerRefused)) == MAX_FOLLOW_UPS
    assert drive.core.next_deadline() is None


def test_a_follow_up_that_nothing_answers_is_asked_for_again() -> None:
    """After ten seconds without response.created."""
    drive = ready()
    calling(drive, "a")
    drive.fact(answered("a"))
    drive.wait(9_999)
    assert sent(drive) == ["a", "go on"]
    drive.wait(1)
    assert sent(drive) == ["a", "go on", "go on"]


def test_no_answer_is_asked_for_while_the_session_ends() -> None:
    """It drains what is owed to the caller; the model owes nothing any more."""
    drive = ready()
    say = drive.say("Bye")
    calling(drive, "a")
    drive.end(drain=True)
    drive.fact(answered("a"))
    assert sent(drive) == ["a"]
    drive.begin("rs", say)
    drive.finish("rs", transcript="Bye")
    assert drive.core.ended


# --- what is offered ---


def error(event: e.Event) -> dict[str, str]:
    """The error that the model is told."""
    assert isinstance(event, e.ToolAnswered)
    told: dict[str, str] = json.loads(event.output)["error"]
    return told


def test_a_tool_that_was_not_offered_is_answered_and_not_allowed() -> None:
    """The answer is decided with the request, names what there is, and is followed up like any other."""
    drive = ready(tools=["find", "book"])
    drive.begin("r1", None)
    drive.signal("p1", called("a", name="delete_everything"), called("b", name="book", index=1))
    assert [event.allowed for event in drive.of(e.ToolRequested) if isinstance(event, e.ToolRequested)] == [False, True]
    (answer,) = drive.of(e.ToolAnswered)
    assert error(answer) == {
        "type": "unknown_tool",
        "message": "there is no tool 'delete_everything' in this conversation; there are: find, book",
    }
    drive.finish("r1")
    drive.fact(answered("b"))
    assert sent(drive) == ["a", "b", "go on"]


def test_an_update_changes_what_is_offered() -> None:
    """From its request on: a call that comes later of a tool that was taken away is refused."""
    drive = ready()
    drive.command(c.Update(tools=[]))
    drive.begin("r1", None)
    drive.signal("p1", called("a"))
    assert error(drive.of(e.ToolAnswered)[0])["message"].endswith("there are: none")
    drive.command(c.Update(tools=["find"]))
    drive.signal("p1", called("b", index=1))
    assert [event.allowed for event in drive.of(e.ToolRequested) if isinstance(event, e.ToolRequested)] == [False, True]


def test_while_a_handler_answers_the_model_has_no_tools() -> None:
    """A call that it makes all the same is answered with an error, and it is not asked to go on: nobody would hear it."""
    drive = ready(answers="handler")
    drive.begin("r1", None)
    drive.signal("p1", called("a"))
    drive.finish("r1")
    drive.wait(60_000)
    assert sent(drive) == ["a"]
    assert error(drive.of(e.ToolAnswered)[0])["type"] == "unknown_tool"


# --- fillers ---

FILLER = e.ToolRules(name="find", filler="One moment…", after_ms=700)


def fillers(drive: Drive) -> list[str]:
    """The says of the engine's own."""
    return [event.say for event in drive.of(e.SayRequested) if isinstance(event, e.SayRequested) and event.index == 0]


@pytest.mark.parametrize("caller", ["handler", "model"])
def test_a_slow_tool_gets_a_filler(caller: str) -> None:
    """After 700 ms of silence, once, caused by the call: a say of the engine's own, dispatched at once."""
    drive = ready(rules=[FILLER])
    if caller == "handler":
        drive.command(c.Call(target="find"))
    else:
        calling(drive, "c7")
    drive.wait(699)
    assert fillers(drive) == []
    drive.wait(1)
    say = "filler_call_1" if caller == "handler" else "filler_c7"
    command = c.Say(text="One moment…", when="drop", metadata={"filler": "find"})
    (requested,) = drive.of(e.SayRequested)
    assert requested == e.SayRequested(index=0, say=say, command=command, site=c.Site("", 0))
    assert isinstance(drive.why(e.SayRequested), e.CallRequested if caller == "handler" else e.ToolRequested)
    assert [event.say for event in drive.of(e.SayDispatched) if isinstance(event, e.SayDispatched)] == [say]
    drive.begin("rf", say)
    drive.sound("rf")
    drive.finish("rf", 800, "One moment…")
    drive.wait(60_000)
    assert fillers(drive) == [say]
    assert drive.outcome(say).heard_text == "One moment…"
    assert [line.text for line in drive.core.state.conversation.lines] == ["One moment…"]


def test_a_quick_tool_gets_none() -> None:
    """It came back before the line was silent for long."""
    drive = ready(rules=[FILLER])
    drive.command(c.Call(target="find"))
    drive.wait(600)
    drive.fact(e.CallCompleted(index=1, result=b"\xc0"))
    drive.wait(10_000)
    assert fillers(drive) == []


def test_a_tool_without_rules_gets_none() -> None:
    """Only what was declared is spoken."""
    drive = ready(rules=[e.ToolRules(name="find", cancel_on_interruption=True)])
    drive.command(c.Call(target="find"))
    drive.command(c.Call(target="book"))
    drive.wait(60_000)
    assert drive.of(e.SayRequested) == []


def test_a_filler_is_not_spoken_over_or_behind_anything() -> None:
    """While a say or the model's own words sound it waits, and then for 700 ms of silence once more."""
    drive = ready(rules=[FILLER])
    drive.begin("r1", None)
    drive.sound("r1")
    drive.signal("p1", called("c7"))
    drive.finish("r1", 3_000, "Let me see")
    drive.wait(3_699)
    assert fillers(drive) == []
    drive.wait(1)
    assert fillers(drive) == ["filler_c7"]


def test_a_filler_is_not_spoken_while_the_user_speaks() -> None:
    """Nor before the provider has had its time to answer by itself."""
    drive = ready(rules=[FILLER])
    calling(drive, "c7")
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    drive.wait(5_000)
    assert fillers(drive) == []
    drive.signal("p1", s.SpeechCeased(item="u1", audio_end_ms=900), s.AudioCommitted(item="u1", previous_item=None))
    drive.wait(2_999)
    assert fillers(drive) == []
    drive.wait(1)
    assert fillers(drive) == ["filler_c7"]


def test_one_filler_stands_for_all_tools_that_run() -> None:
    """Two slow calls of one response: the caller is asked for patience once."""
    drive = ready(rules=[FILLER])
    calling(drive, "a", "b")
    drive.wait(700)
    drive.begin("rf", "filler_a")
    drive.sound("rf")
    drive.finish("rf", 500, "One moment…")
    drive.wait(60_000)
    assert fillers(drive) == ["filler_a"]


def test_a_filler_needs_someone_who_hears_it() -> None:
    """Without a caller, or while the session ends, there is none, and no deadline at which it would be looked at again."""
    drive = Drive(answers="model", rules=[FILLER]).open_provider()
    drive.command(c.Call(target="find"))
    drive.wait(60_000)
    assert fillers(drive) == []
    assert drive.core.next_deadline() is None


def test_the_model_goes_on_when_the_filler_was_heard() -> None:
    """The tool ends while its filler sounds: the answer is asked for behind it."""
    drive = ready(rules=[FILLER])
    calling(drive, "c7")
    drive.wait(700)
    drive.begin("rf", "filler_c7")
    drive.sound("rf")
    drive.fact(answered("c7"))
    drive.finish("rf", 900, "One moment…")
    drive.wait(899)
    assert sent(drive) == ["c7"]
    drive.wait(1)
    assert sent(drive) == ["c7", "go on"]


# --- cancelled by the user's speech ---

FICKLE = e.ToolRules(name="find", cancel_on_interruption=True)


def speaks(drive: Drive, item: str, text: str = "never mind") -> None:
    """A spoken turn."""
    drive.signal("p1", s.SpeechBegan(item=item, audio_start_ms=0), s.SpeechCeased(item=item, audio_end_ms=900))
    drive.signal("p1", s.AudioCommitted(item=item, previous_item=None), s.TranscriptCompleted(item=item, transcript=text))


def test_newer_speech_cancels_the_models_call() -> None:
    """Its output says so, and it is decided on the turn's end."""
    drive = ready(rules=[FICKLE])
    calling(drive, "c7")
    speaks(drive, "u1")
    (answer,) = drive.of(e.ToolAnswered)
    assert error(answer)["type"] == "cancelled"
    assert isinstance(drive.why(e.ToolAnswered), e.TurnEnded)


def test_newer_speech_cancels_the_handlers_call() -> None:
    """The call fails as Cancelled."""
    drive = ready(answers="handler", rules=[FICKLE])
    drive.command(c.Call(target="find"))
    speaks(drive, "u1")
    (failed,) = drive.of(e.CallFailed)
    assert isinstance(failed, e.CallFailed)
    assert (failed.index, failed.type_name) == (1, "Cancelled")


def test_a_barge_in_cancels_at_once() -> None:
    """The cut of what sounded is enough: no words need to be known."""
    drive = ready(rules=[FICKLE])
    calling(drive, "c7")
    drive.fact(e.PlayoutCut(response="r9", reason="caller"))
    assert drive.of(e.ToolAnswered) == []
    drive.fact(e.PlayoutCut(response="r9", reason="speech"))
    assert len(drive.of(e.ToolAnswered)) == 1
    drive.fact(e.PlayoutCut(response="r9", reason="speech"))
    assert len(drive.of(e.ToolAnswered)) == 1


def test_late_words_of_the_turn_that_the_call_answers_cancel_nothing() -> None:
    """The provider answers before it has transcribed: those words are not newer than the call."""
    drive = ready(rules=[FICKLE])
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0), s.AudioCommitted(item="u1", previous_item=None))
    calling(drive, "c7")
    drive.signal("p1", s.TranscriptCompleted(item="u1", transcript="find Ann"))
    assert len(drive.turns()) == 1
    assert drive.of(e.ToolAnswered) == []


@pytest.mark.parametrize("rules", [[], [FILLER]])
def test_other_tools_go_on(rules: list[e.ToolRules]) -> None:
    """Cancelling is asked for tool by tool."""
    drive = ready(rules=rules)
    calling(drive, "c7")
    drive.command(c.Call(target="find"))
    speaks(drive, "u1")
    assert drive.of(e.ToolAnswered, e.CallFailed) == []


def test_noise_cancels_nothing() -> None:
    """Speech that was no turn is no interruption."""
    drive = ready(rules=[FICKLE])
    calling(drive, "c7")
    speaks(drive, "u1", text="  ")
    assert drive.of(e.TurnDiscarded) and not drive.of(e.ToolAnswered)


# --- the log tells it all ---


def test_the_state_is_what_the_log_folds_to() -> None:
    """Fillers, refusals and cancellations included: no registry of tools is asked."""
    drive = ready(rules=[FILLER, FICKLE])
    calling(drive, "a", "b")
    drive.wait(800)
    speaks(drive, "u1")
    drive.fact(answered("a"))
    drive.begin("r2", None)
    assert anatomy(replayed(drive.log)) == anatomy(drive.core.state)


OFTEN = ["begin", "call", "finish", "answer", "answer last"] * 3
STEPS = st.lists(st.sampled_from([*OFTEN, "speak", "commit", "ask", "refuse", "say", "wait"]), min_size=12, max_size=40)


class Conversation:
    """A provider that behaves: one response of the model's own at a time, which answers a request if there is one."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.response = ""
        self.calls: list[str] = []
        self.n = 0

    def take(self, step: str) -> None:
        """One thing that happens, if it can."""
        drive = self.drive
        self.n += 1
        match step:
            case "begin" if not self.response:
                self.response = f"r{self.n}"
                drive.begin(self.response, None)
            case "call" if self.response:
                self.calls.append(f"c{self.n}")
                drive.signal("p1", called(f"c{self.n}", response=self.response, index=self.n))
            case "finish" if self.response:
                drive.finish(self.response)
                self.response = ""
            case "answer" | "answer last" if self.calls:
                drive.fact(answered(self.calls.pop(0 if step == "answer" else -1)))
            case "speak":
                drive.signal("p1", s.SpeechBegan(item=f"u{self.n}", audio_start_ms=0))
            case "commit":
                drive.signal("p1", s.AudioCommitted(item=f"u{self.n}", previous_item=None))
            case "ask":
                drive.signal("c1", s.AnswerRequested(event_id=None, request={}, out_of_band=False, response="x"))
            case "refuse" if self.response and (asked := drive.core.state.tools.follow_up.asked):
                event_id = f"answer_{next(iter(asked))}"
                drive.signal("p1", s.ResponseRefused(say=None, attempt=0, code=BUSY, message="busy", event_id=event_id))
            case "say":
                drive.spoken("Hm", ms=50)
            case "wait":
                drive.wait(800)

    def rest(self) -> None:
        """Everything comes to its end; each request that is left is answered."""
        for step in ("finish", *["answer"] * len(self.calls), "commit"):
            self.take(step)
        for _ in range(80):
            self.drive.wait(15_000)
            follow_up = self.drive.core.state.tools.follow_up
            if not (follow_up.asked or follow_up.owed):
                return
            if follow_up.asked:  # else a say that nobody speaks is in the way: it fails in time
                self.take("begin")
                self.take("finish")
        raise AssertionError("the model is asked again and again")


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_happens_each_output_goes_once_and_the_model_is_asked_for_it(steps: list[str]) -> None:
    """Behind its response, in order, followed by an answer; no request of ours without an output or a refusal before it."""
    drive = ready()
    conversation = Conversation(drive)
    for step in steps:
        conversation.take(step)
    conversation.rest()
    log = [staged.event for staged in drive.log]
    outputs = [event.call_id for event in log if isinstance(event, e.ToolOutputDispatched)]
    requested = [event for event in log if isinstance(event, e.ToolRequested)]
    assert sorted(outputs) == sorted(event.call_id for event in requested)
    for event in requested:
        ended = next(n for n, one in enumerate(log) if isinstance(one, e.ResponseEnded) and one.response == event.response)
        assert ended < next(
            n for n, one in enumerate(log) if isinstance(one, e.ToolOutputDispatched) and one.call_id == event.call_id
        )
        siblings = [one.call_id for one in requested if one.response == event.response]
        assert [call for call in outputs if call in siblings] == siblings
    grounds, running, speaking = False, "", False
    for n, staged in enumerate(drive.log):
        match staged.event:
            case e.ResponseStarted(say=None):
                running = staged.event.response
            case e.ResponseEnded() if staged.event.response == running:
                running = ""
            case e.SpeechStarted() | e.InputCommitted():
                speaking = isinstance(staged.event, e.SpeechStarted)
            case e.ToolOutputDispatched():
                assert not running
                grounds = True
            case e.AnswerRefused():
                grounds = True
            case e.AnswerDispatched() if isinstance(drive.log[staged.cause - 1].event, e.ToolOutputDispatched):
                lost = staged.at_ns - max(
                    (one.at_ns for one in drive.log[:n] if isinstance(one.event, e.AnswerDispatched)), default=0
                )
                assert grounds or lost >= 10_000 * MS
                assert not running and not speaking
                grounds = False
    assert not drive.core.state.tools.follow_up.owed
    if outputs:
        last = max(n for n, one in enumerate(log) if isinstance(one, e.ToolOutputDispatched))
        assert any(isinstance(one, e.ResponseStarted) and one.say is None for one in log[last:])
