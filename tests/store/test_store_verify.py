"""Verification finds what was changed behind the store's back, and nothing where nothing was."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from turnlog.core.chain import digest
from turnlog.core.ports import Draft, Segment, SessionRow
from turnlog.store import VerifyReport, open_store
from turnlog.store.media import SegmentBuilder

__all__: list[str] = []


@pytest.fixture
def log(path: Path, row: Callable[..., SessionRow], draft: Callable[..., Draft]) -> Path:
    """A closed file with one session of six events; 3 and 5 have a segment each."""

    async def fill() -> None:
        store = open_store(path)
        drafts, segments = [], []
        for seq in range(1, 7):
            if seq in (3, 5):
                data = f"audio {seq}".encode()
                drafts.append(draft("MediaRecorded", data=os.urandom(16) + b"\xc4\x20" + digest(data)))
                segments.append(Segment("p1.in", seq, seq, 0, 0, "tlm1", digest(data), data))
            else:
                drafts.append(draft())
        await store.append(await store.create(row()), drafts, segments)
        await store.close()

    asyncio.run(fill())
    return path


def verified(path: Path, change: str = "") -> VerifyReport:
    """The report after a change made with SQL."""
    raw = sqlite3.connect(path)
    raw.execute(change)
    raw.commit()
    raw.close()

    async def ask() -> VerifyReport:
        store = open_store(path, read_only=True)
        return await store.verify("s1")

    return asyncio.run(ask())


def found(path: Path, change: str) -> list[tuple[str, int]]:
    """Kind and seq of each problem after a change."""
    return [(problem.kind, problem.seq) for problem in verified(path, change).problems]


def test_an_untouched_log_verifies(log: Path) -> None:
    """No problem, and the counts of what was read."""
    report = verified(log)
    assert report.ok
    assert (report.events, report.erased, report.segments) == (6, 0, 2)


def test_erased_data_leaves_the_chain_whole(log: Path) -> None:
    """Data set to NULL is counted, and is no problem; of media as well."""
    report = verified(log, "UPDATE events SET data = NULL WHERE seq IN (2, 3)")
    assert report.ok and report.erased == 2
    assert verified(log, "UPDATE media SET data = NULL").ok


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ("UPDATE events SET data = zeroblob(56) WHERE seq = 2", [("digest", 2)]),
        ("UPDATE events SET data = 'text' || data WHERE seq = 2", [("digest", 2)]),
        ("UPDATE events SET hash = 'text' WHERE seq = 6", [("chain", 6), ("head", 6)]),
        ("UPDATE events SET cause = 'text' WHERE seq = 6", [("chain", 6)]),
        ("UPDATE events SET digest = zeroblob(32) WHERE seq = 2", [("digest", 2), ("chain", 2)]),
        ("UPDATE events SET hash = zeroblob(32) WHERE seq = 2", [("chain", 2), ("chain", 3)]),
        ("UPDATE events SET type = 'SayRequested' WHERE seq = 4", [("chain", 4)]),
        ("UPDATE events SET at_ns = at_ns + 1 WHERE seq = 4", [("chain", 4)]),
        ("UPDATE events SET cause = -2 WHERE seq = 1", [("chain", 1)]),
        ("UPDATE events SET epoch = 9 WHERE seq = 4", [("chain", 4), ("epoch", 5)]),
        ("DELETE FROM events WHERE seq = 2", [("gap", 3), ("chain", 3)]),
        ("DELETE FROM events WHERE seq = 1", [("gap", 2), ("chain", 2)]),
        ("DELETE FROM events WHERE seq = 6", [("head", 5)]),
        ("UPDATE sessions SET head_hash = zeroblob(32)", [("head", 6)]),
        ("UPDATE media SET data = x'00' WHERE n = 3", [("media_digest", 3)]),
        ("UPDATE media SET data = NULL, digest = zeroblob(32) WHERE n = 5", [("media_mismatch", 5)]),
        ("DELETE FROM media WHERE n = 5", [("media_missing", 5)]),
        ("UPDATE media SET first_seq = 4 WHERE n = 5", [("media_unclaimed", 4), ("media_missing", 5)]),
        ("UPDATE media SET first_seq = 3 WHERE n = 5", [("media_unclaimed", 3), ("media_missing", 5)]),
    ],
)
def test_a_change_is_found_where_it_is(log: Path, change: str, problems: list[tuple[str, int]]) -> None:
    """Data, digest, hash, columns, missing rows, the head and media: each gives its own problem at its own event."""
    assert found(log, change) == problems


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ("UPDATE media SET data = NULL", []),
        ("UPDATE media SET n = 7 WHERE n = 1", [("media_reference", 2)]),
        ("DELETE FROM media WHERE n = 1", [("media_reference", 2), ("media_missing", 1)]),
        ("UPDATE media SET digest = zeroblob(32), data = NULL WHERE n = 1", [("media_mismatch", 1), ("media_reference", 2)]),
    ],
)
def test_what_a_segment_refers_to_is_there(
    path: Path, row: Callable[..., SessionRow], draft: Callable[..., Draft], change: str, problems: list[tuple[str, int]]
) -> None:
    """Audio that was handed on is in another segment: one that is gone, or is another, is found at the one that needs it."""
    raw = b'{"delta":"AAAA"}'
    came, left = SegmentBuilder("p1.in"), SegmentBuilder("c1.out", n=2)
    kept = came.add(1, 0, raw, (10, 14))
    assert kept is not None
    left.add_copy(1, 0, raw, (10, 14), kept)
    packed = [segment for builder in (came, left) if (segment := builder.pack())]

    async def fill() -> None:
        store = open_store(path)
        drafts = [draft("MediaRecorded", data=os.urandom(16) + b"\xc4\x20" + one.digest) for one in packed]
        await store.append(await store.create(row()), drafts, [one.at(seq) for seq, one in enumerate(packed, 1)])
        await store.close()

    asyncio.run(fill())
    assert found(path, change) == problems


def test_a_log_moved_to_another_session_does_not_verify(log: Path) -> None:
    """The session's name is in the chain."""
    raw = sqlite3.connect(log)
    raw.execute("UPDATE sessions SET key = 's2'")
    raw.commit()
    raw.close()

    async def ask() -> VerifyReport:
        return await open_store(log, read_only=True).verify("s2")

    assert [problem.kind for problem in asyncio.run(ask()).problems] == ["chain"] * 6
