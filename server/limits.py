"""What each key has asked for, held against its limits: requests a second, and sessions that run at the same time.

Counted in this process only. Who shows no key of the store (a configured one, or is local) counts together, as key "".
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from ..core.bucket import Bucket
from ..core.errors import LimitExceeded
from ..core.limits import Limits

__all__ = ["Limiter"]

_SESSION_RETRY_S: Final = 5
"""Nobody knows when a session will end: ask again then."""


class Limiter:
    """general: for keys without limits of their own. runs: whether a session still does."""

    def __init__(self, general: Limits, runs: Callable[[str], bool], *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._general = general
        self._runs = runs
        self._now_s = now_s
        self._buckets: dict[str, Bucket] = {}
        self._sessions: dict[str, tuple[str, Limits]] = {}  # key and limits, by the session that was started with them
        self._starting: Counter[str] = Counter()

    def of(self, limits: Limits) -> Limits:
        """A key's limits over the general ones."""
        return limits.over(self._general)

    def of_session(self, session: str) -> Limits:
        """The limits of the key that a session was started with: who comes to it by a token has the same."""
        return self.of(self.started_by(session)[1])

    def started_by(self, session: str) -> tuple[str, Limits]:
        """The key that a session was started with, and its limits."""
        return self._sessions.get(session, ("", Limits()))

    def ask(self, key: str, limits: Limits) -> None:
        """Count a request. Raises LimitExceeded TL506."""
        rate = self.of(limits).requests_s
        if rate is None:
            return
        now_s = self._now_s()
        wait_s = self._buckets.setdefault(key, Bucket(rate, now_s)).take(now_s)
        if wait_s:
            raise LimitExceeded(f"more than {rate:g} requests a second with this key", retry_after_s=wait_s)

    @asynccontextmanager
    async def starting(self, key: str, limits: Limits) -> AsyncIterator[Callable[[str], None]]:
        """Hold a place while a session is started, and call what is given with its id. Raises LimitExceeded TL506."""
        most = self.of(limits).sessions
        self._sessions = {session: held for session, held in self._sessions.items() if self._runs(session)}
        running = sum(held[0] == key for held in self._sessions.values()) + self._starting[key]
        if most is not None and running >= most:
            raise LimitExceeded(f"{most} sessions run with this key, and more may not", retry_after_s=_SESSION_RETRY_S)
        self._starting[key] += 1
        try:
            yield lambda session: self._sessions.__setitem__(session, (key, limits))
        finally:
            self._starting[key] -= 1
