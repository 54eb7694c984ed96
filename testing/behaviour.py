"""How a provider of the kit behaves: its pace, its replies, and what goes wrong. And what it keeps of what it received."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from .fake_speech import WORD_MS

__all__ = ["Behaviour", "Mishaps", "Pace", "ProviderReceived"]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider takes its time. Times in ms.

    word: of audio for a word; speed: of sending it, 1 is real time, None all at once; created: from response.create to
    response.created; audio: from there to the first audio; hearing: from the end of a turn to its words.
    """

    word_ms: int = WORD_MS
    speed: float | None = 8.0
    created_ms: float = 20
    audio_ms: float = 200
    hearing_ms: float = 150


class Mishaps:
    """What goes wrong. All may be changed at any time.

    refusals: a code for each of the next response.creates to be refused with. connect: raised instead of connecting, each
    once. races: answers each turn itself, whatever the session says. repeats: types of messages that are sent twice.
    late_ms: how long a cancelled response goes on sending audio. greets: may be cleared, to greet later.
    """

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.connect: list[Exception] = []
        self.races = False
        self.repeats: set[str] = set()
        self.late_ms = 0.0
        self.greets = asyncio.Event()
        self.greets.set()


class ProviderReceived(NamedTuple):
    """A message that the provider got: when (seconds of the loop's time), and the event."""

    at_s: float
    event: dict[str, Any]


class Behaviour:
    """Shared by all links of one provider. `reply`: what it says to a turn that it answers itself."""

    def __init__(self, pace: Pace, reply: str | Callable[[str], str]) -> None:
        self.pace = pace
        self.reply = reply
        self.mishaps = Mishaps()
        self.received: list[ProviderReceived] = []
        self.changed = asyncio.Event()

    def note(self, event: dict[str, Any]) -> None:
        """Keep what was received."""
        self.received.append(ProviderReceived(asyncio.get_running_loop().time(), event))
        self.changed.set()

    def replied(self, text: str) -> str:
        """What it says to these words."""
        return self.reply if isinstance(self.reply, str) else self.reply(text)
