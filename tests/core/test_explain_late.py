"""Why an answer came late: stretches that tile the gap to the millisecond, each named for what took the time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.driving import MS, SITE, Drive
from tests.core.explaining import called, listening, ready, spoke, trail, woken
from tests.core.test_core import INPUTS, play
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.errors import StoreError
from turnlog.core.explain import Late, why_late

VAD = {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 500}}}}


def stretches(late: Late) -> list[tuple[str, int]]:
    """Name and ms of each."""
    return [(one.name, one.ms) for one in late.stretches]


def answer(drive: Drive, text: str, *, respond_ms: float = 100, audio_ms: float = 200, **options: Any) -> str:
    """A say and its first audio."""
    say = drive.say(text, **options)
    drive.wait(respond_ms)
    drive.begin(f"r_{say}", say)
    drive.wait(audio_ms)
    drive.sound(f"r_{say}")
    return say


def check(late: Late) -> None:
    """The promise."""
    assert late.from_ns + sum(one.to_ns - one.from_ns for one in late.stretches) == late.to_ns
    assert sum(one.ms for one in late.stretches) == late.gap_ms == (late.to_ns - late.from_ns) // MS
    at_ns = late.from_ns
    for one in late.stretches:
        assert one.from_ns == at_ns < one.to_ns
        at_ns = one.to_ns


def test_the_whole_way_of_an_answer() -> None:
    """Silence, detection, commit, words, a tool by name, the handler, the provider; nothing is unexplained."""
    drive = listening()
    drive.signal("c1", s.CallerConfigured(changes=VAD, session={}))
    spoke(drive, "is Ms Ito in?", words_ms=250)
    drive.wait(3)
    called(drive, "find_guest", 1_700, {"room": 12})
    drive.wait(2)
    say = answer(drive, "Room twelve")
    late = why_late(trail(drive))
    assert stretches(late) == [
        ("silence", 500),
        ("commit", 5),
        ("transcription", 250),
        ("handler", 3),
        ("call", 1_700),
        ("handler", 2),
        ("provider response", 100),
        ("provider audio", 200),
    ]
    assert (late.gap_ms, late.unexplained_ms, late.basis) == (2_760, 0, "speech_stopped")
    assert (late.say, late.ended_by, late.turn) == (say, "AudioStarted", 1)
    assert (late.stretches[4].about, late.stretches[4].site) == ("find_guest", SITE)
    check(late)


def test_what_ran_beside_the_way_does_not_count() -> None:
    """Two calls at once: only the one that woke the handler is on the way."""
    drive = listening()
    spoke(drive, "hello")
    turn = drive.core.seq
    for target in ("quick", "slow"):
        drive.index += 1
        drive.core.command(drive.index, c.Call(target=target), SITE, turn, drive.now_ns)
    drive.settle()
    slow = drive.core.seq
    drive.wait(100)
    drive.fact(e.CallCompleted(index=drive.index - 1, result=b"\xc0"), slow - 1)
    drive.wait(900)
    drive.fact(e.CallCompleted(index=drive.index, result=b"\xc0"), slow)
    answer(drive, "Done")
    calls = [(one.about, one.ms) for one in why_late(trail(drive)).stretches if one.name == "call"]
    assert calls == [("slow", 1_000)]


def test_late_words_are_named_late() -> None:
    """The transcription's limit, and its status."""
    drive = listening()
    spoke(drive, "too late", words_ms=3_100)
    answer(drive, "Pardon?")
    (words,) = [one for one in why_late(trail(drive)).stretches if one.name == "transcription"]
    assert (words.ms, words.about) == (3_000, "late")


def test_a_turn_behind_one_whose_words_are_missing() -> None:
    """Turns end in the order of their commits: the wait is named."""
    drive = listening()
    drive.signal("p1", s.AudioCommitted(item="i0", previous_item=None))
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    drive.wait(200)
    drive.signal("p1", s.TranscriptCompleted(item="i1", transcript="second"))
    drive.wait(600)
    drive.signal("p1", s.TranscriptCompleted(item="i0", transcript="first"))
    answer(drive, "Both")
    late = why_late(trail(drive), 2)
    assert stretches(late)[:2] == [("transcription", 200), ("order", 600)]
    assert late.basis == "commit"


def test_a_refused_say() -> None:
    """Each refusal and each pause."""
    drive = listening()
    spoke(drive, "hello")
    say = drive.say("Hi")
    for attempt in (1, 2):
        drive.wait(40)
        drive.refuse(say, attempt)
        drive.wait(1_000)
    drive.begin("r1", say, 3)
    drive.wait(60)
    drive.sound("r1")
    named = [one for one in stretches(why_late(trail(drive))) if one[0] not in ("commit", "transcription")]
    assert named == [("refusal", 40), ("pause", 1_000), ("refusal", 40), ("pause", 1_000), ("provider audio", 60)]


def test_one_mouth() -> None:
    """The answer waited for words that were sounding, asked for before the turn."""
    drive = listening()
    early = answer(drive, "A long notice", interruptible=False)
    drive.finish(f"r_{early}", 5_000, "A long notice")
    spoke(drive, "hello")
    answer(drive, "Yes?", respond_ms=4_000)
    names = [one.name for one in why_late(trail(drive)).stretches]
    assert names == ["commit", "transcription", "mouth", "provider response", "provider audio"]


def test_a_handler_that_waits_for_its_own_say() -> None:
    """A filler that was refused, awaited, and then the answer: the wait for it is on the way."""
    drive = listening()
    spoke(drive, "hello")
    filler = drive.say("One moment")
    for attempt in range(1, 6):
        drive.refuse(filler, attempt)
        drive.wait(1_000)
    answer(drive, "Here I am")
    late = why_late(trail(drive))
    assert ("earlier say", 4_000) in stretches(late)
    assert next(one.about for one in late.stretches if one.name == "earlier say") == "One moment"


def test_a_handler_that_sleeps() -> None:
    """A timer of its loop."""
    drive = listening()
    spoke(drive, "hello")
    drive.wait(800)
    drive.fact(e.TimerFired(timer=1, deadline_ns=drive.now_ns), e.Root.TIMER)
    answer(drive, "Good morning")
    assert ("timer", 800) in stretches(why_late(trail(drive)))


def test_an_update_a_signal_and_a_stream_are_on_the_way() -> None:
    """Everything a handler can await has its name."""
    drive = listening()
    spoke(drive, "hello")
    drive.command(c.Update(instructions="Be brief"))
    drive.wait(30)
    drive.signal("p1", s.ProviderConfigured(session={}))
    drive.command(c.AwaitSignal(name="paid"))
    drive.wait(400)
    drive.fact(e.SignalReceived(name="paid", data=b"\xc0"), e.Root.API)
    drive.command(c.Stream(name="desk:tokens"))
    asked = drive.core.seq
    drive.wait(90)
    drive.fact(e.StreamItem(index=drive.index, n=1, item=b"\xc0"), asked)
    answer(drive, "Good morning")
    named = [(one.name, one.about, one.ms) for one in why_late(trail(drive)).stretches]
    assert named[2:5] == [("update", "", 30), ("signal", "paid", 400), ("stream", "desk:tokens", 90)]


def test_an_answer_that_never_came() -> None:
    """The gap is open to the end of the log, and the rest is named by who is waited for."""
    drive = listening()
    spoke(drive, "hello")
    drive.command(c.Call(target="find_guest"))
    drive.wait(4_000)
    drive.signal("p1", s.SpeechBegan(item="i2", audio_start_ms=9_000))
    late = why_late(trail(drive))
    assert (late.ended_by, late.say) == ("", "")
    assert (late.stretches[-1].name, late.stretches[-1].ms, late.stretches[-1].about) == ("waiting", 4_000, "tool: tool")
    check(late)


def test_an_answer_that_was_never_heard() -> None:
    """The gap ends with the say's outcome."""
    drive = listening()
    spoke(drive, "hello")
    drive.say("Hi")
    drive.wait(700)
    drive.close("c1")
    drive.wait(1)
    late = why_late(trail(drive))
    assert late.ended_by == "SaySettled"
    check(late)


def test_text_is_answered_when_the_text_is_there() -> None:
    """No audio: the end of the response that has the words. A typed turn begins with its ask."""
    drive = listening()
    drive.signal("c1", s.ItemCreated(item="t1", kind="message", role="user", text="hello", raw={}))
    drive.signal("c1", s.AnswerRequested(event_id=None, request={}, out_of_band=False, response="x"))
    drive.wait(10)
    say = drive.say("Hi")
    drive.begin("r1", say)
    drive.wait(90)
    drive.finish("r1", 0, "Hi")
    late = why_late(trail(drive))
    assert (late.basis, late.ended_by, late.gap_ms) == ("typed", "ResponseEnded", 100)
    assert stretches(late) == [("handler", 10), ("provider audio", 90)]


def test_the_models_own_answer() -> None:
    """From the commit on; its tool is named; a transcription that comes beside it costs nothing."""
    drive = Drive(answers="model").open_provider().open_caller()
    drive.signal("p1", s.SpeechBegan(item="i1", audio_start_ms=0))
    drive.wait(900)
    drive.signal("p1", s.SpeechCeased(item="i1", audio_end_ms=900))
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    drive.wait(100)
    drive.begin("r1", None)
    drive.signal("p1", s.FunctionCalled(response="r1", item="f1", call_id="t1", name="find", arguments="{}"))
    drive.finish("r1")
    drive.signal("p1", s.TranscriptCompleted(item="i1", transcript="hello"))
    drive.wait(350)
    drive.fact(e.ToolAnswered(call_id="t1", output="1"))
    drive.wait(120)
    drive.begin("r2", None)
    drive.wait(80)
    drive.sound("r2")
    late = why_late(trail(drive))
    assert stretches(late) == [("provider response", 100), ("call", 350), ("provider response", 120), ("provider audio", 80)]
    assert (late.stretches[1].about, late.response, late.say) == ("find", "r2", "")


def test_the_end_of_speech_is_found_on_the_input_timeline() -> None:
    """speech_stopped that comes 150 ms behind the audio it speaks of: the time in between is detection, not silence."""
    drive = listening()
    drive.signal("c1", s.CallerConfigured(changes=VAD, session={}))
    drive.signal("p1", s.SpeechBegan(item="i1", audio_start_ms=0))
    for n in range(1, 11):
        drive.wait(200)
        drive.fact(e.MediaRecorded(track="p1.out", n=n, duration_ms=200, digest=b"", messages=10, first=n), e.Root.WIRE)
    sent_ns = drive.now_ns
    drive.wait(50)
    drive.signal("p1", s.SpeechCeased(item="i1", audio_end_ms=1_900))
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    drive.signal("p1", s.TranscriptCompleted(item="i1", transcript="hello"))
    answer(drive, "Hi")
    late = why_late(trail(drive))
    assert late.basis == "input timeline"
    assert late.from_ns == sent_ns - 600 * MS
    assert stretches(late)[:2] == [("silence", 500), ("detection", 150)]


def test_a_turn_that_is_answered_only_with_the_next_one() -> None:
    """The handler took both before it spoke."""
    drive = listening()
    spoke(drive, "first")
    drive.command(c.Input())
    spoke(drive, "second", "i2")
    answer(drive, "Both")
    late = why_late(trail(drive), 1)
    assert ("later turn", "turn 2") in [(one.name, one.about) for one in late.stretches]


def test_what_the_log_does_not_tell_is_counted_as_unexplained() -> None:
    """A say whose cause is not in the log: the time before it is nobody's."""
    drive = listening()
    spoke(drive, "hello")
    drive.wait(450)
    drive.core.record(e.SayRequested(index=9, say="say_9", command=c.Say(text="?"), site=SITE), e.Root.HOST, drive.now_ns)
    drive.settle()
    drive.begin("r1", "say_9")
    drive.wait(50)
    drive.sound("r1")
    late = why_late(trail(drive))
    assert late.unexplained_ms == 450
    assert ("unexplained", 450) in stretches(late)


@pytest.mark.parametrize("turn", [None, 3])
def test_a_turn_that_is_not_there_is_refused(turn: int | None) -> None:
    """TL418."""
    with pytest.raises(StoreError, match="TL418"):
        why_late(trail(ready()), turn)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["handler", "model"]), st.lists(st.tuples(INPUTS, st.integers(0, 700_000_000)), max_size=50))
def test_the_stretches_always_tile_the_gap(answers: str, inputs: list[tuple[tuple[str, Any], int]]) -> None:
    """Whatever happened, at any nanosecond: no hole, no overlap, the ms add up."""
    drive = Drive(answers=answers).open_provider().open_caller()
    for (kind, what), ns in inputs:
        play(drive, kind, what)
        drive.wait(ns / MS)
    for turn in drive.turns():
        check(why_late(trail(drive), turn.turn))


STEPS = st.sampled_from(["call", "sleep", "say", "begin", "refuse", "sound", "finish", "speak", "listen", "update"])


def act(drive: Drive, what: str, ns: int) -> None:
    """One thing that a handler, its provider or the user does, and the time that it takes."""
    says = list(drive.core.state.delivery.says.values())
    head = says[0] if says else None
    name, attempt = (head.requested.say, head.attempt) if head else ("", 0)
    match what:
        case "call":
            return called(drive, "find_guest", ns / MS)
        case "sleep":
            drive.wait(ns / MS)
            drive.fact(e.TimerFired(timer=1, deadline_ns=drive.now_ns), e.Root.TIMER)
        case "say":
            woken(drive, c.Say(text="Hello big world"))
        case "begin":
            drive.begin(f"r_{name}", name or None, attempt)
        case "refuse":
            drive.refuse(name or None, attempt)
        case "sound":
            drive.sound(f"r_{name}")
        case "finish":
            drive.finish(f"r_{name}", 700, "Hello big world")
        case "speak":
            spoke(drive, "hello", f"i{drive.core.seq}", words_ms=ns / MS)
        case "listen":
            woken(drive, c.Input())
        case _:
            woken(drive, c.Update(instructions="Be brief"))
            drive.signal("p1", s.ProviderConfigured(session={}))
    drive.wait(ns / MS)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 900_000_000)), min_size=5, max_size=40))
def test_conversations_are_tiled_and_explained(steps: list[tuple[str, int]]) -> None:
    """Turns that are answered by any way: the stretches tile, and nothing of it is unexplained."""
    drive = listening()
    drive.signal("c1", s.CallerConfigured(changes=VAD, session={}))
    spoke(drive, "hello", "i0")
    for what, ns in steps:
        act(drive, what, ns)
    for turn in drive.turns():
        late = why_late(trail(drive), turn.turn)
        check(late)
        assert late.unexplained_ms == 0
