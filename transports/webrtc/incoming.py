"""What a peer says to us. Packets are decoded where they arrive; a clock sees to it that the line of audio has no gap."""

import asyncio
from collections.abc import Callable

from .opus import RATE, OpusDecoder
from .timeline import Timeline

__all__ = ["Microphone"]

_BLOCKED_S = 0.02  # a timer this late means that the loop was blocked: what came meanwhile still waits in the socket
_GRACE_S = 0.01
_ROUNDING_S = 0.001  # so that the line is due when the timer says so


class Microphone:
    """The peer's audio as 20 ms pieces by the clock, from start() to stop(). `give` gets each and must not block."""

    def __init__(self, give: Callable[[bytes], None]) -> None:
        self._line = Timeline(OpusDecoder().decode, give)
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    def start(self) -> None:
        """The line begins now."""
        if not self._running:
            self._running = True
            self._began = self._loop.time()
            self._arm()

    def stop(self) -> None:
        """No more is given."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def packet(self, source: int, sequence: int, rtp_time: int, payload: bytes) -> None:
        """An RTP packet of the peer."""
        if self._running:
            self._line.receive(source, sequence, rtp_time, payload, self._now())

    def _now(self) -> int:
        return int((self._loop.time() - self._began) * RATE)

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._began + self._line.due / RATE + _ROUNDING_S, self._tick)

    def _tick(self) -> None:
        assert self._timer is not None
        if self._loop.time() - self._timer.when() > _BLOCKED_S:
            self._timer = self._loop.call_later(_GRACE_S, self._pass)
        else:
            self._pass()

    def _pass(self) -> None:
        self._line.pass_time(self._now())
        self._arm()
