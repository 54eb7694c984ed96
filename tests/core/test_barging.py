"""Speech while something sounds: what it cuts, when it has to prove itself, and what was no turn at all."""

from typing import Any

import msgspec
import pytest

from tests.core.driving import Drive
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s

BEGAN = s.SpeechBegan(item="u1", audio_start_ms=0)


def sounding(text: str = "Hello big world of words", ms: int = 4_000, **options: Any) -> tuple[Drive, str]:
    """A session whose say has sounded for a quarter of its length."""
    said = {key: options.pop(key) for key in list(options) if key in c.Say.__struct_fields__}
    drive = Drive(**options).open_provider().open_caller()
    say = drive.say(text, **said)
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", ms, text)
    drive.wait(ms // 4)
    return drive, say


def turn(drive: Drive, words: str, *, ms: int = 900) -> None:
    """The rest of a spoken contribution."""
    drive.wait(ms)
    drive.signal("p1", s.SpeechCeased(item="u1", audio_end_ms=ms), s.AudioCommitted(item="u1", previous_item=None))
    drive.signal("p1", s.TranscriptCompleted(item="u1", transcript=words))


def cuts(drive: Drive) -> list[e.PlayoutCut]:
    """What was cut."""
    return [event for event in drive.of(e.PlayoutCut) if isinstance(event, e.PlayoutCut)]


def test_speech_cuts_what_sounds_at_once_where_devices_keep_the_echo_out() -> None:
    """In the same round, caused by the speech; the playhead of that moment stands in the cut."""
    drive, say = sounding()
    drive.signal("p1", BEGAN)
    (cut,) = cuts(drive)
    assert (cut.say, cut.item, cut.reason, cut.heard[0].heard_ms) == (say, "u1", "speech", 1_000)
    assert isinstance(drive.why(e.PlayoutCut), e.TransportReceived)
    drive.wait(250)
    assert (drive.outcome(say).status, drive.outcome(say).code, drive.outcome(say).heard_ms) == ("interrupted", "speech", 1_000)
    turn(drive, "wait a moment")
    assert drive.turns()[0].interrupted == [say]


def test_a_say_that_must_not_be_interrupted_is_heard_whole() -> None:
    """The callers are not told of the speech, or they would stop playing; it is a turn all the same."""
    drive, say = sounding(interruptible=False)
    drive.signal("p1", BEGAN)
    turn(drive, "wait a moment")
    assert cuts(drive) == []
    assert drive.of(e.SpeechStarted) == [e.SpeechStarted(item="u1", audio_start_ms=0, held=True)]
    assert [one.text for one in drive.turns()] == ["wait a moment"]
    drive.wait(4_000)
    assert drive.outcome(say).status == "played"
    assert drive.of(e.SpeechConfirmed) == []


def test_callers_learn_of_held_speech_when_nothing_sounds_any_more() -> None:
    """It goes on: from there on it can cut nothing."""
    drive, _ = sounding(interruptible=False)
    drive.signal("p1", BEGAN)
    drive.wait(3_000)
    assert drive.of(e.SpeechConfirmed) == [e.SpeechConfirmed(item="u1", audio_start_ms=0)]


@pytest.mark.parametrize("order", ["speech first", "level first"])
def test_guard_wants_speech_that_is_louder_than_an_echo_could_be(order: str) -> None:
    """Both the provider's voice activity and the engine's own measurement, in any order."""
    drive, say = sounding(echo="guard")
    first, second = (BEGAN, s.SpeechLasted(ms=200)) if order == "speech first" else (s.SpeechLasted(ms=200), BEGAN)
    for signal in (first, second):
        assert cuts(drive) == []
        drive.signal("c1" if isinstance(signal, s.SpeechLasted) else "p1", signal)
    assert [one.say for one in cuts(drive)] == [say]
    assert drive.of(e.SpeechConfirmed)


def test_guard_lets_an_echo_pass_without_a_word_to_anyone() -> None:
    """It cuts nothing, the callers hear of no speech, and words that repeat the say are no turn."""
    drive, say = sounding(echo="guard")
    drive.signal("p1", BEGAN)
    turn(drive, "big world of words")
    drive.wait(4_000)
    assert cuts(drive) == []
    assert drive.of(e.TurnDiscarded) == [e.TurnDiscarded(item="u1", reason="suspected echo")]
    assert drive.outcome(say).status == "played"
    assert drive.turns() == []


def test_before_its_first_sample_a_say_has_no_echo() -> None:
    """What the user says then is speech, whatever the policy."""
    drive = Drive(echo="guard").open_provider().open_caller()
    say = drive.say("Hello")
    drive.begin("r1", say)
    drive.signal("p1", BEGAN)
    assert [one.say for one in cuts(drive)] == [say]
    drive.wait(1)
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("interrupted", 0)
    assert drive.of(e.CancelDispatched) == [e.CancelDispatched(link="p1", response="r1")]


def test_short_speech_does_not_interrupt_where_a_length_was_declared() -> None:
    """A nod of 200 ms passes and is no turn; a word of 600 ms cuts, after 500."""
    drive, say = sounding(min_speech_ms=500)
    drive.signal("p1", BEGAN)
    turn(drive, "mhm", ms=200)
    assert cuts(drive) == []
    assert drive.of(e.TurnDiscarded) == [e.TurnDiscarded(item="u1", reason="backchannel")]
    drive.signal("p1", msgspec.structs.replace(BEGAN, item="u2"))
    drive.wait(499)
    assert cuts(drive) == []
    drive.wait(1)
    assert [one.say for one in cuts(drive)] == [say]


@pytest.mark.parametrize(("words", "cut"), [("mhm", False), ("wait a moment", True)])
def test_few_words_do_not_interrupt_where_a_number_was_declared(words: str, cut: bool) -> None:
    """The words are known only when they are transcribed: then they cut, or are no turn."""
    drive, _ = sounding(min_words=2)
    drive.signal("p1", BEGAN)
    turn(drive, words)
    assert bool(cuts(drive)) is cut
    assert [one.text for one in drive.turns()] == ([words] if cut else [])


def test_what_was_cut_by_no_speech_goes_on() -> None:
    """From the word on at which it was cut, as a new piece of the same say."""
    drive, say = sounding(resume_after_false_start=True)
    drive.signal("p1", BEGAN)
    turn(drive, " ")
    assert drive.of(e.SaySettled) == []
    (resumed,) = drive.of(e.SayResumed)
    assert resumed == e.SayResumed(say=say, text="big world of words")
    dispatched = drive.of(e.SayDispatched)[-1]
    assert isinstance(dispatched, e.SayDispatched) and dispatched.text == "big world of words"
    drive.begin("r2", say, 2)
    drive.sound("r2")
    drive.finish("r2", 3_000, "big world of words")
    drive.wait(3_000)
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("played", 4_000)
    assert drive.outcome(say).heard_text == "Hello big world of words"


def test_a_say_asked_for_when_the_user_begins_to_speak_is_held() -> None:
    """Its response has not begun: it is owed again, and asked for behind the user's turn."""
    drive = Drive().open_provider().open_caller()
    say = drive.say("Hello")
    drive.signal("p1", BEGAN)
    drive.begin("late", say)
    assert drive.of(e.ResponseStarted) == [e.ResponseStarted(response="late", dead=True, link="p1")]
    turn(drive, "one more thing")
    drive.wait(1_000)
    asked = [event.attempt for event in drive.of(e.SayDispatched) if isinstance(event, e.SayDispatched)]
    assert asked == [1, 2]


def test_speech_that_never_ends_holds_no_say_for_ever() -> None:
    """A line may be noisy: after 30 s the say goes out."""
    drive = Drive().open_provider().open_caller()
    drive.signal("p1", BEGAN)
    drive.say("Are you there?")
    drive.wait(29_000)
    assert drive.of(e.SayDispatched) == []
    drive.wait(1_000)
    assert drive.of(e.SayDispatched)


def test_speech_whose_audio_was_cleared_holds_nothing() -> None:
    """The caller has taken it back."""
    drive = Drive().open_provider().open_caller()
    drive.signal("p1", BEGAN)
    drive.signal("c1", s.AudioCleared())
    drive.say("Hello")
    assert drive.of(e.SayDispatched)


def test_a_key_of_the_telephone_is_a_turn() -> None:
    """At once; nothing has to be transcribed."""
    drive = Drive().open_provider().open_caller()
    drive.signal("p1", s.DigitDialled(digit="5"))
    assert [(one.channel, one.text) for one in drive.turns()] == [("dtmf", "5")]


# --- echoes that are hard to tell ---


@pytest.mark.parametrize(
    ("heard", "is_turn"), [("hello", False), ("a big wall of words", False), ("bye", True), ("is a pool there", True)]
)
def test_what_is_said_again_without_a_voice_is_an_echo(heard: str, is_turn: bool) -> None:
    """One word of the say is enough, and of several, which are often misheard, half; other words are a turn."""
    drive, _ = sounding(echo="guard")
    drive.signal("p1", BEGAN)
    turn(drive, heard)
    assert [one.text for one in drive.turns()] == ([heard] if is_turn else [])
    assert bool(drive.of(e.TurnDiscarded)) is not is_turn


def test_an_echo_holds_no_say_back() -> None:
    """The next say begins while the words of what may be the echo of the one before are awaited; a voice holds it."""
    drive, say = sounding(echo="guard")
    drive.signal("p1", BEGAN)
    following = drive.say("And more")
    drive.wait(3_000)
    assert drive.outcome(say).status == "played"
    assert [one.say for one in drive.of(e.SayDispatched) if isinstance(one, e.SayDispatched)] == [say, following]
    drive, say = sounding(echo="guard", interruptible=False)
    drive.signal("p1", BEGAN)
    drive.signal("c1", s.SpeechLasted(ms=200))
    drive.say("And more")
    drive.wait(3_000)
    assert [one.say for one in drive.of(e.SayDispatched) if isinstance(one, e.SayDispatched)] == [say]


def test_an_echo_that_is_noticed_late_is_one_too() -> None:
    """Right behind what sounded the callers are not told of speech, until it has lasted for longer than any echo."""
    drive, _ = sounding(echo="guard")
    drive.wait(3_100)
    drive.signal("p1", BEGAN)
    assert drive.of(e.SpeechStarted) == [e.SpeechStarted(item="u1", audio_start_ms=0, held=True)]
    drive.wait(899)
    assert drive.of(e.SpeechConfirmed) == []
    drive.wait(1)
    assert drive.of(e.SpeechConfirmed) == [e.SpeechConfirmed(item="u1", audio_start_ms=0)]


def test_a_late_echo_does_not_cut_the_say_that_comes_next() -> None:
    """The say before has ended, the next has no sample yet: what is heard may be the echo of the first."""
    drive, _ = sounding(echo="guard")
    following = drive.say("And more")
    drive.wait(3_000)
    drive.begin("r2", following)
    drive.signal("p1", BEGAN)
    assert cuts(drive) == []
    drive.signal("c1", s.SpeechLasted(ms=200))
    assert [one.say for one in cuts(drive)] == [following]


@pytest.mark.parametrize(("late_ms", "own"), [(1200, "what about breakfast"), (400, "Hello big world of what about breakfast")])
def test_who_speaks_over_an_echo_is_given_their_own_words(late_ms: int, own: str) -> None:
    """To the provider echo and voice are one. Words that were said go where the voice came late; the transcript keeps them."""
    drive, say = sounding(echo="guard")
    drive.signal("p1", BEGAN)
    drive.wait(late_ms)
    drive.signal("c1", s.SpeechLasted(ms=200))
    turn(drive, "Hello big world of what about breakfast")
    (ended,) = drive.turns()
    assert (ended.text, ended.interrupted) == (own, [say])
    assert ended.transcript == "Hello big world of what about breakfast"


def test_who_answers_right_behind_a_question_may_use_its_words() -> None:
    """A voice was measured when nothing sounded any more: no echo."""
    drive, _ = sounding(echo="guard")
    drive.wait(3_100)
    drive.signal("p1", BEGAN)
    drive.signal("c1", s.SpeechLasted(ms=200))
    turn(drive, "big world of words")
    assert [one.text for one in drive.turns()] == ["big world of words"]


@pytest.mark.parametrize("source", ["ack", "mark", "rtp"])
def test_what_a_caller_tells_of_its_playout_is_taken_before_our_clock(source: Any) -> None:
    """It lags 400 ms behind; told 300 ms ago, it has played 300 ms more since. How it knows stands in the outcome."""
    drive, say = sounding()
    told = s.PlayoutReported(response="r1", item="", content_index=0, played_ms=600, final=False, source=source)
    drive.signal("c1", told)
    drive.wait(300)
    drive.signal("p1", BEGAN)
    assert [(cut.source, cut.heard[0].heard_ms) for cut in cuts(drive)] == [(source, 900)]
    drive.wait(250)
    assert (drive.outcome(say).source, drive.outcome(say).heard_ms) == (source, 900)


@pytest.mark.parametrize(
    ("played_ms", "transcript", "generated_ms", "heard"),
    [
        (1_100, "", 0, "one two three"),  # nobody has told the words of what was generated
        (500, "", 0, "one"),
        (0, "", 0, ""),
        (1_100, "one two three four five six", 3_000, "one two"),  # they came after the cut, and so did audio
    ],
)
def test_the_words_of_a_cut_are_measured_by_the_audio_that_they_are_of(
    played_ms: int, transcript: str, generated_ms: int, heard: str
) -> None:
    """What is told of the playout behind the cut corrects its figure, and its words by as much."""
    drive = Drive().open_provider().open_caller()
    drive.begin("r1", drive.say("one two three four five six"))
    drive.sound("r1")
    part = e.HeardPart(
        item="i1", content_index=0, generated_ms=2_000, delivered_ms=1_200, heard_ms=1_000, heard_text="one two three"
    )
    drive.fact(e.PlayoutCut(response="r1", reason="caller", heard=[part], source="rtp", error_ms=50))
    if transcript:
        made = e.PartGenerated(item="i1", generated_ms=generated_ms, transcript=transcript)
        drive.finish("r1", generated_ms, transcript, "cancelled", parts=[made])
    told = s.PlayoutReported(
        response="r1", item="i1", content_index=0, played_ms=played_ms, final=False, source="rtp"
    )
    drive.signal("c1", told)
    drive.wait(250)
    ended = [event for event in drive.of(e.PlayoutEnded) if isinstance(event, e.PlayoutEnded)]
    assert [[(one.heard_ms, one.heard_text) for one in event.heard] for event in ended] == [[(played_ms, heard)]]
