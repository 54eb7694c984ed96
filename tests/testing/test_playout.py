"""The media timeline of a caller: every sample once, in order, and counted."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from turnlog.testing import Playout, speak

MS = 1_000_000


def test_audio_plays_without_gap_behind_what_is_queued() -> None:
    """Audio that comes faster than it sounds waits; audio that comes after silence plays at once."""
    playout = Playout()
    for at_ms in (0, 1, 2, 1000):
        playout.receive(at_ms * MS, "r", "i", bytes(4800), 24000)
    assert [sound.start_ns // MS for sound in playout.sounds] == [0, 100, 200, 1000]
    assert playout.audible_ms(250 * MS, 1050 * MS) == 100.0


def test_a_flush_cuts_at_the_sample() -> None:
    """After a flush nothing of what was queued sounds, and what comes next plays at once."""
    playout = Playout()
    for response in ("a", "b"):
        playout.receive(0, response, f"item_{response}", bytes(48000), 24000)
    cut = playout.flush(400 * MS)
    assert cut is not None and cut.item == "item_a"
    assert playout.audible_ms(0, 9000 * MS) == 400.0
    assert (playout.item_ms("item_a", 9000 * MS), playout.item_ms("item_b", 9000 * MS)) == (400, 0)
    playout.receive(500 * MS, "c", "item_c", bytes(4800), 24000)
    assert playout.audible_ms(400 * MS, 9000 * MS) == 100.0
    assert playout.sounds[-1].start_ns == 500 * MS


def test_words_are_heard_to_their_end() -> None:
    """An utterance holds the words whose sound was over by then, and says when the next one will be."""
    playout = Playout()
    playout.receive(0, "r", "i", speak("one two three"), 24000)
    assert playout.utterance("r", 700 * MS, transcript="", text="").heard == "one two"
    assert playout.next_word_ns(700 * MS) == 885 * MS
    assert playout.utterance("r", 885 * MS, transcript="", text="").heard == "one two three"


def test_words_of_other_speech_are_estimated() -> None:
    """Where samples hold no fake speech, words are placed by their characters in the transcript."""
    playout = Playout()
    playout.receive(0, "r", "i", bytes(48 * 1000), 24000)
    assert playout.utterance("r", 500 * MS, transcript="abcd efgh i", text="").heard == "abcd"
    assert playout.utterance("r", 1000 * MS, transcript="abcd efgh i", text="").heard == "abcd efgh i"


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 200), st.booleans()), max_size=30))
def test_no_sample_sounds_twice_or_over_another(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever comes and whenever it is flushed: sounds never overlap, and none sounds before it came."""
    playout, now_ns = Playout(), 0
    for wait_ms, ms, flush in steps:
        now_ns += wait_ms * MS
        if flush:
            playout.flush(now_ns)
        playout.receive(now_ns, "r", "i", bytes(48 * ms), 24000)
    sounds = playout.sounds
    assert all(one.start_ns >= one.received_ns for one in sounds)
    assert all(before.end_ns <= after.start_ns for before, after in pairwise(sounds))
