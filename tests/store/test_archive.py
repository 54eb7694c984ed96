"""Archives as stores: read like the store they come from, refused when cut or altered, read in part when asked."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from turnlog.core.chain import digest
from turnlog.core.errors import StoreError
from turnlog.core.ports import Draft, Head, Segment, SessionRow
from turnlog.store import Archive, Store, export_archive, open_archive, open_store
from turnlog.store import archive_format as form

__all__: list[str] = []

Rows = Callable[..., SessionRow]
Drafts = Callable[..., Draft]


async def fill(store: Store, row: SessionRow, draft: Drafts, *, turns: int = 6, media: int = 64) -> Head:
    """A session with a media segment after every second event."""
    head = await store.create(row)
    for n in range(1, turns + 1):
        data = os.urandom(media)
        part = Segment("c1.in" if n % 2 else "p1.out", n, head.seq + 2, 100 * n, 20, "tlm1", digest(data), data)
        drafts = [draft(at_ns=1_000 * n, cause=-1), draft("MediaRecorded", data=os.urandom(16) + part.digest, cause=head.seq + 1)]
        head = await store.append(head, drafts, [part])
    return await store.append(head, [draft("SessionEnded", at_ns=99_000)], status="ended")


@pytest.fixture
async def whole(store: Store, row: Rows, draft: Drafts, tmp_path: Path) -> Path:
    """An archive of a small session, from each kind of store."""
    await fill(store, row(), draft)
    await export_archive(store, "s1", tmp_path / "s1.turnlog", writer="turnlog test")
    return tmp_path / "s1.turnlog"


async def test_an_archive_reads_like_its_store(store: Store, row: Rows, draft: Drafts, whole: Path) -> None:
    """Row, head, events, cuts by seq, semantic reads, tracks and segments equal the store's, both ways of reading."""
    archive = open_archive(whole)
    assert archive.row == await archive.session("s1") == await store.session("s1")
    assert (await archive.head("s1"))[2:] == (await store.head("s1"))[2:]
    assert archive.writer == "turnlog test"
    assert list(archive.scan()) == list(store.scan("s1"))
    for after, until in ((0, None), (3, None), (0, 4), (3, 9), (13, None), (99, None)):
        expected = list(store.scan("s1", after=after, until=until))
        assert list(archive.scan("s1", after=after, until=until)) == expected
        assert [event async for event in archive.read("s1", after=after, until=until)] == expected
    assert list(archive.scan("s1", semantic=True)) == list(store.scan("s1", semantic=True))
    assert await archive.tracks("s1") == await store.tracks("s1") == ["c1.in", "p1.out"]
    for track in await store.tracks("s1"):
        expected_media = list(store.scan_segments("s1", track))
        assert list(archive.scan_segments("s1", track)) == expected_media
        assert [part async for part in archive.segments("s1", track, after=2)] == [p for p in expected_media if p.n > 2]
    assert await archive.verify("s1") == await store.verify("s1")


async def test_an_archive_is_listed_as_one_session(whole: Path) -> None:
    """It answers what the catalogue of a store answers, and names the session that it does hold."""
    archive: Store = open_archive(whole)
    assert [one.session for one in await archive.sessions()] == ["s1"]
    assert await archive.sessions(status="active") == await archive.sessions(target="x.y") == []
    assert await archive.sessions(before="s1") == []
    assert await archive.find_caller(b"hash", now_ns=0) is None
    asked = (archive.session("s2"), archive.head("s2"), archive.tracks("s2"), archive.verify("s2"), archive.sessions(before="s2"))
    for refused in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(refused, StoreError) and refused.code == "TL408" and "holds session 's1', not 's2'" in refused.message
    with pytest.raises(StoreError, match="TL408"):
        next(archive.scan("s2"))


async def test_nothing_is_written_to_an_archive(whole: Path, row: Rows, draft: Drafts) -> None:
    """Every write raises TL410, and so does opening one for writing."""
    archive = open_archive(whole)
    head = await archive.head("s1")
    writes = (
        archive.create(row()), archive.append(head, [draft()]), archive.claim("s1"), archive.restore(row(), head, [], []),
        archive.add_caller(b"h", "s1", expires_ns=1),
    )  # fmt: skip
    for refused in await asyncio.gather(*writes, return_exceptions=True):
        assert isinstance(refused, StoreError) and refused.code == "TL410"
    with pytest.raises(StoreError, match="TL410"):
        archive.feed_reader()
    with pytest.raises(StoreError, match="turnlog import"):
        open_store(whole)
    await archive.close()


def test_a_store_url_may_name_an_archive(whole: Path) -> None:
    """open_store gives the archive for reading, by path and by URL."""
    for name in (whole, f"sqlite:///{whole}"):
        store = open_store(name, read_only=True)
        assert isinstance(store, Archive)
        assert len(list(store.scan("s1"))) == 13


def cut_at(path: Path, fraction: float) -> None:
    """Keep so much of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_no_flipped_byte_goes_unseen(whole: Path, flip: int) -> None:
    """Whatever byte changes, opening names it: foreign, newer, cut or altered. Nothing else can come of it."""
    data = whole.read_bytes()
    codes = set()
    for at in range(len(data)):
        whole.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])
        with pytest.raises(StoreError) as refused:
            open_archive(whole)
        codes.add(refused.value.code)
        if at >= len(form.PRELUDE):
            assert refused.value.code == "TL414"
    assert codes <= {"TL405", "TL412", "TL414"}


def test_every_cut_is_named_and_gives_what_stands_before_it(whole: Path) -> None:
    """At each length TL413; `partial` gives a prefix of the events, never fewer for a longer file, each as it was."""
    data, events = whole.read_bytes(), list(open_archive(whole).scan())
    lengths: list[int] = []
    for length in range(len(data)):
        whole.write_bytes(data[:length])
        with pytest.raises(StoreError) as refused:
            open_archive(whole)
        assert refused.value.code == "TL413" and f"after {length} bytes" in refused.value.message
        try:
            part = open_archive(whole, partial=True)
        except StoreError as error:
            assert error.code == "TL413" and not lengths  # only while the header is not whole
            continue
        found = list(part.scan())
        assert found == events[: len(found)] and part.damage is not None and part.damage.code == "TL413"
        lengths.append(len(found))
    assert lengths == sorted(lengths) and set(lengths) == set(range(14))


async def test_a_partial_archive_says_where_it_ends(whole: Path) -> None:
    """Verification of a cut archive names the cut and not what follows from it; reads of all kinds go as far."""
    cut_at(whole, 0.6)
    part = open_archive(whole, partial=True)
    report = await part.verify("s1")
    assert [problem.kind for problem in report.problems] == ["archive"] and "is cut after" in report.problems[0].detail
    assert [event async for event in part.read("s1")] == list(part.scan())
    assert next(part.scan(after=report.events - 1)).seq == report.events


async def test_a_whole_archive_is_opened_in_part_too(whole: Path) -> None:
    """`partial` of an archive without damage is the archive."""
    part = open_archive(whole, partial=True)
    assert part.damage is None and (await part.verify("s1")).ok


def test_altered_events_are_left_out_from_the_change_on(whole: Path) -> None:
    """`partial` of an altered archive gives no event that is not what was recorded."""
    data, events = whole.read_bytes(), list(open_archive(whole).scan())
    fewest = len(events)
    for at in range(len(form.PRELUDE), len(data), 7):
        whole.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            found = list(open_archive(whole, partial=True).scan())
        except StoreError as error:
            assert error.code == "TL414"  # the header
            continue
        assert found == events[: len(found)]
        fewest = min(fewest, len(found))
    assert fewest == 0


def test_something_behind_the_end_is_named(whole: Path) -> None:
    """An archive ends where it ends."""
    with whole.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(StoreError, match="something follows its end") as refused:
        open_archive(whole)
    assert refused.value.code == "TL414"
    assert len(list(open_archive(whole, partial=True).scan())) == 13


def test_a_file_changed_after_opening_is_noticed(whole: Path) -> None:
    """Each block is checked again when it is read."""
    archive = open_archive(whole)
    data = whole.read_bytes()
    whole.write_bytes(data[:-300] + bytes([data[-300] ^ 1]) + data[-299:])
    with pytest.raises(StoreError, match="TL414"):
        list(archive.all_segments())
    whole.unlink()
    with pytest.raises(StoreError, match="TL404"):
        list(archive.scan())


def counts(events: int) -> tuple[bytes, bytes]:
    """The last record of an archive without media."""
    return form.END, msgspec.msgpack.encode({"events": events, "segments": 0})


def forged(path: Path, *records: tuple[bytes, bytes]) -> str:
    """The code for a file of these records, each check right."""
    with path.open("wb") as file:
        blocks = form.BlockWriter(file)
        for kind, record in records:
            blocks.add(kind, record)
            blocks.flush()
    with pytest.raises(StoreError) as refused:
        list(open_archive(path).scan())
    return refused.value.code


def test_well_checked_nonsense_is_refused(whole: Path, tmp_path: Path) -> None:
    """Blocks out of order, doubled headers, wrong counts and records of another kind are TL414, though every check is right."""
    with whole.open("rb") as file:
        block = form.read_block(file, form.start(file, whole), whole)
    assert isinstance(block, form.Block)
    header = (form.HEADER, next(form.records(block)))
    event = (form.EVENTS, b"\xc0")
    path = tmp_path / "forged.turnlog"
    assert forged(path, counts(0)) == forged(path, event, header) == forged(path, header, header) == "TL414"
    assert forged(path, header, counts(1)) == forged(path, header, (form.MEDIA, b"\xc0"), event) == "TL414"
    assert forged(path, header, event, counts(1)) == forged(path, (form.HEADER, b"{}"), counts(0)) == "TL414"
    assert forged(path, header, (form.END, b"\xc0")) == "TL414"
    assert forged(path, header) == "TL413"


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    """A path that is not there, and a folder, are TL404; another file is TL412."""
    for path in (tmp_path / "none.turnlog", tmp_path):
        with pytest.raises(StoreError) as refused:
            open_archive(path)
        assert refused.value.code == "TL404"
    (tmp_path / "text.turnlog").write_text("a poem\n")
    with pytest.raises(StoreError, match="TL412"):
        open_archive(tmp_path / "text.turnlog")
