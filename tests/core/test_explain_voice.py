"""Whom a say of this machine's own voice waits for, and where its time went."""

from tests.core.driving import Drive
from tests.core.explaining import now, ready, spoke, trail, woken
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.explain import why_late, why_silent

OPENED = e.LinkOpened(link="v1", side="voice", transport="in_process")


def test_a_say_for_this_machines_voice_waits_for_its_line() -> None:
    """Whether the provider is ready or not: nobody waits for that."""
    drive = Drive()
    drive.fact(e.LinkOpened(link="p1", side="provider", transport="in_process"))
    drive.open_caller()
    drive.say("Hello", mode="tts")
    waiter = now(drive)
    assert (waiter.name, waiter.owner) == ("voice_line", "engine")
    drive.fact(OPENED)
    assert now(drive).name == "provider_response"


def test_the_audio_of_this_machines_voice_is_counted_on_its_own_track() -> None:
    """What the provider sends meanwhile makes it no later."""
    drive = ready()
    drive.fact(OPENED)
    say = drive.say("Hello", mode="tts")
    drive.signal("v1", s.ResponseBegan(response="r1", say=say, attempt=1, in_band=False))
    drive.sound("r1")
    for track in ("v1.in", "p1.in"):
        drive.fact(e.MediaRecorded(track=track, n=1, duration_ms=200, digest=b"", messages=1, first=1), e.Root.WIRE)
    drive.wait(500)
    assert now(drive).name == "playout"
    drive.wait(200)
    assert why_silent(trail(drive), at_ns=drive.now_ns).name == "generation"


def test_opening_the_line_is_a_stretch_of_its_own() -> None:
    """No caller and no provider is blamed for it."""
    drive = ready()
    drive.command(c.Input())
    spoke(drive, "hello")
    woken(drive, c.Say(text="Hello", mode="tts"))
    say = f"say_{drive.index}"
    drive.wait(30)
    drive.fact(OPENED)
    drive.wait(20)
    drive.signal("v1", s.ResponseBegan(response="r1", say=say, attempt=1, in_band=False))
    drive.sound("r1")
    late = why_late(trail(drive))
    assert [(one.name, one.ms) for one in late.stretches if one.name == "voice line"] == [("voice line", 30)]
    assert late.unexplained_ms == 0
