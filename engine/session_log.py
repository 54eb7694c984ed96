"""The log of one session, as it is written: facts become drafts, the head moves on, observers are told."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Final

from ..core.codec import encode
from ..core.core import Staged
from ..core.errors import StoreError
from ..core.ports import Draft, Head, Log, Recorded, Segment
from .nonces import Nonces
from .observing import Observers, Watched

__all__ = ["SessionLog"]

_PAUSE_S: Final = 0.1
_PASSING: Final = frozenset({"TL406"})  # what may be over soon

log = logging.getLogger("turnlog")


class SessionLog:
    """Appends to one session, one at a time. retry_s: for so long an append that may succeed soon is tried again."""

    def __init__(self, store: Log, head: Head, nonces: Nonces, watched: Watched | None = None, *, retry_s: float = 0.0) -> None:
        self.store = store
        self.session = head.session
        self.watched = watched or Watched(Observers(), head.session)
        self._head = head
        self._nonces = nonces
        self._retry_s = retry_s

    def scan(self, *, after: int = 0, until: int | None = None) -> Iterator[Recorded]:
        """Read it; see core.ports.Log.scan."""
        return self.store.scan(self.session, after=after, until=until)

    async def append(self, staged: Sequence[Staged], segments: Sequence[Segment] = (), *, ended: bool = False) -> None:
        """One transaction; `ended` closes the session's row. Raises StoreError."""
        drafts = []
        for _, at_ns, cause, event in staged:
            type_, version, data = encode(event, self._nonces.next())
            drafts.append(Draft(type_, version, at_ns, cause, data))
        status, begun = "ended" if ended else None, perf_counter()
        while True:
            try:
                self._head = await self.store.append(self._head, drafts, segments, status=status)
                break
            except StoreError as error:
                if error.code not in _PASSING or perf_counter() - begun >= self._retry_s:
                    raise
                log.warning("session %s: its log is behind: %s", self.session, error)
            await asyncio.sleep(_PAUSE_S)
        self.watched.appended(staged, perf_counter() - begun)
