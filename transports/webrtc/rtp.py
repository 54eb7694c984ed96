"""What is read of an RTP packet (RFC 3550): no more than a receiver of one audio stream needs."""

from struct import Struct
from typing import Final, NamedTuple

__all__ = ["Rtp", "is_rtp", "parse_rtp"]

_HEADER: Final = Struct("!HLL").unpack_from
_LENGTH: Final = Struct("!H").unpack_from


class Rtp(NamedTuple):
    """A packet."""

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes


def is_rtp(datagram: bytes) -> bool:
    """Whether a datagram is RTP, and not the RTCP, DTLS or STUN that share its port (RFC 7983, RFC 5761)."""
    return len(datagram) >= 12 and 128 <= datagram[0] < 192 and not 192 <= datagram[1] <= 223


def parse_rtp(packet: bytes) -> Rtp | None:
    """A decrypted packet; None for one whose lengths do not fit."""
    first, second = packet[0], packet[1]
    start, end = 12 + 4 * (first & 0x0F), len(packet)
    if first & 0x10:  # a header extension
        if start + 4 > end:
            return None
        start += 4 + 4 * int(_LENGTH(packet, start + 2)[0])
    if first & 0x20:  # padding
        end -= packet[-1]
    if start > end or (first & 0x20 and not packet[-1]):
        return None
    sequence, timestamp, ssrc = _HEADER(packet, 2)
    return Rtp(second & 0x7F, sequence, timestamp, ssrc, packet[start:end])
