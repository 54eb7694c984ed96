"""Where projections live: a folder beside the database, one file a build, one process that writes.

Strategy: not in the database itself. There is one connection that writes to it, and the appends of live calls are what that one
is for; here a projection may write as long as it likes, in a transaction with its checkpoint, and readers of it never
meet the log's. Builds are numbered: NAME.NUMBER.db. Readers take the highest one that is marked as serving, so a new build takes
over by the commit that marks it.
"""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import StoreError
from .connect import open_reader
from .lock import FileLock
from .projection_file import Checkpoint, DeadLetter, file_error, read_checkpoint, read_dead_letters

__all__ = ["BuildFile", "ProjectionFolder"]

_NAME = re.compile(r"(?P<name>[a-z][a-z0-9_]*)\.(?P<number>[0-9]+)\.db")


class BuildFile(NamedTuple):
    """A build as its file tells it. `checkpoint` is None where making it was cut short."""

    name: str
    number: int
    path: Path
    checkpoint: Checkpoint | None


class ProjectionFolder:
    """The builds in a folder. Everything but lock() only reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, database: Path) -> "ProjectionFolder":
        """The folder of a SQLite store: calls.db-projections for calls.db."""
        return cls(Path(f"{database}-projections"))

    def lock(self) -> FileLock:
        """Make the folder if need be, and become the one who writes in it. Raises StoreError TL401 or TL404."""
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError("TL404", f"{self.path} cannot be made: {error.strerror}", "its folder must be writable") from error
        return FileLock(self.path / "projections")

    def builds(self, name: str | None = None) -> list[BuildFile]:
        """The builds of a projection, or of all; by name, the newest first."""
        found = []
        for path in self.path.glob("*.db"):
            match = _NAME.fullmatch(path.name)
            if match and name in (None, match["name"]):
                found.append(BuildFile(match["name"], int(match["number"]), path, read_checkpoint(path)))
        return sorted(found, key=lambda build: (build.name, -build.number))

    def free(self, name: str) -> tuple[int, Path]:
        """Number and path of the next build."""
        number = 1 + max((build.number for build in self.builds(name)), default=0)
        return number, self.path / f"{name}.{number}.db"

    def serving(self, name: str) -> BuildFile:
        """The build that readers use. Raises StoreError TL417."""
        builds = self.builds(name)
        for build in builds:
            if build.checkpoint is not None and build.checkpoint.serving:
                return build
        raise _not_served(name, builds[0].checkpoint if builds else None)

    def query(self, name: str, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """All rows of a query on the projection's tables, read only. Raises StoreError TL417 if there are none yet, TL404."""
        for again in (True, False):
            build = self.serving(name)
            try:
                return _rows(build.path, sql, parameters)
            except sqlite3.Error as error:
                if not again or build.path.exists():
                    raise file_error(error, build.path) from error
        raise AssertionError("unreachable")  # the second round returns or raises

    def dead_letters(self, name: str) -> list[DeadLetter]:
        """The events that the serving build could not take. Raises StoreError TL417."""
        return read_dead_letters(self.serving(name).path)

    def drop(self, build: BuildFile) -> None:
        """Delete a build's file; a reader that has it open reads on. Only for who holds the lock."""
        for suffix in ("", "-wal", "-shm"):
            try:
                Path(f"{build.path}{suffix}").unlink(missing_ok=True)
            except OSError:
                return  # Windows, while someone reads it: the next one who opens the folder tries again


def _rows(path: Path, sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    reader = open_reader(path)
    try:
        return reader.execute(sql, parameters).fetchall()
    finally:
        reader.close()


def _not_served(name: str, checkpoint: Checkpoint | None) -> StoreError:
    if checkpoint is None:
        return StoreError("TL417", f"there is no projection {name!r} here", "`turnlog projections status` lists what there is")
    if checkpoint.status == "stopped":
        return StoreError(
            "TL417", f"projection {name} stopped before it was built: {checkpoint.error}", "correct it, then rebuild it"
        )
    return StoreError("TL417", f"projection {name} is still being built", "`turnlog projections status` says how far it is")
