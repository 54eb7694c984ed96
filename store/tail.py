"""Who follows the end of a log, and waking them when something was committed in this process.

A wake-up is a hint and never the truth: who is woken reads, and who is not reads after `poll_s` all the same.
"""

import threading
from collections.abc import Callable

__all__ = ["Tail"]


class Tail:
    """Calls those who follow after each commit, and once when the store has closed. Usable from any thread."""

    def __init__(self, *, poll_s: float = 1.0) -> None:
        self.poll_s = poll_s
        self.closed = False
        self._lock = threading.Lock()
        self._followers: dict[object, Callable[[], None]] = {}

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` from now on, on whatever thread commits: it must return at once. Returns what ends that."""
        key = object()
        with self._lock:
            self._followers[key] = wake

        def leave() -> None:
            with self._lock:
                self._followers.pop(key, None)

        return leave

    def moved(self) -> None:
        """Something was committed."""
        if self._followers:
            with self._lock:
                followers = list(self._followers.values())
            for wake in followers:
                wake()

    def close(self) -> None:
        """Nothing more will be committed here."""
        self.closed = True
        self.moved()
