"""Hearing fake speech in a session's input audio: where turns begin and end, and their words. No engine, no extra.

The time is the audio's own, as it is for real voice activity detection.
"""

from typing import Any, Final

import msgspec

from ..transports.realtime.audio import format_from_wire
from ..transports.realtime.g711 import to_pcm16
from ..transports.speech.endpointer import Endpointer, Endpointing, SpeechStarted, SpeechStopped
from ..transports.speech.vad import FRAME_MS
from .fake_speech import FakeVoiceActivity, listen

__all__ = ["FakeEars", "HeardTurn"]

_SEMANTIC_SILENCE_MS: Final = 500
_OF_ANSWERS: Final = frozenset({"create_response", "interrupt_response"})


class HeardTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn is over: its words, where its audio began and ended (ms of input audio)."""

    text: str
    start_ms: int
    end_ms: int


class FakeEars:
    """The input of one session. `configure` first, and again when the session changes."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}
        self._voice = FakeVoiceActivity()
        self._endpointer: Endpointer | None = None
        self._pcm16 = bytearray()  # the input that may still belong to a turn
        self._forgotten_ms = 0  # what came before it
        self._start_ms = 0
        self._committed_ms = 0

    def configure(self, session: dict[str, Any]) -> None:
        """Take over the format and the turn detection of a session object. Who answers is nothing to the ears: speech goes on."""
        settings = dict(session["audio"]["input"])
        if (detection := settings["turn_detection"]) is not None:
            settings["turn_detection"] = {key: given for key, given in detection.items() if key not in _OF_ANSWERS}
        if settings == self._settings:
            return
        heard_ms = self.now_ms
        if self._settings and format_from_wire(settings["format"]).rate != self._rate:
            self._pcm16.clear()  # what came at another rate cannot be joined to what comes now
            self._forgotten_ms = self._committed_ms = heard_ms
        self._settings = settings
        self._voice = FakeVoiceActivity(self._rate)
        if detection is None:
            self._endpointer = None
            return
        silence_ms = detection.get("silence_duration_ms", _SEMANTIC_SILENCE_MS)
        padding_ms = detection.get("prefix_padding_ms", 300)
        endpointing = Endpointing(silence_duration_ms=silence_ms, prefix_padding_ms=padding_ms)
        self._endpointer = Endpointer(endpointing, frame_ms=FRAME_MS)
        self._endpointer.now_ms = self.now_ms

    @property
    def now_ms(self) -> int:
        """How much audio has come."""
        return self._forgotten_ms + len(self._pcm16) * 1000 // (2 * self._rate)

    def hear(self, payload: bytes) -> list[SpeechStarted | HeardTurn]:
        """Take the next payload; what it brings, in order."""
        pcm16 = to_pcm16(payload, format_from_wire(self._settings["format"]))
        self._pcm16 += pcm16
        if self._endpointer is None:
            return []
        found: list[SpeechStarted | HeardTurn] = []
        for probability in self._voice.feed(pcm16):
            for decision in self._endpointer.feed(probability):
                if isinstance(decision, SpeechStarted):
                    self._start_ms = decision.start_ms
                    found.append(decision)
                elif isinstance(decision, SpeechStopped):
                    found.append(self._turn(self._start_ms, decision.end_ms))
        return found

    def commit(self) -> HeardTurn:
        """The turn that a commit by hand makes of what has come since the last one."""
        if self._endpointer is not None:
            self._endpointer.reset()
        return self._turn(self._committed_ms, self.now_ms)

    def clear(self) -> None:
        """Forget what is not committed."""
        self._committed_ms = self.now_ms
        if self._endpointer is not None:
            self._endpointer.reset()

    @property
    def _rate(self) -> int:
        return format_from_wire(self._settings["format"]).rate if self._settings else 24000

    def _turn(self, start_ms: int, end_ms: int) -> HeardTurn:
        self._committed_ms = end_ms
        per_ms, before = 2 * self._rate // 1000, self._forgotten_ms
        start_ms = max(start_ms, before)  # new settings do not know where the turn before them ended
        pcm16 = bytes(self._pcm16[(start_ms - before) * per_ms : (end_ms - before) * per_ms])
        del self._pcm16[: (end_ms - before) * per_ms]
        self._forgotten_ms = end_ms
        return HeardTurn(text=listen(pcm16, rate=self._rate), start_ms=start_ms, end_ms=end_ms)
