"""Reading the feed of a store in memory. Safe beside the event loop that appends: a list only ever grows."""

from collections.abc import Collection, Sequence

from ..core.ports import Recorded
from .port import FeedPage

__all__ = ["MemoryFeedReader"]

PAGE = 256


class MemoryFeedReader:
    """Reads what a MemoryStore has committed, in order."""

    def __init__(self, committed: Sequence[tuple[str, Recorded]], epoch: str) -> None:
        self.epoch = epoch
        self._committed = committed

    def page(self, after: int, types: Collection[str] | None) -> FeedPage:
        """The next events after a position; all types, or only those."""
        newest = self.newest()
        entries: list[tuple[int, str, Recorded]] = []
        pos = max(after, newest)
        for at in range(after, newest):
            session, recorded = self._committed[at]
            if types is None or recorded.type in types:
                entries.append((at + 1, session, recorded))
                if len(entries) == PAGE:
                    pos = at + 1
                    break
        return FeedPage(entries, pos, self.hash_at(pos) or b"", newest)

    def newest(self) -> int:
        """The newest position, 0 in an empty store."""
        return len(self._committed)

    def hash_at(self, pos: int) -> bytes | None:
        """The hash of the event at a position; None where there is none."""
        return self._committed[pos - 1][1].hash if 0 < pos <= len(self._committed) else None

    def close(self) -> None:
        """Nothing to let go of."""
