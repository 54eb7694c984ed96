"""The engine's clock."""

import time

from turnlog.engine.clock import Clock


def test_the_clock_tells_wall_time_and_never_goes_back() -> None:
    """Nanoseconds since the Unix epoch, close to the host's at the start, and never less than before."""
    before = time.time_ns()
    clock = Clock()
    readings = [clock.now_ns() for _ in range(1000)]
    assert abs(readings[0] - before) < 1_000_000_000
    assert readings == sorted(readings)


def test_a_correction_of_the_hosts_time_changes_nothing(monkeypatch: object) -> None:
    """After construction the wall clock is not read again."""
    clock = Clock()
    wall = time.time_ns
    try:
        time.time_ns = lambda: 0
        assert clock.now_ns() > 1_600_000_000_000_000_000
    finally:
        time.time_ns = wall
