"""One build of a projection and how it moves: a page of the feed, applied and checkpointed in one transaction.

Invariant: the checkpoint never passes what was read and taken (or buried). After a crash the transaction either happened
with its checkpoint, or neither did: so nothing is skipped and nothing is applied twice.
"""

import time
from collections.abc import Sequence

from ...core.codec import decode
from ...core.errors import StoreError
from ...core.ports import Recorded
from ...store.feed import cursor_at, position
from ...store.port import FeedReader
from ...store.projection_file import Checkpoint, DeadLetter, ProjectionFile, is_poison
from ...store.projection_folder import BuildFile
from .declare import Projection, ProjectionContext

__all__ = ["MAX_BACKOFF_S", "Build", "is_of"]

MAX_BACKOFF_S = 30.0
_FIRST_BACKOFF_S = 0.05
_ERROR_CHARS = 500


class Build:
    """A build that is being written. `pos` is how far it has read; used on one thread at a time."""

    def __init__(self, projection: Projection, at: BuildFile, feed: FeedReader) -> None:
        self.projection = projection
        self.at = at
        self._feed = feed
        self._file = ProjectionFile(at.path)
        try:
            if at.checkpoint is None:
                fresh = Checkpoint(projection.name, projection.version, feed.epoch, cursor_at(feed.epoch, 0, b""))
                self._file.make(projection.tables, fresh)
                self.checkpoint = fresh
            else:
                self.checkpoint = at.checkpoint
            self.pos = position(feed, self.checkpoint.cursor)
        except BaseException:
            self._file.close()
            raise
        self.stopped = False  # by a poison event; tried again only by a new run
        self.attempts = 0  # of the event that is being tried again
        self.due_s = 0.0  # time.monotonic() before which nothing is tried

    def advance(self) -> bool:
        """Take one page. Returns whether there may be more at once. Raises StoreError where the disk or the log fails."""
        if self.stopped or time.monotonic() < self.due_s:
            return False
        page = self._feed.page(self.pos, self.projection.types)
        if page.pos == self.pos and not page.entries and self.checkpoint.status == "live":
            return False
        with self._file.transaction():
            done, error = self._take(page.entries)
            if not error:
                done = page.pos, page.hash
            saved = self._next(done, error, caught_up=not error and page.pos >= page.newest)
            self._file.save(saved)
        self.checkpoint = saved  # what follows only after the commit
        self.pos = done[0]
        self._wait_after(error)
        return not error and page.pos < page.newest

    def _take(self, entries: Sequence[tuple[int, str, Recorded]]) -> tuple[tuple[int, bytes], str]:
        """Apply events until one fails; position and hash of the last that was taken, and what was wrong with the next."""
        done = self.pos, b""
        for pos, session, recorded in entries:
            if error := self._apply(session, recorded):
                if self.projection.on_error != "dead_letter":
                    return done, f"event {recorded.seq} ({recorded.type}) of {session}: {error}"
                self._file.bury(DeadLetter(pos, session, recorded.seq, recorded.type, error, time.time_ns()))
            done = pos, recorded.hash
        return done, ""

    def _apply(self, session: str, recorded: Recorded) -> str:
        """Apply one event, wholly or not at all; returns what was wrong, "" if nothing."""
        context = ProjectionContext(session, recorded.seq, recorded.at_ns, recorded.type, self._file.execute)
        try:
            with self._file.attempt():
                event = decode(recorded)
                if self.projection.wants(event):
                    self.projection.apply(event, context)
        except Exception as error:
            if not is_poison(error):
                raise
            return f"{type(error).__name__}: {error}"[:_ERROR_CHARS]
        return ""

    def _next(self, done: tuple[int, bytes], error: str, *, caught_up: bool) -> Checkpoint:
        before = self.checkpoint
        cursor = cursor_at(self._feed.epoch, *done) if done[0] != self.pos else before.cursor
        serving = before.serving or caught_up
        if not error:
            status = "live" if serving else "building"
        else:
            status = "retrying" if self.projection.on_error == "retry" else "stopped"
        return before._replace(cursor=cursor, status=status, error=error, serving=serving)

    def _wait_after(self, error: str) -> None:
        if not error:
            self.attempts = 0
        elif self.projection.on_error == "retry":
            self.delay()
        else:
            self.stopped = True

    def delay(self) -> None:
        """Try no more for a while: 50 ms, then twice as long each time, at most 30 s."""
        self.attempts += 1
        self.due_s = time.monotonic() + min(MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(self.attempts - 1, 20))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def is_of(checkpoint: Checkpoint | None, projection: Projection, feed: FeedReader) -> bool:
    """Whether a build can go on: of this version, and of this feed."""
    if checkpoint is None or checkpoint.version != projection.version:
        return False
    try:
        position(feed, checkpoint.cursor)
    except StoreError as error:
        if error.code != "TL416":
            raise
        return False
    return True
