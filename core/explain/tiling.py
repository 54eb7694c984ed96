"""Laying stretches of time end to end: no hole, no overlap, and their milliseconds add up to the whole."""

from typing import Literal

import msgspec

from ..commands import Site

__all__ = ["Stretch", "StretchName", "Tiling"]

StretchName = Literal[
    "silence",  # the voice activity detection waits, to be sure that the turn is over
    "detection",  # from there to speech_stopped
    "commit",
    "transcription",
    "order",  # an earlier turn is not complete yet
    "handler",  # commit of what it was given, its own code, and the next round: the log cannot part them
    "call",
    "step",
    "stream",
    "update",
    "signal",
    "timer",
    "earlier say",  # the handler waited for one to end
    "later turn",  # it answered only then
    "mouth",  # a response sounded: one at a time
    "caller",  # nobody was there to hear
    "user speaks",  # the say was held meanwhile
    "words",  # the say's stream had no sentence yet
    "confirmation",  # the model was to be silent first, or was told to answer
    "filler",  # a tool ran in silence until its filler was due
    "provider link",
    "voice line",  # to this machine's own voice
    "dispatch",
    "refusal",
    "pause",  # after a refusal
    "provider response",
    "provider audio",
    "waiting",  # not over when the log, or the say, ended
    "unexplained",
]
_MS = 1_000_000


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a gap. `until_seq` is the event that ended it (0: none in this log), `about` which call, say or waiter."""

    name: StretchName
    ms: int
    from_ns: int
    to_ns: int
    until_seq: int
    about: str = ""
    site: Site | None = None


class Tiling:
    """Stretches from `start_ns` on, each beginning where the one before ended."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = self.now_ns = start_ns
        self.stretches: list[Stretch] = []

    def add(self, name: StretchName, to_ns: int, until_seq: int, about: str = "", site: Site | None = None) -> None:
        """The next stretch, up to `to_ns`. What is already covered is left out, and so is what takes no time."""
        if to_ns <= self.now_ns:
            return
        # Strategy: milliseconds are differences of places, so rounding cannot make the sum differ from the whole.
        ms = (to_ns - self.start_ns) // _MS - (self.now_ns - self.start_ns) // _MS
        stretch = Stretch(name=name, ms=ms, from_ns=self.now_ns, to_ns=to_ns, until_seq=until_seq, about=about, site=site)
        self.stretches.append(stretch)
        self.now_ns = to_ns

    def extend(self, name: StretchName, to_ns: int, until_seq: int) -> None:
        """The same, as a part of the stretch before if that has this name."""
        if to_ns > self.now_ns and self.stretches and self.stretches[-1].name == name:
            before = self.stretches.pop()
            self.now_ns = before.from_ns
        self.add(name, to_ns, until_seq)
