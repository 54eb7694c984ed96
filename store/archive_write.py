"""Writing an archive from any store, and taking one in. A session that is live is written as far as it went at the start.

The file appears whole or not at all: it is written beside its name, flushed to the disk, and renamed.
"""

import asyncio
import os
from pathlib import Path

import msgspec

from ..core.errors import StoreError
from ..core.ports import Head, SessionRow
from . import archive_format as form
from .archive import Archive
from .archive_survey import ArchivedSession, Counts
from .port import Store

__all__ = ["export_archive", "import_archive"]

_encode = msgspec.msgpack.Encoder().encode


async def export_archive(store: Store, session: str, path: str | Path, *, writer: str = "", replace: bool = False) -> Counts:
    """Write the session's row, events and media to `path`. `writer` names the program in the header.

    Raises StoreError TL406 (cannot be written, or there is a file and not `replace`), TL408 (no such session).
    """
    path = Path(path)
    # os.path.exists says no where one may not look; writing then tells why.
    if not replace and await asyncio.to_thread(os.path.exists, path):
        raise StoreError("TL406", f"{path} is there already", "name another file, or replace it on purpose")
    head, row = await _snapshot(store, session)
    tracks = await store.tracks(session)
    header = ArchivedSession(**row._asdict(), epoch=head.epoch, head_hash=head.hash, writer=writer)
    return await asyncio.to_thread(_write, store, header, tracks, path)


async def import_archive(store: Store, archive: Archive) -> Head:
    """Enter the session of an archive: the same numbers, times, epochs and hashes, verified first, whole or not at all.

    Raises StoreError TL407 (does not verify), TL409 (the session exists), and what the store raises.
    """
    head = await archive.head(archive.row.session)
    return await store.restore(archive.row, head, archive.scan(), archive.all_segments())


async def _snapshot(store: Store, session: str) -> tuple[Head, SessionRow]:
    """Head and row of one moment: a live session may move between the two reads."""
    while True:
        head, row = await store.head(session), await store.session(session)
        if row.head_seq == head.seq:
            return head, row


def _write(store: Store, header: ArchivedSession, tracks: list[str], path: Path) -> Counts:
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            counts = _write_to(store, header, tracks, beside)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError("TL406", f"{path} cannot be written: {reason}", "check the folder and its disk") from error
    return counts


def _write_to(store: Store, header: ArchivedSession, tracks: list[str], path: Path) -> Counts:
    events = segments = 0
    with path.open("wb") as file:
        blocks = form.BlockWriter(file)
        blocks.add(form.HEADER, _encode(header))
        for event in store.scan(header.session, until=header.head_seq):
            blocks.add(form.EVENTS, _encode(event))
            events += 1
        for track in tracks:
            for segment in store.scan_segments(header.session, track, erased=True):
                if segment.first_seq <= header.head_seq:
                    blocks.add(form.MEDIA, _encode(segment))
                    segments += 1
        counts = Counts(events=events, segments=segments)
        blocks.add(form.END, _encode(counts))
        blocks.flush()
        file.flush()
        os.fsync(file.fileno())
    return counts
