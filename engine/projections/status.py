"""What can be seen of projections, from any process: read from their files, measured against the log."""

import msgspec

from ...core.errors import StoreError
from ...store.feed import position
from ...store.port import Feed, FeedReader
from ...store.projection_file import Checkpoint, read_dead_letters
from ...store.projection_folder import BuildFile, ProjectionFolder

__all__ = ["ProjectionStatus", "status_of"]


class ProjectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One build of a projection.

    status: building, live, stopped, retrying, or stale (it was made of another feed, and will be built anew). lag: events
    committed that it has not looked at, of all types. serving: whether readers use this build.
    """

    name: str
    version: int
    build: int
    serving: bool
    status: str
    lag: int
    dead_letters: int
    error: str
    cursor: str


def status_of(store: Feed, folder: ProjectionFolder) -> list[ProjectionStatus]:
    """Every build in the folder, by name, the newest first. Raises StoreError TL404 if the log cannot be read."""
    reader = store.feed_reader()
    try:
        return [_status(build, build.checkpoint, reader) for build in folder.builds() if build.checkpoint is not None]
    finally:
        reader.close()


def _status(build: BuildFile, checkpoint: Checkpoint, reader: FeedReader) -> ProjectionStatus:
    status, error = checkpoint.status, checkpoint.error
    try:
        pos = position(reader, checkpoint.cursor)
    except StoreError as refused:
        pos, status, error = 0, "stale", refused.message
    return ProjectionStatus(
        name=build.name,
        version=checkpoint.version,
        build=build.number,
        serving=checkpoint.serving,
        status=status,
        lag=reader.newest() - pos,
        dead_letters=len(read_dead_letters(build.path)),
        error=error,
        cursor=checkpoint.cursor,
    )
