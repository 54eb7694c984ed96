"""Signals from outside: which keys have been received of late, so that one sent twice is one fact."""

from .. import events as e
from ..keys import remember

__all__ = ["Signals"]


class Signals:
    """The keys of the last signals that had one."""

    __slots__ = ("keys",)

    def __init__(self) -> None:
        self.keys: dict[str, bool] = {}

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        if isinstance(event, e.SignalReceived) and event.key:
            remember(self.keys, event.key, True)
