"""What was said before the last 200 contributions: read from the log, as a step of the handler's."""

from collections.abc import Callable
from typing import Any

from ..core.codec import decode
from ..core.events import Erased, Unknown
from ..core.folds.conversation import Conversation
from .session_log import SessionLog

__all__ = ["EARLIER", "MAX_LINES", "reader"]

EARLIER = "turnlog:earlier"
"""The name of the step in the log."""

MAX_LINES = 1000


def reader(log: SessionLog) -> Callable[[int, int], list[list[Any]]]:
    """A function that reads the last `limit` contributions before an event, oldest first, as [seq, role, text]. Blocks."""

    def read(before: int, limit: int) -> list[list[Any]]:
        said = Conversation(limit)
        for recorded in log.scan(until=before - 1):
            event = decode(recorded)
            if not isinstance(event, Erased | Unknown):
                said.apply(recorded.seq, recorded.at_ns, event)
        return [list(line) for line in said.lines]

    return read
