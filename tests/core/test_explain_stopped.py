"""Why a say ended: from its outcome to what came from outside, and what of it was heard."""

import pytest

from tests.core.driving import Drive
from tests.core.explaining import ready, trail
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.errors import StoreError
from turnlog.core.explain import Stopped, why_stopped

TEXT = "Room twelve is free and costs ninety euros"


def stopped(drive: Drive, say: str) -> tuple[Stopped, list[str]]:
    """The explanation, and the types of its chain."""
    found = why_stopped(trail(drive), say)
    return found, [cause.type for cause in found.chain]


def sounding(drive: Drive, ms: int | None = None) -> str:
    """A say whose audio has begun, and been generated whole if `ms`."""
    say = drive.say(TEXT)
    drive.begin("r1", say)
    drive.sound("r1")
    if ms is not None:
        drive.finish("r1", ms, TEXT)
    return say


def test_a_say_that_was_heard_whole() -> None:
    """It ended with its audio; nothing is unheard."""
    drive = ready()
    say = drive.spoken(TEXT, 900)
    found, chain = stopped(drive, say)
    assert (found.status, found.heard_text, found.unheard_text, found.estimated) == ("played", TEXT, "", False)
    assert chain == ["SaySettled", "PlayoutEnded", "ResponseDelivered", "TransportReceived"]
    assert [cause.inferred for cause in found.chain] == [False, False, True, False]
    assert (found.outside, found.attempts) == ("wire", 1)


def test_a_caller_who_hangs_up_in_the_middle() -> None:
    """The loss of its link is the outside cause, though the log's own cause is a deadline; the rest of the words is told."""
    drive = ready()
    say = sounding(drive, 4_000)
    drive.wait(2_000)
    drive.close("c1")
    drive.wait(1)
    found, chain = stopped(drive, say)
    assert (found.status, found.code, found.outside) == ("interrupted", "caller_gone", "host")
    assert chain == ["SaySettled", "PlayoutCut", "CallersGone", "LinkClosed"]
    assert found.heard_text and f"{found.heard_text} {found.unheard_text}" == TEXT
    assert found.estimated
    assert found.heard_ms == 2_000


def test_a_say_that_nobody_was_left_to_hear() -> None:
    """It waited; the callers' going settled it, and all of it is unheard."""
    drive = ready()
    sounding(drive)
    say = drive.say("Breakfast is at seven")
    drive.close("c1")
    drive.wait(1)
    found, chain = stopped(drive, say)
    assert (found.status, found.unheard_text, found.estimated, found.attempts) == ("failed", "Breakfast is at seven", False, 0)
    assert chain[-2:] == ["CallersGone", "LinkClosed"]
    assert found.outside == "host"


def test_a_say_that_was_refused_too_often() -> None:
    """The last refusal came by wire; the attempts are counted."""
    drive = ready()
    say = drive.say(TEXT)
    for attempt in range(1, 6):
        drive.refuse(say, attempt, "rate_limit_exceeded")
        drive.wait(1_000)
    found, chain = stopped(drive, say)
    assert (found.status, found.code, found.attempts, found.outside) == ("failed", "rate_limit_exceeded", 5, "wire")
    assert chain[-1] == "TransportReceived"
    assert found.unheard_text == TEXT


def test_a_provider_that_drops() -> None:
    """The end of its link is the outside cause."""
    drive = ready()
    say = sounding(drive)
    drive.wait(300)
    drive.close("p1")
    found, chain = stopped(drive, say)
    assert (found.status, found.outside) == ("interrupted", "host")
    assert chain[-3:] == ["SaySettled", "SessionEnding", "LinkClosed"] or "LinkClosed" in chain


def test_a_handler_that_ends_the_session_over_its_own_say() -> None:
    """end(drain=False): the chain leads to the handler's line."""
    drive = ready()
    say = sounding(drive)
    drive.command(c.End(reason="enough", drain=False))
    found, chain = stopped(drive, say)
    assert found.code == "enough"
    assert "EndRequested" in chain


def test_the_embedding_program_ends_the_session() -> None:
    """Its API is the outside cause."""
    drive = ready()
    say = sounding(drive)
    drive.end(drain=False)
    assert stopped(drive, say)[0].outside == "api"


def test_other_words_than_the_requested_ones_are_counted() -> None:
    """Where the provider said something else, the unheard rest is by the number of words."""
    drive = ready()
    say = drive.say("one two three four")
    drive.begin("r1", say)
    drive.sound("r1")
    drive.finish("r1", 1_000, "uno dos tres cuatro")
    drive.wait(600)
    drive.close("c1")
    drive.wait(1)
    found = why_stopped(trail(drive), say)
    assert (found.heard_text, found.unheard_text) == ("uno dos", "three four")


@pytest.mark.parametrize(("say", "why"), [("say_9", "no say"), ("say_1", "not settled yet")])
def test_a_say_that_cannot_be_explained_is_refused(say: str, why: str) -> None:
    """TL418, with what to ask instead."""
    drive = ready()
    drive.say("Hi")
    with pytest.raises(StoreError, match=f"TL418.*{why}"):
        why_stopped(trail(drive), say)


def test_every_chain_ends_outside() -> None:
    """The last step of a whole log's chain names a root."""
    drive = ready()
    say = drive.spoken("Hi")
    roots = {root.name.lower() for root in e.Root}
    assert why_stopped(trail(drive), say).chain[-1].root in roots
