"""Cutting text into what is spoken one after another."""

import re
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core.sentences import UNSPACED, SentenceStream, gathered, pieces, sentences

TOKENS = [
    *("Yes.", "no,", "Dr.", "3.14", "1,000.50", "10:30", "room", "(why?)", "“Go!”", "a.m.", "—", "e.g.", "\n", "x" * 70, "end…"),
    *("...", "https://a.b/c?d=1.2,x;y", "me@example.com.", "😀", "你好。", "价格是，三元", "「はい！」", "สวัสดี", "1."),
    *("\u00a0", "No.", "é!", "e\u0301?"),
]
TEXTS = st.lists(st.sampled_from([*TOKENS, *(token + " " for token in TOKENS)]), max_size=60).map("".join) | st.text(max_size=300)
CUTS = st.lists(st.integers(0, 20), max_size=60)
LIMITS = st.integers(5, 120)


def ends_in_a_word(piece: str, rest: str) -> bool:
    """Whether the cut between the two parts what belongs together: no white space there, no script without spaces, no mark."""
    after_mark = piece[-1:] in "。！？｡．、，；：" or re.search("[。！？｡．][\"'”’)\\]»」』）】]*$", piece)
    unspaced = UNSPACED.match(piece[-1:]) or (UNSPACED.match(rest[:1]) and rest[:1].isalnum())
    return bool(rest) and not (piece[-1:].isspace() or after_mark or unspaced)


def chunked(text: str, sizes: list[int]) -> list[str]:
    """The text in chunks of these sizes, the rest in one."""
    chunks: list[str] = []
    for size in sizes:
        chunks.append(text[:size])
        text = text[size:]
    return [*chunks, text]


def streamed(chunks: list[str], limit: int) -> list[str]:
    """What a stream gives for them."""
    stream = SentenceStream(limit)
    fed = [piece for chunk in chunks for piece in stream.feed(chunk)]
    return fed + stream.finish()


@pytest.mark.parametrize(
    "cut",
    [
        [],
        ["Hello"],
        [" \n Hello "],
        ["Sure. ", "You said hello! ", "Did you?"],
        ["Dr. Smith and Mrs. J. Jones are here. ", "Come in."],
        ["It costs 3.50 euros. ", "Pay at www.example.com. ", "Or mail me@example.com!"],
        ["That is 1,000.50 at 10:30. ", "Fine?"],
        ["We open at 9 a.m. and close at 5 p.m. ", "See you."],
        ["No. ", "We are closed."],
        ["Room No. 5 is free. ", "Take it."],
        ["He said “Stop.” ", "Then he left."],
        ['"Really?" he asked. ', '"Yes!" ', "(She smiled.)  ", "Good."],
        ["Wait… what?! ", "Oh..."],
        ["Fruit, e.g. apples. ", "It was I. ", "Me too."],
        ["one line\n", "another  line\r\n"],
        ["1. Bread\n", "2. Milk"],
        ["Great! ", "😀 See you! 😀"],
        ["你好。", "我是小明。", "「你好！」", "价格是3.14元。"],
        ["¿Qué? ", "¡Vamos! ", "«Oui.» ", "Gut, z.B. Brot."],
    ],
)
def test_sentences_end_where_a_reader_ends_them(cut: list[str]) -> None:
    """Marks end sentences, not in abbreviations, initials, numbers and names; quotes, brackets and emoji stay with theirs."""
    assert list(pieces("".join(cut))) == cut


@given(TEXTS, LIMITS, LIMITS)
def test_pieces_are_the_text(text: str, limit: int, first: int) -> None:
    """Put together they are the text, none is cut in a word, and each holds a letter or digit if the text does."""
    cut = list(pieces(text, limit=limit, first=first))
    assert "".join(cut) == text
    assert not any(ends_in_a_word(piece, rest) for piece, rest in pairwise(cut))
    if any(char.isalnum() for char in text):
        assert all(any(char.isalnum() for char in piece) for piece in cut)


@given(TEXTS, LIMITS)
def test_no_piece_is_too_long(text: str, limit: int) -> None:
    """From its first word to its last a piece is no longer than the limit, unless it is one word that is."""
    for piece in pieces(text, limit=limit):
        words = re.sub(r"^[\W_]+|[\W_]+$", "", piece)
        assert len(words) <= limit or not re.search(r"\s", words)


@given(TEXTS, LIMITS, CUTS)
def test_a_stream_is_cut_like_the_whole(text: str, limit: int, sizes: list[int]) -> None:
    """Whatever its chunks, a stream gives the pieces that the text as a whole has."""
    assert streamed(chunked(text, sizes), limit) == list(pieces(text, limit=limit))


def test_a_sentence_is_given_when_the_next_word_begins() -> None:
    """Not at its mark: "No." may go on with a number. The first is not held back for a second."""
    stream = SentenceStream()
    fed = [stream.feed(chunk) for chunk in ["Hel", "lo.", " ", "N", "o", ".", " 5", " it is", "! ", "Bye"]]
    assert [pieces for pieces in fed if pieces] == [["Hello. "], ["No. 5 it is! "]]
    assert fed[3] == ["Hello. "]
    assert (stream.finish(), stream.finish()) == (["Bye"], [])


@given(TEXTS, LIMITS)
def test_sentences_are_as_many_as_fit(text: str, limit: int) -> None:
    """Put together they are the text; two neighbours are never short enough to be one."""
    cut = sentences(text, limit)
    assert "".join(cut) == text
    assert not any(len((one + two).strip()) <= limit for one, two in zip(cut, pieces_after(text, cut, limit), strict=False))


def pieces_after(text: str, cut: list[str], limit: int) -> list[str]:
    """The piece with which each of the sentences but the first begins."""
    parts = list(pieces(text, limit=limit))
    begins = dict(zip(accumulate((len(part) for part in parts), initial=0), parts, strict=False))
    return [begins[at] for at in accumulate(len(one) for one in cut[:-1])]


def test_short_sentences_are_spoken_together() -> None:
    """Up to the limit; each request to a provider costs a pause."""
    text = "One is here. Two is here. Three is here. "
    assert sentences(text) == [text]
    assert sentences(text, 30) == ["One is here. Two is here. ", "Three is here. "]
    assert list(gathered(["a ", "b ", "c"], 3)) == ["a b ", "c"]


def test_a_long_first_sentence_is_cut_at_a_comma() -> None:
    """So that the first sound is early; the rest may be longer."""
    text = "We have a double room with a view, from tonight until Sunday, and breakfast is included in the price of 140 euros."
    first, rest = pieces(text, limit=200, first=60)
    assert first == "We have a double room with a view, "
    assert first + rest == text


def test_a_sentence_without_commas_is_cut_between_words() -> None:
    """No word is cut in two, and no piece is shorter than it must be."""
    assert set(pieces("word " * 100, limit=30)) == {"word " * 6, "word " * 4}


def test_an_early_comma_is_no_place_to_cut() -> None:
    """A first piece of a word or two would sound broken off: the cut is made further on."""
    text = "Well, this sentence goes on and on without any mark in it for a very long time indeed."
    assert len(next(pieces(text, first=60))) > 50


def test_an_address_stays_whole() -> None:
    """However long it is: in two halves it would be two wrong ones."""
    address = "https://example.com/" + "a,b;c.d/" * 50
    assert sentences(f"Look at {address} for more.", 40) == ["Look at ", address + " ", "for more."]


def test_scripts_without_spaces_are_cut_between_characters() -> None:
    """After a clause if there is one, else anywhere but in a number or before what belongs to the character before."""
    assert list(pieces("价格是一二三四五六七八九十一二三，价格是", limit=18)) == ["价格是一二三四五六七八九十一二三，", "价格是"]
    assert list(pieces("价格是3141592654元三角", limit=8)) == ["价格是", "3141592654", "元三角"]


def test_a_long_text_is_cut_in_a_moment() -> None:
    """Each character is looked at a few times, however long the text, with marks or without."""
    for text in ("x" * 200_000, "word " * 40_000, "One. " * 40_000, "... " * 50_000, "你好" * 100_000):
        assert "".join(sentences(text)) == text
