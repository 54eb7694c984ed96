"""What one pass over an archive accepts, and which events of a damaged block are still believed."""

import os
import struct
import zlib
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import msgspec
import pytest

from turnlog.core.chain import GENESIS, digest, link
from turnlog.core.errors import StoreError
from turnlog.core.ports import Recorded, SessionRow
from turnlog.store import archive_format as form
from turnlog.store.archive_survey import ArchivedSession, salvaged, survey

__all__: list[str] = []


def chain(count: int) -> list[Recorded]:
    """Events of session "s" that follow from each other."""
    events: list[Recorded] = []
    previous = GENESIS
    for seq in range(1, count + 1):
        data = os.urandom(30)
        previous = link(previous, "s", seq, "T", 1, 5, 1, -1, digest(data))
        events.append(Recorded(seq, "T", 1, 5, 1, -1, digest(data), previous, data))
    return events


def damaged(events: list[object]) -> form.Damage:
    """A block of events whose check is wrong."""
    records = [msgspec.msgpack.encode(event) for event in events]
    payload = b"".join(len(record).to_bytes(4, "big") + record for record in records)
    return form.Damage(StoreError("TL414", "altered"), form.EVENTS, 0, payload)


def test_events_are_believed_as_long_as_the_chain_holds() -> None:
    """A changed event ends it, whatever was changed; erased ones belong; other kinds of blocks give nothing."""
    one, two, three, four = chain(4)
    assert list(salvaged("s", None, damaged([one, two, three, four]))) == [one, two, three, four]
    assert list(salvaged("s", two, damaged([three, four]))) == [three, four]
    erased = two._replace(data=None)
    assert list(salvaged("s", None, damaged([one, erased, three]))) == [one, erased, three]
    for wrong in (two._replace(data=b"other"), two._replace(at_ns=6), two._replace(seq=9), two._replace(hash=bytes(32)), "text"):
        assert list(salvaged("s", None, damaged([one, wrong, three]))) == [one]
    assert list(salvaged("other", None, damaged([one]))) == []
    assert list(salvaged("s", None, damaged([one])._replace(kind=form.MEDIA))) == []


def test_a_header_stands_alone(tmp_path: Path, row: Callable[..., SessionRow]) -> None:
    """Two records in the header's block are TL414."""
    header = msgspec.msgpack.encode(ArchivedSession(**row()._asdict(), epoch=1, head_hash=GENESIS))
    path = tmp_path / "two.turnlog"
    with path.open("wb") as file:
        blocks = form.BlockWriter(file)
        blocks.add(form.HEADER, header)
        blocks.add(form.HEADER, header)
        blocks.flush()
    with pytest.raises(StoreError, match="holds one record, not 2"):
        survey(path, partial=True)


def test_a_block_holds_as_many_records_as_it_says(tmp_path: Path, row: Callable[..., SessionRow]) -> None:
    """A head that counts more records than there are is TL414, though its checks are right."""
    record = msgspec.msgpack.encode(ArchivedSession(**row()._asdict(), epoch=1, head_hash=GENESIS))
    payload = struct.pack(">I", len(record)) + record
    head = struct.pack(">cBIII", form.HEADER, 0, 2, len(payload), len(payload))
    head += struct.pack(">I", zlib.crc32(head))
    check = blake2b(blake2b(form.PRELUDE, digest_size=32).digest() + head + payload, digest_size=32).digest()
    path = tmp_path / "count.turnlog"
    path.write_bytes(form.PRELUDE + head + payload + check)
    with pytest.raises(StoreError, match="should hold 2 records and holds 1") as refused:
        survey(path, partial=False)
    assert refused.value.code == "TL414"


def test_a_header_of_a_later_turnlog_is_read(tmp_path: Path, row: Callable[..., SessionRow]) -> None:
    """Keys that are not known are passed over."""
    header = {**row()._asdict(), "epoch": 1, "head_hash": GENESIS, "mood": "cheerful"}
    path = tmp_path / "later.turnlog"
    with path.open("wb") as file:
        blocks = form.BlockWriter(file)
        blocks.add(form.HEADER, msgspec.msgpack.encode(header))
        blocks.add(form.END, msgspec.msgpack.encode({"events": 0, "segments": 0, "smiles": 3}))
        blocks.flush()
    assert survey(path, partial=False).header.row == row()
