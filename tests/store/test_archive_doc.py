"""docs/reference/archive.md is the format: the reader printed there reads what turnlog writes."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from turnlog.core.ports import SessionRow
from turnlog.store import open_archive
from turnlog.store.archive_format import BLOCK_SIZE, PRELUDE
from turnlog.store.archive_survey import ArchivedSession

__all__: list[str] = []

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "archive.md").read_text(encoding="utf-8")
LOGS = sorted((ROOT / "tests" / "golden").rglob("*.turnlog"))

Reader = Callable[[Path], Iterator[tuple[str, Any]]]


@pytest.fixture
def read() -> Reader:
    """The page's own reader."""
    scope: dict[str, Any] = {}
    source = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def read_archive" in block)
    exec(source.replace('open(path, "rb").read()', "path.read_bytes()"), scope)  # the suite warns of files left open
    reader: Reader = scope["read_archive"]
    return reader


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_the_printed_reader_reads_what_is_written(path: Path, read: Reader) -> None:
    """Its records are the header, events, segments and counts that turnlog reads."""
    records, archive = list(read(path)), open_archive(path)
    by_kind = {kind: [value for one, value in records if one == kind] for kind in "HEMZ"}
    assert by_kind["E"] == [list(event) for event in archive.scan()]
    assert by_kind["M"] == [list(segment) for segment in archive.all_segments()]
    assert by_kind["Z"] == [{"events": len(by_kind["E"]), "segments": len(by_kind["M"])}]
    (header,) = by_kind["H"]
    assert SessionRow(*(header[name] for name in SessionRow._fields)) == archive.row


def test_the_printed_reader_finds_damage(read: Reader, tmp_path: Path) -> None:
    """Every 50th byte changed and every 50th cut raise ValueError, as the page says."""
    data, path = LOGS[0].read_bytes(), tmp_path / "x.turnlog"
    for at in range(0, len(data), 50):
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"archive|cut"):
                list(read(path))


def test_the_page_names_every_field_and_figure() -> None:
    """The header's keys, the first bytes and the size of a block stand on the page as they are."""
    assert all(f"`{name}`" in PAGE for name in ArchivedSession.__struct_fields__)
    assert PRELUDE[:-1].hex(" ").upper() in PAGE
    assert f"{BLOCK_SIZE // 1024} KiB" in PAGE
