"""The high-rate messages of a track, read from its segments and from those that they refer to. Synchronous."""

from collections.abc import Iterator

from ..core.errors import StoreError
from ..core.ports import Segment
from .port import MediaReads
from .rebuild import Message, rebuild

__all__ = ["scan_messages"]

_REMEMBERED = 4  # segments a track: what was handed on refers to the latest ones


def scan_messages(store: MediaReads, session: str, track: str) -> Iterator[Message]:
    """All messages of a track that are in media, in order, byte for byte. Erased segments are left out.

    Raises StoreError TL407 for a segment that is damaged, or refers to one that is erased or was never there; TL408.
    """
    sources = _Sources(store, session)
    for segment in store.scan_segments(session, track):
        yield from rebuild(segment.data, sources.data)


class _Sources:
    """Finds the segments that others refer to.

    Strategy: they come in nearly the order of those that refer to them, so each track is read once beside the one that is
    asked for: an archive can only be read from its beginning.
    """

    def __init__(self, store: MediaReads, session: str) -> None:
        self._store = store
        self._session = session
        self._tracks: dict[str, Iterator[Segment]] = {}
        self._latest: dict[str, dict[int, bytes]] = {}

    def data(self, track: str, n: int) -> bytes:
        """The data of a segment. Raises StoreError TL407 if it is not there."""
        latest = self._latest.setdefault(track, {})
        if n not in latest:
            if n < max(latest, default=0) or track not in self._tracks:
                latest.clear()
                self._tracks[track] = self._store.scan_segments(self._session, track, after=n - 1)
            for segment in self._tracks[track]:
                latest[segment.n] = segment.data
                if segment.n >= n:
                    break
            for old in sorted(latest)[:-_REMEMBERED]:
                del latest[old]
        if n not in latest:
            raise StoreError(
                "TL407",
                f"session {self._session}: segment {n} of track {track} is not there, and what was handed on refers to it",
                "it was erased, or the log is damaged: verify the session",
            )
        return latest[n]
