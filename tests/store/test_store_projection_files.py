"""A projection's file changes whole or not at all, and readers find the build that serves."""

import sqlite3
from pathlib import Path

import pytest

from turnlog.core.errors import StoreError
from turnlog.store.projection_file import (
    Checkpoint,
    DeadLetter,
    ProjectionFile,
    file_error,
    is_poison,
    read_checkpoint,
    read_dead_letters,
)
from turnlog.store.projection_folder import ProjectionFolder

__all__: list[str] = []

START = Checkpoint("talk", 1, "feed", "feed.0.")


@pytest.fixture
def folder(tmp_path: Path) -> ProjectionFolder:
    """Where builds may be made."""
    (tmp_path / "projections").mkdir()
    return ProjectionFolder(tmp_path / "projections")


def build(folder: ProjectionFolder, checkpoint: Checkpoint = START, *, value: str = "x") -> Path:
    """A new build of a table with one row."""
    _, path = folder.free(checkpoint.name)
    file = ProjectionFile(path)
    file.make(("CREATE TABLE talk (value TEXT)",), checkpoint)
    file.execute("INSERT INTO talk VALUES (?)", (value,))
    file.close()
    return path


def test_a_made_file_holds_its_checkpoint(folder: ProjectionFolder) -> None:
    """What was saved is read back by others, field by field."""
    path = build(folder, START._replace(status="stopped", error="why", serving=True))
    assert read_checkpoint(path) == Checkpoint("talk", 1, "feed", "feed.0.", "stopped", "why", True)


def test_a_file_whose_making_failed_holds_nothing(tmp_path: Path) -> None:
    """Tables that SQLite refuses leave no checkpoint behind: such a file is no build."""
    file = ProjectionFile(tmp_path / "talk.1.db")
    with pytest.raises(StoreError):
        file.make(("CREATE TABLE good (a)", "CREATE TABLE bad"), START)
    assert file.execute("SELECT name FROM sqlite_master") == []
    file.close()
    assert read_checkpoint(tmp_path / "talk.1.db") is None


def test_a_transaction_is_taken_back_whole(folder: ProjectionFolder) -> None:
    """Rows and checkpoint of a transaction that raised are as they were."""
    path = build(folder)
    file = ProjectionFile(path)
    with pytest.raises(RuntimeError), file.transaction():
        file.execute("INSERT INTO talk VALUES ('y')")
        file.save(START._replace(cursor="feed.9.aa"))
        raise RuntimeError
    assert file.execute("SELECT value FROM talk") == [("x",)]
    file.close()
    assert read_checkpoint(path) == START


def test_an_attempt_is_taken_back_alone(folder: ProjectionFolder) -> None:
    """What raised inside a transaction leaves the rest of it."""
    file = ProjectionFile(build(folder))
    with file.transaction():
        file.execute("INSERT INTO talk VALUES ('before')")
        with pytest.raises(RuntimeError), file.attempt():
            file.execute("INSERT INTO talk VALUES ('within')")
            raise RuntimeError
        file.execute("INSERT INTO talk VALUES ('after')")
    assert file.execute("SELECT value FROM talk") == [("x",), ("before",), ("after",)]
    file.close()


def test_dead_letters_are_kept_once(folder: ProjectionFolder) -> None:
    """The same event buried twice is one letter, and letters come in the order of the feed."""
    path = build(folder, START._replace(serving=True))
    letters = [DeadLetter(pos, "s", pos, "TurnEnded", "bad", 5) for pos in (7, 3, 7)]
    file = ProjectionFile(path)
    with file.transaction():
        for letter in letters:
            file.bury(letter)
    file.close()
    assert read_dead_letters(path) == folder.dead_letters("talk") == [letters[1], letters[0]]


def test_readers_take_the_newest_build_that_serves(folder: ProjectionFolder) -> None:
    """A newer build that does not serve yet is not read; by the commit that marks it, it is."""
    build(folder, START._replace(serving=True), value="old")
    path = build(folder, value="new")
    assert folder.query("talk", "SELECT value FROM talk") == [("old",)]
    file = ProjectionFile(path)
    with file.transaction():
        file.save(START._replace(serving=True))
    file.close()
    assert folder.query("talk", "SELECT value FROM talk WHERE value = ?", ("new",)) == [("new",)]
    assert [one.number for one in folder.builds("talk")] == [2, 1]


def test_a_query_finds_the_new_build_when_the_old_one_goes(folder: ProjectionFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may be dropped between choosing and opening it: then the choice is made again."""
    build(folder, START._replace(serving=True), value="old")
    choose = ProjectionFolder.serving

    def choose_late(self: ProjectionFolder, name: str) -> object:
        chosen = choose(self, name)
        if chosen.number == 1:
            build(folder, START._replace(serving=True), value="new")
            folder.drop(chosen)
        return chosen

    monkeypatch.setattr(ProjectionFolder, "serving", choose_late)
    assert folder.query("talk", "SELECT value FROM talk") == [("new",)]


def test_a_query_cannot_write(folder: ProjectionFolder) -> None:
    """Reading opens the tables for reading."""
    build(folder, START._replace(serving=True))
    with pytest.raises(StoreError, match="readonly"):
        folder.query("talk", "DELETE FROM talk")
    with pytest.raises(StoreError, match="no such table") as wrong:
        folder.query("talk", "SELECT * FROM nix")
    assert wrong.value.code == "TL404"


@pytest.mark.parametrize(
    ("checkpoint", "said"),
    [
        (None, "there is no projection 'talk'"),
        (START, "is still being built"),
        (START._replace(status="stopped", error="KeyError: 5"), "stopped before it was built: KeyError: 5"),
    ],
)
def test_what_cannot_be_read_says_why(folder: ProjectionFolder, checkpoint: Checkpoint | None, said: str) -> None:
    """Unknown, unfinished and stopped projections are TL417, each in its own words."""
    if checkpoint is not None:
        build(folder, checkpoint)
    with pytest.raises(StoreError, match=said) as refused:
        folder.query("talk", "SELECT 1")
    assert refused.value.code == "TL417" and refused.value.hint


def test_one_process_writes(folder: ProjectionFolder) -> None:
    """A second lock is TL401 with the owner's pid; a folder that cannot be made is TL404."""
    lock = folder.lock()
    with pytest.raises(StoreError, match="this process itself") as refused:
        folder.lock()
    lock.release()
    assert refused.value.code == "TL401"
    with pytest.raises(StoreError) as unmade:
        ProjectionFolder(folder.path / "no" / "where").lock()
    assert unmade.value.code == "TL404"


def test_other_files_are_no_builds(folder: ProjectionFolder) -> None:
    """Names of another form are left alone; a damaged build has no checkpoint."""
    for name in ("notes.txt", "Talk.1.db", "talk.db", "talk.one.db"):
        (folder.path / name).write_text("mine")
    (folder.path / "talk.1.db").write_text("this is no database at all, but long enough to be read as one" * 20)
    assert [(one.name, one.number, one.checkpoint) for one in folder.builds()] == [("talk", 1, None)]
    assert folder.free("talk")[0] == 2


def test_a_build_of_another_form_is_none_of_ours(folder: ProjectionFolder) -> None:
    """A file whose own tables have another form is built anew, not read."""
    path = build(folder)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    assert read_checkpoint(path) is None


def full() -> sqlite3.Error:
    """The error of a database that may not grow, from SQLite itself."""
    raw = sqlite3.connect(":memory:")
    raw.execute("PRAGMA max_page_count = 2")
    try:
        raw.execute("CREATE TABLE a (b)")
        raw.execute("INSERT INTO a VALUES (zeroblob(100000))")
    except sqlite3.Error as error:
        return error
    finally:
        raw.close()
    raise AssertionError("it grew")


def test_a_full_disk_is_not_the_events_fault() -> None:
    """What SQLite says of the disk is no poison and becomes TL406; what it says of a statement is poison."""
    assert not is_poison(full())
    assert file_error(full(), Path("x")).code == "TL406"
    assert is_poison(sqlite3.IntegrityError("UNIQUE")) and is_poison(KeyError("x"))


def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A build in a folder that is not there is TL404 with its path; so is one that is damaged."""
    with pytest.raises(StoreError, match=r"talk\.1\.db") as missing:
        ProjectionFile(tmp_path / "nowhere" / "talk.1.db")
    damaged = tmp_path / "talk.1.db"
    damaged.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="built again from the log") as broken:
        ProjectionFile(damaged)
    assert missing.value.code == broken.value.code == "TL404"
    for read in (read_dead_letters,):
        with pytest.raises(StoreError):
            read(damaged)
