"""When the words of both sides were heard: who said them, in which order, and what is no line."""

from turnlog.core import events as e
from turnlog.core.definition import SessionDefinition
from turnlog.core.folds.spoken import Spoken

DEFINITION = SessionDefinition(name="desk", provider="openai", transport="websocket", answers="model")
STARTED = e.SessionStarted(
    session="s", target="h.desk", definition=DEFINITION, python="3.11", code_version="", handler="m:f", engine_flags=0
)


def told(*events: tuple[int, e.Event]) -> list[tuple[int, int, str, str, bool]]:
    """The lines of these events: (at, until, who, text, cut), times in s."""
    spoken = Spoken()
    for seq, (at_s, event) in enumerate([(0, STARTED), *events], 1):
        spoken.apply(seq, at_s * 10**9, event)
    return [(one.at_ns // 10**9, one.ended_ns // 10**9, one.who, one.text, one.cut) for one in spoken.lines]


def test_the_models_own_words_are_those_that_were_heard() -> None:
    """From when it began to sound; of an old log, which tells no parts, the whole answer."""
    heard = [e.HeardPart(item="i", heard_ms=2000, heard_text="Well, yes")]
    assert told(
        (1, e.SpeechStarted(item="u", audio_start_ms=0)),
        (3, e.SpeechStopped(item="u", audio_end_ms=2000)),
        (4, e.ResponseStarted(response="r")),
        (5, e.AudioStarted(response="r")),
        (6, e.ResponseEnded(response="r", status="completed", transcript="Well, yes of course")),
        (7, e.TurnEnded(turn=1, item="u", text="May I?")),
        (8, e.PlayoutEnded(response="r", interrupted=True, heard=heard)),
        (9, e.ResponseEnded(response="r2", status="completed", transcript="Old")),
        (11, e.PlayoutEnded(response="r2")),
    ) == [(1, 3, "user", "May I?", False), (5, 7, "model", "Well, yes", True), (11, 11, "model", "Old", False)]


def test_where_the_handler_answers_the_models_words_are_none() -> None:
    """A say's words are those heard of all its pieces, once; after a switch the model's own count no more."""
    part = [e.HeardPart(item="i", heard_ms=1000, heard_text="x")]
    assert told(
        (1, e.AnswersSwitched(answers="handler")),
        (2, e.ResponseStarted(response="a", say="say_1")),
        (2, e.AudioStarted(response="a")),
        (3, e.PlayoutEnded(response="a", say="say_1", heard=part)),
        (4, e.ResponseStarted(response="b", say="say_1")),
        (4, e.AudioStarted(response="b")),
        (5, e.PlayoutEnded(response="b", say="say_1", heard=part)),
        (6, e.SaySettled(say="say_1", status="played", heard_ms=2000, heard_text="One. Two.")),
        (7, e.PlayoutEnded(response="c", heard=part)),
        (8, e.SaySettled(say="say_2", status="cancelled")),
        (9, e.TranscriptArrivedLate(item="u", transcript="late")),
    ) == [(2, 5, "handler", "One. Two.", False), (9, 9, "user", "late", False)]
