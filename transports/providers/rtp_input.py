"""What a session sends to a provider over WebRTC: audio by RTP in real time, all else over the data channel, in one order.

A caller's audio may come faster than it is said, a whole recording at once: it is said to its end. A message that closes the
input behind it (a commit) waits until the audio before it has been said and has arrived, and what was sent later waits with it.
Only what makes the provider quieter waits for nothing.

Strategy: what a caller says while the call is being made waits too, and by RTP such a delay would stay for the whole call, since
the caller goes on in real time. It is made up for in the caller's pauses, of which no more than 0.7 s is said while late.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from ...core.errors import LinkClosed
from ..realtime.audio import PCM16, decode_base64
from ..realtime.wire import audio_text, parse
from ..webrtc.opus import FRAME_BYTES
from ..webrtc.outgoing import Speaker

__all__ = ["FLIGHT_S", "LIMIT_S", "RtpInput"]

LIMIT_S: Final = 300.0
"""How much audio may wait to be said."""
FLIGHT_S: Final = 0.1
"""RTP and data channel race: by so much later than its audio a commit leaves, so that all of that is before it."""
_BYTES_PER_S: Final = PCM16.bytes_per_ms * 1000
_LATE_S: Final = 0.09
_CUSHION: Final = bytes(2 * FRAME_BYTES)
"""Silence before what comes while nothing waits. A caller's pieces come in no even steps: without it the second one, a little
late, would leave a hole of a frame behind the first, in the middle of a sound (breakfast was heard as brechtford)."""
_PAUSE: Final = 35  # frames: more than ends a turn, mostly
_SILENT: Final = 200  # of 32767: less is nobody's voice
_NOISY: Final = 1000  # more may be one
_KNOWN: Final = 100  # frames by which noise is known
_TOO_FAST: Final = 1008
_AUDIO: Final = "input_audio_buffer.append"
_COMMIT: Final = "input_audio_buffer.commit"
_CLEAR: Final = "input_audio_buffer.clear"
_AT_ONCE: Final = frozenset({"response.cancel", "output_audio_buffer.clear"})


class _Waiting(msgspec.Struct):
    """A message that waits, for the audio of a stretch or for what waits before it."""

    message: bytes
    behind: int | None  # the stretch; None: it may leave


class _Pauses:
    """Shortens the pauses of what is late."""

    def __init__(self) -> None:
        self._peaks: deque[int] = deque(maxlen=_KNOWN)
        self._quiet = _PAUSE  # frames; nobody has spoken yet

    def shorten(self, pcm16: bytes, late_s: float) -> bytes:
        """The audio without what it may leave out, being said so much later than it came."""
        kept = []
        for at in range(0, len(pcm16), FRAME_BYTES):
            frame = pcm16[at : at + FRAME_BYTES]
            self._quiet = self._quiet + 1 if self._is_quiet(frame) else 0
            if self._quiet > _PAUSE and late_s > _LATE_S:
                late_s -= len(frame) / _BYTES_PER_S
            else:
                kept.append(frame)
        return b"".join(kept)

    def _is_quiet(self, frame: bytes) -> bool:
        """Silence, or as quiet as it has been at best for two seconds: a microphone's own noise, or that of a street."""
        samples = memoryview(frame[: len(frame) & ~1]).cast("h")
        peak = max(max(samples), -min(samples)) if samples else 0
        self._peaks.append(peak)
        return peak < _SILENT or (peak < _NOISY and len(self._peaks) == _KNOWN and peak <= 2 * min(self._peaks))


class RtpInput:
    """The sending half of a provider's line. `send` takes what goes over the data channel."""

    def __init__(self, speaker: Speaker, send: Callable[[bytes], None]) -> None:
        self._speaker = speaker
        self._send = send
        self._waiting: deque[_Waiting] = deque()
        self._stretch = 0  # the mark of the audio since the last commit or clear
        self._has_audio = False  # whether there is any
        self._said_at = 0.0  # loop time at which all audio will have been said
        self._pauses = _Pauses()
        speaker.listener = self

    def send(self, message: bytes) -> None:
        """Take a client's message. Raises ProtocolError TL304, TL305 (no base64), LinkClosed (1008: too much audio waits)."""
        sent = parse(message)
        if sent.type == _AUDIO:
            self._say(decode_base64(audio_text(sent), f"{_AUDIO}.audio"))
        elif sent.type in _AT_ONCE:
            self._send(message)
        elif sent.type == _COMMIT and self._has_audio:
            self._waiting.append(_Waiting(message, self._stretch))
            self._speaker.finish(self._begin_stretch())
        elif self._waiting:  # a clear among it drops nothing here: what it is about may stand behind a commit
            self._waiting.append(_Waiting(message, None))
        else:
            if sent.type == _CLEAR:
                self._speaker.clear()
                self._said_at = 0.0
                self._begin_stretch()
            self._send(message)

    def _say(self, pcm16: bytes) -> None:
        now = asyncio.get_running_loop().time()
        pcm16 = self._pauses.shorten(pcm16, self._said_at - now)
        if pcm16 and self._said_at <= now:
            pcm16 = _CUSHION + pcm16
        self._said_at = max(self._said_at, now) + len(pcm16) / _BYTES_PER_S
        if self._said_at - now > LIMIT_S:
            reason = f"{self._said_at - now:.0f} s of audio wait to be said in real time; the limit is {LIMIT_S:.0f} s"
            raise LinkClosed(_TOO_FAST, reason)
        self._has_audio = self._has_audio or bool(pcm16)
        self._speaker.put(pcm16, self._stretch)

    def _begin_stretch(self) -> int:
        """What is said from here on is another stretch; returns the one that ends."""
        self._stretch += 1
        self._has_audio = False
        return self._stretch - 1

    # --- what the speaker tells ---

    def started(self, mark: object, played_ms: int) -> None:
        """SpeakerEvents."""

    def ended(self, mark: object, played_ms: int) -> None:
        """SpeakerEvents: all audio of a stretch was sent."""
        asyncio.get_running_loop().call_later(FLIGHT_S, self._arrived, mark)

    def _arrived(self, mark: object) -> None:
        for one in self._waiting:
            if one.behind == mark:
                one.behind = None
        while self._waiting and self._waiting[0].behind is None:
            try:
                self._send(self._waiting.popleft().message)
            except LinkClosed:  # whoever reads the link is told
                self._waiting.clear()
