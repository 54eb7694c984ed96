"""Writing archives and taking them in again: verbatim, whole or not at all, in little memory."""

import asyncio
import os
import sqlite3
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from turnlog.core.chain import digest
from turnlog.core.errors import Fenced, StoreError
from turnlog.core.ports import Draft, Segment, SessionRow
from turnlog.store import Counts, Store, export_archive, import_archive, open_archive, open_store
from turnlog.store.archive_survey import ArchivedSession

__all__: list[str] = []

Rows = Callable[..., SessionRow]
Drafts = Callable[..., Draft]


async def fill(store: Store, row: SessionRow, draft: Drafts, *, segments: int = 3, size: int = 100) -> None:
    """A session of `segments` MediaRecorded events, one more in a second epoch, and its end."""
    head = await store.create(row)
    for n in range(1, segments + 1):
        data = b"\0" + os.urandom(size - 1)  # at random it may begin like a segment that refers to others
        part = Segment("c1.in", n, head.seq + 1, 7, 8, "tlm1", digest(data), data)
        head = await store.append(head, [draft("MediaRecorded", data=os.urandom(16) + part.digest, at_ns=n)], [part])
    head = await store.claim(row.session)
    await store.append(head, [draft("SomethingNewer", at_ns=2**62, cause=1)._replace(version=9)], status="ended")


async def test_export_and_import_give_the_very_session(store: Store, row: Rows, draft: Drafts, tmp_path: Path) -> None:
    """A round trip into both kinds of store gives the same events, media, row, epoch and hashes, and the same file again."""
    await fill(store, row(), draft)
    assert await export_archive(store, "s1", tmp_path / "a.turnlog") == Counts(events=4, segments=3)
    for url in ("memory://", tmp_path / "other.db"):
        other = await asyncio.to_thread(open_store, url)
        await other.create(row("before"))
        head = await import_archive(other, open_archive(tmp_path / "a.turnlog"))
        assert head == await other.head("s1") and head[2:] == (await store.head("s1"))[2:]
        assert await other.session("s1") == await store.session("s1")
        assert list(other.scan("s1")) == list(store.scan("s1"))
        assert list(other.scan_segments("s1", "c1.in")) == list(store.scan_segments("s1", "c1.in"))
        assert (await other.verify("s1")).ok
        await export_archive(other, "s1", tmp_path / "b.turnlog", replace=True)
        assert (tmp_path / "a.turnlog").read_bytes() == (tmp_path / "b.turnlog").read_bytes()
        await other.close()


async def test_an_imported_session_can_go_on(store: Store, row: Rows, draft: Drafts, tmp_path: Path) -> None:
    """Its head takes appends in its epoch, an older epoch is fenced, and the chain verifies on."""
    await fill(store, row(), draft)
    await export_archive(store, "s1", tmp_path / "a.turnlog")
    other = open_store("memory://")
    head = await import_archive(other, open_archive(tmp_path / "a.turnlog"))
    with pytest.raises(Fenced):
        await other.append(head._replace(epoch=1), [draft()])
    await other.append(head, [draft()])
    assert (await other.verify("s1")).ok and (await other.session("s1")).head_seq == 5


async def test_a_session_is_entered_once(store: Store, row: Rows, draft: Drafts, tmp_path: Path) -> None:
    """A session of that name in the store is TL409, and stays as it is."""
    await fill(store, row(), draft)
    await export_archive(store, "s1", tmp_path / "a.turnlog")
    before = await store.head("s1")
    with pytest.raises(StoreError) as refused:
        await import_archive(store, open_archive(tmp_path / "a.turnlog"))
    assert refused.value.code == "TL409" and await store.head("s1") == before


async def test_erased_events_and_media_stay_erased(path: Path, row: Rows, draft: Drafts, tmp_path: Path) -> None:
    """What was erased is exported and entered as erased: digests and chain stay, nothing counts as missing."""
    store = await asyncio.to_thread(open_store, path)
    await fill(store, row(), draft)
    await store.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE events SET data = NULL WHERE seq = 2")
    raw.execute("UPDATE media SET data = NULL WHERE n = 3")
    raw.commit()
    raw.close()
    archive_path = tmp_path / "erased.turnlog"
    await export_archive(open_store(path, read_only=True), "s1", archive_path)
    archive = open_archive(archive_path)
    for url in ("memory://", tmp_path / "other.db"):
        other = await asyncio.to_thread(open_store, url)
        await import_archive(other, archive)
        for one in (archive, other):
            report = await one.verify("s1")
            assert report.ok and (report.erased, report.segments) == (1, 3)
            assert [part.n for part in one.scan_segments("s1", "c1.in")] == [1, 2]
            assert [bool(part.data) for part in one.scan_segments("s1", "c1.in", erased=True)] == [True, True, False]
        await other.close()


async def test_what_does_not_verify_is_exported_but_not_entered(path: Path, row: Rows, draft: Drafts, tmp_path: Path) -> None:
    """A tampered log is archived as it is, named by verification, and refused on import, of which nothing stays."""
    store = await asyncio.to_thread(open_store, path)
    await fill(store, row(), draft)
    await store.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE events SET at_ns = at_ns + 1 WHERE seq = 2")
    raw.commit()
    raw.close()
    await export_archive(open_store(path, read_only=True), "s1", tmp_path / "t.turnlog")
    archive = open_archive(tmp_path / "t.turnlog")
    assert [(problem.kind, problem.seq) for problem in (await archive.verify("s1")).problems] == [("chain", 2)]
    for url in ("memory://", tmp_path / "other.db"):
        other = await asyncio.to_thread(open_store, url)
        with pytest.raises(StoreError, match="does not verify: chain") as refused:
            await import_archive(other, archive)
        assert refused.value.code == "TL407" and await other.sessions() == []
        await fill(other, row(), draft)  # the name is still free
        assert (await other.verify("s1")).segments == 3
        await other.close()


async def test_a_live_session_is_written_as_far_as_it_went(store: Store, row: Rows, draft: Drafts, tmp_path: Path) -> None:
    """While another task appends, every export is a whole, verifying prefix."""
    head = await store.create(row())
    going = True

    async def live() -> None:
        nonlocal head
        while going:
            part = Segment("c1.in", head.seq + 1, head.seq + 1, 0, 0, "tlm1", digest(b"x"), b"x")
            head = await store.append(head, [draft("MediaRecorded", data=os.urandom(16) + part.digest)], [part])
            await asyncio.sleep(0)

    living = asyncio.create_task(live())
    seqs = []
    for _ in range(8):
        await export_archive(store, "s1", tmp_path / "live.turnlog", replace=True)
        archive = open_archive(tmp_path / "live.turnlog")
        assert (await archive.verify("s1")).ok and archive.row.status == "active"
        seqs.append(archive.row.head_seq)
    going = False
    await living
    assert seqs == sorted(seqs)


async def test_an_export_replaces_only_when_told_and_leaves_nothing_half(
    store: Store, row: Rows, draft: Drafts, tmp_path: Path
) -> None:
    """A file that is there is kept (TL406), an unknown session (TL408) and a bad folder (TL406) leave no file behind."""
    await fill(store, row(), draft)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine.turnlog").write_text("mine")
    bad = [("s1", "mine.turnlog", "TL406"), ("no", "x.turnlog", "TL408"), ("s1", "no/x.turnlog", "TL406")]
    for session, file, code in [*bad, ("s1", "x" * 300, "TL406")]:
        with pytest.raises(StoreError) as refused:
            await export_archive(store, session, folder / file)
        assert refused.value.code == code
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("mine.turnlog", "mine")]
    await export_archive(store, "s1", folder / "mine.turnlog", replace=True)
    assert (await open_archive(folder / "mine.turnlog").verify("s1")).ok


async def test_a_large_session_needs_little_memory(path: Path, row: Rows, draft: Drafts, tmp_path: Path) -> None:
    """24 MB of media are exported, opened, verified and imported with less than 8 MB at any time."""
    store = await asyncio.to_thread(open_store, path)
    await fill(store, row(), draft, segments=400, size=60_000)
    other = await asyncio.to_thread(open_store, tmp_path / "other.db")
    tracemalloc.start()
    try:
        await export_archive(store, "s1", tmp_path / "large.turnlog")
        archive = open_archive(tmp_path / "large.turnlog")
        assert (await archive.verify("s1")).ok
        await import_archive(other, archive)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    await store.close()
    await other.close()
    assert (tmp_path / "large.turnlog").stat().st_size > 24_000_000
    assert peak < 8_000_000


def test_the_header_holds_the_whole_row() -> None:
    """A column that is added to the catalogue is added to the archive's header."""
    assert set(ArchivedSession.__struct_fields__) == {*SessionRow._fields, "epoch", "head_hash", "writer"}
