"""The one clock of a live engine: wall time that never goes back, in ns since the Unix epoch."""

import time

__all__ = ["Clock"]


class Clock:
    """The wall clock at construction, moved on by the monotonic one: a correction of the host's time cannot reorder events."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.perf_counter_ns()

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return self._offset_ns + time.perf_counter_ns()
