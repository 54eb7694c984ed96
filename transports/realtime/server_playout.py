"""What a client was sent of each spoken item, and what it tells of it: truncations and reports of its player. Pure.

The server knows how long an item's audio is because it counts what it sends. A claim beyond that is refused; a truncated
item has no words any more for the client, and for a model that reads the history those that were heard.
"""

from math import ceil

import msgspec

from ...core.words import heard_words
from .checks import Refusal
from .client_messages import ItemTruncate, PlayoutReport
from .conversation import MOST_ITEMS
from .refusals import audio_is_shorter, no_item, not_truncatable, wrong_playout

__all__ = ["SentAudio", "SentPart"]

_OVERSHOOT_MS = 100  # players count whole frames, the last one filled up with silence


class SentPart(msgspec.Struct, kw_only=True):
    """The audio of one item; every item of this server has one part."""

    response: str
    bytes_per_ms: float
    size: int = 0  # bytes
    words: list[str] = []  # of it, as they were sent
    cut_ms: int | None = None  # where it was truncated
    heard: str = ""  # the words up to there

    @property
    def ms(self) -> float:
        """How long it is, as the client knows it."""
        sent_ms = self.size / self.bytes_per_ms
        return sent_ms if self.cut_ms is None else min(sent_ms, self.cut_ms)


    def at_most(self, played_ms: int) -> int:
        """So many ms, but no more than were sent."""
        return min(max(0, played_ms), ceil(self.size / self.bytes_per_ms))

    def cut(self, at_ms: int) -> None:
        """Keep only so much of it, and of its words."""
        known = "".join(self.words) if self.cut_ms is None else self.heard
        self.heard = heard_words(known, at_ms, ceil(self.ms)) if at_ms else ""
        self.cut_ms = at_ms


class SentAudio:
    """The last spoken items of one connection: as many as the conversation has at most."""

    def __init__(self) -> None:
        self._parts: dict[str, SentPart] = {}

    def begin(self, item: str, response: str, bytes_per_ms: float) -> SentPart:
        """A spoken item opens: where its audio is counted."""
        part = self._parts[item] = SentPart(response=response, bytes_per_ms=bytes_per_ms)
        if len(self._parts) > MOST_ITEMS:
            del self._parts[next(iter(self._parts))]
        return part

    def get(self, item: str) -> SentPart | None:
        """What was sent of an item; None if it is no spoken item of this server's."""
        return self._parts.get(item)

    @property
    def latest(self) -> str | None:
        """The response of the latest audio."""
        return next((part.response for part in reversed(self._parts.values()) if part.size), None)

    def truncate(self, view: ItemTruncate) -> Refusal | SentPart:
        """Keep only so much of an item. Refused where it does not have that much."""
        part = self._parts.get(view.item_id)
        if part is None or view.content_index != 0:
            return not_truncatable("item_id" if part is None else "content_index")
        if view.audio_end_ms < 0:
            return wrong_playout("audio_end_ms", view.audio_end_ms)
        if view.audio_end_ms > ceil(part.ms):
            return audio_is_shorter(int(part.ms), view.audio_end_ms)
        part.cut(view.audio_end_ms)
        return part

    def shorten(self, item: str, played_ms: int, *, whole: bool) -> bool:
        """Keep of an item what was played; `whole`: nothing more of it was to come. False if that changes nothing."""
        part = self._parts.get(item)
        if part is None or (part.cut_ms is not None and part.cut_ms <= played_ms) or (whole and played_ms >= part.ms):
            return False
        part.cut(played_ms)
        return True

    def played(self, view: PlayoutReport) -> Refusal | int:
        """How much of an item its client's player has played, in ms; no more than it was sent."""
        part = self._parts.get(view.item_id)
        if part is None or view.content_index != 0:
            return no_item("playout", view.item_id)
        if view.played_ms < 0:
            return wrong_playout("played_ms", view.played_ms)
        if view.played_ms > part.ms + _OVERSHOOT_MS:
            return audio_is_shorter(int(part.ms), view.played_ms, "played_ms")
        return min(view.played_ms, ceil(part.ms))
