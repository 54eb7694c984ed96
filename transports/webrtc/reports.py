"""What a peer is told of what arrived of its audio (RFC 3550, receiver reports): counted by aiortc's own statistics."""

import time

from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtcpReceiverInfo

from .rtp import Rtp

__all__ = ["Source"]


class Source:
    """What came of one SSRC."""

    def __init__(self) -> None:
        self._statistics = StreamStatistics(48_000)
        self.sender_report: tuple[int, float] | None = None  # its time, and ours when it came

    def count(self, packet: Rtp) -> None:
        """A packet of it came."""
        self._statistics.add(packet)  # type: ignore[arg-type]  # it reads the two fields that Rtp has by the same names

    def report(self, ssrc: int) -> RtcpReceiverInfo:
        """What there is to tell of it now."""
        last, came = self.sender_report or (0, time.time())
        return RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=min(self._statistics.fraction_lost, 255),
            packets_lost=self._statistics.packets_lost,
            highest_sequence=self._statistics.max_seq or 0,
            jitter=min(self._statistics.jitter, 0xFFFFFFFF),  # a peer may send any RTP time
            lsr=last,
            dlsr=min(int(max(0.0, time.time() - came) * 65536), 0xFFFFFFFF) if last else 0,
        )
