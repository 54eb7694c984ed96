"""All builds that this process writes: chosen when it begins, moved page by page, swapped when a new one has caught up.

Synchronous, on one thread at a time. While it is open, no other process writes to the folder.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core.errors import StoreError
from ...store.open import open_store
from ...store.port import Feed, FeedReader, Store
from ...store.projection_folder import BuildFile, ProjectionFolder
from ...store.sqlite_reads import SqliteReads
from .build import Build, is_of
from .declare import Projection, check

__all__ = ["MAX_ATTEMPTS", "Builds", "catch_up", "folder_of", "opened"]

log = logging.getLogger("turnlog")

MAX_ATTEMPTS = 5  # of an event under on_error="retry", before a catch-up that someone waits for gives up


class Builds:
    """The builds of these projections. Raises StoreError TL401 (another process writes here), TL404, TL417."""

    def __init__(self, store: Feed, folder: ProjectionFolder, projections: Iterable[Projection]) -> None:
        self._folder = folder
        self.open: dict[str, list[Build]] = {}  # by projection: the one that serves, the one that is being built
        self._lock = folder.lock()
        try:
            self._feed: FeedReader = store.feed_reader()
        except BaseException:
            self._lock.release()
            raise
        try:
            for projection in projections:
                self.open[projection.name] = self._resume(projection)
        except BaseException:
            self.close()
            raise

    def _resume(self, projection: Projection) -> list[Build]:
        """Go on with the builds of this version and feed; begin a new one where there is none; drop what is of no use."""
        found = self._folder.builds(projection.name)
        serves = next((build for build in found if build.checkpoint and build.checkpoint.serving), None)
        chosen: list[BuildFile] = []
        for build in found:
            newer = serves is None or build.number > serves.number
            if is_of(build.checkpoint, projection, self._feed) and (build is serves or (newer and not chosen)):
                chosen.insert(0, build)
            elif build is not serves:
                self._folder.drop(build)
        if not chosen:
            if serves is not None:
                log.info("projection %s: build %d is of another version or feed, building anew", projection.name, serves.number)
            chosen.append(self._free(projection.name))
        return [Build(projection, build, self._feed) for build in chosen]

    def rebuild(self, name: str) -> None:
        """Begin a new build beside the one that serves. Raises StoreError TL417 for a name that is not open here."""
        if name not in self.open:
            raise StoreError("TL417", f"there is no projection {name!r} here", f"declared: {', '.join(self.open) or 'none'}")
        builds = self.open[name]
        projection = builds[0].projection
        for build in [build for build in builds if not build.checkpoint.serving]:
            builds.remove(build)
            build.close()
            self._folder.drop(build.at)
        builds.append(Build(projection, self._free(name), self._feed))

    def round(self) -> bool:
        """Move each build by a page. Returns whether one of them has more to read at once."""
        more = False
        for builds in self.open.values():
            for build in list(builds):
                try:
                    more |= build.advance()
                except StoreError as error:  # the disk, not the event: it may be better later
                    if not build.attempts:
                        log.error("projection %s waits: %s", build.projection.name, error)
                    build.delay()
            self._swap(builds)
        return more

    def _swap(self, builds: list[Build]) -> None:
        """The newest build that serves takes over; the files of those before it go."""
        serving = [build for build in builds if build.checkpoint.serving]
        if not serving:
            return
        newest = serving[-1]
        for build in serving[:-1]:
            builds.remove(build)
            build.close()
        if newest.at.checkpoint is None or not newest.at.checkpoint.serving:  # it began to serve just now
            newest.at = newest.at._replace(checkpoint=newest.checkpoint)
            for old in self._folder.builds(newest.at.name):
                if old.number < newest.at.number:
                    self._folder.drop(old)

    def reached(self) -> int:
        """The position up to which every build that is not stopped has read."""
        moving = [build.pos for builds in self.open.values() for build in builds if not build.stopped]
        return min(moving, default=self._feed.newest())

    def trying_again(self) -> list[Build]:
        """The builds that wait before they try an event again."""
        return [build for builds in self.open.values() for build in builds if build.attempts]

    def close(self) -> None:
        """Close every file and let others write here."""
        for builds in self.open.values():
            for build in builds:
                build.close()
        self._feed.close()
        self._lock.release()

    def _free(self, name: str) -> BuildFile:
        number, path = self._folder.free(name)
        return BuildFile(name, number, path, None)


@contextmanager
def opened(store: Feed, folder: ProjectionFolder, projections: Iterable[Projection]) -> Iterator[Builds]:
    """Builds, closed at the end."""
    builds = Builds(store, folder, projections)
    try:
        yield builds
    finally:
        builds.close()


def catch_up(
    store: str | Store, projections: Iterable[Projection], *, folder: Path | None = None, rebuild: Iterable[str] = ()
) -> ProjectionFolder:
    """Bring projections up to the newest event, here and now; returns what can be queried.

    store: a URL, which is opened for reading only (its owner may run), or an open store; folder: where to, by default beside
    the store's file; rebuild: names to build anew. A projection that is stopped or keeps failing stays so: see its status.
    Raises StoreError TL401 if another process writes to the folder, TL404 or TL417, DefinitionError TL208 as check().
    """
    declared = tuple(projections)
    check(declared)
    log_ = open_store(store, read_only=True) if isinstance(store, str) else store
    into = ProjectionFolder(folder) if folder is not None else folder_of(log_)
    if into is None:
        raise StoreError("TL417", "a store in memory has no folder for projections", "name one: catch_up(…, folder=…)")
    _catch_up(log_, into, declared, rebuild)
    return into


def _catch_up(store: Store, folder: ProjectionFolder, projections: Iterable[Projection], rebuild: Iterable[str]) -> None:
    with opened(store, folder, projections) as builds:
        for name in rebuild:
            builds.rebuild(name)
        while True:
            while builds.round():
                pass
            waiting = [build for build in builds.trying_again() if build.attempts < MAX_ATTEMPTS]
            if not waiting:
                return
            time.sleep(max(0.0, min(build.due_s for build in waiting) - time.monotonic()))


def folder_of(store: Store) -> ProjectionFolder | None:
    """The folder beside a store's file; None for a store in memory."""
    return ProjectionFolder.beside(store.path) if isinstance(store, SqliteReads) else None
