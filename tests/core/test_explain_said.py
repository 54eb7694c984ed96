"""Why something was said: its line, the turns it followed, and what the handler had learned."""

import pytest

from tests.core.driving import SITE
from tests.core.explaining import called, listening, ready, spoke, trail
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.errors import StoreError
from turnlog.core.explain import why_said


def test_an_answer_rests_on_its_turn_and_what_was_looked_up() -> None:
    """The turn, then each result and failure between it and the say, with the arguments."""
    drive = listening()
    spoke(drive, "is Ms Ito in?")
    called(drive, "find_guest", 40, {"room": 12})
    drive.command(c.Step(name="desk:phrase", args=["Ito"]))
    asked = drive.core.seq
    drive.fact(e.CallFailed(index=drive.index, type_name="OSError", message="no model"), asked)
    say = drive.say("Room twelve")
    said = why_said(trail(drive), say)
    assert (said.text, said.site, said.index, said.woken_by_type) == ("Room twelve", SITE, drive.index, "CallFailed")
    assert [(turn.turn, turn.text) for turn in said.turns] == [(1, "is Ms Ito in?")]
    assert [(call.name, call.result, call.error) for call in said.calls] == [
        ("find_guest", {"room": 12}, ""),
        ("desk:phrase", None, "OSError: no model"),
    ]
    assert said.calls[1].args == ["Ito"]


def test_a_second_say_of_one_turn_follows_the_same_turn() -> None:
    """No turn was taken between them."""
    drive = listening()
    spoke(drive, "hello?")
    drive.say("One moment")
    say = drive.say("Here I am")
    said = why_said(trail(drive), say)
    assert [turn.turn for turn in said.turns] == [1]


def test_a_turn_that_lies_there_untaken_is_not_what_was_answered() -> None:
    """Spoken while the handler was busy with the turn before."""
    drive = listening()
    spoke(drive, "first")
    spoke(drive, "second", "i2")
    first = drive.say("To the first")
    drive.command(c.Input())
    second = drive.say("To the second")
    assert [turn.text for turn in why_said(trail(drive), first).turns] == ["first"]
    assert [turn.text for turn in why_said(trail(drive), second).turns] == ["second"]


def test_all_turns_taken_since_the_last_say_count() -> None:
    """A handler that waits for two turns answers both."""
    drive = listening()
    spoke(drive, "first")
    drive.command(c.Input())
    spoke(drive, "second", "i2")
    say = drive.say("To both")
    said = why_said(trail(drive), say)
    assert [turn.text for turn in said.turns] == ["first", "second"]


def test_a_greeting_follows_nothing() -> None:
    """No turn, no results."""
    drive = ready()
    say = drive.say("Welcome")
    said = why_said(trail(drive), say)
    assert (said.turns, said.calls) == ([], [])


def test_a_say_that_is_not_there_is_refused() -> None:
    """TL418."""
    with pytest.raises(StoreError, match="TL418"):
        why_said(trail(ready()), "say_1")
