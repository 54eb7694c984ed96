"""One response whose audio comes by RTP: what of it waits for how much to have sounded, and which of its parts sounds. Pure."""

import base64
import re
from collections import deque
from typing import Any, Literal, NamedTuple

import msgspec

from ...core.sentences import UNSPACED
from ...core.words import spoken_ms

__all__ = ["ALL_WORDS", "NEVER", "PIECE_MS", "WORDS", "Held", "Of", "Part", "Piece", "Sounding", "Told"]

PIECE_MS = 20
WORDS = "response.output_audio_transcript.delta"
ALL_WORDS = "response.output_audio_transcript.done"
NEVER = 1 << 62
_LATE_PART = 1.5  # by so much longer than its words a part may sound
_WORD = re.compile(rf"\s*(?:{UNSPACED.pattern}|(?:(?!{UNSPACED.pattern})\S)+)(?:\s+$)?")


class Of(msgspec.Struct, frozen=True):
    """An item, part or response inside of a message."""

    id: str = ""
    type: str = ""
    status: str = ""


class Told(msgspec.Struct, frozen=True):
    """A message, as far as it matters here."""

    type: str
    response_id: str = ""
    item_id: str = ""
    content_index: int = 0
    output_index: int = 0
    delta: Any = ""
    item: Of = Of()
    part: Of = Of()
    response: Of = Of()


class Held(NamedTuple):
    """A message that waits."""

    raw: bytes
    due_ms: int  # when so much of the response has sounded
    item: str  # what it is about
    is_words: bool


class Piece(NamedTuple):
    """PIECE_MS of audio."""

    pcm16: bytes
    is_loud: bool


class Part(msgspec.Struct):
    """A part with audio."""

    item: str
    head: bytes  # of its deltas
    until_ms: int = NEVER  # of the response: by when its words have about been said


class Sounding:
    """A response with audio, from its first part with audio until its response.done has been handed on."""

    __slots__ = ("at", "cleared", "done", "held", "parts", "quiet_ms", "sounded", "sounded_ms", "state", "words_ms")

    def __init__(self) -> None:
        self.state: Literal["waiting", "playing", "draining", "over"] = "waiting"
        self.parts: list[Part] = []  # those with audio
        self.at = 0  # which of them sounds
        self.held: deque[Held] = deque()
        self.sounded = False  # since it was last started
        self.sounded_ms = 0
        self.words_ms = 0  # about what the words that have come take to be said
        self.quiet_ms = 0  # since it was loud, or changed its state
        self.cleared = False  # the provider has thrown away what had not sounded
        self.done = False  # response.done is among what is held

    def enter(self, state: Literal["waiting", "playing", "draining", "over"]) -> None:
        self.state, self.quiet_ms, self.sounded = state, 0, self.sounded and state != "playing"

    def has(self, item: str) -> bool:
        return any(part.item == item for part in self.parts)

    def sound(self, piece: Piece) -> bytes:
        """The piece as a delta of the part that sounds."""
        while self.at + 1 < len(self.parts):
            until_ms = self.parts[self.at].until_ms * (_LATE_PART if piece.is_loud else 1)
            if self.sounded_ms < until_ms:
                break
            self._pass_by(self.parts[self.at].item)
            self.at += 1
        self.sounded_ms += PIECE_MS
        return self.parts[self.at].head + base64.b64encode(piece.pcm16) + b'"}'

    def _pass_by(self, item: str) -> None:
        """A part has sounded, and another follows: what is still to be told of it is due."""
        self.held = deque(held._replace(due_ms=0) if held.item == item else held for held in self.held)

    def hold(self, raw: bytes, told: Told) -> list[bytes]:
        """Take a message that keeps its place among the audio; what can go on now."""
        is_words, item = told.type in (WORDS, ALL_WORDS), told.item_id or told.item.id
        if self.state == "over" and not (is_words and self.cleared):
            return [raw]
        if told.type == WORDS and isinstance(told.delta, str) and not self.cleared:
            for message, words in _word_by_word(raw, told.delta):
                self.held.append(Held(message, self.words_ms, item, is_words))
                self.words_ms += spoken_ms(words)
        else:
            self.held.append(Held(raw, NEVER, item, is_words))
        if told.type == ALL_WORDS:
            for part in self.parts:
                part.until_ms = self.words_ms if part.item == told.item_id else part.until_ms
        return self.due()

    def due(self) -> list[bytes]:
        """What waited for as much as has sounded."""
        given = []
        while self.held and self.held[0].due_ms <= self.sounded_ms and self.state in ("playing", "draining"):
            given.append(self.held.popleft().raw)
        return given

    def release(self) -> list[bytes]:
        """All that waits. Words that were cleared away come behind response.done: recorded, and heard by nobody."""
        unheard = [held for held in self.held if held.is_words and self.cleared]
        given = [held.raw for held in self.held if not (held.is_words and self.cleared)]
        self.held = deque(unheard)
        return given + [held.raw for held in unheard] if self.done else given


def _word_by_word(raw: bytes, delta: str) -> list[tuple[bytes, str]]:
    """A message with words as one for each of them: a whole sentence at once would be ahead of its audio by seconds."""
    words = _WORD.findall(delta)
    if len(words) < 2 or "".join(words) != delta:
        return [(raw, delta)]
    message = msgspec.json.decode(raw)
    return [(msgspec.json.encode({**message, "delta": word}), word) for word in words]
