"""Whether what a caller's microphone hears can be the echo of what is being played. Pure arithmetic over levels.

Strategy: an echo is what was played some constant time ago, at most so loud. Each delay that it may have is a hypothesis; a frame
that is louder than a hypothesis allows speaks against it. Somebody speaks when for long enough no hypothesis explains what is
heard. So the pauses between the words that are played leave room for a voice that is no louder than they are, which one bound
above all of them would not.
"""

from collections import deque

from .levels import FRAME_MS

__all__ = ["COUPLING", "Detector", "Played"]

COUPLING = 0.63
"""What an echo may keep of the level of what is played, until it is known better: an echo of -6 dB, and a quarter."""
_DELAYS = range(-2, 21)  # in frames: the clocks' error, up to the 400 ms that network, buffers and room may take
_SPREAD = 0.7  # how much of a frame's level a room may still have a frame later
_FLOOR = 100  # -50 dB: quieter is nobody
_ABOVE_NOISE = 3  # times the steady noise of the place
_NOISIEST = 250  # -42 dB: a place is not noisier, or a voice that is there from the first frame on would be its noise
_FORGET_MS = 3  # of doubt that a frame takes back from a hypothesis that explains it
_MOST_MS = 300  # of doubt: a delay that changes must become believable again
_SETTLES = 20  # frames until the echo of what begins to sound must have come; what is newer says nothing of the coupling
_KNOWN, _KEPT = 40, 80  # frames from which the coupling is known, and of which it is
_MARGIN = 2.5  # of single frames over the mean of all
_LEAST = 0.16


class Played:
    """The levels of what is being played, by slots of a frame on the play clock."""

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: dict[int, int] = {}

    def add(self, starts_ns: int, levels: list[int]) -> None:
        """Audio that sounds from `starts_ns` on. A frame that begins within a slot reaches into the next."""
        slot = starts_ns // _FRAME_NS
        known = self._levels
        for level in levels:
            for at in (slot, slot + 1):
                if level > known.get(at, 0):
                    known[at] = level
            slot += 1

    def at(self, slot: int) -> int:
        """The level in a slot."""
        return self._levels.get(slot, 0)

    def bounds(self, slot: int, coupling: float) -> list[float]:
        """For each delay how loud an echo may be in `slot`: rooms hold on to what they hear."""
        first = slot - _DELAYS[-1]
        known = self._levels
        bounds, held = [], 0.0
        for at in range(first - 3, slot - _DELAYS[0] + 1):
            held = max(known.get(at, 0) * coupling, held * _SPREAD)
            if at >= first:
                bounds.append(held)
        return bounds

    def forget(self, before: int, after: int) -> None:
        """Drop what no echo can be of any more, or what was never played."""
        self._levels = {slot: level for slot, level in self._levels.items() if before <= slot <= after}


class Detector:
    """One caller's microphone while something sounds. A new one for each stretch, since rooms and headsets change."""

    __slots__ = ("_against", "_noise", "_past")

    def __init__(self) -> None:
        self._against = [0.0] * len(_DELAYS)
        self._noise: deque[int] = deque(maxlen=1500 // FRAME_MS)
        self._past: deque[tuple[int, int]] = deque(maxlen=_KEPT + _SETTLES)  # level heard, level played

    def hear(self, slot: int, level: int, played: Played) -> int:
        """One frame; returns for how many ms nothing but a voice explains what is heard."""
        self._noise.append(level)
        if level <= max(_FLOOR, _ABOVE_NOISE * min(_NOISIEST, *self._noise)):
            self._against = [max(0.0, ms - _FORGET_MS) for ms in self._against]
        else:
            self._against = [
                min(_MOST_MS, ms + FRAME_MS) if level > bound else max(0.0, ms - _FORGET_MS)
                for ms, bound in zip(self._against, played.bounds(slot, self._coupling()), strict=True)
            ]
        self._past.append((level, played.at(slot)))
        return int(min(self._against))

    def forget_doubt(self) -> None:
        """What was heard so far speaks against nothing any more; how loud the echo is here stays known."""
        self._against = [0.0] * len(_DELAYS)

    def _coupling(self) -> float:
        """What an echo keeps here, by the mean of what was heard and played some time ago: before who speaks now began to."""
        known = list(self._past)[:-_SETTLES]
        sounded = sum(out for _, out in known)
        if len(known) < _KNOWN or not sounded:
            return COUPLING
        return max(_LEAST, min(COUPLING, _MARGIN * sum(heard for heard, _ in known) / sounded))


_FRAME_NS = FRAME_MS * 1_000_000
