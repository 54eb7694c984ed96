"""What holds for the whole suite: its two passes, the `needs` marker, no silent skips in CI, the counts at the end.

Wire tests run on the project's own recordings (tests/recordings) always, and on the captures of real services under
TURNLOG_CAPTURES where that is set; they parametrize over the files that are there.
"""

import gc
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tools import debian

pytest_plugins = [
    "tests.speech_fixtures",  # real voices and engines, for every folder
    "_turnlog_pytest",  # the checkout's, also where turnlog is not installed
]

# Hypothesis would fail an example that took 200 ms: with other tests beside it that says nothing of the example.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE / "recordings"
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed")
EMPTY_SET = "got empty parameter set"  # pytest's words for a test parametrized over no file


def captures_folder() -> Path | None:
    """The folder of captures, None if the variable is not set."""
    named = os.environ.get("TURNLOG_CAPTURES")
    return Path(named) if named else None


@pytest.fixture
def unused_tcp_port() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else gets meanwhile: other tests of this machine take free ones too."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """What tools/suite.py asks for."""
    parser.addoption("--pass", dest="which_pass", choices=("parallel", "realtime"), help="only the tests of this pass")
    parser.addoption("--tally", type=Path, help="write how many tests ended in which way to this file")


def pytest_collection_finish() -> None:
    """Let stock aiortc peers meet over loopback where there is nothing else: they leave it out, and could not be reached."""
    aioice = sys.modules.get("aioice.ice")
    if aioice is not None and not aioice.get_host_addresses(use_ipv4=True, use_ipv6=True):
        setattr(aioice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])  # noqa: B010 -- a module's own name


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """In the realtime pass, leave out the files that name no such test: to import them all takes 12 s."""
    if config.getoption("which_pass") != "realtime" or not collection_path.name.startswith("test_"):
        return None
    return True if collection_path.is_file() and "mark.realtime" not in collection_path.read_text(encoding="utf-8") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of one pass: those that are marked `realtime`, or all others."""
    wanted = config.getoption("which_pass")
    if wanted is None:
        return
    others = [item for item in items if (item.get_closest_marker("realtime") is None) == (wanted == "realtime")]
    if others:
        config.hook.pytest_deselected(items=others)
        left = set(others)
        items[:] = [item for item in items if item not in left]
    items.sort(key=lambda item: item.path.parent != HERE)  # these files take long each: none is to be left for the end


def pytest_runtestloop(session: pytest.Session) -> None:
    """Real time is not stopped for 0.2 s to look for garbage among the tests themselves: as `turnlog serve` does with an app."""
    if session.config.getoption("which_pass") == "realtime":
        gc.collect()
        gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """A TURNLOG_CAPTURES without captures would turn tests off without a word: refuse it."""
    folder = captures_folder()
    if folder is not None and not any(folder.rglob("*.jsonl")):
        raise pytest.UsageError(f"TURNLOG_CAPTURES names {folder}, where there is no *.jsonl; unset it or correct it")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a test whose Debian package is absent."""
    packages = {package.name: package for package in debian.DEBIAN}
    for name in (str(name) for marker in item.iter_markers("needs") for name in marker.args):
        if packages[name].present():
            continue
        if debian.required():
            pytest.fail(f"the Debian package {name} is missing, and here (CI) nothing may be skipped", pytrace=False)
        pytest.skip(f"needs {name}: apt-get install {name} ({packages[name].elsewhere})")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where everything is required, a skipped test is a failure of the run."""
    if exitstatus == pytest.ExitCode.OK and debian.required() and forbidden_skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the wire tests ran on, and which skips made a run fail."""
    folder = captures_folder()
    own = len(list(RECORDINGS.rglob("*.jsonl")))
    captures = len(list(folder.rglob("*.jsonl"))) if folder else 0
    where = f"from {folder}" if folder else "TURNLOG_CAPTURES is not set"
    terminalreporter.write_line(f"wire recordings: {own} of the project's own; captures of real services: {captures} ({where})")
    if debian.required():
        for reason in forbidden_skips(config):
            terminalreporter.write_line(f"skipped where nothing may be: {reason}", red=True)
    if tally := config.getoption("tally"):
        told = {outcome: len(terminalreporter.stats.get(outcome, ())) for outcome in OUTCOMES}
        tally.write_text(json.dumps({outcome: count for outcome, count in told.items() if count}))


def forbidden_skips(config: pytest.Config) -> list[str]:
    """What was skipped, except for tests on captures where there are none to run on."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    reasons = [f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}" for report in reports]
    return [reason for reason in reasons if not (EMPTY_SET in reason and captures_folder() is None)]
