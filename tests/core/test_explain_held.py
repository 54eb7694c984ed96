"""Why it is silent while words are owed: held, cut, withdrawn or not known yet. Each injected cause is named, with its owner."""

from typing import Any

from tests.core.driving import MS, SITE, Drive
from tests.core.explaining import listening, now, ready, spoke, trail, woken
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.explain import Waiter, why_late, why_said

TEXT = "Room twelve is free and costs ninety euros"


def told(waiter: Waiter) -> tuple[str, str, int]:
    """Name, owner and age."""
    return waiter.name, waiter.owner, waiter.age_ms


def sounding(drive: Drive, ms: int | None = 4_000, **options: Any) -> str:
    """A say that began to be heard a second and a half ago, generated whole if `ms`."""
    say = drive.say(TEXT, **options)
    drive.begin("r1", say)
    drive.sound("r1")
    if ms is not None:
        drive.finish("r1", ms, TEXT)
    drive.wait(1_500)
    return say


def speech(drive: Drive, item: str = "i1") -> None:
    """The user begins to speak."""
    drive.signal("p1", s.SpeechBegan(item=item, audio_start_ms=100))


def streaming(drive: Drive) -> int:
    """A say of a stream; returns the stream's index."""
    drive.command(c.Stream(name="desk:tokens"))
    stream = drive.index
    drive.say("", stream=stream)
    return stream


def test_a_say_that_is_held_while_the_user_speaks() -> None:
    """The user's, since they began, for thirty seconds at most; also while their words are on their way."""
    drive = listening()
    speech(drive)
    drive.say("One more thing")
    drive.wait(700)
    waiter = now(drive)
    assert told(waiter) == ("user_speaks", "user", 700)
    assert waiter.what == '"One more thing" is held while the user speaks'
    assert waiter.until_ns == waiter.since_ns + 30_000 * MS
    drive.signal("p1", s.SpeechCeased(item="i1", audio_end_ms=900))
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    assert now(drive).name == "user_speaks"
    drive.signal("p1", s.TranscriptCompleted(item="i1", transcript="hello"))
    assert now(drive).name == "provider_response"


def test_a_say_that_speech_took_back() -> None:
    """It had been asked for and had not begun: held while the user speaks, then tried again after the pause."""
    drive = ready()
    drive.say("One more thing")
    speech(drive)
    assert told(now(drive))[:2] == ("user_speaks", "user")
    drive.signal("p1", s.SpeechCeased(item="i1", audio_end_ms=200))
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    drive.signal("p1", s.TranscriptCompleted(item="i1", transcript="hm"))
    waiter = now(drive)
    assert (waiter.name, waiter.owner) == ("refusal_pause", "engine")
    assert "taken back when the user began to speak" in waiter.what


def test_a_say_where_the_model_answers() -> None:
    """It waits for the provider's confirmation that the model will not answer meanwhile."""
    drive = Drive(answers="model").open_provider().open_caller()
    drive.say("Your taxi is here")
    drive.wait(240)
    waiter = now(drive)
    assert told(waiter) == ("confirmation", "provider", 240)
    assert '"Your taxi is here" waits until the provider has confirmed' in waiter.what
    drive.signal("p1", s.ProviderConfigured(session={}))
    assert now(drive).name == "provider_response"


def test_a_stream_without_a_further_sentence() -> None:
    """Its function is to bring the words: before the first sentence, and between two of them."""
    drive = ready()
    stream = streaming(drive)
    drive.wait(800)
    assert told(now(drive)) == ("words", "tool", 800)
    drive.fact(e.StreamItem(index=stream, n=1, item=b"\xb4Room twelve is free."))
    drive.wait(300)
    waiter = now(drive)
    assert told(waiter) == ("words", "tool", 300) and waiter.site == SITE
    drive.fact(e.StreamItem(index=stream, n=2, item=b"\xa4 It "))
    assert now(drive).name == "provider_response"
    assert now(drive).what == '"Room twelve is free." was asked for (attempt 1) and no response has begun'


def test_a_say_that_was_cut_and_its_caller_who_may_tell() -> None:
    """For a quarter of a second it is the caller's word that is waited for; then the user, who goes on speaking."""
    drive = listening()
    sounding(drive)
    speech(drive)
    drive.wait(100)
    waiter = now(drive)
    assert told(waiter) == ("acknowledgement", "caller", 100)
    assert waiter.until_ns == waiter.since_ns + 250 * MS
    assert "was cut by speech" in waiter.what
    drive.wait(200)
    assert now(drive).name == "speaking"


def test_a_model_that_was_cut() -> None:
    """Its own words have no say, and are named as its answer."""
    drive = Drive(answers="model", echo="client_aec").open_provider().open_caller()
    drive.begin("r1", None)
    drive.sound("r1")
    drive.wait(700)
    speech(drive)
    waiter = now(drive)
    assert (waiter.name, waiter.owner) == ("acknowledgement", "caller")
    assert waiter.what.startswith("the model's answer was cut by speech")


def test_a_say_that_may_go_on() -> None:
    """Whether what cut it was speech is not known: the user's words decide, and the say is named."""
    drive = Drive(resume_after_false_start=True).open_provider().open_caller()
    drive.command(c.Input())
    sounding(drive, None)
    speech(drive)
    drive.wait(400)
    waiter = now(drive)
    assert (waiter.name, waiter.owner) == ("speaking", "user")
    assert waiter.what == f'the user is speaking; "{TEXT[:39]}…" goes on if it was no speech'
    drive.signal("p1", s.SpeechCeased(item="i1", audio_end_ms=500))
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    assert now(drive).name == "transcription"
    drive.signal("p1", s.TranscriptCompleted(item="i1", transcript=" "))
    drive.wait(10)
    assert now(drive).name == "provider_response"


def test_a_response_that_stalls() -> None:
    """Without audio, and with audio that stopped coming: the provider's, until it is given up."""
    drive = ready()
    drive.begin("r1", drive.say(TEXT))
    drive.wait(4_000)
    waiter = now(drive)
    assert told(waiter) == ("provider_audio", "provider", 4_000)
    assert waiter.until_ns == waiter.since_ns + 15_000 * MS
    drive.sound("r1")
    drive.fact(e.MediaRecorded(track="p1.in", n=1, duration_ms=200, digest=b"", messages=10, first=1), e.Root.WIRE)
    heard_ns = drive.now_ns
    drive.wait(2_000)
    waiter = now(drive)
    assert (waiter.name, waiter.until_ns) == ("generation", heard_ns + 15_000 * MS)


def test_a_filler_that_is_on_its_way() -> None:
    """It is the engine's own: named by its tool, with no line of the handler as its own."""
    drive = Drive(rules=[e.ToolRules(name="find", filler="One moment", after_ms=500)]).open_provider().open_caller()
    drive.command(c.Call(target="find"))
    drive.wait(600)
    waiter = now(drive)
    assert told(waiter) == ("provider_response", "provider", 100)
    assert waiter.what.startswith('the filler of find "One moment" was asked for')
    assert not waiter.stands


def test_a_refused_answer_of_the_model() -> None:
    """It was asked to go on and refused: the code is told."""
    drive = Drive(answers="model").open_provider().open_caller()
    drive.signal("c1", s.AnswerRequested(event_id=None, request={}, out_of_band=False))
    drive.signal("p1", s.ResponseRefused(say=None, attempt=0, code="rate_limit_exceeded", message=""))
    waiter = now(drive)
    assert (waiter.name, waiter.owner) == ("answer_refused", "provider") and "rate_limit_exceeded" in waiter.what


# --- the same, looked back upon ---


def test_a_filler_tells_its_tool() -> None:
    """why_said: no line of the handler asked for it, a tool that ran did."""
    drive = Drive(rules=[e.ToolRules(name="find", filler="One moment", after_ms=500)]).open_provider().open_caller()
    drive.command(c.Call(target="find"))
    drive.wait(600)
    (filler,) = drive.of(e.SayRequested)
    assert isinstance(filler, e.SayRequested)
    said = why_said(trail(drive), filler.say)
    assert (said.filler_of, said.woken_by_type, said.text) == ("find", "CallRequested", "One moment")


def test_a_streamed_say_tells_its_stream() -> None:
    """why_said: the words that came, and the function that brought them."""
    drive = listening()
    spoke(drive, "any rooms?")
    stream = streaming(drive)
    drive.fact(e.StreamItem(index=stream, n=1, item=b"\xb4Room twelve is free."))
    said = why_said(trail(drive), f"say_{stream + 1}")
    assert (said.stream, said.text, said.filler_of) == ("desk:tokens", "Room twelve is free.", "")
    assert [turn.text for turn in said.turns] == ["any rooms?"]


def test_the_hold_while_the_user_speaks_is_a_stretch() -> None:
    """why_late: the answer was ready and the user had begun to speak again."""
    drive = listening()
    spoke(drive, "a room please")
    drive.command(c.Input())
    speech(drive, "i2")
    say = drive.say("Room twelve")
    drive.wait(900)
    drive.signal("p1", s.SpeechCeased(item="i2", audio_end_ms=900))
    drive.signal("p1", s.AudioCommitted(item="i2", previous_item="i1"))
    drive.wait(100)
    drive.signal("p1", s.TranscriptCompleted(item="i2", transcript="with a bath"))
    drive.wait(70)
    drive.begin("r1", say)
    drive.sound("r1")
    late = why_late(trail(drive), 1)
    assert ("user speaks", 1_000) in [(one.name, one.ms) for one in late.stretches]
    assert late.unexplained_ms == 0 and sum(one.ms for one in late.stretches) == late.gap_ms


def test_the_wait_for_a_streams_words_is_a_stretch() -> None:
    """why_late: from the request of the say to the sentence with which it could begin."""
    drive = listening()
    spoke(drive, "any rooms?")
    stream = streaming(drive)
    drive.wait(350)
    drive.fact(e.StreamItem(index=stream, n=1, item=b"\xabRoom twelve"))
    drive.wait(250)
    drive.fact(e.StreamItem(index=stream, n=2, item=b"\xaa is free. "))
    drive.wait(50)
    drive.fact(e.StreamItem(index=stream, n=3, item=b"\xa3It "))
    drive.wait(80)
    drive.begin("r1", f"say_{stream + 1}")
    drive.sound("r1")
    late = why_late(trail(drive))
    assert ("words", 650) in [(one.name, one.ms) for one in late.stretches]
    assert late.unexplained_ms == 0


def test_the_models_silence_before_a_say_is_a_stretch() -> None:
    """why_late: where the model answers a say waits for the provider's confirmation."""
    drive = Drive(answers="model").open_provider().open_caller()
    drive.command(c.Update(answers="handler"))
    drive.wait(30)
    drive.signal("p1", s.ProviderConfigured(session={}))
    drive.command(c.Input())
    spoke(drive, "hello")
    drive.command(c.Update(answers="model"))
    drive.wait(40)
    drive.signal("p1", s.ProviderConfigured(session={}))
    woken(drive, c.Say(text="Good day"))
    drive.wait(120)
    drive.signal("p1", s.ProviderConfigured(session={}))
    drive.wait(60)
    drive.begin("r1", f"say_{drive.index}")
    drive.sound("r1")
    late = why_late(trail(drive))
    assert ("confirmation", 120) in [(one.name, one.ms) for one in late.stretches]
    assert late.unexplained_ms == 0


def test_a_filler_ends_the_silence_and_is_explained() -> None:
    """why_late: the gap goes to the filler's audio; what led to it is the tool's running."""
    drive = Drive(rules=[e.ToolRules(name="find", filler="One moment", after_ms=500)]).open_provider().open_caller()
    drive.command(c.Input())
    spoke(drive, "is Ms Ito in?")
    drive.command(c.Call(target="find"))
    drive.wait(600)
    (filler,) = drive.of(e.SayRequested)
    assert isinstance(filler, e.SayRequested)
    drive.begin("r1", filler.say)
    drive.sound("r1")
    late = why_late(trail(drive))
    last = [("filler", "find", 500), ("provider response", "", 100)]
    assert [(one.name, one.about, one.ms) for one in late.stretches][-2:] == last
    assert (late.say, late.unexplained_ms) == (filler.say, 0)
