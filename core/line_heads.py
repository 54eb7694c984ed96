"""Playheads where our end of every caller's line plays, as over WebRTC: by what it tells, not by when we delivered. Live only.

What such a line was handed before its peer has connected waits there. So of a response of which nothing was told nothing
has been heard, and one that began late ends late.
"""

from collections.abc import Iterable

import msgspec

from .folds.playout import Ack
from .ports import Playhead, Playheads
from .state import State

__all__ = ["UNTOLD_S", "LinePlayheads"]

UNTOLD_S = 20  # for so long after it should have played what it was handed a line may tell nothing
_ERROR_MS = 50
_S = 1_000_000_000
_MS = 1_000_000


class LinePlayheads:
    """Playheads: where every caller's line reports. Of others, and of what is not known here, `under` is asked."""

    def __init__(self, state: State, under: Playheads) -> None:
        self._state = state
        self._under = under

    def sample(self, response: str, now_ns: int) -> Playhead:
        """Where the playout of `response` stands."""
        head, one = self._under.sample(response, now_ns), self._state.playout.responses.get(response)
        if one is None or not one.is_told or not head.ends_ns:
            return head
        if one.acks:
            return msgspec.structs.replace(head, ends_ns=max(head.ends_ns, _ends_ns(one.acks.values(), head)))
        parts = [msgspec.structs.replace(part, played_ms=0) for part in head.parts]
        return msgspec.structs.replace(
            head, parts=parts, source="rtp", error_ms=_ERROR_MS, ends_ns=head.ends_ns + UNTOLD_S * _S
        )


def _ends_ns(acks: Iterable[Ack], head: Playhead) -> int:
    """When all that was delivered will have been played, from where the line was last."""
    told = list(acks)
    left_ms = sum(part.delivered_ms for part in head.parts) - sum(ack.played_ms for ack in told)
    return max(ack.at_ns for ack in told) + max(0, left_ms) * _MS
