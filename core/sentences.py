"""Cutting text into the pieces that are spoken one after another: whole at once, or as it streams in.

Pure, and exact: the pieces put together are the text, every character of it; white space stays with the piece it follows.
A piece ends where a sentence does (or a line); a sentence that is too long is cut behind a clause's mark, else between words,
never in a word, number, address or time. Every piece holds a letter or digit if the text does: a lone "…" cannot be spoken.
The list of abbreviations is English, with some German; Chinese, Japanese and other scripts' marks are known.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["UNSPACED", "SentenceStream", "gathered", "is_between_characters", "pieces", "sentences"]

# A mark, whatever closes around it, and white space behind it: so "3.14", "example.com" and "9.30" stay whole. Full-width
# marks need no white space; a full-width point between digits does.
_END: Final = re.compile(
    r"""[.!?…؟۔।॥።]+["'”’)\]»]*(?=\s) | (?:[。！？｡]|．(?!\d))+["'”’)\]»」』）】]* | \n""", re.VERBOSE
)
_CLAUSE: Final = re.compile(r"(?:[,;:—–،؛]|\s-)(?=\s)|[、，；：]")
_LAST_WORD: Final = re.compile(r"[\w.'’]*$")
_SPACE: Final = re.compile(r"\s*")
_NO_WORD: Final = re.compile(r"[\W_]*")  # up to the next letter or digit
_OPENING: Final = "\"'“‘([«"
_TITLES: Final = frozenset(
    "mr mrs ms dr prof st sr jr gen col capt lt sgt rev hon vs e.g i.e cf approx dept est fig z.b d.h u.a bzw ca nr".split()
)
_MAY_END: Final = frozenset("a.m p.m etc u.s u.k e.u no".split())  # ends a sentence unless what follows goes on with it
_MIN_CLAUSE: Final = 15  # characters; a shorter first breath sounds broken off

UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""A character of a script that is written without spaces between words: Chinese, Japanese, Thai, Lao, Tibetan, Burmese, Khmer."""
_BREAK: Final = re.compile(rf"\s+|{UNSPACED.pattern}")


def sentences(text: str, limit: int = 300) -> list[str]:
    """The text in pieces of about `limit` characters at most: as many whole sentences as fit, put together they are the text.

    One word (an address, a long number) that is longer than that stays whole; marks and white space around words do not count.
    """
    return list(gathered(pieces(text, limit=limit), limit))


def gathered(cut: Iterable[str], limit: int = 300) -> Iterator[str]:
    """Neighbouring pieces put together, as long as they are no longer than `limit` characters."""
    held = ""
    for piece in cut:
        if held and len((held + piece).strip()) > limit:
            yield held
            held = ""
        held += piece
    if held:
        yield held


def pieces(text: str, *, limit: int = 300, first: int | None = None) -> Iterator[str]:
    """The text sentence by sentence, what is longer than `limit` characters in parts; `first` is the first piece's own limit."""
    at, allowed = 0, limit if first is None else first
    while at < len(text):
        cut = _first_cut(text, at, allowed) or len(text)
        yield text[at:cut]
        at, allowed = cut, limit


class SentenceStream:
    """Cuts text that arrives in chunks into sentences, each given as soon as the next word shows that it has ended.

    The pieces do not depend on how the text was cut into chunks. Those that are ready while another is spoken may be gathered.
    """

    def __init__(self, limit: int = 300) -> None:
        """A sentence of more than `limit` characters is given in parts."""
        self._limit = limit
        self._held = ""

    def feed(self, chunk: str) -> list[str]:
        """Take the next chunk; the pieces that are complete with it."""
        self._held += chunk
        complete: list[str] = []
        while cut := _first_cut(self._held, 0, self._limit):
            complete.append(self._held[:cut])
            self._held = self._held[cut:]
        return complete

    def finish(self) -> list[str]:
        """The text has ended: what is left of it."""
        rest, self._held = self._held, ""
        return [rest] if rest else []


def _first_cut(text: str, at: int, limit: int) -> int:
    """Where the piece that begins at `at` ends, the white space behind it included; 0 if no more text than this can tell.

    Invariant: more text at the end never changes an answer other than 0. So an end counts only when the next word has begun.
    """
    start = _next_word(text, at)
    for mark in _END.finditer(text, start, start + limit + 1):
        if mark.end() - start > limit:
            break
        if _next_word(text, mark.end()) == len(text):
            return 0
        if mark.group() == "\n" or _ends_sentence(text, start, mark):
            return _behind_space(text, mark.end())
    is_too_long = _next_word(text, start + limit) < len(text)
    return _cut(text, start, start + limit) if is_too_long else 0


def _next_word(text: str, at: int) -> int:
    found = _NO_WORD.match(text, at)
    return found.end() if found else at


def _behind_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _ends_sentence(text: str, start: int, mark: re.Match[str]) -> bool:
    behind = _behind_space(text, mark.end())
    follows = text[behind : behind + 9].lstrip(_OPENING)[:1]
    if not mark.group().startswith("."):
        return not (follows.islower() and mark.group()[-1] not in "!?")  # "Really?" he said; wait… what: one breath
    found = _LAST_WORD.search(text, max(start, mark.start() - 40), mark.start())
    word = found.group().lower() if found else ""
    if follows.islower() or word in _TITLES:
        return False
    if len(word) == 1 and word.isalpha() and word != "i":
        return False  # an initial: J. Smith
    if text[start : mark.start()].isdigit():
        return False  # the number of a line in a list: 1. Bread
    return not (word in _MAY_END and follows.isdigit())


def _cut(text: str, start: int, end: int) -> int:
    """Where to cut what is longer than `end`: behind the last clause that fits, between words, or behind a word too long."""
    clauses = [mark.end() for mark in _CLAUSE.finditer(text, start, end + 1)]
    if fitting := [at for at in clauses if start + _MIN_CLAUSE <= at <= end]:
        return _behind_space(text, fitting[-1])
    gap = next((at for at in range(end, start, -1) if text[at].isspace()), 0)
    if gap - start < (end - start) // 2:  # few spaces: perhaps words are written without
        gap = max(gap, next((at for at in range(end, start, -1) if is_between_characters(text, at)), 0))
    if gap:
        return _behind_space(text, gap)
    for found in _BREAK.finditer(text, end):
        if found.group().isspace() or is_between_characters(text, found.start()):
            return _behind_space(text, found.start()) if _next_word(text, found.start()) < len(text) else 0
    return 0


def is_between_characters(text: str, at: int) -> bool:
    """Whether a cut before text[at] stands between two characters of a script without spaces (or one and a word beside it)."""
    return text[at].isalnum() and bool(UNSPACED.match(text, at - 1) or UNSPACED.match(text, at))
