"""Signals from outside: which keys have been received, so that one sent twice is one fact."""

from .. import events as e

__all__ = ["Signals"]


class Signals:
    """The keys of the signals received so far."""

    __slots__ = ("keys",)

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        if isinstance(event, e.SignalReceived) and event.key:
            self.keys.add(event.key)
