"""Where speech starts and stops: a pure function of the frames' speech probabilities.

No clock and no audio: time is the number of frames fed times their length, so the same probabilities always give the
same decisions. Times are ms from the first frame ever fed, as in input_audio_buffer.speech_started / speech_stopped.
"""

from typing import Final

import msgspec

__all__ = ["Decision", "Endpointer", "Endpointing", "Resumed", "Speculate", "SpeechStarted", "SpeechStopped"]


class Endpointing(msgspec.Struct, frozen=True, kw_only=True):
    """The settings. The first three carry the names and defaults of the Realtime protocol's server_vad."""

    threshold: float = 0.5  # a frame at or above it is speech
    prefix_padding_ms: int = 300  # audio kept from before the first speech frame
    silence_duration_ms: int = 500  # silence that ends the turn
    speculate_ms: int = 200  # silence after which recognition may start on the chance that the turn is over
    min_speech_ms: int = 96  # less is a click, not speech
    hysteresis: float = 0.15  # inside speech only a frame below threshold - hysteresis is silence (Silero's own figure)

    @property
    def release(self) -> float:
        """Below it a frame inside speech is silence; stays above zero for low thresholds too."""
        return max(self.threshold - self.hysteresis, self.threshold / 2)


class SpeechStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Speech has begun; `start_ms` includes the padding and never reaches into the speech before."""

    start_ms: int


class Speculate(msgspec.Struct, frozen=True, kw_only=True):
    """The turn may be over: recognise [start_ms, end_ms) now, and use it if SpeechStopped comes without Resumed."""

    end_ms: int


class Resumed(msgspec.Struct, frozen=True):
    """Speech goes on after all: throw the speculative result away."""


class SpeechStopped(msgspec.Struct, frozen=True, kw_only=True):
    """The turn is over. `end_ms` includes the silence waited for (as on the wire); the voice fell silent at `silent_ms`."""

    end_ms: int
    silent_ms: int


Decision = SpeechStarted | Speculate | Resumed | SpeechStopped

_DEFAULT: Final = Endpointing()


class Endpointer:
    """Feed it one probability a frame, in order; it returns the decisions due at the end of that frame.

    Invariant: the sequence of decisions matches (Started (Speculate Resumed)* Speculate? Stopped)*, cut anywhere.
    """

    def __init__(self, settings: Endpointing = _DEFAULT, *, frame_ms: int = 32) -> None:
        self.settings = settings
        self.frame_ms = frame_ms
        self.now_ms = 0
        self._floor_ms = 0  # where the last speech ended: padding stops here
        self._onset_ms: int | None = None  # where this speech, or what may become one, began
        self._state = _Pause()

    @property
    def speaking(self) -> bool:
        """Whether a SpeechStarted waits for its SpeechStopped."""
        return self._state.speaking

    def feed(self, probability: float) -> tuple[Decision, ...]:
        """Take the next frame's speech probability (0 to 1)."""
        begun_ms, self.now_ms = self.now_ms, self.now_ms + self.frame_ms
        return self._inside(probability, begun_ms) if self._state.speaking else self._outside(probability, begun_ms)

    def reset(self) -> None:
        """Forget the speech under way (the buffer was cleared or committed by hand); the time goes on."""
        self._floor_ms = self.now_ms
        self._onset_ms = None
        self._state = _Pause()

    def _outside(self, probability: float, begun_ms: int) -> tuple[Decision, ...]:
        level = self.settings.threshold if self._onset_ms is None else self.settings.release
        if probability < level:
            self._onset_ms = None
            return ()
        if self._onset_ms is None:
            self._onset_ms = begun_ms
        if self.now_ms - self._onset_ms < self.settings.min_speech_ms:
            return ()
        self._state = _Pause(speaking=True)
        return (SpeechStarted(start_ms=max(self._floor_ms, self._onset_ms - self.settings.prefix_padding_ms)),)

    def _inside(self, probability: float, begun_ms: int) -> tuple[Decision, ...]:
        silent_ms = self._state.silent_ms
        if probability >= self.settings.threshold:
            hinted, self._state = self._state.hinted, _Pause(speaking=True)
            return (Resumed(),) if hinted else ()
        if silent_ms is None:
            if probability >= self.settings.release:
                return ()
            silent_ms = begun_ms
        lasted_ms = self.now_ms - silent_ms
        if lasted_ms >= self.settings.silence_duration_ms:
            self.reset()
            return (SpeechStopped(end_ms=self.now_ms, silent_ms=silent_ms),)
        hint = lasted_ms >= self.settings.speculate_ms and not self._state.hinted
        self._state = _Pause(speaking=True, silent_ms=silent_ms, hinted=hint or self._state.hinted)
        return (Speculate(end_ms=self.now_ms),) if hint else ()


class _Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Whether speech is on, since when it pauses (None: it does not), and whether Speculate was given in this pause."""

    speaking: bool = False
    silent_ms: int | None = None
    hinted: bool = False
