"""What the model must know of what happened without it: says that were heard beside the conversation, and typed turns."""

from tests.core.driving import Drive
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s


def told(drive: Drive) -> list[tuple[str, str, str]]:
    """(role, text, behind which item) of each contribution that was sent to the provider."""
    sent = [event for event in drive.of(e.ItemForwarded) if isinstance(event, e.ItemForwarded)]
    return [(one.raw["role"], one.raw["content"][0]["text"], one.previous) for one in sent]


def ready(answers: str) -> Drive:
    """A session with both links, whose provider confirms at once."""
    drive = Drive(answers=answers).open_provider().open_caller()
    drive.confirms = True
    return drive


def speak(drive: Drive, item: str, words: str) -> None:
    """A spoken turn."""
    drive.signal("p1", s.SpeechBegan(item=item, audio_start_ms=0), s.SpeechCeased(item=item, audio_end_ms=500))
    drive.signal("p1", s.AudioCommitted(item=item, previous_item=None), s.TranscriptCompleted(item=item, transcript=words))


def test_what_was_heard_of_a_say_is_told_to_the_model_that_answers() -> None:
    """It was spoken beside the conversation: the model would not know of it. Only the words that were heard."""
    drive = ready("model")
    drive.spoken("The line is being recorded.")
    assert told(drive) == [("assistant", "The line is being recorded.", "")]
    say = drive.say("A long word about it all", interruptible=True)
    drive.begin("r2", say)
    drive.sound("r2")
    drive.finish("r2", 1_000, "A long word about it all")
    drive.wait(500)
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    drive.wait(1_000)
    assert told(drive)[1:] == [("assistant", drive.outcome(say).heard_text, "")]
    assert drive.outcome(say).heard_text != "A long word about it all"


def test_a_say_in_the_conversation_is_not_told_again() -> None:
    """The provider's own history has it."""
    drive = ready("model")
    say = drive.say("Welcome", mode="in_band")
    drive.begin("r1", say, in_band=True)
    drive.sound("r1")
    drive.finish("r1", 400, "Welcome")
    drive.wait(400)
    assert drive.outcome(say).status == "played"
    assert told(drive) == []


def test_a_say_that_nobody_heard_is_not_told() -> None:
    """It is no part of the conversation."""
    drive = ready("model")
    say = drive.say("Hm", when="drop")
    drive.command(c.CancelSay(say=say))
    assert drive.outcome(say).status == "cancelled"
    assert told(drive) == []


def test_a_model_that_takes_over_is_told_all_in_its_place() -> None:
    """Each contribution behind the item after which it came; before, it needs none of it."""
    drive = ready("handler")
    drive.spoken("Front desk.")
    speak(drive, "u1", "a room please")
    drive.spoken("For how long?")
    drive.signal("c1", s.ItemCreated(item="t1", kind="message", role="user", text="two nights", raw={**TYPED, "id": "t1"}))
    drive.signal("c1", s.AnswerRequested(event_id=None, request={}, out_of_band=False, response="x"))
    drive.spoken("I connect you.")
    assert told(drive) == []
    drive.command(c.Update(answers="model"))
    assert drive.of(e.AnswersSwitched) == [e.AnswersSwitched(answers="model")]
    said = [staged.seq for staged in drive.log if isinstance(staged.event, e.SaySettled)]
    assert told(drive) == [
        ("assistant", "Front desk.", ""),
        ("assistant", "For how long?", "u1"),
        ("user", "two nights", f"said_{said[1]}"),
        ("assistant", "I connect you.", "t1"),
    ]


TYPED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "two nights"}]}
