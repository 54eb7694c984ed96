"""Projections of a running engine: a thread of their own that follows the feed, apart from the event loop of the calls.

What they read are short statements on a connection of their own, what they write are files of their own: they never wait for
the log's writer, and it never waits for them.
"""

import asyncio
import logging
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import StoreError, TurnlogError
from ...store.port import Store
from ...store.projection_file import DeadLetter
from ...store.projection_folder import ProjectionFolder
from .builds import Builds, folder_of
from .declare import Projection, check
from .status import ProjectionStatus, status_of

__all__ = ["Projections"]

log = logging.getLogger("turnlog")

_PACE_S = 0.05  # commits that come within this go into one transaction
_LOCK_RETRY_S = 0.5
_LAST_ROUNDS_S = 5.0  # for what was committed just before the end


class Projections:
    """The projections of an engine. Nothing runs before start(); stop() takes what is committed, within 5 s, and ends."""

    def __init__(self, store: Store, declared: Iterable[Projection], folder: Path | None = None) -> None:
        self.declared = tuple(declared)
        check(self.declared)
        self._store = store
        self._in_memory = folder is None and folder_of(store) is None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        # A store in memory gets a folder for itself in start(), which lasts as long.
        self.folder = ProjectionFolder(folder) if folder else folder_of(store) or ProjectionFolder(Path("no-projections"))
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._moved = threading.Condition()
        self._reached = 0  # Invariant: changed under _moved only
        self._to_rebuild: list[str] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Follow the feed, if there is any projection."""
        if self.declared and self._thread is None:
            if self._in_memory:
                self._temporary = tempfile.TemporaryDirectory(prefix="turnlog-projections-")
                self.folder = ProjectionFolder(Path(self._temporary.name))
            self._thread = threading.Thread(target=self._live, name="turnlog-projections", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        """Take what is committed, then end. Stopping twice does nothing."""
        thread, self._thread = self._thread, None
        self._stopping.set()
        self._wake.set()
        if thread is not None:
            await asyncio.shield(asyncio.to_thread(thread.join))
        if self._temporary is not None:
            await asyncio.to_thread(self._temporary.cleanup)

    # --- asked from anywhere ---

    async def query(self, name: str, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """All rows of a query on a projection's tables. Raises StoreError TL417 while there is no finished build, TL404."""
        return await asyncio.to_thread(self.folder.query, name, sql, parameters)

    async def status(self) -> list[ProjectionStatus]:
        """Each build: version, status, lag, error, dead letters."""
        return await asyncio.to_thread(status_of, self._store, self.folder)

    async def dead_letters(self, name: str) -> list[DeadLetter]:
        """The events that a projection could not take. Raises StoreError TL417."""
        return await asyncio.to_thread(self.folder.dead_letters, name)

    def rebuild(self, name: str) -> None:
        """Build a projection anew beside the old one, which is read until the new one has caught up. Raises TL417."""
        if all(one.name != name for one in self.declared):
            known = ", ".join(one.name for one in self.declared) or "none"
            raise StoreError("TL417", f"there is no projection {name!r} in this engine", f"declared: {known}")
        with self._moved:
            self._to_rebuild.append(name)
            self._reached = -1
        self._wake.set()

    async def caught_up(self) -> None:
        """Wait until every projection that is not stopped has taken what is committed by now, rebuilds included.

        Raises TurnlogError TL410 if they are not running, or end before.
        """
        target = await asyncio.to_thread(self._newest)
        left = threading.Event()
        try:
            reached = await asyncio.to_thread(self._wait_for, target, left)
        finally:
            left.set()  # cancelled: the thread that waits must not wait on
        if not reached:
            raise TurnlogError("TL410", "the projections are not running", "wait for them inside `async with Engine(…)`")

    def _newest(self) -> int:
        reader = self._store.feed_reader()
        try:
            return reader.newest()
        finally:
            reader.close()

    def _wait_for(self, target: int, left: threading.Event) -> bool:
        def over() -> bool:
            return self._reached >= target or self._thread is None or not self._thread.is_alive() or left.is_set()

        with self._moved:
            while not over():
                self._moved.wait(1.0)  # and look whether the thread lives
            return self._reached >= target

    # --- on the thread ---

    def _live(self) -> None:
        leave = self._store.tail.follow(self._wake.set)
        try:
            builds = self._open()
            if builds is not None:
                try:
                    self._follow(builds)
                finally:
                    builds.close()
        except Exception:
            log.exception("the projections have stopped by a fault of turnlog; calls go on, and a new start goes on from here")
        finally:
            leave()
            with self._moved:
                self._moved.notify_all()

    def _open(self) -> Builds | None:
        """The builds, once no other process writes to them; None when asked to stop before."""
        told = False
        while not self._stopping.is_set():
            try:
                return Builds(self._store, self.folder, self.declared)
            except StoreError as error:
                if not told:
                    log.warning("projections wait: %s", error)
                told = True
                self._stopping.wait(_LOCK_RETRY_S)
        return None

    def _follow(self, builds: Builds) -> None:
        while True:
            self._wake.clear()  # before looking at what it may tell of, or that would be missed
            if self._stopping.is_set():
                break
            if not self._round(builds):
                self._wake.wait(min([self._store.tail.poll_s, *self._delays(builds)]))
                self._stopping.wait(_PACE_S)
        until = time.monotonic() + _LAST_ROUNDS_S
        while self._round(builds) and time.monotonic() < until:
            pass

    def _round(self, builds: Builds) -> bool:
        with self._moved:
            asked, self._to_rebuild = self._to_rebuild, []
        for name in asked:
            builds.rebuild(name)
        more = builds.round()
        with self._moved:
            if not self._to_rebuild:
                self._reached = builds.reached()
            self._moved.notify_all()
        return more

    def _delays(self, builds: Builds) -> list[float]:
        return [max(0.0, build.due_s - time.monotonic()) for build in builds.trying_again()]
