"""The line of audio has no gap and keeps to the clock, whatever happens to the packets."""

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from turnlog.transports.webrtc.timeline import HOLD, LEAD, Timeline

MS = 24  # samples


class Line:
    """A Timeline whose packets are their own audio: 20 ms of one value each."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.line = Timeline(lambda payload: payload, self._give)

    def _give(self, pcm16: bytes) -> None:
        assert len(pcm16) == 960
        self.heard += pcm16

    def packet(
        self, number: int, at_ms: float, *, source: int = 1, rtp_ms: int | None = None, start: int = 0, ms: int = 20
    ) -> None:
        """Packet `number` of the stream comes; its audio is its number plus one."""
        rtp_time = (20 * number if rtp_ms is None else rtp_ms) * 48 + start
        payload = struct.pack("<h", number % 30_000 + 1) * (ms * MS)
        self.line.receive(source, number & 0xFFFF, rtp_time & 0xFFFFFFFF, payload, round(at_ms * MS))

    def passes(self, ms: float) -> None:
        """It is so late now."""
        self.line.pass_time(round(ms * MS))

    def pieces(self) -> list[int]:
        """What was heard, 20 ms each: number plus one, 0 for silence, -1 for a mixture."""
        found = []
        for at in range(0, len(self.heard), 960):
            values = set(struct.unpack("<480h", self.heard[at : at + 960]))
            found.append(values.pop() if len(values) == 1 else -1)
        return found


def test_packets_in_order_come_out_as_they_come_in() -> None:
    """At once, each of them."""
    line = Line()
    for number in range(5):
        line.packet(number, 20 * number + 20)
        assert line.pieces() == list(range(1, number + 2))


def test_a_peer_that_sends_nothing_is_silent_by_the_clock() -> None:
    """One piece of silence for each 20 ms, HOLD behind the clock."""
    line = Line()
    for ms in range(0, 10_001, 20):
        line.passes(ms)
    assert line.pieces() == [0] * ((10_000 - HOLD // MS) // 20 + 1)


def test_disorder_is_put_right() -> None:
    """A packet that comes before its elder waits for it; one that comes twice counts once."""
    line = Line()
    for number in (0, 2, 1, 1, 4, 3, 2, 5):
        line.packet(number, 20 * number + 20)
    assert line.pieces() == [1, 2, 3, 4, 5, 6]


def test_a_lost_packet_leaves_silence_of_its_length() -> None:
    """As soon as the clock or the packets behind it say that it will not come."""
    line = Line()
    for number in (0, 1, 3, 4, 5, 6, 7):
        line.packet(number, 20 * number + 20)
    assert line.pieces() == [1, 2, 0, 4, 5, 6, 7, 8]
    line.packet(2, 180)
    assert line.pieces() == [1, 2, 0, 4, 5, 6, 7, 8]
    line.packet(9, 200)
    line.passes(160 + HOLD // MS)
    assert line.pieces() == [1, 2, 0, 4, 5, 6, 7, 8, 0, 10]


def test_a_pause_of_the_sender_is_a_pause_of_the_line() -> None:
    """Opus DTX, and those who send nothing while silent: RTP time goes on, sequence numbers do not."""
    line = Line()
    line.packet(0, 20)
    for ms in range(40, 1020, 20):
        line.passes(ms)
    line.packet(1, 1020, rtp_ms=1000)
    line.packet(2, 1040, rtp_ms=1020)
    assert line.pieces() == [1, *[0] * 49, 2, 3]


def test_a_stall_moves_the_line_and_loses_nothing() -> None:
    """Packets that come in one burst after 120 ms are all heard, behind the silence that stood in for them."""
    line = Line()
    line.packet(0, 20)
    for ms in range(40, 161, 20):
        line.passes(ms)
    for number in range(1, 8):
        line.packet(number, 165)
    assert [piece for piece in line.pieces() if piece] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_sequence_numbers_and_rtp_time_wrap() -> None:
    """In the middle of a call, each on its own."""
    line = Line()
    for number in range(65_530, 65_545):
        line.packet(number, 20 * (number - 65_529), start=2**32 - (65_536 * 20 * 48) % 2**32)
    assert line.pieces() == [number % 30_000 + 1 for number in range(65_530, 65_545)]


def test_another_stream_begins_where_it_comes() -> None:
    """Another SSRC, or a jump of sequence number and RTP time: no gap and no hours of silence."""
    line = Line()
    line.packet(0, 20)
    line.packet(700, 40, source=2, rtp_ms=1_000_000)
    line.packet(701, 60, source=2, rtp_ms=1_000_020)
    line.packet(29_000, 80, source=2, rtp_ms=5)
    line.packet(29_001, 100, source=2, rtp_ms=9_000_000)
    assert line.pieces() == [1, 701, 702, 29_001, 29_002]


def test_packets_of_other_lengths_are_one_line() -> None:
    """60 and 120 ms a packet, as some senders do."""
    line = Line()
    line.packet(0, 60, ms=60, rtp_ms=0)
    line.packet(1, 180, ms=120, rtp_ms=60)
    line.packet(2, 300, ms=120, rtp_ms=180)
    assert line.pieces() == [1] * 3 + [2] * 6 + [3] * 6


def test_a_clock_that_runs_otherwise_does_not_carry_the_line_away() -> None:
    """Five minutes with a sender whose clock is 0.1 % fast or slow: within HOLD and LEAD of ours, hardly anything missing."""
    for rate in (0.999, 1.001):
        line = Line()
        numbers = 15_000
        for number in range(numbers):
            at = (20 * number + 20) * rate
            line.passes(at)
            line.packet(number, at)
        now = 20 * numbers * rate
        emitted = len(line.heard) / 960 * 20
        assert -HOLD / MS - 20 <= emitted - now <= LEAD / MS
        assert sum(piece > 0 for piece in line.pieces()) >= numbers * 0.998


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.floats(0, 0.4),
    st.floats(0, 150),
    st.floats(0, 0.2),
    st.integers(0, 2**32 - 1),
    st.integers(0, 65_535),
)
def test_whatever_the_network_does_the_line_keeps_to_the_clock(
    seed: int, loss: float, jitter_ms: float, doubled: float, start: int, first: int
) -> None:
    """Loss, delay, disorder and doubles: at every moment neither more than HOLD behind nor more than LEAD ahead, in order."""
    chance = random.Random(seed)
    arrivals: list[tuple[float, int]] = []
    for number in range(200):
        if chance.random() >= loss:
            times = 1 + (chance.random() < doubled)
            arrivals.extend((20 * number + 20 + chance.random() * jitter_ms, number) for _ in range(times))
    line = Line()
    ticks = [(float(ms), -1) for ms in range(0, 4400, 5)]
    for at, number in sorted(arrivals + ticks):
        line.passes(at)
        if number >= 0:
            line.line.receive(
                7,
                first + number & 0xFFFF,
                start + number * 960 & 0xFFFFFFFF,
                struct.pack("<h", number + 1) * 480,
                round(at * MS),
            )
        emitted = len(line.heard) // 2
        assert round(at * MS) - HOLD - 20 * MS <= emitted <= round(at * MS) + LEAD
    samples = struct.unpack(f"<{len(line.heard) // 2}h", line.heard)
    voiced = [value for at, value in enumerate(samples) if value and (at == 0 or samples[at - 1] != value)]
    assert voiced == sorted(voiced)
