"""A store around another one, for which virtual time stands still while it works: its thread is outside of the loop."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from ..core.ports import Draft, Head, Recorded, Segment, SessionRow
from ..store.port import EVER, Began, Caller, FeedReader, Store, VerifyReport
from .virtual_loop import running_loop

__all__ = ["HeldStore"]


class HeldStore:
    """The same contract as the store inside."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.tail = inner.tail
        self.access = inner.access  # only servers ask for it, and they run in real time

    # --- writing ---

    async def create(self, row: SessionRow) -> Head:
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.create(row)

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.append(head, events, segments, status=status)

    async def restore(self, row: SessionRow, head: Head, events: Iterable[Recorded], segments: Iterable[Segment]) -> Head:
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.restore(row, head, events, segments)

    async def claim(self, session: str, *, owner: str = "") -> Head:
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.claim(session, owner=owner)

    async def add_caller(self, token_hash: bytes, session: str, *, expires_ns: int, scope: str = "attach") -> None:
        """As the store inside."""
        with running_loop().outside():
            await self.inner.add_caller(token_hash, session, expires_ns=expires_ns, scope=scope)

    async def close(self) -> None:
        """As the store inside."""
        with running_loop().outside():
            await self.inner.close()

    # --- reading ---

    def scan(self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False) -> Iterator[Recorded]:
        """As the store inside."""
        return self.inner.scan(session, after=after, until=until, semantic=semantic)

    async def read(
        self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False
    ) -> AsyncIterator[Recorded]:
        """As the store inside."""
        events = self.inner.read(session, after=after, until=until, semantic=semantic)
        with running_loop().outside():
            found = [event async for event in events]
        for event in found:
            yield event

    def scan_segments(self, session: str, track: str, *, after: int = 0, erased: bool = False) -> Iterator[Segment]:
        """As the store inside."""
        return self.inner.scan_segments(session, track, after=after, erased=erased)

    async def segments(self, session: str, track: str, *, after: int = 0) -> AsyncIterator[Segment]:
        """As the store inside."""
        with running_loop().outside():
            found = [segment async for segment in self.inner.segments(session, track, after=after)]
        for segment in found:
            yield segment

    def feed_reader(self) -> FeedReader:
        """As the store inside."""
        return self.inner.feed_reader()

    async def tracks(self, session: str) -> list[str]:
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.tracks(session)

    async def session(self, session: str) -> SessionRow:
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.session(session)

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
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.sessions(
                target=target, status=status, tenant=tenant, began=began, before=before, limit=limit
            )

    async def head(self, session: str) -> Head:
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.head(session)

    async def find_caller(self, token_hash: bytes, *, now_ns: int) -> Caller | None:
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.find_caller(token_hash, now_ns=now_ns)

    async def verify(self, session: str) -> VerifyReport:
        """As the store inside."""
        with running_loop().outside():
            return await self.inner.verify(session)
