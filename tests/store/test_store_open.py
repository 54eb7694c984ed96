"""URLs, and files that are not what they should be."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from turnlog.core.errors import StoreError
from turnlog.core.ports import Draft, SessionRow
from turnlog.store import Store, open_store, sqlite
from turnlog.store.connect import store_error

__all__: list[str] = []

Rows = Callable[..., SessionRow]


def opened(url: str | Path) -> None:
    """Open it and close it."""
    asyncio.run(open_store(url).close())


def refused(url: str | Path, **options: str) -> StoreError:
    """The error that opening gives."""
    with pytest.raises(StoreError) as error:
        open_store(url, **options)  # type: ignore[arg-type]  # bad values on purpose
    assert error.value.hint
    return error.value


def frozen_refusal(path: Path) -> sqlite3.OperationalError:
    """SQLite's own error where nothing may be written."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as frozen:
        with pytest.raises(sqlite3.OperationalError) as refusal:
            frozen.execute("CREATE TABLE t (n)")
    return refusal.value


@pytest.mark.parametrize(
    "url", ["postgres://x/y", "sqlite://", "sqlite:///", "sqlite://host/x.db", "memory://x", "", "sqlite:///a?b=c"]
)
def test_an_url_of_no_store_is_refused(url: str) -> None:
    """TL404 and a hint with the known shapes."""
    error = refused(url)
    assert error.code == "TL404" and "sqlite:///" in error.hint


def test_relative_absolute_and_bare_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes are relative, four absolute, a path is itself; odd characters need no care."""
    monkeypatch.chdir(tmp_path)
    opened("sqlite:///relative.db")
    opened(f"sqlite:///{tmp_path}/absolute.db")
    opened("bare.db")
    opened("sqlite:///a%20b.db")
    opened(tmp_path / "odd ?#%20.db")
    made = {file.name for file in tmp_path.iterdir() if file.suffix == ".db"}
    assert made == {"relative.db", "absolute.db", "bare.db", "a b.db", "odd ?#%20.db"}


def test_unknown_durability_is_refused(path: Path) -> None:
    """Neither "normal" nor "full": TL404, and no file is made."""
    assert refused(path, durability="maximum").code == "TL404"
    assert not path.exists()


def test_full_durability_opens(path: Path) -> None:
    """durability="full" is known."""
    asyncio.run(open_store(path, durability="full").close())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A path into a folder that is not there gives TL404."""
    error = refused(tmp_path / "none" / "log.db")
    assert error.code == "TL404" and "none" in error.message


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    """A path that is a folder gives TL404."""
    assert refused(tmp_path).code == "TL404"


def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    """TL404, the bytes stay, and its lock is let go."""
    text = b"these are my notes, not a database. " * 100
    path.write_bytes(text)
    assert refused(path).code == "TL404"
    assert refused(path).code == "TL404"
    assert path.read_bytes() == text


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="lists open files as Linux does")
def test_a_refused_file_is_closed_at_once(path: Path) -> None:
    """Whoever keeps the error keeps no open file by it."""
    path.write_bytes(b"no database" * 1000)
    error = refused(path)
    links = Path("/proc/self/fd").iterdir()
    held = [target for link in links if os.path.lexists(link) and (target := os.readlink(link)).startswith(str(path))]
    assert error.__cause__ is not None and held == []


def test_another_programs_database_is_refused(path: Path) -> None:
    """A SQLite file with other tables gives TL404 and gets none of ours."""
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (text)")
    other.close()
    assert "no turnlog store" in refused(path).message


def test_a_damaged_file_is_refused(path: Path) -> None:
    """A store whose first pages were overwritten gives TL404."""
    opened(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8000)
    assert refused(path).code == "TL404"


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    """A file of no bytes, as mktemp leaves it, is taken."""
    path.touch()
    opened(path)
    assert path.stat().st_size > 0


def test_one_process_opens_a_file_once(path: Path) -> None:
    """A second store on the same file in the same process is refused, also through a symlink."""

    async def twice() -> None:
        first = open_store(path)
        try:
            assert "this process itself" in refused(path).message
            link = path.with_name("link.db")
            link.symlink_to(path)
            assert refused(link).code == "TL401"
        finally:
            await first.close()

    asyncio.run(twice())
    opened(path)


async def test_a_reader_reads_beside_the_owner_and_writes_nothing(
    path: Path, sqlite: Store, row: Rows, draft: Callable[..., Draft]
) -> None:
    """read_only=True opens an owned file, sees what is committed, and refuses every write with TL410."""
    head = await sqlite.append(await sqlite.create(row()), [draft()])
    reader = open_store(path, read_only=True)
    assert [event.seq async for event in reader.read("s1")] == [1]
    writes = [
        reader.create(row("s2")),
        reader.append(head, [draft()]),
        reader.claim("s1"),
        reader.add_caller(b"h", "s1", expires_ns=1),
    ]
    for result in await asyncio.gather(*writes, return_exceptions=True):
        assert isinstance(result, StoreError) and result.code == "TL410"
    await sqlite.append(head, [draft()])
    assert [event.seq for event in reader.scan("s1")] == [1, 2]
    await reader.close()
    assert [r.session for r in await reader.sessions()] == ["s1"]


def test_a_reader_makes_no_file(path: Path) -> None:
    """read_only=True on a path where nothing is gives TL404."""
    with pytest.raises(StoreError) as error:
        open_store(path, read_only=True)
    assert error.value.code == "TL404" and not path.exists()


def test_a_reader_refuses_what_is_no_store(path: Path) -> None:
    """read_only=True on an empty file or on other bytes gives TL404."""
    path.touch()
    with pytest.raises(StoreError, match="holds no turnlog store"):
        open_store(path, read_only=True)
    path.write_bytes(b"notes " * 1000)
    with pytest.raises(StoreError) as error:
        open_store(path, read_only=True)
    assert error.value.code == "TL404"


def test_a_file_where_nothing_may_be_written_says_what_reading_needs(path: Path) -> None:
    """SQLite's own refusal, met while reading, is TL404 and tells to copy the file; met while writing it is TL406."""
    opened(path)
    refusal = frozen_refusal(path)
    read, written = store_error(refusal, path, reading=True), store_error(refusal, path)
    assert (read.code, written.code) == ("TL404", "TL406")
    assert "copy the file" in read.hint and "permissions" in written.hint


def test_opening_for_reading_says_what_reading_needs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """read_only=True where SQLite may not make its files is TL404 and tells to copy the file: nobody wanted to write."""
    opened(path)
    refusal = frozen_refusal(path)

    def refuse(_: Path) -> sqlite3.Connection:
        raise refusal

    monkeypatch.setattr(sqlite, "open_reader", refuse)  # a test that is run by root has no folder that it may not write to
    with pytest.raises(StoreError) as error:
        open_store(path, read_only=True)
    assert error.value.code == "TL404" and "copy the file" in error.value.hint


@pytest.mark.parametrize("read_only", [True, False])
def test_a_path_that_the_system_refuses_to_look_at_is_refused(tmp_path: Path, read_only: bool) -> None:
    """A name that is too long (as a folder that one may not enter) gives TL404 with the system's reason."""
    with pytest.raises(StoreError, match="File name too long") as error:
        open_store(tmp_path / ("x" * 300) / "x.db", read_only=read_only)
    assert error.value.code == "TL404" and "folders" in error.value.hint


def test_a_file_that_may_not_be_opened_is_told_from_a_folder_that_is_not_there(path: Path) -> None:
    """SQLite's "unable to open" of a file that is there sends the user to the file's permissions, not to its folder."""
    with pytest.raises(sqlite3.OperationalError) as refusal:
        sqlite3.connect(path / "none" / "x.db")
    absent = store_error(refusal.value, path)
    path.touch()
    there = store_error(refusal.value, path)
    assert (absent.code, there.code) == ("TL404", "TL404")
    assert "must exist" in absent.hint and "must exist" not in there.hint and "permissions" in there.hint
