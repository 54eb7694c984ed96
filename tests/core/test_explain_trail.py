"""Trails: places, causes up and effects down, and the state at a place."""

import pytest

from tests.core.driving import MS, START_NS, Drive, anatomy, recorded, replayed
from tests.core.explaining import listening, ready, spoke, trail
from turnlog.core import events as e
from turnlog.core.errors import StoreError
from turnlog.core.explain import Trail


def types(drive: Drive, kind: type[e.Event]) -> list[str]:
    """The types of the chain of the last event of a type; inferred steps begin with "~"."""
    whole = trail(drive)
    seq = next(one.seq for one in reversed(drive.log) if isinstance(one.event, kind))
    return [("~" if link.inferred else "") + type(link.entry.event).__name__ for link in whole.chain(seq)]


def test_a_trail_of_log_entries_is_that_of_the_events() -> None:
    """Through the codec and back."""
    drive = ready()
    assert Trail.of(recorded(one) for one in drive.log).entries == trail(drive).entries


def test_places_are_found_by_number_and_by_time() -> None:
    """The entry of a number, and the last one at or before a time."""
    drive = listening()
    spoke(drive, "hello")
    whole = trail(drive)
    assert whole.at(3).seq == 3
    assert whole.get(0) is None
    assert whole.at_time(START_NS).seq < whole.at_time(START_NS + 1_500 * MS).seq < whole.last.seq
    assert whole.at_time(START_NS * 9) == whole.last


def test_a_log_without_events_is_refused() -> None:
    """TL418."""
    with pytest.raises(StoreError, match="TL418"):
        Trail([])


def test_effects_are_the_inverse_of_causes() -> None:
    """Every event with a cause stands among the effects of that cause, in order."""
    drive = listening()
    spoke(drive, "hello")
    drive.spoken("Hi", 400)
    whole = trail(drive)
    pairs = [(cause.seq, one.seq) for cause in whole.entries for one in whole.effects(cause.seq)]
    assert pairs == sorted((one.cause, one.seq) for one in drive.log if one.cause > 0)


def test_a_chain_goes_behind_the_playouts_clock() -> None:
    """The end of a playout is a deadline that the response's end set; that came by wire."""
    drive = ready()
    drive.spoken("Hi", 400)
    assert types(drive, e.SaySettled) == ["SaySettled", "PlayoutEnded", "~ResponseDelivered", "TransportReceived"]


def test_a_chain_goes_behind_the_time_limits() -> None:
    """Late words go back to the commit, a lost request to its dispatch."""
    drive = listening()
    spoke(drive, "", words_ms=3_500)
    assert types(drive, e.TurnEnded)[:3] == ["TurnEnded", "InputTranscribed", "~InputCommitted"]
    drive = ready()
    drive.say("Hi")
    drive.wait(10_000)
    assert types(drive, e.SayRefused)[:3] == ["SayRefused", "~SayDispatched", "SayRequested"]


def test_a_cause_that_was_cut_off_ends_the_chain() -> None:
    """A trail that begins later answers with what it has."""
    drive = ready()
    drive.spoken("Hi", 400)
    settled = drive.log[-1].seq
    assert [link.entry.seq for link in Trail(drive.log[-1:]).chain(settled)] == [settled]


def test_the_state_at_a_place_is_that_of_the_log_up_to_it() -> None:
    """As a fold of the bytes."""
    drive = listening()
    spoke(drive, "hello")
    for staged in drive.log:
        assert anatomy(trail(drive).state_at(staged.seq)) == anatomy(replayed(drive.log[: staged.seq]))


def test_what_rests_on_an_erased_event_is_refused_by_name() -> None:
    """TL411 says which is missing and up to where one can ask."""
    drive = ready()
    drive.say("Hi")
    asked = next(n for n, one in enumerate(drive.log) if isinstance(one.event, e.SayRequested))
    entries = [tuple(one) for one in drive.log]
    entries[asked] = (*entries[asked][:3], e.Erased(type="SayRequested"))
    whole = Trail(entries)  # type: ignore[arg-type] # tuples of the right shape
    whole.state_at(asked + 1)
    with pytest.raises(StoreError, match=f"TL411.*needs event {asked + 1}, which was erased"):
        whole.state_at(whole.last.seq)


def test_a_log_without_its_beginning_has_no_state() -> None:
    """TL407, as in replay."""
    drive = ready()
    with pytest.raises(StoreError, match="TL407"):
        Trail(drive.log[3:]).state_at(5)
