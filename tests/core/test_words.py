"""Words compared: asked for, spoken, heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core.sentences import UNSPACED
from turnlog.core.words import behind_echo, heard_words, repeats, similarity

SAID = "Good evening. Would you like a single room or a double room, with a view of the sea?"


@pytest.mark.parametrize(
    ("requested", "spoken"),
    [
        ("", ""),
        ("", "…!"),
        ("Hello, Ann!", "hello ann"),
        ("Room 42, please.", "Room forty-two please"),
        ("0, 7, 13, 20, 99 and 100", "Zero seven thirteen twenty ninety-nine and one hundred."),
        ("It is 3.14 km at 10:30", "it is three point one four km at ten thirty"),
        ("1,000,000 guests", "1000000 guests"),
        ("50% & more", "fifty percent and more"),
        ("don’t", "don't"),
        ("Straße ﬁne Ａ", "STRASSE fine a"),
        ("cafe\u0301", "café"),
        ("你好，世界", "你好世界！"),
    ],
)
def test_the_same_words_are_alike(requested: str, spoken: str) -> None:
    """Case, marks, Unicode form and small numbers in figures or words make no difference."""
    assert similarity(requested, spoken) == similarity(spoken, requested) == 1.0


@pytest.mark.parametrize(
    ("requested", "spoken", "alike"),
    [
        ("Hello", "", 0.0),
        ("", "Hello", 0.0),
        ("Yes.", "No.", 0.0),
        ("one room for two", "one room", 2 * 2 / 6),
        ("Room 12 is free", "Room 20 is free", 2 * 3 / 8),
        ("Room 214 is free", "Room two fourteen is free", 2 * 3 / 9),
        ("你好世界", "你好天下", 0.5),
    ],
)
def test_other_words_are_less_alike(requested: str, spoken: str, alike: float) -> None:
    """By the share of the words that both have in the same order."""
    assert similarity(requested, spoken) == pytest.approx(alike)


@given(st.text(), st.text())
def test_likeness_is_a_share(requested: str, spoken: str) -> None:
    """From 0 to 1 for any texts; each text is like itself."""
    assert 0.0 <= similarity(requested, spoken) <= 1.0
    assert similarity(requested, requested) == 1.0


def test_texts_of_many_words_are_compared_in_a_moment() -> None:
    """Beyond 2,000 words only which words there are is counted."""
    asked = "a b c d " * 5_000
    assert similarity(asked, "b a d c " * 5_000) == 1.0
    assert similarity(asked, "a b x y " * 5_000) == 0.5


@pytest.mark.parametrize(
    "heard",
    [
        "would you like a single room",
        "or a double room with a view",
        "a single room or the double room",  # one word of seven was misheard
        "Good evening! Would YOU like",
        "with a view of the sea",
    ],
)
def test_what_was_just_said_is_an_echo(heard: str) -> None:
    """Three words or more that stand in what was said, in order and close together, but for a fifth of them."""
    assert repeats(heard, SAID)


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("", SAID),
        ("double room", SAID),
        ("a double room", ""),
        ("I would like a double room", SAID),  # four of six
        ("sea the of view a with", SAID),
        ("good you room sea", SAID),  # in order, but far apart
        ("yes yes no thank you", "Say yes yes no thank you."),
        ("yes please okay", "yes please okay"),
        ("one two seven", "one two three"),
    ],
)
def test_an_answer_is_no_echo(heard: str, said: str) -> None:
    """Short answers, other words, another order, words from here and there."""
    assert not repeats(heard, said)


@given(st.lists(st.sampled_from("abcdefghij"), min_size=3, max_size=30), st.data())
def test_any_stretch_of_what_was_said_is_an_echo(said: list[str], data: st.DataObject) -> None:
    """Wherever it begins and ends."""
    start = data.draw(st.integers(0, len(said) - 3))
    end = data.draw(st.integers(start + 3, len(said)))
    assert repeats(" ".join(said[start:end]), " ".join(said))


PARTS = ("Hello", " ", "3.14", "。", "你好", "สวัส", "ดี", ", ", ".\n", "—", "e\u0301", "»", "\t ")
TRANSCRIPTS = st.text() | st.lists(st.sampled_from(PARTS), max_size=30).map("".join)


@given(TRANSCRIPTS, st.integers(0, 10_000), st.integers(1, 10_000))
def test_heard_words_are_a_prefix_that_ends_at_a_word(transcript: str, heard_ms: int, generated_ms: int) -> None:
    """Never more than was said, never half a word, nothing at the start, all of it at the end."""
    heard = heard_words(transcript, heard_ms, generated_ms)
    assert transcript.startswith(heard)
    assert heard_words(transcript, 0, generated_ms) == ""
    assert heard_words(transcript, generated_ms, generated_ms) == transcript
    if heard_ms < generated_ms:
        rest = transcript[len(heard) :]
        assert heard == heard.rstrip()
        assert not heard or not rest or rest[0].isspace() or UNSPACED.match(heard[-1]) or UNSPACED.match(rest[0])


@given(TRANSCRIPTS, st.lists(st.integers(0, 1000), min_size=2, max_size=2).map(sorted))
def test_heard_words_grow_with_time(transcript: str, times: list[int]) -> None:
    """What was heard stays heard."""
    earlier, later = (heard_words(transcript, ms, 900) for ms in times)
    assert later.startswith(earlier)


@pytest.mark.parametrize(
    ("transcript", "heard_ms", "text"),
    [
        ("Hello big world", 0, ""),
        ("Hello big world", 100, ""),
        ("Hello big world", 460, "Hello"),
        ("Hello big world", 500, "Hello"),
        ("Hello big world", 999, "Hello big"),
        ("Hello big world", 1000, "Hello big world"),
        ("Yes. Room 240, two of us.", 420, "Yes. Room"),  # 25 characters take as long as 41 letters
        ("Yes. Room 240, two of us.", 650, "Yes. Room 240,"),
        ("Yes. Room 240, two of us.", 980, "Yes. Room 240, two of us."),  # the last 2 are silence
        ("一二三，四五六。", 300, "一二"),
        ("一二三，四五六。", 660, "一二三，四"),
        ("a\n\nb", 700, "a"),
    ],
)
def test_heard_words_go_by_the_share_of_time(transcript: str, heard_ms: int, text: str) -> None:
    """Of a second's letters, half a second has half; digits take longer, and pauses come after their marks."""
    assert heard_words(transcript, heard_ms, 1000) == text


def test_a_long_transcript_is_cut_in_a_moment() -> None:
    """It takes time in line with its length."""
    assert len(heard_words("word " * 50_000, 500, 1000)) == 5 * 25_000 - 1


@pytest.mark.parametrize(
    ("heard", "own"),
    [
        ("Would you like a single room what does it cost", "what does it cost"),
        ("or a double room, no thanks", "no thanks"),
        ("I would like a double room", "I would like a double room"),
        ("room with what", "room with what"),  # what repeats is too short
        ("", ""),
    ],
)
def test_words_behind_an_echo(heard: str, own: str) -> None:
    """Only words at the beginning go, and only a stretch that counts as an echo by itself."""
    assert behind_echo(heard, SAID) == own
