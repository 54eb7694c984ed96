"""The ledger of what sounds: per response and part the audio received, delivered and played, by the play clock.

Pure arithmetic in whole nanoseconds; time comes in as arguments. From its delivery on, audio takes as long to play as it
lasts, behind what was delivered before it: `end = max(end, now) + duration`. So a gap in the delivery is never counted as heard.
Invariant, for every part: played <= delivered <= received, and none of them ever falls.
"""

from collections import deque

from ...core.ports import PartHead, Playhead

__all__ = ["Part", "PlayClock", "Response"]

_MS = 1_000_000
_MANY_SPANS = 16  # of which most have been played, though nobody asked
_ROUNDING_NS = 10_000  # what the rounding of single pieces to whole ns may have taken away is no millisecond less


class Part:
    """One part (item, content index) of a response; durations in ns."""

    __slots__ = ("delivered", "item", "played", "received", "response", "words")

    def __init__(self, response: "Response", item: str, content_index: int) -> None:
        self.response = response
        self.item = item, content_index
        self.received = 0
        self.delivered = 0
        self.played = 0
        self.words = ""

    def head(self) -> PartHead:
        """The part as the core sees it, in ms."""
        return PartHead(
            item=self.item[0],
            content_index=self.item[1],
            received_ms=_ms(self.received),
            delivered_ms=_ms(self.delivered),
            played_ms=_ms(self.played),
            words=self.words,
        )


class Response:
    """What is known of one response. Its parts stand in the order in which their first audio came, parts of words last."""

    __slots__ = ("_parts", "_sounded", "arrived_ns", "dead", "ended", "ends_ns", "queued")

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], Part] = {}
        self._sounded: list[Part] = []
        self.arrived_ns = 0
        self.ends_ns = 0  # when all that was delivered of it will have been played; 0: nothing was
        self.queued = 0  # how many of its pieces wait for their time
        self.ended = False  # the provider sends nothing more of it
        self.dead = False  # nothing more of it is delivered

    def part(self, item: str, content_index: int) -> Part:
        """The part of that name."""
        known = self._parts.get((item, content_index))
        if known is None:
            known = self._parts[item, content_index] = Part(self, item, content_index)
        return known

    def received(self, part: Part, ns: int) -> None:
        """Count audio that came from the provider."""
        if not part.received and part not in self._sounded:  # its first piece may have been empty
            self._sounded.append(part)
        part.received += ns

    def let_go(self) -> None:
        """It is asked for no more. Its parts know it still, as long as something of them is counted."""
        self._parts.clear()
        self._sounded.clear()

    def playhead(self, error_ms: int) -> Playhead:
        """Where it stands, once the clock was settled."""
        silent = [part for part in self._parts.values() if not part.received]
        was_delivered = self.ends_ns > 0
        return Playhead(
            parts=[part.head() for part in (*self._sounded, *silent)],
            source="clock" if was_delivered else "none",
            error_ms=error_ms if was_delivered else 0,
            ends_ns=self.ends_ns,
            waiting=self.queued > 0,
            arrived_ns=self.arrived_ns,
        )


class _Span:
    """So many ns that were delivered of one part, or of no part."""

    __slots__ = ("ns", "part")

    def __init__(self, part: Part | None, ns: int) -> None:
        self.part = part
        self.ns = ns


class PlayClock:
    """The one mouth: what was delivered and, by the clock, has not been played yet.

    Strategy: nothing is attributed when audio is delivered, but when somebody asks; a delivery is four additions.
    """

    __slots__ = ("_ahead", "_spans", "end_ns")

    def __init__(self) -> None:
        self.end_ns = 0  # when all that was delivered will have been played
        self._spans: deque[_Span] = deque()  # delivered, not attributed; no part: nobody was there
        self._ahead = 0  # ns of all spans

    def ahead_ns(self, now_ns: int) -> int:
        """How much of what was delivered is still to be played."""
        return max(0, self.end_ns - now_ns)

    def add(self, part: Part | None, ns: int, now_ns: int) -> None:
        """Audio goes out now; `part` is None where nobody is there to hear it."""
        self.end_ns = end_ns = (self.end_ns if self.end_ns > now_ns else now_ns) + ns
        self._ahead += ns
        spans = self._spans
        if spans and spans[-1].part is part:
            spans[-1].ns += ns
        else:
            spans.append(_Span(part, ns))
            if len(spans) > _MANY_SPANS:
                self.settle(now_ns)
        if part is not None:
            part.response.ends_ns = end_ns

    def settle(self, now_ns: int) -> None:
        """Attribute what has been played until now to its parts. A dead response's parts stay as they were at its cut."""
        played = self._ahead - self.ahead_ns(now_ns)
        while played > 0 and self._spans:
            span = self._spans[0]
            part, taken = span.part, min(played, span.ns)
            span.ns -= taken
            if not span.ns:
                self._spans.popleft()
            if part is not None and not part.response.dead:
                part.played += taken
            played -= taken
            self._ahead -= taken

    def drop(self, response: Response, now_ns: int) -> None:
        """A response that has just been cut is heard no further: what stood last in the mouth makes room."""
        response.ends_ns = min(response.ends_ns, now_ns)
        while self._spans and (part := self._spans[-1].part) is not None and part.response.dead:
            ns = self._spans.pop().ns
            self._ahead -= ns
            self.end_ns -= ns


def _ms(ns: int) -> int:
    return (ns + _ROUNDING_NS) // _MS
