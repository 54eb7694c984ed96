"""RTP packets are read as aiortc reads them, and what is none is nothing."""

from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from turnlog.transports.webrtc.reports import Source
from turnlog.transports.webrtc.rtp import Rtp, is_rtp, parse_rtp


@given(
    st.integers(0, 127),
    st.integers(0, 65_535),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=60),
    st.lists(st.integers(0, 2**32 - 1), max_size=15),
    st.integers(0, 255),
    st.binary(max_size=20),
)
def test_a_packet_is_read_with_all_that_can_be_in_it(
    kind: int, sequence: int, timestamp: int, source: int, payload: bytes, mixed: list[int], padding: int, extension: bytes
) -> None:
    """Contributing sources, a header extension and padding are passed over."""
    packet = RtpPacket(kind, 1, sequence, timestamp, source, payload)
    packet.csrc = mixed
    packet.padding_size = padding
    plain = packet.serialize(HeaderExtensionsMap())
    whole = Rtp(kind, sequence, timestamp, source, payload)
    assert parse_rtp(plain) == whole
    words = extension + bytes(-len(extension) % 4)
    added = b"\xbe\xde" + (len(words) // 4).to_bytes(2, "big") + words
    head = 12 + 4 * len(mixed)
    assert parse_rtp(bytes([plain[0] | 0x10]) + plain[1:head] + added + plain[head:]) == whole


@given(st.binary(min_size=12, max_size=40))
def test_lengths_that_do_not_fit_are_no_packet(noise: bytes) -> None:
    """None, or a payload that lies inside of what came; never an exception."""
    for first in (0x80, 0x8F, 0x90, 0xA0, 0xBF):
        packet = parse_rtp(bytes([first]) + noise[1:])
        assert packet is None or packet.payload in noise


def test_what_shares_the_port_is_no_rtp() -> None:
    """STUN, DTLS, RTCP, and what is too short."""
    rtp = bytes([0x80, 111]) + bytes(10)
    assert is_rtp(rtp)
    assert is_rtp(bytes([0x80, 0x80 | 111]) + bytes(10))  # with the marker bit
    for other in (b"", rtp[:11], bytes([0, 1]) + bytes(20), bytes([22]) + bytes(20), bytes([0x80, 200]) + bytes(20)):
        assert not is_rtp(other)


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1)), min_size=1, max_size=50))
def test_whatever_a_peer_sends_there_is_a_report_of_it(packets: list[tuple[int, int]]) -> None:
    """Each of its numbers fits its field."""
    source = Source()
    for number, (sequence, timestamp) in enumerate(packets):
        source.count(Rtp(111, sequence, timestamp, 1, b"x"))
        source.sender_report = (number, 0.0)
        assert len(bytes(source.report(1))) == 24
