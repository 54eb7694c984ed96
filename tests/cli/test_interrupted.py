"""Ctrl-C at any moment of a command: it leaves quietly, with 130."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = "import sys; from _turnlog_start import main; sys.exit(main())"  # what an installed `turnlog` is
MODULE = ["-m", "turnlog"]
MOMENTS = [  # each is a start of Python and the imports of a command: a second of a busy machine
    (MODULE, b"import 'turnlog.core.errors'"),
    (["-c", CONSOLE], b"import 'sqlalchemy'"),
    (["-c", CONSOLE], b"import 'turnlog.cli.main'"),
    (MODULE, b"import 'turnlog.cli.sessions'"),
]


def interrupted(start: list[str], folder: Path, behind: bytes) -> tuple[int, bytes]:
    """The exit code of a command that gets SIGINT when it has imported that module, and what it printed beside its imports."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE_"))}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONVERBOSE": "1"}
    command = [sys.executable, *start, "sessions", "--db", "none.db"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    printed = []
    with process.stdout as lines:
        for line in lines:
            if line.startswith(behind):
                process.send_signal(signal.SIGINT)
                break
        else:
            pytest.fail(f"{behind!r} is not imported")
        printed = [line for line in lines if not line.startswith((b"import ", b"# ", b"#\t"))]
    return process.wait(60), b"".join(printed).strip()


@pytest.mark.parametrize(("start", "behind"), MOMENTS)
def test_ctrl_c_while_it_is_imported_is_quiet(start: list[str], behind: bytes, tmp_path: Path) -> None:
    """Early, in the midst, and right before its work: no traceback, and the code of an interrupt."""
    assert interrupted(start, tmp_path, behind) == (130, b"")


HALF_MADE = """
import asyncio.unix_events, sys
def interrupted(*_):
    raise KeyboardInterrupt
asyncio.unix_events._UnixSelectorEventLoop.__init__ = interrupted
from _turnlog_start import main
sys.exit(main())
"""


def test_ctrl_c_while_an_event_loop_is_made_is_quiet(tmp_path: Path) -> None:
    """The loop that is half made and the coroutine that it was for say nothing when they are dropped."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE_"))}
    command = [sys.executable, "-c", HALF_MADE, "sessions", "--db", "none.db"]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60, check=False
    )
    assert (ran.returncode, (ran.stdout + ran.stderr).strip()) == (130, b"")
