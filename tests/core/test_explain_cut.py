"""Why a say was cut short, taken back or given up: each injected cause is named, back to what came from outside."""

from typing import Any

import pytest

from tests.core.driving import SITE, Drive
from tests.core.explaining import ready, spoke, trail
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.explain import Stopped, why_stopped

TEXT = "Room twelve is free and costs ninety euros"
WIRE = ["TransportReceived"]


def sounding(drive: Drive, ms: int = 4_000, **options: Any) -> str:
    """A say that has been generated whole and began to be heard a second and a half ago."""
    say = drive.say(TEXT, **options)
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", ms, TEXT)
    drive.wait(1_500)
    return say


def stopped(drive: Drive, say: str) -> tuple[Stopped, list[str]]:
    """The explanation, and the types of its chain."""
    found = why_stopped(trail(drive), say)
    return found, [cause.type for cause in found.chain]


def speech(drive: Drive, item: str = "i1") -> None:
    """The user begins to speak."""
    drive.signal("p1", s.SpeechBegan(item=item, audio_start_ms=100))


def test_barge_in() -> None:
    """From the outcome over the end of the playout and the cut to the speech, and to the wire; heard and unheard words."""
    drive = ready()
    say = sounding(drive)
    speech(drive)
    drive.wait(400)
    found, chain = stopped(drive, say)
    assert (found.status, found.code, found.outside) == ("interrupted", "speech", "wire")
    assert found.what == "the user spoke over it"
    assert chain == ["SaySettled", "PlayoutEnded", "PlayoutCut", "SpeechStarted", *WIRE]
    assert found.heard_ms == 1_500 and found.estimated
    assert found.heard_text and f"{found.heard_text} {found.unheard_text}" == TEXT


def test_barge_in_of_a_caller_who_tells_what_it_played() -> None:
    """Its word ends the playout; what stopped the say is the speech all the same."""
    drive = ready()
    say = sounding(drive)
    speech(drive)
    drive.wait(60)
    told = s.PlayoutReported(response="r1", item="", content_index=0, played_ms=700, source="ack", final=True)
    drive.signal("c1", told)
    found, chain = stopped(drive, say)
    assert chain == ["SaySettled", "PlayoutEnded", "PlayoutCut", "SpeechStarted", *WIRE]
    assert found.outside == "wire"


def test_barge_in_that_had_to_prove_itself() -> None:
    """Speech was held back until it had lasted: the measurement stands in the chain."""
    drive = Drive(echo="guard").open_provider().open_caller()
    say = sounding(drive)
    speech(drive)
    drive.wait(220)
    drive.signal("c1", s.SpeechLasted(ms=200))
    drive.wait(400)
    found, chain = stopped(drive, say)
    steps = ["SaySettled", "PlayoutEnded", "PlayoutCut", "SpeechConfirmed", "SpeechSustained", "SpeechStarted"]
    assert (found.code, chain) == ("speech", [*steps, *WIRE])


def test_barge_in_after_the_least_length_of_speech() -> None:
    """The deadline that passed was set by the speech."""
    drive = Drive(echo="client_aec", min_speech_ms=300).open_provider().open_caller()
    say = sounding(drive)
    speech(drive)
    drive.wait(800)
    _, chain = stopped(drive, say)
    assert chain == ["SaySettled", "PlayoutEnded", "PlayoutCut", "SpeechConfirmed", "SpeechStarted", *WIRE]


def test_a_false_start_that_proved_to_be_speech() -> None:
    """The outcome waited for the words; the cut is what it came of, not the words' message."""
    drive = Drive(resume_after_false_start=True).open_provider().open_caller()
    say = sounding(drive)
    spoke(drive, "stop it")
    found, chain = stopped(drive, say)
    assert (found.code, chain[:4]) == ("speech", ["SaySettled", "PlayoutEnded", "PlayoutCut", "SpeechStarted"])


def test_the_handler_takes_it_back() -> None:
    """handle.cancel(): the chain leads to its command."""
    drive = ready()
    say = sounding(drive)
    drive.command(c.CancelSay(say=say))
    found, chain = stopped(drive, say)
    assert (found.code, found.what) == ("cancelled", "the handler took it back")
    assert "SayCancelRequested" in chain and found.heard_ms == 1_500


def test_another_say_replaces_it() -> None:
    """The say that was to be heard at once is its cause, for what sounds and for what waits."""
    drive = ready()
    first, second = sounding(drive), drive.say("Later")
    urgent = drive.say("Fire!", when="interrupt")
    for say, status in ((first, "interrupted"), (second, "cancelled")):
        found, chain = stopped(drive, say)
        assert (found.status, found.code) == (status, "replaced")
        asked = next(cause for cause in found.chain if cause.type == "SayRequested")
        request = trail(drive).at(asked.seq).event
        assert isinstance(request, e.SayRequested) and request.say == urgent
        assert chain[-1] != "SaySettled"


@pytest.mark.parametrize("message", [s.CancelRequested(event_id=None, response="r1"), s.OutputCleared()], ids=["cancel", "clear"])
def test_its_caller_stops_it(message: s.Signal) -> None:
    """response.cancel or output_audio_buffer.clear, by wire."""
    drive = ready()
    say = sounding(drive)
    drive.signal("c1", message)
    drive.wait(400)
    found, chain = stopped(drive, say)
    assert (found.code, found.what, found.outside) == ("caller", "its caller stopped it", "wire")
    assert chain == ["SaySettled", "PlayoutEnded", "PlayoutCut", "CallerCancelled", *WIRE]


def test_a_stale_answer() -> None:
    """A newer turn made it stale: the turn is its cause."""
    drive = ready()
    spoke(drive, "a room please")
    spoke(drive, "no, two rooms", "i2")
    say = drive.say("One room", on_stale="drop", turn=1)
    found, chain = stopped(drive, say)
    assert (found.status, found.code) == ("cancelled", "stale")
    assert found.what == "the user had spoken since the turn that it answers"
    assert chain[:2] == ["SaySettled", "TurnEnded"] and found.outside == "wire"
    assert found.unheard_text == "One room"


def test_a_stale_answer_while_the_user_speaks() -> None:
    """Speech that has no words yet is enough."""
    drive = ready()
    spoke(drive, "a room please")
    speech(drive, "i2")
    say = drive.say("One room", on_stale="drop", turn=1)
    assert stopped(drive, say)[1][:2] == ["SaySettled", "SpeechStarted"]


def test_a_say_that_came_while_the_mouth_was_busy() -> None:
    """when="drop": it is its own request that settled it, since other words sounded."""
    drive = ready()
    sounding(drive)
    say = drive.say("By the way", when="drop")
    found, chain = stopped(drive, say)
    assert (found.code, found.attempts, chain[1]) == ("busy", 0, "SayRequested")


def test_a_provider_that_refuses_five_times() -> None:
    """The last refusal, and how many there were."""
    drive = ready()
    say = drive.say(TEXT)
    for attempt in range(1, 6):
        drive.refuse(say, attempt, "rate_limit_exceeded")
        drive.wait(1_000)
    found, chain = stopped(drive, say)
    assert found.what == "the provider refused it 5 times, at last with rate_limit_exceeded"
    assert chain == ["SaySettled", "SayRefused", *WIRE]


def test_other_words_than_asked_for() -> None:
    """on_mismatch="fail": the comparison is the cause."""
    drive = ready()
    say = drive.say(TEXT, on_mismatch="fail")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 2_000, "I cannot say that")
    drive.wait(10)
    found, chain = stopped(drive, say)
    assert (found.status, found.what) == ("failed", "other words were spoken than asked for")
    assert chain == ["SaySettled", "PlayoutEnded", "PlayoutCut", "SaySpoken", *WIRE]


def test_a_response_that_stalls() -> None:
    """Nothing more came for fifteen seconds: the deadline was set by the response."""
    drive = ready()
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.wait(16_000)
    found, chain = stopped(drive, say)
    assert (found.status, found.what) == ("failed", "nothing more came of its response")
    assert chain == ["SaySettled", "PlayoutEnded", "PlayoutCut", "ResponseStarted", *WIRE]


def test_the_words_of_a_stream_are_told() -> None:
    """What was asked for is what had come of the stream; what was heard of it is a part of that."""
    drive = ready()
    drive.index += 1
    drive.core.command(drive.index, c.Stream(name="desk:tokens"), SITE, drive.core.seq, drive.now_ns)
    stream = drive.index
    say = drive.say("", stream=stream)
    for n, item in enumerate((b"\xadRoom twelve. ", b"\xabIt is free."), 1):
        drive.fact(e.StreamItem(index=stream, n=n, item=item))
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 2_000, "Room twelve.")
    drive.wait(1_100)
    speech(drive)
    drive.wait(400)
    found, _ = stopped(drive, say)
    assert found.text == "Room twelve. It is free."
    assert f"{found.heard_text} {found.unheard_text}" == found.text
