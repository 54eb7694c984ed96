"""What turnlog asks of a store beyond core.ports.Log: the catalogue, callers, media, the feed and verification.

Protocols and plain values; sqlite.py and memory.py implement them and pass one contract suite. Times are ns since the
Unix epoch.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from ..core.ports import Head, Log, Recorded, Segment, SessionRow
from .access import AccessStore
from .tail import Tail

__all__ = [
    "EVER", "Began", "Caller", "Callers", "Catalogue", "Feed", "FeedPage", "FeedReader", "MediaReads", "Problem", "Restores",
    "Store", "VerifyReport",
]  # fmt: skip


class Began(NamedTuple):
    """A span of time in which sessions began: from `since_ns` on, and before `until_ns`."""

    since_ns: int = 0
    until_ns: int = 2**63 - 1


EVER: Final = Began()


class Caller(NamedTuple):
    """What a caller's token opens: one session, until it expires."""

    session: str
    expires_ns: int
    scope: str


class Problem(NamedTuple):
    """One thing that does not verify. `seq` is the event's, or 0 where none is meant."""

    kind: str  # gap, digest, chain, epoch, head, media_missing, media_digest, media_mismatch, media_unclaimed,
    # media_reference, archive
    seq: int
    detail: str


class VerifyReport(NamedTuple):
    """What verification of one session read, and what was wrong with it."""

    session: str
    events: int
    erased: int  # events whose data is gone; their digests still verify the chain
    segments: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether everything verifies."""
        return not self.problems


class Catalogue(Protocol):
    """The sessions of a store."""

    async def session(self, session: str) -> SessionRow:
        """A session's row. Raises StoreError TL408."""

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
        """Newest first: those of a target, a status, a tenant, and which `began` in a span of time.

        The next page starts `before` the last session of this one. Raises StoreError TL408 for `before`.
        """

    async def head(self, session: str) -> Head:
        """The session's committed head, in its current epoch. Raises StoreError TL408."""

    async def claim(self, session: str, *, owner: str = "") -> Head:
        """Take the session over: a new epoch, so that every writer of an older one is Fenced. Raises StoreError TL408."""


class Callers(Protocol):
    """Hashed caller tokens. The token itself never comes here."""

    async def add_caller(self, token_hash: bytes, session: str, *, expires_ns: int, scope: str = "attach") -> None:
        """Enter a token's hash, or replace what it opened before. Raises StoreError TL408."""

    async def find_caller(self, token_hash: bytes, *, now_ns: int) -> Caller | None:
        """What the token opens; None if it is unknown or has expired."""


class MediaReads(Protocol):
    """Media segments, in order. Erased segments are left out."""

    async def tracks(self, session: str) -> list[str]:
        """The names of the session's tracks, sorted. Raises StoreError TL408."""

    def segments(self, session: str, track: str, *, after: int = 0) -> AsyncIterator[Segment]:
        """The track's segments with n > `after`."""

    def scan_segments(self, session: str, track: str, *, after: int = 0, erased: bool = False) -> Iterator[Segment]:
        """The same, synchronously, off the event loop. `erased` gives those too whose data is gone, as b""."""


class Restores(Protocol):
    """Taking in what another store has recorded."""

    async def restore(self, row: SessionRow, head: Head, events: Iterable[Recorded], segments: Iterable[Segment]) -> Head:
        """Enter a whole session verbatim: seq, at_ns, epoch, digests and hashes stay. `head`: where it ends (its sid is ignored).

        Verified while it is entered, and entered whole or not at all. A segment without data (b"") is an erased one.
        Raises StoreError TL407 if it does not verify, TL409 if the session exists.
        """


class FeedPage(NamedTuple):
    """Some committed events of all sessions, in the order of their commits.

    `pos` is how far was read: every event up to there that was asked for stands in this page or an earlier one. `hash` is the
    one of the event at `pos`, `newest` the position that was the newest when reading began.
    """

    entries: list[tuple[int, str, Recorded]]  # position, session, event
    pos: int
    hash: bytes
    newest: int


class FeedReader(Protocol):
    """Reads the feed in short transactions, synchronously; usable from any one thread at a time. Positions begin at 1."""

    epoch: str

    def page(self, after: int, types: Collection[str] | None) -> FeedPage:
        """The next events after a position; all types, or only those."""

    def newest(self) -> int:
        """The newest committed position, 0 in an empty store."""

    def hash_at(self, pos: int) -> bytes | None:
        """The hash of the event at a position; None where there is none."""

    def close(self) -> None:
        """Let go of what it holds. Closing twice does nothing."""


class Feed(Protocol):
    """All committed events of a store, in the order of their commits (store/feed.py makes an iterator of it)."""

    tail: Tail

    def feed_reader(self) -> FeedReader:
        """A new reader. Blocks shortly. Raises StoreError TL404."""


class Store(Log, Catalogue, Callers, MediaReads, Restores, Feed, Protocol):
    """Everything turnlog keeps."""

    @property
    def access(self) -> AccessStore:
        """Keys, client secrets, and the end of tokens."""

    def scan(self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False) -> Iterator[Recorded]:
        """As Log.scan; `semantic` leaves out the events that carry the wire (schema.NOT_SEMANTIC)."""

    def read(self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False) -> AsyncIterator[Recorded]:
        """The same, asynchronously."""

    async def verify(self, session: str) -> VerifyReport:
        """Recompute every digest and the hash chain, and compare the media with their events. Raises StoreError TL408."""

    async def close(self) -> None:
        """Finish what was asked for, then let go of the file. Closing twice does nothing; later writes raise TL410."""
