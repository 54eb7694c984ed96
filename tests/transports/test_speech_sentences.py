"""Cutting text into what is spoken one after another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.transports.speech.sentences import split_for_speech, split_sentences

TOKENS = ["Yes.", "no,", "Dr.", "3.14", "room", "(why?)", "“Go!”", "a.m.", "—", "e.g.", "\n", "x" * 70, "end…"]
WORDS = st.lists(st.sampled_from(TOKENS), max_size=60).map(" ".join)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n ", []),
        ("Hello", ["Hello"]),
        ("Sure. You said hello! Did you?", ["Sure.", "You said hello!", "Did you?"]),
        ("Dr. Smith and Mrs. J. Jones are here. Come in.", ["Dr. Smith and Mrs. J. Jones are here.", "Come in."]),
        ("It costs 3.50 euros. Pay at www.example.com.", ["It costs 3.50 euros.", "Pay at www.example.com."]),
        ("We open at 9 a.m. and close at 5 p.m. See you.", ["We open at 9 a.m. and close at 5 p.m.", "See you."]),
        ("No. We are closed.", ["No.", "We are closed."]),
        ("Room No. 5 is free. Take it.", ["Room No. 5 is free.", "Take it."]),
        ("He said “Stop.” Then he left.", ["He said “Stop.”", "Then he left."]),
        ('"Really?" he asked. "Yes!" (She smiled.) Good.', ['"Really?" he asked.', '"Yes!"', "(She smiled.)", "Good."]),
        ("Wait… what?! Oh...", ["Wait… what?!", "Oh..."]),
        ("Fruit, e.g. apples. It was I. Me too.", ["Fruit, e.g. apples.", "It was I.", "Me too."]),
        ("one line\nanother  line\r\n", ["one line", "another line"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, sentences: list[str]) -> None:
    """Marks end sentences, but not in abbreviations, initials, numbers and names; quotes and brackets stay with theirs."""
    assert split_sentences(text) == sentences


@given(WORDS | st.text(max_size=300), st.integers(1, 80), st.integers(20, 200))
def test_nothing_is_lost_or_too_long(text: str, first_chars: int, max_chars: int) -> None:
    """The pieces hold the text's characters in order, none is empty or longer than its limit."""
    pieces = list(split_for_speech(text, first_chars=first_chars, max_chars=max_chars))
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(pieces)
    assert all(len(piece) <= limit for piece, limit in zip(pieces, [first_chars] + [max_chars] * len(pieces), strict=False))


def test_short_sentences_are_left_alone() -> None:
    """Up to the limits the pieces are the sentences."""
    assert list(split_for_speech("Sure. I will look that up for you.")) == ["Sure.", "I will look that up for you."]


def test_a_long_first_sentence_is_cut_at_a_comma() -> None:
    """So that the first sound is early; the rest may be longer."""
    text = "We have a double room with a view, from tonight until Sunday, and breakfast is included in the price of 140 euros."
    first, rest = split_for_speech(text)
    assert first == "We have a double room with a view, from tonight until"[: len(first)]
    assert first.endswith(",")
    assert f"{first} {rest}" == text


def test_a_sentence_without_commas_is_cut_between_words() -> None:
    """No word is cut in two while there is a space to cut at."""
    text = "word " * 100
    pieces = list(split_for_speech(text))
    assert len(pieces) > 2
    assert " ".join(pieces) == text.strip()


def test_an_early_comma_is_no_place_to_cut() -> None:
    """A first piece of a word or two would sound broken off: the cut is made further on."""
    text = "Well, " + "this sentence goes on and on without any mark in it for a very long time indeed."
    assert len(next(split_for_speech(text))) > 15
