"""Logs of every version, recorded live by it, replay on this one."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from turnlog import replay
from turnlog.core.codec import decode
from turnlog.core.events import Event, SessionStarted
from turnlog.core.state import State
from turnlog.store import import_archive, open_archive, open_store

HERE = Path(__file__).parent
LOGS = sorted(HERE.rglob("*.turnlog"))
each_log = pytest.mark.parametrize("path", LOGS, ids=lambda path: f"{path.parent.name}/{path.stem}")


# The types by which a log of any version tells what a handler asked for and what came of it.
JOURNAL = {
    "AttemptFailed",
    "CallCompleted",
    "CallRequested",
    "CommandAbandoned",
    "EndRequested",
    "HandlerReturned",
    "InputRequested",
    "PatchMarked",
    "SayRequested",
    "SignalAwaited",
    "SignalReceived",
    "StepRequested",
    "StreamEnded",
    "StreamItem",
    "StreamRequested",
    "TimerFired",
    "UpdateApplied",
    "UpdateRequested",
}


# The types by which it tells of two sides that speak at once.
TALK = {
    "AnswersSwitched",
    "CallerCancelled",
    "CancelDispatched",
    "PlayoutCut",
    "PlayoutEnded",
    "ResponseDelivered",
    "SayCancelRequested",
    "SayRepeated",
    "SaySpoken",
    "SpeechConfirmed",
    "SpeechSustained",
    "ToolAnswered",
    "ToolRequested",
    "TruncateDispatched",
    "TurnDiscarded",
}


def handlers(folder: Path) -> ModuleType:
    """The module that recorded a folder's logs."""
    if "golden_recorder" not in sys.modules:
        spec = importlib.util.spec_from_file_location("golden_recorder", HERE / "record_golden.py")
        assert spec is not None and spec.loader is not None
        sys.modules["golden_recorder"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["golden_recorder"])
    loaded: ModuleType = sys.modules["golden_recorder"].load_handlers(folder)
    return loaded


def test_the_golden_logs_are_there() -> None:
    """Each kind of session of each version has its log."""
    found = {(path.parent.name, path.stem) for path in LOGS}
    assert found >= {("v0_1", name) for name in ("typed", "spoken", "failing", "journal")}
    assert ("v0_1_direct", "direct") in found
    assert found >= {("v0_1_talk", name) for name in ("barged", "echoing", "nodding", "switching")}


def test_a_golden_log_holds_the_whole_journal() -> None:
    """Every kind of command and completion is in a log of this version, so that none of them can change unseen."""
    assert {one.type for one in open_archive(HERE / "v0_1" / "journal.turnlog").scan()} >= JOURNAL


def test_golden_logs_hold_what_talk_brings() -> None:
    """Cuts, acknowledged and held speech, taken back and repeated says, the model's tools and a switch are in logs of 0.1."""
    logs = (HERE / "v0_1_talk").glob("*.turnlog")
    assert {one.type for path in logs for one in open_archive(path).scan()} >= TALK


def test_a_golden_log_holds_what_a_direct_call_brings() -> None:
    """Its buffer events, a cut's third step, a gap, an override and a response that nobody here asked for."""
    seen = {one.type for one in open_archive(HERE / "v0_1_direct" / "direct.turnlog").scan()}
    assert seen >= {"CallOpened", "PlayoutBuffered", "OutputClearDispatched", "ConfigurationOverridden"}
    assert seen >= {"LinkClosed", "ItemSeeded", "CancelDispatched"}


@each_log
def test_a_golden_log_replays(path: Path) -> None:
    """The handler as it was recorded asks for the same things, to the end of the log."""
    archive = open_archive(path)
    started = decode(next(archive.scan()))
    assert isinstance(started, SessionStarted)
    done = replay(archive.scan(), getattr(handlers(path.parent), started.handler.partition(":")[2]))
    assert done.complete and done.commands >= 2 and done.events == archive.row.head_seq


@each_log
def test_a_golden_log_reads_without_loss(path: Path) -> None:
    """Every event is of a known type, in a form of today, and folds into a state that has ended."""
    archive, state = open_archive(path), State()
    for recorded in archive.scan():
        event = decode(recorded)
        assert isinstance(event, Event)
        state.apply(recorded.seq, recorded.at_ns, event)
    assert state.life.phase.value == "ended"


@each_log
async def test_a_golden_log_verifies_and_is_taken_in(path: Path) -> None:
    """Its chain, digests and media verify, in the archive and in a store that takes it in."""
    archive, store = open_archive(path), open_store("memory://")
    await import_archive(store, archive)
    report = await store.verify(archive.row.session)
    assert report.ok and report == await archive.verify(archive.row.session)
    assert bool(report.segments) == (path.stem != "failing")
