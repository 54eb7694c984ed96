"""The log in memory: for tests, demos and sessions nobody needs afterwards. Same contract as SQLite, no durability.

Every operation is whole before it first awaits, so no lock is needed on one event loop.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..core.chain import GENESIS
from ..core.errors import Fenced, StoreError, WrongExpectedSeq
from ..core.ports import Draft, Head, Recorded, Segment, SessionRow
from .access import no_session
from .memory_access import MemoryAccess
from .memory_feed import MemoryFeedReader
from .port import EVER, Began, Caller, VerifyReport
from .restore import enter
from .rows import chained, placed
from .schema import NOT_SEMANTIC
from .tail import Tail
from .verify import verify_log

__all__ = ["MemoryStore"]


@dataclass(slots=True)
class _Stream:
    row: SessionRow
    head: Head
    events: list[Recorded] = field(default_factory=list)
    tracks: dict[str, dict[int, Segment]] = field(default_factory=dict)

    def place(self, segments: Iterable[Segment]) -> None:
        """Take segments into their tracks."""
        for segment in segments:
            self.tracks.setdefault(segment.track, {})[segment.n] = segment


class MemoryStore:
    """A store that lasts as long as this object."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._callers: dict[bytes, Caller] = {}
        self.access = MemoryAccess(self._callers, self._must_be_open, self._stream)
        self._closed = False
        self._committed: list[tuple[str, Recorded]] = []  # of all sessions; a position is an index + 1
        self._feed_epoch = secrets.token_hex(8)
        self.tail = Tail()

    # --- writing ---

    async def create(self, row: SessionRow) -> Head:
        """Enter a new session (head_seq 0) in epoch 1. Raises StoreError TL409 if the name is taken."""
        self._must_be_open()
        if row.session in self._streams:
            raise StoreError("TL409", f"session {row.session!r} exists already", "give the new session another name")
        head = Head(row.session, len(self._streams) + 1, 1, 0, GENESIS)
        self._streams[row.session] = _Stream(row._replace(head_seq=0), head)
        return head

    async def restore(self, row: SessionRow, head: Head, events: Iterable[Recorded], segments: Iterable[Segment]) -> Head:
        """Enter a recorded session verbatim, verified and whole or not at all: see port.Restores. Raises TL407, TL409."""
        self._must_be_open()
        if row.session in self._streams:
            raise StoreError("TL409", f"session {row.session!r} exists already", "it cannot be entered twice")
        listed = head._replace(sid=len(self._streams) + 1)
        stream = _Stream(row, listed)
        enter(listed, events, segments, stream.events.extend, stream.place)
        self._streams[row.session] = stream
        self._committed += [(row.session, event) for event in stream.events]
        self.tail.moved()
        return listed

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """Append with CAS on (seq, epoch). Raises WrongExpectedSeq, Fenced, StoreError TL406, TL408, TL410."""
        rows, after = chained(head, events)
        placed(head, after, segments)
        self._must_be_open()
        stream = self._stream(head.session)
        if stream.head.epoch != head.epoch:
            raise Fenced(head.session, head.epoch, stream.head.epoch)
        if stream.head.seq != head.seq:
            raise WrongExpectedSeq(head.session, head.seq, stream.head.seq)
        names = [(segment.track, segment.n) for segment in segments]
        if len(set(names)) < len(names) or any(n in stream.tracks.get(track, ()) for track, n in names):
            raise StoreError("TL406", f"session {head.session}: a segment is there already", "nothing of this append was written")
        stream.head = after
        recorded = [Recorded(*row[1:]) for row in rows]
        stream.events += recorded
        self._committed += [(head.session, event) for event in recorded]
        stream.place(segments)
        if status is not None:
            last_ns = stream.events[-1].at_ns if stream.events else stream.row.created_ns
            stream.row = stream.row._replace(status=status, ended_ns=last_ns if status == "ended" else None)
        self.tail.moved()
        return after

    async def claim(self, session: str, *, owner: str = "") -> Head:
        """Take the session over: a new epoch, so that every writer of an older one is Fenced. Raises StoreError TL408."""
        self._must_be_open()
        stream = self._stream(session)
        stream.head = stream.head._replace(epoch=stream.head.epoch + 1)
        return stream.head

    async def add_caller(self, token_hash: bytes, session: str, *, expires_ns: int, scope: str = "attach") -> None:
        """Enter a token's hash, or replace what it opened before. Raises StoreError TL408."""
        self._must_be_open()
        self._stream(session)
        self._callers[token_hash] = Caller(session, expires_ns, scope)

    async def close(self) -> None:
        """Later writes raise StoreError TL410; what is there can still be read."""
        self._closed = True
        self.tail.close()

    # --- reading ---

    def scan(self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False) -> Iterator[Recorded]:
        """The session's events in seq order. `semantic` leaves the wire out. Raises StoreError TL408."""
        for event in self._stream(session).events[max(after, 0) : None if until is None else max(until, 0)]:
            if not (semantic and event.type in NOT_SEMANTIC):
                yield event

    async def read(
        self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False
    ) -> AsyncIterator[Recorded]:
        """The same, asynchronously."""
        for event in self.scan(session, after=after, until=until, semantic=semantic):
            yield event

    def scan_segments(self, session: str, track: str, *, after: int = 0, erased: bool = False) -> Iterator[Segment]:
        """The track's segments with n > `after`; see port.MediaReads. Raises StoreError TL408."""
        segments = self._stream(session).tracks.get(track, {})
        yield from (segments[n] for n in sorted(segments) if n > after and (segments[n].data or erased))

    async def segments(self, session: str, track: str, *, after: int = 0) -> AsyncIterator[Segment]:
        """The same, asynchronously."""
        for segment in self.scan_segments(session, track, after=after):
            yield segment

    def feed_reader(self) -> MemoryFeedReader:
        """A reader of all sessions' events in the order of their appends."""
        return MemoryFeedReader(self._committed, self._feed_epoch)

    async def tracks(self, session: str) -> list[str]:
        """The names of the session's tracks, sorted. Raises StoreError TL408."""
        return sorted(self._stream(session).tracks)

    async def session(self, session: str) -> SessionRow:
        """A session's row. Raises StoreError TL408."""
        return _row(self._stream(session))

    async def sessions(
        self,
        *,
        target: str | None = None,
        status: str | None = None,
        tenant: str | None = None,
        began: Began = EVER,
        before: str | None = None,
        limit: int = 100,
    ) -> list[SessionRow]:
        """Newest first. The next page starts `before` the last session of this one. Raises StoreError TL408 for `before`."""
        older_than = len(self._streams) + 1 if before is None else self._stream(before).head.sid
        rows = [_row(stream) for stream in reversed(self._streams.values()) if stream.head.sid < older_than]
        found = (row for row in rows if target in (None, row.target) and status in (None, row.status))
        found = (row for row in found if tenant in (None, row.tenant))
        return [row for row in found if began.since_ns <= row.created_ns < began.until_ns][:limit]

    async def head(self, session: str) -> Head:
        """The session's committed head, in its current epoch. Raises StoreError TL408."""
        return self._stream(session).head

    async def find_caller(self, token_hash: bytes, *, now_ns: int) -> Caller | None:
        """What the token opens; None if it is unknown or has expired."""
        caller = self._callers.get(token_hash)
        return caller if caller is not None and caller.expires_ns > now_ns else None

    async def verify(self, session: str) -> VerifyReport:
        """Recompute every digest and the hash chain, and compare the media with their events. Raises StoreError TL408."""
        stream = self._stream(session)
        events = list(stream.events)
        segments = [segment for track in stream.tracks.values() for segment in track.values()]
        facts = [(part.track, part.n, part.first_seq, part.digest, part.data or None) for part in segments]
        return await asyncio.to_thread(verify_log, stream.head, events, facts)

    def _stream(self, session: str) -> _Stream:
        if session not in self._streams:
            raise no_session(session)
        return self._streams[session]

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreError("TL410", "the store is closed", "keep it open as long as its engine runs")


def _row(stream: _Stream) -> SessionRow:
    return stream.row._replace(head_seq=stream.head.seq)
