"""A provider that plays to the caller itself tells where it is: output_audio_buffer.started, .stopped and .cleared."""

from typing import Literal

import pytest

from tests.core.driving import Drive
from turnlog.core import events as e
from turnlog.core import signals as s

TEXT = "Hello big world of words"


def plays(state: Literal["started", "stopped", "cleared"]) -> s.ProviderBuffer:
    """What it says of the one response."""
    return s.ProviderBuffer(response="r1", state=state)


def sounding(ms: int = 4_000) -> tuple[Drive, str]:
    """A say that the provider plays itself: its audio never comes by here."""
    drive = Drive().open_provider().open_caller()
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.signal("p1", plays("started"))
    made = e.PartGenerated(item="i1", generated_ms=ms, transcript=TEXT)
    drive.finish("r1", ms, TEXT, parts=[made])
    return drive, say


def test_a_response_is_heard_when_its_provider_has_played_it_out() -> None:
    """Not when it was generated, and not by our clock: 300 ms later than that."""
    drive, say = sounding()
    drive.wait(4_300)
    assert drive.of(e.SaySettled) == []
    drive.signal("p1", plays("stopped"))
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.heard_ms, outcome.heard_text, outcome.source) == ("played", 4_000, TEXT, "buffer_event")
    assert drive.of(e.ResponseDelivered)[0] == e.ResponseDelivered(response="r1", delivered_ms=4_000, ends_ns=drive.now_ns)


def test_what_is_dropped_was_heard_so_far() -> None:
    """The provider cleared its buffer because the user spoke: the say is interrupted where it was."""
    drive, say = sounding()
    drive.wait(2_000)
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0), plays("cleared"))
    drive.wait(250)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.code, outcome.heard_ms, outcome.source) == ("interrupted", "speech", 2_000, "buffer_event")
    assert outcome.heard_text and TEXT.startswith(outcome.heard_text) and outcome.heard_text != TEXT


def test_a_clear_without_speech_is_the_callers() -> None:
    """It has asked for it past us."""
    drive, say = sounding()
    drive.wait(1_000)
    drive.signal("p1", plays("cleared"))
    drive.wait(250)
    assert (drive.outcome(say).status, drive.outcome(say).code, drive.outcome(say).heard_ms) == ("interrupted", "caller", 1_000)


def test_an_end_that_is_never_told_holds_the_mouth_for_five_seconds() -> None:
    """Then what was generated counts as heard."""
    drive, say = sounding()
    drive.wait(8_999)
    assert drive.of(e.SaySettled) == []
    drive.wait(1)
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("played", 4_000)


def test_a_response_is_cut_while_it_is_still_generated() -> None:
    """What has sounded by then is known by the time since its start."""
    drive = Drive().open_provider().open_caller()
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.signal("p1", plays("started"))
    drive.wait(700)
    drive.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0))
    drive.wait(250)
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms, drive.outcome(say).source) == (
        *("interrupted", 700),
        "buffer_event",
    )
    assert drive.of(e.CancelDispatched) == [e.CancelDispatched(link="p1", response="r1")]


@pytest.mark.parametrize("state", ["started", "stopped", "cleared"])
def test_what_it_says_of_other_responses_is_no_fact(state: Literal["started", "stopped", "cleared"]) -> None:
    """Nobody hears them, or their playout has ended."""
    drive = Drive().open_provider().open_caller()
    drive.signal("p1", plays(state))
    assert drive.of(e.PlayoutBuffered) == []
