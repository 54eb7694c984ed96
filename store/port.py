"""What turnlog asks of a store beyond core.ports.Log: the catalogue, callers, media and verification.

Protocols and plain values; sqlite.py and memory.py implement them and pass one contract suite. Times are ns since the
Unix epoch.
"""

from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple, Protocol

from ..core.ports import Head, Log, Recorded, Segment, SessionRow

__all__ = ["Caller", "Callers", "Catalogue", "MediaReads", "Problem", "Store", "VerifyReport"]


class Caller(NamedTuple):
    """What a caller's token opens: one session, until it expires."""

    session: str
    expires_ns: int
    scope: str


class Problem(NamedTuple):
    """One thing that does not verify. `seq` is the event's, or 0 where none is meant."""

    kind: str  # gap | digest | chain | epoch | head | media_missing | media_digest | media_mismatch | media_unclaimed
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
        self, *, target: str | None = None, status: str | None = None, before: str | None = None, limit: int = 100
    ) -> list[SessionRow]:
        """Newest first. The next page starts `before` the last session of this one. Raises StoreError TL408 for `before`."""

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

    def scan_segments(self, session: str, track: str, *, after: int = 0) -> Iterator[Segment]:
        """The same, synchronously, off the event loop."""


class Store(Log, Catalogue, Callers, MediaReads, Protocol):
    """Everything turnlog keeps."""

    def scan(self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False) -> Iterator[Recorded]:
        """As Log.scan; `semantic` leaves out the events that carry the wire (schema.NOT_SEMANTIC)."""

    def read(self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False) -> AsyncIterator[Recorded]:
        """The same, asynchronously."""

    async def verify(self, session: str) -> VerifyReport:
        """Recompute every digest and the hash chain, and compare the media with their events. Raises StoreError TL408."""

    async def close(self) -> None:
        """Finish what was asked for, then let go of the file. Closing twice does nothing; later writes raise TL410."""
