"""The playhead by the log alone, where nobody delivers audio: in forks, in re-decided turns, in tests of the core."""

from .ports import PartHead, Playhead
from .state import State

__all__ = ["ClockPlayheads"]

_MS = 1_000_000


class ClockPlayheads:
    """Playheads: all that was generated was delivered at once, and is heard from AudioStarted on, ms for ms."""

    def __init__(self, state: State) -> None:
        self._state = state

    def sample(self, response: str, now_ns: int) -> Playhead:
        """Where the playout of `response` stands by the clock."""
        one = self._state.playout.responses.get(response)
        if one is None or one.started_ns is None:
            return Playhead()
        elapsed_ms = max(0, now_ns - one.started_ns) // _MS
        if one.ended is None:
            part = PartHead(item="", received_ms=elapsed_ms, delivered_ms=elapsed_ms, played_ms=elapsed_ms)
            return Playhead(parts=[part], source="clock", ends_ns=now_ns, arrived_ns=one.started_ns)
        parts, left_ms = [], elapsed_ms
        for made in one.ended.parts:
            played_ms = min(left_ms, made.generated_ms)
            left_ms -= played_ms
            parts.append(
                PartHead(
                    item=made.item,
                    content_index=made.content_index,
                    received_ms=made.generated_ms,
                    delivered_ms=made.generated_ms,
                    played_ms=played_ms,
                    words=made.transcript,
                )
            )
        if not parts:
            ms = one.ended.generated_ms
            played_ms = min(elapsed_ms, ms)
            parts = [
                PartHead(item="", received_ms=ms, delivered_ms=ms, played_ms=played_ms, words=one.ended.transcript)
            ]
        ends_ns = one.started_ns + sum(part.delivered_ms for part in parts) * _MS
        return Playhead(parts=parts, source="clock", ends_ns=ends_ns, arrived_ns=one.started_ns)
