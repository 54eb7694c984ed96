"""Blocks of an archive: what is written is read, and no byte of it can change unseen."""

import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnlog.core.errors import StoreError
from turnlog.store import archive_format as form

__all__: list[str] = []


def written(records: list[tuple[bytes, bytes]]) -> bytes:
    """A file of these (kind, record)s."""
    file = io.BytesIO()
    blocks = form.BlockWriter(file)
    for kind, record in records:
        blocks.add(kind, record)
    blocks.flush()
    return file.getvalue()


def read(path: Path, data: bytes) -> list[tuple[bytes, bytes]] | form.Damage:
    """The records of a file, or its first damage."""
    path.write_bytes(data)
    found: list[tuple[bytes, bytes]] = []
    with path.open("rb") as file:
        check = form.start(file, path)
        while file.tell() < len(data):
            block = form.read_block(file, check, path)
            if isinstance(block, form.Damage):
                return block
            found += [(block.kind, record) for record in form.records(block)]
            check = block.check
    return found


KINDS = st.sampled_from([form.HEADER, form.EVENTS, form.MEDIA, form.END])


@given(st.lists(st.tuples(KINDS, st.binary(max_size=300)), max_size=20))
@settings(max_examples=60, deadline=None)
def test_records_are_read_as_written(tmp_path_factory: pytest.TempPathFactory, records: list[tuple[bytes, bytes]]) -> None:
    """Any records of any kinds come back in order, empty ones too."""
    assert read(tmp_path_factory.getbasetemp() / "any.turnlog", written(records)) == records


def test_a_block_is_closed_at_its_size_and_takes_any_record(tmp_path: Path) -> None:
    """Records beyond 64 KiB start the next block; a larger one stands in a block of its own, deflated or as it is."""
    path = tmp_path / "big.turnlog"
    records = [(form.MEDIA, os.urandom(40_000)) for _ in range(5)] + [(form.MEDIA, bytes(1 << 20))]
    data = written(records)
    assert read(path, data) == records
    assert 200_000 < len(data) < 205_000


def test_a_file_of_something_else_is_named() -> None:
    """Bytes that do not begin as an archive are TL412, a newer format TL405, none TL413."""
    cases = {b"SQLite format 3\0": "TL412", b"\x89PNG\r\n\x1a\n": "TL412", form.PRELUDE[:-1] + b"\x02": "TL405",
             form.PRELUDE[:-1] + b"\0": "TL414", b"": "TL413", form.PRELUDE[:5]: "TL413", form.PRELUDE[:-1]: "TL413"}  # fmt: skip
    for data, code in cases.items():
        with pytest.raises(StoreError) as refused:
            form.start(io.BytesIO(data), Path("x.turnlog"))
        assert refused.value.code == code, data


def test_a_text_transfer_is_noticed(tmp_path: Path) -> None:
    """Line ends that were translated break the first bytes."""
    with pytest.raises(StoreError) as refused:
        read(tmp_path / "t.turnlog", written([(form.HEADER, b"x")]).replace(b"\r\n", b"\n"))
    assert refused.value.code == "TL412"


def test_a_head_that_claims_much_takes_no_memory(tmp_path: Path) -> None:
    """A forged head of 4 GiB, its CRC right, is a cut file; what a small file inflates to is bounded by its head."""
    path = tmp_path / "forged.turnlog"
    head = struct.pack(">cBIII", b"E", 1, 1, 2**32 - 1, 2**32 - 1)
    damage = read(path, form.PRELUDE + head + struct.pack(">I", zlib.crc32(head)) + b"few")
    assert isinstance(damage, form.Damage) and damage.error.code == "TL413"
    bomb = form.Block(b"E", 1, 1, 1000, zlib.compress(bytes(10_000_000)), b"", 0)
    assert sum(map(len, form.records(bomb))) <= 1000


def test_a_kind_that_is_not_known_asks_for_a_newer_turnlog(tmp_path: Path) -> None:
    """A whole block of another kind is TL405."""
    damage = read(tmp_path / "newer.turnlog", written([(b"X", b"something new")]))
    assert isinstance(damage, form.Damage) and damage.error.code == "TL405"


def test_blocks_cannot_change_places(tmp_path: Path) -> None:
    """Each check covers the one before it: two whole blocks swapped do not pass."""
    first, second = written([(form.EVENTS, b"a" * 30)]), written([(form.EVENTS, b"a" * 30), (form.MEDIA, b"b" * 30)])
    one, two = first[len(form.PRELUDE) :], second[len(first) :]
    assert read(tmp_path / "ok.turnlog", form.PRELUDE + one + two) == [(form.EVENTS, b"a" * 30), (form.MEDIA, b"b" * 30)]
    damage = read(tmp_path / "swapped.turnlog", form.PRELUDE + two + one)
    assert isinstance(damage, form.Damage) and damage.error.code == "TL414"


def test_what_is_left_of_a_damaged_block_can_be_looked_at(tmp_path: Path) -> None:
    """A cut block still gives the records that stand before the cut."""
    whole = [(form.EVENTS, os.urandom(50)) for _ in range(20)]
    data = written(whole)
    damage = read(tmp_path / "cut.turnlog", data[: len(data) // 2])
    assert isinstance(damage, form.Damage)
    left = list(form.records(damage))
    assert 5 < len(left) < 20 and left == [record for _, record in whole[: len(left)]]
