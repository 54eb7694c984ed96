"""Where the turns of a session's input audio begin and end. Sans-I/O: payloads in the session's format in, events out.

Time is the audio's own: audio sent faster than it sounds gives the same events. Audio is kept at 16 kHz, for as long as it
may still belong to a turn; of one uncommitted stretch the last ten minutes.
"""

from typing import Any, Final, cast

import msgspec

from ..realtime.audio import PCM16, AudioFormat, format_from_wire
from ..realtime.g711 import to_pcm16
from ..speech.endpointer import Endpointer, Endpointing, Resumed, Speculate, SpeechStarted, SpeechStopped
from ..speech.resample import Resampler
from ..speech.vad import FRAME_MS, VAD_RATE, VoiceActivity

__all__ = ["Ears", "Guess", "Heard", "Spoken"]

_BYTES_PER_MS: Final = 2 * VAD_RATE // 1000
_KEPT: Final = 600_000 * _BYTES_PER_MS
_EAGER_SILENCE_MS: Final = {"high": 300, "low": 1000}  # semantic_vad: there are no semantics here, only patience


class Guess(msgspec.Struct, frozen=True, kw_only=True):
    """The turn may be over: recognise this already, and use it if Spoken comes before Resumed."""

    pcm16: bytes


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """The turn is over at `end_ms`; `pcm16` is all of it at 16 kHz, padding and silence included."""

    end_ms: int
    pcm16: bytes


Heard = SpeechStarted | Guess | Resumed | Spoken


class Ears:
    """The input of one session. `configure` first."""

    def __init__(self, voice: VoiceActivity) -> None:
        self._voice = voice
        self._endpointer: Endpointer | None = None  # None: turns are committed by hand
        self._format = PCM16
        self._resampler = Resampler(PCM16.rate, VAD_RATE)
        self._buffer = _Buffer()
        self._start_ms = 0  # of the turn under way

    def configure(self, session: dict[str, Any]) -> None:
        """Take over the input format and turn detection of a session object; speech under way goes on."""
        settings = session["audio"]["input"]
        form = format_from_wire(settings["format"])
        if form != self._format:
            self._format, self._resampler = form, Resampler(form.rate, VAD_RATE)
        detection = settings["turn_detection"]
        if detection is None:
            self._endpointer = None
        elif self._endpointer is None:
            self._voice.reset()
            self._endpointer = Endpointer(_endpointing(detection), frame_ms=FRAME_MS)
            self._endpointer.now_ms = self._buffer.end // _BYTES_PER_MS
        else:
            self._endpointer.settings = _endpointing(detection)

    @property
    def format(self) -> AudioFormat:
        """The format of the payloads."""
        return self._format

    def hear(self, payload: bytes) -> list[Heard]:
        """Take the next payload of input audio; what it brings, in order."""
        pcm16 = self._resampler.feed(to_pcm16(payload, self._format))
        self._buffer.append(pcm16)
        endpointer = self._endpointer
        if endpointer is None:
            self._buffer.forget(self._buffer.end - _KEPT)
            return []
        heard = [self._meaning(decision) for each in self._voice.feed(pcm16) for decision in endpointer.feed(each)]
        padding_ms = endpointer.settings.prefix_padding_ms + endpointer.settings.min_speech_ms + 2 * FRAME_MS
        self._buffer.forget(self._buffer.end - (_KEPT if endpointer.speaking else padding_ms * _BYTES_PER_MS))
        return heard

    def take(self) -> bytes:
        """What is buffered, as PCM16 at 16 kHz, on a commit by hand; a turn under way ends with it."""
        pcm16 = self._buffer.between(0, self._buffer.end)
        self.clear()
        return pcm16

    def clear(self) -> None:
        """Forget what is buffered, and the turn under way."""
        self._buffer.forget(self._buffer.end)
        if self._endpointer is not None:
            self._endpointer.reset()

    def _meaning(self, decision: SpeechStarted | Speculate | Resumed | SpeechStopped) -> Heard:
        match decision:
            case SpeechStarted(start_ms=start):
                self._start_ms = start
                return decision
            case Speculate(end_ms=end):
                return Guess(pcm16=self._buffer.between(self._start_ms * _BYTES_PER_MS, end * _BYTES_PER_MS))
            case SpeechStopped(end_ms=end):
                return Spoken(end_ms=end, pcm16=self._buffer.between(self._start_ms * _BYTES_PER_MS, end * _BYTES_PER_MS))
            case Resumed():
                return decision


class _Buffer:
    """The latest bytes of a stream, by their place in the whole stream."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._start = 0

    @property
    def end(self) -> int:
        return self._start + len(self._bytes)

    def append(self, data: bytes) -> None:
        self._bytes += data

    def between(self, start: int, end: int) -> bytes:
        """What is still there of [start, end)."""
        return bytes(self._bytes[max(start - self._start, 0) : max(end - self._start, 0)])

    def forget(self, before: int) -> None:
        """Drop what lies before this place."""
        count = min(max(before - self._start, 0), len(self._bytes))
        del self._bytes[:count]
        self._start += count


def _endpointing(detection: dict[str, Any]) -> Endpointing:
    if detection["type"] == "semantic_vad":
        return Endpointing(silence_duration_ms=_EAGER_SILENCE_MS.get(cast(str, detection.get("eagerness")), 500))
    return Endpointing(
        threshold=max(float(detection["threshold"]), 0.01),  # at 0 silence would be speech for ever
        prefix_padding_ms=detection["prefix_padding_ms"],
        silence_duration_ms=detection["silence_duration_ms"],
    )
