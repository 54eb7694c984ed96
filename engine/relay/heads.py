"""Where playouts stand in a proxied session: what has passed is with the caller, and sounds ms for ms from its arrival on."""

from ...core import events as e
from ...core import signals as s
from ...core.ports import PartHead, Playhead

__all__ = ["RelayHeads"]

_ERROR_MS = 250  # of the way to a caller and its player's buffer nothing is known here
_MS = 1_000_000


class _Sounding:
    """What has passed of one response."""

    __slots__ = ("arrived_ns", "ends_ns", "ms", "words")

    def __init__(self) -> None:
        self.ms: dict[tuple[str, int], float] = {}
        self.words: dict[tuple[str, int], list[str]] = {}
        self.ends_ns = 0
        self.arrived_ns = 0


class RelayHeads:
    """See core.ports.Playheads."""

    def __init__(self) -> None:
        self._responses: dict[str, _Sounding] = {}

    def passed(self, signal: s.OutputAudio | s.OutputText, now_ns: int) -> None:
        """A piece of a response has passed."""
        one = self._responses.setdefault(signal.response, _Sounding())
        one.arrived_ns = now_ns
        key = signal.item, signal.content_index
        one.ms.setdefault(key, 0.0)
        if isinstance(signal, s.OutputAudio):
            one.ms[key] += signal.ms
            one.ends_ns = max(one.ends_ns, now_ns) + round(signal.ms * _MS)
        else:
            one.words.setdefault(key, []).append(signal.text)

    def forget(self, ended: e.PlayoutEnded) -> None:
        """A response is over."""
        self._responses.pop(ended.response, None)

    def sample(self, response: str, now_ns: int) -> Playhead:
        """Where the playout of `response` stands."""
        one = self._responses.get(response)
        if one is None:
            return Playhead()
        left_ms = max(0.0, sum(one.ms.values()) - max(0, one.ends_ns - now_ns) / _MS)
        parts = []
        for (item, index), ms in one.ms.items():
            played_ms = min(left_ms, ms)
            left_ms -= played_ms
            words = "".join(one.words.get((item, index), ()))
            parts.append(
                PartHead(
                    item=item,
                    content_index=index,
                    received_ms=round(ms),
                    delivered_ms=round(ms),
                    played_ms=round(played_ms),
                    words=words,
                )
            )
        sounds = one.ends_ns > 0
        return Playhead(
            parts=parts,
            source="clock" if sounds else "none",
            error_ms=_ERROR_MS if sounds else 0,
            ends_ns=one.ends_ns,
            arrived_ns=one.arrived_ns,
        )
