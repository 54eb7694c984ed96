"""One session in one file, for reading: an archive is a store that holds a single session and takes nothing.

open_archive reads the whole file once, block by block, and refuses one that is cut, altered or foreign. Reading goes block
by block too, each checked again, so neither an archive nor its media ever stand in memory whole.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from ..core.errors import StoreError
from ..core.ports import Draft, Head, Recorded, Segment, SessionRow
from . import archive_format as form
from .archive_survey import Place, Survey, decode_event, decode_segment, decoded, salvaged, survey
from .memory_access import MemoryAccess
from .port import EVER, Began, Caller, FeedReader, Problem, VerifyReport
from .schema import NOT_SEMANTIC
from .tail import Tail
from .verify import verify_log

__all__ = ["SUFFIX", "Archive", "open_archive"]

SUFFIX: Final = ".turnlog"

_PAGE = 256  # events that one hop to a thread reads

R = TypeVar("R")


def open_archive(path: str | Path, *, partial: bool = False) -> "Archive":
    """Check the whole file and open it for reading.

    `partial` takes one that is cut or altered as far as it goes: `damage` says where, and events are kept as long as their
    own hash chain holds. Raises StoreError TL404 (cannot be read), TL405 (newer), TL412 (foreign), TL413 (cut), TL414 (altered).
    """
    path = Path(path)
    try:
        return Archive(path, survey(path, partial=partial))
    except OSError as error:
        raise StoreError("TL404", f"{path} cannot be read: {error.strerror or error}", "check the path") from error


class Archive:
    """The store that one archive is. Every write raises StoreError TL410. `damage`: why a partial one ends early."""

    def __init__(self, path: Path, found: Survey) -> None:
        self.path = path
        self.tail = Tail()
        self.access = MemoryAccess({}, self._refuse, self._must_hold)  # holds none
        self.damage = found.damage.error if found.damage else None
        self._header, self._places, _ = found
        self._salvaged = list(salvaged(self._header.session, self._last(), found.damage)) if found.damage else []

    @property
    def row(self) -> SessionRow:
        """The session's row, as it was when it was exported."""
        return self._header.row

    @property
    def writer(self) -> str:
        """The turnlog that wrote the file."""
        return self._header.writer

    # --- reading ---

    def scan(self, session: str = "", *, after: int = 0, until: int | None = None, semantic: bool = False) -> Iterator[Recorded]:
        """The events in seq order; `session` may be left out. Raises StoreError TL408 for another session's name."""
        self._must_hold(session)
        for page in self._pages(form.EVENTS, decode_event):
            if page and page[-1].seq > after:
                yield from (event for event in page if _wanted(event, after, until, semantic))
            if until is not None and page and page[-1].seq >= until:
                return
        yield from (event for event in self._salvaged if _wanted(event, after, until, semantic))

    async def read(
        self, session: str = "", *, after: int = 0, until: int | None = None, semantic: bool = False
    ) -> AsyncIterator[Recorded]:
        """The same, asynchronously."""
        events = self.scan(session, after=after, until=until, semantic=semantic)
        while page := await asyncio.to_thread(lambda: list(islice(events, _PAGE))):
            for event in page:
                yield event

    def all_segments(self) -> Iterator[Segment]:
        """The media of all tracks, sorted by track and n; erased segments have no data (b"")."""
        for page in self._pages(form.MEDIA, decode_segment):
            yield from page

    def scan_segments(self, session: str, track: str, *, after: int = 0, erased: bool = False) -> Iterator[Segment]:
        """The track's segments with n > `after`; `erased` gives those too whose data is gone. Raises StoreError TL408."""
        self._must_hold(session)
        for segment in self.all_segments():
            if segment.track == track and segment.n > after and (segment.data or erased):
                yield segment

    async def segments(self, session: str, track: str, *, after: int = 0) -> AsyncIterator[Segment]:
        """The same, asynchronously."""
        found = self.scan_segments(session, track, after=after)
        while (segment := await asyncio.to_thread(next, found, None)) is not None:
            yield segment

    async def tracks(self, session: str) -> list[str]:
        """The names of the tracks, sorted. Raises StoreError TL408."""
        self._must_hold(session)
        return await asyncio.to_thread(lambda: sorted({segment.track for segment in self.all_segments()}))

    async def session(self, session: str) -> SessionRow:
        """The session's row. Raises StoreError TL408."""
        self._must_hold(session)
        return self.row

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
        """The one session, if it is asked for. Raises StoreError TL408 for a `before` that is another."""
        if before is not None:
            self._must_hold(before)
            return []
        row = self.row
        found = target in (None, row.target) and status in (None, row.status) and tenant in (None, row.tenant)
        return [row][:limit] if found and began.since_ns <= row.created_ns < began.until_ns else []

    async def head(self, session: str) -> Head:
        """Where the log ends. Raises StoreError TL408."""
        self._must_hold(session)
        return self._header.head

    async def find_caller(self, token_hash: bytes, *, now_ns: int) -> Caller | None:
        """None: archives hold no tokens."""
        return None

    async def verify(self, session: str) -> VerifyReport:
        """Recompute every digest and the hash chain, and compare the media with their events. Raises StoreError TL408."""
        self._must_hold(session)
        facts = ((part.track, part.n, part.first_seq, part.digest, part.data or None) for part in self.all_segments())
        report = await asyncio.to_thread(verify_log, self._header.head, self.scan(), facts)
        if self.damage:
            cut = Problem("archive", report.events, self.damage.message)
            rest = [problem for problem in report.problems if problem.kind not in ("head", "media_missing")]  # follows from it
            report = report._replace(problems=(cut, *rest))
        return report

    def feed_reader(self) -> FeedReader:
        """Refused: an archive has no commits to follow."""
        raise self._refusal()

    async def close(self) -> None:
        """Nothing to let go of: every read closes its own file."""
        self.tail.close()

    def _pages(self, kind: bytes, decode: Callable[[bytes], R]) -> Iterator[list[R]]:
        for place in self._places:
            if place.kind == kind:
                yield self._page(place, decode)

    def _page(self, place: Place, decode: Callable[[bytes], R]) -> list[R]:
        try:
            with self.path.open("rb") as file:
                file.seek(place.at)
                block = form.read_block(file, place.previous, self.path)
        except OSError as error:
            raise StoreError("TL404", f"{self.path} cannot be read: {error.strerror or error}", "was it moved?") from error
        if isinstance(block, form.Damage):
            raise block.error  # somebody has changed it since it was opened
        return list(decoded(decode, block, place.at, self.path))

    def _last(self) -> Recorded | None:
        events = [place for place in self._places if place.kind == form.EVENTS]
        return self._page(events[-1], decode_event)[-1] if events else None

    def _must_hold(self, session: str) -> None:
        if session not in ("", self._header.session):
            raise StoreError("TL408", f"{self.path} holds session {self._header.session!r}, not {session!r}", "use that name")

    # --- writing ---

    async def create(self, row: SessionRow) -> Head:
        """Refused."""
        raise self._refusal()

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """Refused."""
        raise self._refusal()

    async def restore(self, row: SessionRow, head: Head, events: Iterable[Recorded], segments: Iterable[Segment]) -> Head:
        """Refused."""
        raise self._refusal()

    async def claim(self, session: str, *, owner: str = "") -> Head:
        """Refused."""
        raise self._refusal()

    async def add_caller(self, token_hash: bytes, session: str, *, expires_ns: int, scope: str = "attach") -> None:
        """Refused."""
        raise self._refusal()

    def _refuse(self) -> None:
        raise self._refusal()

    def _refusal(self) -> StoreError:
        return StoreError("TL410", f"{self.path} is an archive, which is only read", "`turnlog import` takes it into a store")


def _wanted(event: Recorded, after: int, until: int | None, semantic: bool) -> bool:
    return after < event.seq and (until is None or event.seq <= until) and not (semantic and event.type in NOT_SEMANTIC)


