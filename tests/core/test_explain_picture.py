"""A session's state as plain values, at any place."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.explaining import listening, ready, spoke, trail
from tests.core.test_core import INPUTS, play
from turnlog.core import commands as c
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
    assert seen["says"] == [{"say": say, "state": "sounding", "attempt": 1, "response": "r1", "text": "One moment"}]
    assert seen["sounding"] == [{"response": "r1", "audible": True, "heard_ms": 0, "done": False, "cut": ""}]
    assert seen["handler"]["runs"] == {drive.index: "find_guest"}
    assert [line["text"] for line in seen["conversation"]] == ["is Ms Ito in?"]
    assert seen["waiting_for"]["name"] == "playout"


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
