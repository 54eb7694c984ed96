"""The benchmarks run, and say for each goal what was measured. Never what: a time is no test."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(script: str, *options: str) -> str:
    """What a benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_replay_is_measured_on_a_whole_log() -> None:
    """The log is written, read in four ways, and compared with the goal."""
    printed = run("bench_replay_read.py", "--quick")
    assert "goal replay reads at >= 75% of by hand, by CPU: measured" in printed
    assert all(name in printed for name in ("replayed", "by_hand", "bare_cursor", "semantic"))


def test_the_words_heard_are_measured_against_the_synthesiser() -> None:
    """At cuts all through spoken texts the estimate is off by at most two words in the median, and four at worst."""
    pytest.importorskip("piper", reason="the extra local is not installed")
    printed = run("bench_heard_words.py", "--quick")
    assert printed.splitlines()[-1].endswith(": met")


@pytest.mark.soak
def test_many_sessions_are_measured_from_other_processes() -> None:
    """Sessions that wait and sessions that talk run behind a real server, and every log verifies."""
    printed = run("bench_sessions.py", "--quick")
    assert "20 wait" in printed and "the same and 4 talk" in printed
    assert "goal append p99 while all of them run" in printed


@pytest.mark.soak
@pytest.mark.parametrize("name", ["turnlog", "turnlog-direct", "turnlog-alone", "floor"])
def test_the_live_loop_runs_and_its_logs_verify(name: str) -> None:
    """Paced sessions run through a contender; where there is a log it verifies and holds every message."""
    printed = run("bench_live_loop.py", "--quick", "--sessions", "4", "--only", name)
    assert "CPU us/event" in printed
    assert ("found in logs that verify" in printed) == name.startswith("turnlog")


@pytest.mark.soak
def test_the_proxy_is_measured_against_a_bare_relay() -> None:
    """Each size of message goes the three ways, and the goal is looked at."""
    printed = run("bench_proxy.py", "--quick")
    assert printed.count("turnlog / bare relay: added") == 3
    assert "goal a proxied event takes at most 1 ms more at p50" in printed


@pytest.mark.soak
def test_webrtc_is_measured_against_the_stock_media_path() -> None:
    """Both contenders hold their calls, in talk and in silence, and what both ends heard is compared."""
    printed = run("bench_webrtc.py", "--seconds", "12", "--rounds", "1", "--sessions", "2")
    assert "goal turnlog sessions a core, both talk" in printed
    assert "both talk: sessions a core, turnlog over stock" in printed
    assert printed.splitlines()[-1].endswith(": met")
