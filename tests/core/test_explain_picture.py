"""A session's state as plain values, at any place."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.driving import Drive
from tests.core.explaining import listening, ready, spoke, trail
from tests.core.test_core import INPUTS, play
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.explain import picture


def test_the_picture_of_a_call_in_full_swing() -> None:
    """Who is there, what is owed and heard, what runs, what was said, who is waited for."""
    drive = listening()
    spoke(drive, "is Ms Ito in?")
    say = drive.say("One moment")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.command(c.Call(target="find_guest"))
    drive.wait(250)
    seen = picture(trail(drive))
    assert seen["links"]["callers"] == ["c1"] and seen["links"]["provider_ready"]
    (owed,) = seen["says"]
    assert {name: owed[name] for name in ("say", "state", "attempt", "response", "text")} == {
        "say": say, "state": "sounding", "attempt": 1, "response": "r1", "text": "One moment",
    }  # fmt: skip
    assert (owed["piece"], owed["pieces"], owed["more_to_come"]) == (1, 1, False)
    assert seen["sounding"] == [{"response": "r1", "audible": True, "heard_ms": 0, "done": False, "cut": ""}]
    assert seen["handler"]["runs"] == {drive.index: "find_guest"}
    assert [line["text"] for line in seen["conversation"]] == ["is Ms Ito in?"]
    assert seen["waiting_for"]["name"] == "playout"


def test_the_picture_of_an_interruption() -> None:
    """Whose speech it is, what it cut, how far a streamed say had come, and who is waited for."""
    drive = Drive(answers="handler", say_mode="in_band").open_provider().open_caller()
    drive.command(c.Stream(name="desk:tokens"))
    stream = drive.index
    say = drive.say("", stream=stream)
    drive.fact(e.StreamItem(index=stream, n=1, item=b"\xb6Room twelve. It is fre"))
    drive.begin("r1", say, in_band=True)
    drive.sound("r1")
    part = e.PartGenerated(item="a1", generated_ms=2_000, transcript="Room twelve.")
    drive.finish("r1", 2_000, "Room twelve.", parts=[part])
    drive.wait(900)
    drive.signal("p1", s.SpeechBegan(item="i1", audio_start_ms=100))
    seen = picture(trail(drive))
    (owed,) = seen["says"]
    assert (owed["state"], owed["text"].strip(), owed["more_to_come"]) == ("cut", "Room twelve.", True)
    assert seen["speech"] == [{"item": "i1", "stopped": False, "held": False, "over_sound": True, "cut": [say]}]
    assert (seen["sounding"][0]["cut"], seen["waiting_for"]["name"]) == ("speech", "acknowledgement")


def test_an_earlier_place_shows_what_stood_then() -> None:
    """Nothing of what came later."""
    drive = listening()
    place = drive.core.seq
    spoke(drive, "hello")
    seen = picture(trail(drive), seq=place)
    assert (seen["seq"], seen["turns"]["ended"], seen["handler"]["listens"]) == (place, 0, [1])
    assert picture(trail(drive))["handler"]["listens"] == []


@settings(max_examples=50, deadline=None)
@given(st.lists(INPUTS, max_size=30))
def test_every_picture_is_json(inputs: list[tuple[str, Any]]) -> None:
    """Whatever happened."""
    drive = ready()
    for kind, what in inputs:
        play(drive, kind, what)
    assert msgspec.json.decode(msgspec.json.encode(picture(trail(drive))))["seq"] == drive.core.seq
