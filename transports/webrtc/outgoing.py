"""What a peer hears of us: a queue of 20 ms frames and the track that aiortc reads them from. Nothing is sent while it is empty,
but for a moment of silence behind what was said: jitter buffers give nothing out until more comes, and would keep its end.

Invariant: RTP time goes on with the clock, also while nothing is sent, so that the peer hears a pause as a pause.
"""

import asyncio
from collections import OrderedDict, deque
from typing import Final, NamedTuple, Protocol

from aiortc import MediaStreamTrack

from .opus import FRAME_BYTES, FRAME_MS, RATE, RTP_RATE, OpusEncoder, OpusPacket

__all__ = ["LINGER_S", "Speaker", "SpeakerEvents", "SpeakerTrack"]

_FRAME_S: Final = FRAME_MS / 1000
_FRAME_RTP: Final = RTP_RATE * FRAME_MS // 1000
_LATE_S: Final = 0.04  # how long the last incomplete frame of a mark waits for more
_BEHIND: Final = 5  # frames: a loop that was blocked for longer than this lets time go by instead of catching up
_KNOWN_MARKS: Final = 512
_FADE: Final = 5  # frames of silence behind what was said; aiortc's buffer holds four
_SILENCE: Final = bytes(FRAME_BYTES)
LINGER_S: Final = 0.2
"""So long after the last frame a peer may still have to play: the fade, the network, its buffer."""


class SpeakerEvents(Protocol):
    """Told of each mark, on the event loop. Must not block."""

    def started(self, mark: object, played_ms: int) -> None:
        """The first frame of the mark is being sent."""

    def ended(self, mark: object, played_ms: int) -> None:
        """The mark was finished and its last frame is sent. Not told of what was cleared."""


class _Frame(NamedTuple):
    mark: object
    pcm16: bytes  # FRAME_BYTES
    samples: int  # that are the mark's; the rest is padding


class _Progress:
    """How far one mark is."""

    __slots__ = ("finished", "sent", "started", "waiting")

    def __init__(self) -> None:
        self.sent = 0  # samples
        self.waiting = 0  # frames
        self.started = False
        self.finished = False


class Speaker:
    """What is played to the peer, in the order in which it was put. For one event loop."""

    def __init__(self) -> None:
        self.listener: SpeakerEvents | None = None
        self._frames: deque[_Frame] = deque()
        self._tail = bytearray()  # less than a frame, of the mark put last
        self._tail_mark: object = None
        self._tail_at = 0.0  # loop time at which the tail got its last byte
        self._marks: OrderedDict[object, _Progress] = OrderedDict()
        self._waiter: asyncio.Future[None] | None = None
        self.sounds_until = 0.0  # loop time until which a peer may still have to play what was sent

    def put(self, pcm16: bytes, mark: object) -> None:
        """Queue mono PCM16 at 24 kHz behind what waits; `mark` (hashable) names whose audio it is."""
        if not pcm16:
            return
        if self._tail and self._tail_mark != mark:
            self._pad()
        progress = self._progress(mark)
        progress.finished = False
        self._tail_mark = mark
        self._tail += pcm16
        whole = len(self._tail) - len(self._tail) % FRAME_BYTES
        for start in range(0, whole, FRAME_BYTES):
            self._frames.append(_Frame(mark, bytes(self._tail[start : start + FRAME_BYTES]), FRAME_BYTES // 2))
        progress.waiting += whole // FRAME_BYTES
        del self._tail[:whole]
        self._tail_at = asyncio.get_running_loop().time()
        self._wake()

    def clear(self) -> None:
        """Nothing of what waits is sent any more, from the next frame on. No mark that waited is told as ended."""
        if self._frames or self._tail:
            self.sounds_until = 0.0
        self._frames.clear()
        self._tail.clear()
        for progress in self._marks.values():
            progress.waiting = 0
            progress.started = progress.finished = False

    def finish(self, mark: object) -> None:
        """Nothing more comes of this mark: its last frame is padded, and `ended` follows when all of it was sent.

        Nothing follows for a mark that has no audio, or whose audio was cleared.
        """
        progress = self._marks.get(mark)
        if progress is None or progress.finished:
            return
        if self._tail and self._tail_mark == mark:
            self._pad()
        progress.finished = True
        if not progress.waiting:
            self._end(mark, progress)

    def played_ms(self, mark: object) -> int:
        """How much of the mark's audio was sent, in ms; 0 for an unknown mark."""
        progress = self._marks.get(mark)
        return progress.sent * 1000 // RATE if progress else 0

    def take(self, now: float) -> bytes | None:
        """The next frame to send at loop time `now`; None: there is none yet."""
        if not self._frames and self._tail and now >= self._tail_at + _LATE_S:
            self._pad()
        if not self._frames:
            return None
        frame = self._frames.popleft()
        progress = self._progress(frame.mark)
        progress.waiting -= 1
        if not progress.started:
            progress.started = True
            if self.listener is not None:
                self.listener.started(frame.mark, self.played_ms(frame.mark))
        progress.sent += frame.samples
        self.sounds_until = now + LINGER_S
        if progress.finished and not progress.waiting:
            self._end(frame.mark, progress)
        return frame.pcm16

    @property
    def filling(self) -> bool:
        """Whether whole frames wait to be sent."""
        return bool(self._frames)

    async def filled(self) -> None:
        """Return when something can be taken: at once, after put() or finish(), or when a tail has waited long enough."""
        loop = asyncio.get_running_loop()
        while not self._frames:
            due = self._tail_at + _LATE_S if self._tail else None
            if due is not None and due <= loop.time():
                return
            self._waiter = waiter = loop.create_future()
            timer = None if due is None else loop.call_at(due, self._wake)
            try:
                await waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()

    def _pad(self) -> None:
        samples = len(self._tail) // 2
        self._tail += bytes(FRAME_BYTES - len(self._tail))
        self._frames.append(_Frame(self._tail_mark, bytes(self._tail), samples))
        self._progress(self._tail_mark).waiting += 1
        self._tail.clear()
        self._wake()

    def _progress(self, mark: object) -> _Progress:
        progress = self._marks.get(mark)
        if progress is None:
            progress = self._marks[mark] = _Progress()
            if len(self._marks) > _KNOWN_MARKS:
                self._forget(mark)
        return progress

    def _forget(self, newest: object) -> None:
        """Drop the oldest mark of which nothing waits."""
        for mark, progress in self._marks.items():
            if not progress.waiting and mark not in (self._tail_mark, newest):
                del self._marks[mark]
                return

    def _end(self, mark: object, progress: _Progress) -> None:
        if progress.started:
            progress.started = False
            if self.listener is not None:
                self.listener.ended(mark, self.played_ms(mark))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class SpeakerTrack(MediaStreamTrack):
    """The track that aiortc sends: it hands out packets, encoded here, when they are due.

    Strategy: for an av.Packet aiortc's sender skips its thread pool, its resampler to 48 kHz stereo and a pure Python loop
    over every sample for the level header, which together cost more than the encoding.
    """

    kind = "audio"

    def __init__(self, speaker: Speaker) -> None:
        super().__init__()
        self._speaker = speaker
        self._encoder = OpusEncoder()
        self._began: float | None = None  # loop time of frame 0
        self._next = 0  # the first frame that may be sent, counted in 20 ms since _began
        self._fade = 0  # frames of silence that are still to be sent

    async def recv(self) -> OpusPacket:
        """The next packet, when it is due."""
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        while True:
            if self._fade and not self._speaker.filling and await self._is_silent_until(self._began + self._next * _FRAME_S):
                self._fade -= 1
                return self._packet(_SILENCE)
            paused = not self._speaker.filling
            await self._speaker.filled()
            current = int((loop.time() - self._began) / _FRAME_S)
            if paused or current > self._next + _BEHIND:
                self._next = max(self._next, current)
            wait = self._began + self._next * _FRAME_S - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            pcm16 = self._speaker.take(loop.time())
            if pcm16 is not None:
                self._fade = _FADE
                return self._packet(pcm16)

    def _packet(self, pcm16: bytes) -> OpusPacket:
        rtp_time = self._next * _FRAME_RTP
        self._next += 1
        return self._encoder.encode(pcm16, rtp_time)

    async def _is_silent_until(self, when: float) -> bool:
        """Wait until then for something to send; whether nothing came."""
        try:
            async with asyncio.timeout_at(when):
                await self._speaker.filled()
        except TimeoutError:
            return True
        return False
