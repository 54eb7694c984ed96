"""assert_replays: recordings as tests."""

from pathlib import Path

import pytest

from tests.testing import desk
from tests.testing.desk import GREETING, app
from turnlog import RealtimeSession
from turnlog.testing import Call, Kit, assert_replays


async def a_turn(call: Call) -> None:
    """A greeting and an answer."""
    await call.caller.hears(GREETING)
    await call.caller.says("hello")
    await call.caller.hears("you said hello")


async def changed(session: RealtimeSession) -> None:
    """Another greeting than the recorded one."""
    await session.say("Reception, what do you want?")


@pytest.fixture
def recordings(turnlog: Kit, tmp_path: Path) -> Path:
    """A folder with a store of one call, and the same as an archive."""

    async def script(call: Call) -> None:
        await a_turn(call)
        await call.caller.hangs_up()
        await call.ended()
        await call.saves(tmp_path / "call.turnlog")

    turnlog.run(app, "hotel.desk", script, store=f"sqlite:///{tmp_path / 'calls.db'}")
    return tmp_path


def test_a_recording_replays_on_its_handler(recordings: Path) -> None:
    """The handler is found by its name in the log; the sessions replayed are returned."""
    found = assert_replays(recordings / "call*.*[bg]")
    assert [(one.status, one.target) for one in found] == [("identical", "hotel.desk")] * 2
    assert [done.status for done in assert_replays(str(recordings / "*.db"), handler=desk.desk)] == ["identical"]


async def test_it_works_inside_of_a_loop(recordings: Path) -> None:
    """An async test may ask for it too."""
    assert len(assert_replays(recordings / "calls.db")) == 1


def test_a_divergence_is_reported(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The assertion holds the file and the report: what was recorded, and what is asked for now."""
    monkeypatch.setattr(desk, "desk", changed)
    with pytest.raises(AssertionError) as failed:
        assert_replays(recordings / "*.db")
    told = str(failed.value)
    assert told.startswith("1 of 1 recorded sessions do not replay")
    assert "calls.db: TL101 divergence" in told and 'NOW       say("Reception, what do you want?")' in told


def test_no_recording_is_a_failure(tmp_path: Path) -> None:
    """A pattern that finds nothing must not pass, nor recordings of which none was replayed."""
    with pytest.raises(AssertionError, match="no recording is named"):
        assert_replays(tmp_path / "*.turnlog")


def test_recordings_that_are_all_skipped_are_a_failure(recordings: Path) -> None:
    """Recordings of another handler than the one that is asked about prove nothing."""
    with pytest.raises(AssertionError, match=r"nothing was replayed of 1 recordings: .*handler tests\.testing\.desk:desk"):
        assert_replays(recordings / "*.db", handler=changed)


def test_a_damaged_recording_is_a_failure(tmp_path: Path) -> None:
    """A file that is no recording fails by name."""
    (tmp_path / "bad.turnlog").write_bytes(b"nothing")
    with pytest.raises(AssertionError, match=r"bad\.turnlog: TL412"):
        assert_replays(tmp_path / "*.turnlog")
