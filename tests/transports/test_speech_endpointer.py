"""Where speech starts and stops, from probabilities alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.transports.speech.endpointer import (
    Decision,
    Endpointer,
    Endpointing,
    Resumed,
    Speculate,
    SpeechStarted,
    SpeechStopped,
)

PROBABILITIES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.6, 1.0]), st.integers(1, 25)).map(lambda run: [run[0]] * run[1]), max_size=20
).map(lambda runs: [probability for run in runs for probability in run])


def decide(probabilities: list[float], settings: Endpointing = Endpointing()) -> list[Decision]:  # noqa: B008 -- frozen
    """All decisions of a stream of 32 ms frames."""
    endpointer = Endpointer(settings)
    return [decision for probability in probabilities for decision in endpointer.feed(probability)]


def test_a_turn_has_padding_before_and_silence_behind() -> None:
    """Speech from 640 to 1280 ms starts 300 ms early, is over 512 ms after the voice, and is guessed over after 224."""
    assert decide([0.0] * 20 + [1.0] * 20 + [0.0] * 20) == [
        SpeechStarted(start_ms=340),
        Speculate(end_ms=1280 + 224),
        SpeechStopped(end_ms=1280 + 512, silent_ms=1280),
    ]


def test_going_on_after_a_pause_takes_the_guess_back() -> None:
    """A pause of 320 ms gives Speculate and Resumed, and the turn ends once, at the real end."""
    assert decide([1.0] * 20 + [0.0] * 10 + [1.0] * 10 + [0.0] * 16) == [
        SpeechStarted(start_ms=0),
        Speculate(end_ms=640 + 224),
        Resumed(),
        Speculate(end_ms=1280 + 224),
        SpeechStopped(end_ms=1280 + 512, silent_ms=1280),
    ]


def test_a_short_pause_is_not_worth_a_guess() -> None:
    """Silence of less than 200 ms inside speech decides nothing."""
    assert decide([1.0] * 10 + [0.0] * 6 + [1.0] * 10) == [SpeechStarted(start_ms=0)]


def test_a_click_is_not_speech() -> None:
    """Two frames (64 ms) do not start a turn; three (96 ms) do."""
    assert decide(([1.0] * 2 + [0.0] * 5) * 10) == []
    assert decide([0.0] * 5 + [1.0] * 3) == [SpeechStarted(start_ms=0)]


def test_inside_speech_a_lower_bound_holds() -> None:
    """0.4 neither starts a turn nor ends one; 0.3 ends it."""
    assert decide([0.4] * 40) == []
    assert decide([1.0] * 5 + [0.4] * 40) == [SpeechStarted(start_ms=0)]
    assert decide([1.0] * 5 + [0.3] * 16)[-1] == SpeechStopped(end_ms=21 * 32, silent_ms=160)


def test_silence_shorter_than_the_guess_ends_the_turn_at_once() -> None:
    """With silence_duration_ms at or below speculate_ms there is no Speculate."""
    settings = Endpointing(silence_duration_ms=200)
    assert decide([1.0] * 5 + [0.0] * 10, settings) == [SpeechStarted(start_ms=0), SpeechStopped(end_ms=160 + 224, silent_ms=160)]


def test_padding_does_not_reach_into_the_turn_before() -> None:
    """When one turn follows another at once, the second starts where the first ended."""
    first, second = [decision for decision in decide(([1.0] * 10 + [0.0] * 16) * 2) if isinstance(decision, SpeechStarted)]
    assert (first.start_ms, second.start_ms) == (0, 26 * 32)


def test_a_low_threshold_still_ends() -> None:
    """With a threshold below the hysteresis, frames of 0 are silence all the same."""
    assert isinstance(decide([1.0] * 5 + [0.0] * 16, Endpointing(threshold=0.1))[-1], SpeechStopped)


def test_reset_forgets_the_speech_and_keeps_the_time() -> None:
    """After reset() no SpeechStopped comes for what was forgotten, and the next start is not before the reset."""
    endpointer = Endpointer()
    for _ in range(10):
        endpointer.feed(1.0)
    assert endpointer.speaking
    endpointer.reset()
    assert (endpointer.speaking, endpointer.now_ms) == (False, 320)
    assert [decision for _ in range(20) for decision in endpointer.feed(0.0)] == []
    assert [decision for _ in range(3) for decision in endpointer.feed(1.0)] == [SpeechStarted(start_ms=660)]


@given(PROBABILITIES)
def test_decisions_come_in_their_order(probabilities: list[float]) -> None:
    """(Started (Speculate Resumed)* Speculate? Stopped)*, cut anywhere, for any probabilities."""
    follows: dict[type[Decision] | None, set[type[Decision]]] = {
        None: {SpeechStarted},
        SpeechStarted: {Speculate, SpeechStopped},
        Speculate: {Resumed, SpeechStopped},
        Resumed: {Speculate, SpeechStopped},
        SpeechStopped: {SpeechStarted},
    }
    before: type[Decision] | None = None
    for decision in decide(probabilities):
        assert type(decision) in follows[before]
        before = type(decision)


@given(PROBABILITIES, st.integers(0, 600), st.integers(100, 900))
def test_turns_do_not_overlap_and_end_when_said(probabilities: list[float], padding_ms: int, silence_ms: int) -> None:
    """Starts and ends rise; each turn holds the voice and the silence waited for, to the frame."""
    settings = Endpointing(prefix_padding_ms=padding_ms, silence_duration_ms=silence_ms)
    edge = 0
    for decision in decide(probabilities, settings):
        match decision:
            case SpeechStarted(start_ms=start_ms):
                assert start_ms >= edge
                edge = start_ms
            case SpeechStopped(end_ms=end_ms, silent_ms=silent_ms):
                assert silence_ms <= end_ms - silent_ms < silence_ms + 32
                assert edge < silent_ms
                edge = end_ms
            case Speculate(end_ms=end_ms):
                assert end_ms > edge
            case Resumed():
                pass
    assert edge <= len(probabilities) * 32


@given(PROBABILITIES, st.data())
def test_only_the_past_decides(probabilities: list[float], data: st.DataObject) -> None:
    """The decisions for a prefix of a stream are a prefix of the decisions for all of it."""
    cut = data.draw(st.integers(0, len(probabilities)))
    begun = decide(probabilities[:cut])
    assert decide(probabilities)[: len(begun)] == begun


@pytest.mark.parametrize("frame_ms", [10, 20, 32])
def test_the_frame_length_sets_the_clock(frame_ms: int) -> None:
    """now_ms is the number of frames times their length."""
    endpointer = Endpointer(frame_ms=frame_ms)
    for _ in range(7):
        endpointer.feed(0.0)
    assert endpointer.now_ms == 7 * frame_ms
