"""Words that were asked for, spoken and heard, compared: how alike they are, what is an echo, what was heard of a say.

Pure. Words are compared without case, marks and Unicode form; numbers as they are read aloud (English, 0 to 100). Text of a
script without spaces is compared by characters. Cutting text into pieces is in sentences.py, and named here too.
"""

import re
import unicodedata
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Final

from .sentences import UNSPACED, SentenceStream, is_between_characters, sentences

__all__ = [
    "SentenceStream",
    "behind_echo",
    "heard_words",
    "repeats",
    "sentences",
    "similarity",
    "spoken_ms",
]

_ONES: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen"
).split()
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER: Final = re.compile(r"(?<![\w.])(\d+)(?:\.(\d+))?(?!\w)")
_SIGNS: Final = {"%": " percent ", "&": " and ", "@": " at ", "'": "", "’": ""}
_SHORT_ANSWERS: Final = frozenset("yes yeah yep no nope ok okay sure please thanks thank you right".split())
_LONGEST: Final = 2000  # words; beyond it their order is not looked at, as that takes time in square
_MIN_ECHO: Final = 3  # words
_ECHO_PERCENT: Final = 80
# The time a character takes, in letters (about 65 ms): fitted to Piper's durations by benchmarks/bench_heard_words.py. A digit
# is read as a word; a pause belongs to what comes after it.
_CHARACTER_MS: Final = 65
_DIGIT: Final = 4
_SYLLABLE: Final = 3  # a character of a script without spaces; matters only beside letters
_STOP: Final = 4
_LAST_STOP: Final = 2  # the silence at the end
_CLAUSE: Final = 3
_STOPS: Final = frozenset(".!?…。！？｡؟۔।")
_CLAUSES: Final = frozenset(",;:—–、，；：،؛")
_CLOSING: Final = "\"'”’)]»」』）】"


def similarity(requested: str, spoken: str) -> float:
    """How alike the words of two texts are, from 0 to 1: twice those in common, in order, of the words of both.

    Two texts without words are alike (1.0); one with and one without are not (0.0).
    """
    asked, said = _words(requested), _words(spoken)
    if asked == said:
        return 1.0
    matcher = SequenceMatcher(None, asked, said, autojunk=False)
    return matcher.ratio() if max(len(asked), len(said)) <= _LONGEST else matcher.quick_ratio()


def repeats(heard: str, said: str, *, percent: int = _ECHO_PERCENT, least: int = _MIN_ECHO) -> bool:
    """Whether what was heard is, by its words, a part of what was just said: probably an echo.

    That is so if `percent` of the heard words stand in order within half as many words again of what was said, and at least
    `least` of them are more than an answer in a word ("yes", "no", "thank you").
    """
    words, spoken = _words(heard), _words(said)
    if not words or sum(word not in _SHORT_ANSWERS for word in words) < least:
        return False
    needed = max(1, -(-len(words) * percent // 100))
    firsts = set(words[: len(words) - needed + 1])  # one of them is the first that matches
    window = len(words) + len(words) // 2
    starts = (at for at, word in enumerate(spoken) if word in firsts)
    return any(_in_order(words, spoken[at : at + window]) >= needed for at in starts)


def behind_echo(heard: str, said: str) -> str:
    """What was heard without the words at its beginning that were just said: the last two of those stand there side by side."""
    tokens, spoken = heard.split(), _words(said)
    pairs = set(pairwise(spoken))
    for end in range(len(tokens) - 1, _MIN_ECHO - 1, -1):
        last = _words(" ".join(tokens[:end]))[-2:]
        if tuple(last) in pairs and repeats(" ".join(tokens[:end]), said):
            return " ".join(tokens[end:])
    return heard


def _in_order(words: list[str], among: list[str]) -> int:
    """The length of the longest common subsequence, by one long integer a row (Hyyrö 2004): a bit for each of `words`."""
    places: dict[str, int] = {}
    for at, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << at
    all_ones = row = (1 << len(words)) - 1
    for word in among:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & all_ones
    return len(words) - row.bit_count()


def _words(text: str) -> list[str]:
    """The words for comparing: NFKC, case folded, no marks; "42" and "3.5" as they are read."""
    plain = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).casefold())
    plain = _NUMBER.sub(_read, plain)
    return "".join(_comparable(char) for char in plain).split()


def _comparable(char: str) -> str:
    if char.isalnum():
        return f" {char} " if UNSPACED.match(char) else char
    return _SIGNS.get(char, char if unicodedata.category(char).startswith("M") else " ")


def _read(number: re.Match[str]) -> str:
    whole, fraction = number.groups()
    read = _read_whole(whole)
    return read if fraction is None else f"{read} point {' '.join(_ONES[int(digit)] for digit in fraction)}"


def _read_whole(digits: str) -> str:
    if len(digits) > 3 or int(digits) > 100 or (digits.startswith("0") and digits != "0"):
        return digits  # years, telephone and room numbers are read in more than one way
    value = int(digits)
    if value == 100:
        return "one hundred"
    tens, ones = divmod(value, 10)
    return _ONES[value] if value < 20 else f"{_TENS[tens - 2]} {_ONES[ones] if ones else ''}"


def heard_words(transcript: str, heard_ms: int, generated_ms: int) -> str:
    """The estimate of what was heard: the transcript by the time that its characters and pauses take, cut back to a word's end.

    A prefix of the transcript that grows with heard_ms: nothing at 0, all of it at generated_ms. A script without spaces is cut
    at a character.
    """
    if heard_ms >= generated_ms:
        return transcript
    effort = spoken = end = 0
    ends: list[tuple[int, int]] = []
    for at, char in enumerate(transcript, 1):
        effort += _effort(transcript, at - 1)
        if char.isalnum():
            spoken = effort
        if spoken and _is_word_end(transcript, at):
            ends.append((at, spoken))
    for at, needed in ends:
        if needed * generated_ms <= heard_ms * effort:
            end = at
    return transcript[:end]


def spoken_ms(text: str) -> int:
    """About how long a text takes to be said."""
    return _CHARACTER_MS * sum(_effort(text, at) for at in range(len(text)))


def _effort(text: str, at: int) -> int:
    char = text[at]
    if char.isalnum():
        return _DIGIT if char.isdecimal() else _SYLLABLE if UNSPACED.match(char) else 1
    if char.isspace():
        return int(at > 0 and not text[at - 1].isspace())
    behind = text[at + 1 : at + 4].lstrip(_CLOSING)
    if behind and not (behind[0].isspace() or ord(char) > 0x3000):
        return 0  # in a number or an address
    if char in _STOPS:
        return _STOP if behind.strip() or len(text) > at + 4 else _LAST_STOP
    return _CLAUSE if char in _CLAUSES else 0


def _is_word_end(text: str, at: int) -> bool:
    if text[at - 1].isspace():
        return False
    return at == len(text) or text[at].isspace() or is_between_characters(text, at)
