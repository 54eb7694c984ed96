"""Callers to whom our end plays: what is heard is what the line tells, however late it begins."""

import pytest

from tests.core.driving import Drive
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.heads import ClockPlayheads
from turnlog.core.line_heads import UNTOLD_S, LinePlayheads

TEXT = "Hello big world of words"


def calling(*transports: str) -> Drive:
    """A session whose audio is delivered live, to callers that came in these ways."""
    drive = Drive().open_provider()
    drive.core.delivers(LinePlayheads(drive.core.state, ClockPlayheads(drive.core.state)))
    for n, transport in enumerate(transports, 1):
        drive.fact(e.LinkOpened(link=f"c{n}", side="caller", transport=transport))
    return drive


def sounding(drive: Drive, ms: int = 1_000) -> str:
    """A say that was delivered whole."""
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", ms, TEXT, parts=[e.PartGenerated(item="i1", generated_ms=ms, transcript=TEXT)])
    return say


def tells(drive: Drive, played_ms: int, *, halted: bool = False) -> None:
    """A report of the line."""
    report = s.PlayoutReported(
        response="r1", item="i1", content_index=0, played_ms=played_ms, final=False, source="rtp", halted=halted
    )
    drive.signal("c1", report)


def test_a_say_lasts_until_the_line_has_played_it() -> None:
    """The peer connects five seconds late, and the end is where the line says."""
    drive = calling("webrtc")
    say = sounding(drive)
    drive.wait(5_000)
    tells(drive, 0)
    drive.wait(1_000)
    assert not drive.of(e.PlayoutEnded)
    tells(drive, 1_000, halted=True)
    drive.wait(0)
    outcome = drive.outcome(say)
    assert (outcome.status, outcome.heard_ms, outcome.source) == ("played", 1_000, "rtp")


def test_what_is_delivered_behind_a_late_start_ends_late() -> None:
    """The line began two seconds late and tells so: the end is expected by that, not by the first delivery."""
    drive = calling("webrtc")
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.sound("r1")
    drive.wait(2_000)
    tells(drive, 0)
    drive.finish("r1", 3_000, TEXT, parts=[e.PartGenerated(item="i1", generated_ms=3_000, transcript=TEXT)])
    (delivered,) = drive.of(e.ResponseDelivered)
    assert isinstance(delivered, e.ResponseDelivered) and delivered.ends_ns == drive.now_ns + 3_000_000_000
    drive.wait(2_900)
    tells(drive, 2_900)
    drive.wait(1_000)
    assert not drive.of(e.PlayoutEnded)
    tells(drive, 3_000, halted=True)
    drive.wait(0)
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms) == ("played", 3_000)


def test_a_line_that_tells_nothing_has_played_nothing() -> None:
    """The say holds the mouth no longer than such a line may be silent, and it was not delivered."""
    drive = calling("webrtc")
    say = sounding(drive)
    drive.wait(1_000 + UNTOLD_S * 1_000 - 1)
    assert not drive.of(e.SaySettled)
    drive.wait(1)
    assert (drive.outcome(say).status, drive.outcome(say).code, drive.outcome(say).heard_ms) == ("failed", "not_delivered", 0)


def test_a_line_that_is_lost_before_it_told_anything_has_played_nothing() -> None:
    """Its say waits for who comes back, whole."""
    drive = calling("webrtc")
    sounding(drive)
    drive.wait(600)
    drive.close("c1", 1006)
    (cut,) = drive.of(e.PlayoutCut)
    assert isinstance(cut, e.PlayoutCut) and (cut.source, [part.heard_ms for part in cut.heard]) == ("rtp", [0])
    assert [event.text for event in drive.of(e.SayResumed) if isinstance(event, e.SayResumed)] == [TEXT]


@pytest.mark.parametrize("joins", [False, True])
def test_where_somebody_else_hears_it_the_clock_counts(joins: bool) -> None:
    """A caller over a WebSocket beside it, or one that comes while it sounds: what that one was sent it has heard."""
    drive = calling("webrtc") if joins else calling("webrtc", "websocket")
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.sound("r1")
    if joins:
        drive.fact(e.LinkOpened(link="c2", side="caller", transport="websocket"))
    drive.finish("r1", 1_000, TEXT, parts=[e.PartGenerated(item="i1", generated_ms=1_000, transcript=TEXT)])
    drive.wait(1_000)
    assert (drive.outcome(say).status, drive.outcome(say).heard_ms, drive.outcome(say).source) == ("played", 1_000, "clock")
