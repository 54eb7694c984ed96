"""Segments give back every message byte for byte, and know how long and how loud their audio is."""

import base64
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core.chain import digest
from turnlog.core.errors import StoreError
from turnlog.store import MAX_SEGMENT_BYTES, Message, SegmentBuilder, rebuild
from turnlog.store.media import CODEC, CODEC_BY_REFERENCE, PackedSegment
from turnlog.store.peaks import peaks_of

__all__: list[str] = []

MS = 1_000_000

# base64 as peers send it: canonical, with stray bits behind the last byte, unpadded, escaped, broken, empty.
CANONICAL = st.binary(max_size=40).map(base64.b64encode)
ODD = st.sampled_from(
    [b"", b"QR==", b"QUJ=", b"QQ", b"QQ=", b"Q\\/8=", b"Q\\u0041==", b"QUJD\\n", b"QU JD", b"====", b"!!!!", b"QUJDQQ==QUJD"]
)
ANY = st.one_of(CANONICAL, ODD, st.binary(max_size=20))
EDGE = st.binary(max_size=12)


def wire(payload: bytes, before: bytes = b'{"type":"x","delta":"', after: bytes = b'"}') -> tuple[bytes, tuple[int, int]]:
    """A message, and where its payload stands."""
    return before + payload + after, (len(before), len(before) + len(payload))


@given(st.lists(st.tuples(EDGE, ANY, EDGE, st.booleans(), st.integers(0, 3), st.integers(-5, 190 * MS)), min_size=1, max_size=12))
def test_every_message_comes_back_exactly(parts: list[tuple[bytes, bytes, bytes, bool, int, int]]) -> None:
    """Whatever stands around and in the payload, quoted or not, in order or not, rebuild() gives what was added."""
    builder = SegmentBuilder("p1.in")
    written, ordinal = [], 10
    for before, payload, after, quoted, skip, at in parts:
        ordinal += 1 + skip
        raw, span = wire(payload, before + b'"' * quoted, b'"' * quoted + after)
        builder.add(ordinal, 10**18 + at, raw, span)
        written.append(Message(ordinal, 10**18 + at, raw))
    packed = builder.pack()
    assert packed is not None
    assert rebuild(packed.data) == written
    assert (packed.messages, packed.first) == (len(written), written[0].ordinal)


@given(CANONICAL)
def test_canonical_base64_is_stored_decoded(payload: bytes) -> None:
    """Base64 that encodes back to itself takes no more room than its bytes, and counts as audio."""
    builder = SegmentBuilder("p1.in")
    builder.add(1, 0, *wire(payload))
    packed = builder.pack()
    assert packed is not None and packed.audio == base64.b64decode(payload)
    assert payload not in packed.data or len(payload) < 4


@pytest.mark.parametrize("payload", [b"QR==", b"QUJ=", b"Q\\/8=", b"QQ", b"!!!!"])
def test_other_base64_is_stored_as_it_came(payload: bytes) -> None:
    """What would not encode back to itself stands verbatim in the segment."""
    builder = SegmentBuilder("p1.in")
    raw, span = wire(payload)
    builder.add(1, 0, raw, span)
    packed = builder.pack()
    assert packed is not None and raw in packed.data and packed.audio == b""


def test_a_message_without_payload_is_kept_whole() -> None:
    """Transcript deltas name no payload."""
    builder = SegmentBuilder("p1.in")
    builder.add(7, 5, b'{"delta":"QUJD"}')
    packed = builder.pack()
    assert packed is not None and rebuild(packed.data) == [Message(7, 5, b'{"delta":"QUJD"}')]


def test_a_huge_message_goes_into_a_segment_of_its_own() -> None:
    """An empty segment takes a message of any size, and then nothing more."""
    payload = base64.b64encode(bytes(3 * MAX_SEGMENT_BYTES))
    raw, span = wire(payload)
    builder = SegmentBuilder("p1.in")
    assert builder.fits(0, len(raw))
    builder.add(1, 0, raw, span)
    assert not builder.fits(0, 1)
    packed = builder.pack()
    assert packed is not None and rebuild(packed.data) == [Message(1, 0, raw)]


def test_a_segment_spans_at_most_200_ms() -> None:
    """A message 200 ms after the first does not fit, one just before does; due_ns says when to pack."""
    builder = SegmentBuilder("c1.out")
    assert (builder.began_ns, builder.pack(), len(builder)) == (None, None, 0)
    builder.add(1, 1_000, b"a")
    assert builder.began_ns == 1_000
    assert builder.fits(1_000 + 200 * MS - 1, 1)
    assert not builder.fits(1_000 + 200 * MS, 1)


def test_packing_numbers_the_segments_and_starts_anew() -> None:
    """Segments count 1, 2, 3…; each has its own first message, times and digest, and is placed by its event's seq."""
    builder = SegmentBuilder("p1.in", n=5)
    builder.add(3, 100, b"a")
    builder.add(4, 250, b"b")
    builder.add(5, 200, b"c")
    one = builder.pack()
    builder.add(6, 900, b"d")
    two = builder.pack()
    assert one is not None and two is not None and builder.n == 7
    segment = one.at(42)
    assert segment[:6] == ("p1.in", 5, 42, 100, 150, CODEC)
    assert segment.digest == digest(segment.data)
    assert two.at(43)[:6] == ("p1.in", 6, 43, 900, 0, CODEC)
    assert rebuild(two.data) == [Message(6, 900, b"d")]


def copied(source: SegmentBuilder, payloads: list[bytes]) -> tuple[PackedSegment, PackedSegment, list[bytes]]:
    """Messages in `source`, packed, and others that carry their payloads on, packed; and those others."""
    builder, written = SegmentBuilder("c1.out"), []
    for n, payload in enumerate(payloads):
        kept = source.add(n, n, *wire(payload))
        raw, span = wire(payload, b'{"id":%d,"delta":"' % n, b'","more":1}')
        written.append(raw)
        if kept is None:
            builder.add(n, n, raw, span)
        else:
            builder.add_copy(n, n, raw, span, kept)
    first, second = source.pack(), builder.pack()
    assert first is not None and second is not None
    return first, second, written


@given(st.lists(ANY, min_size=1, max_size=12))
def test_messages_stored_by_reference_come_back_exactly(payloads: list[bytes]) -> None:
    """What carries audio on is rebuilt from the segment that holds it, whatever the audio."""
    came, left, written = copied(SegmentBuilder("p1.in", n=7), payloads)
    assert [message.raw for message in rebuild(left.data, lambda track, n: {("p1.in", 7): came.data}[track, n])] == written
    assert left.audio == came.audio
    assert left.codec == (CODEC_BY_REFERENCE if came.audio else CODEC)


def test_a_copy_may_refer_to_several_segments() -> None:
    """A segment of what was sent later spans segments of what came."""
    source, builder = SegmentBuilder("p1.in"), SegmentBuilder("c1.out")
    data, written = {}, []
    for n, part in enumerate((b"abc", b"def", b"ghi", b"jkl")):
        raw, span = wire(base64.b64encode(part))
        kept = source.add(n, 0, raw, span)
        assert kept is not None
        builder.add_copy(n, 0, raw, span, kept)
        written.append(raw)
        if n % 2:
            packed = source.pack()
            assert packed is not None
            data[packed.track, packed.n] = packed.data
    left = builder.pack()
    assert left is not None
    assert len(data) == 2
    assert [message.raw for message in rebuild(left.data, lambda *place: data[place])] == written


def test_a_reference_is_to_the_very_bytes() -> None:
    """Another segment in the source's place, a place without payload, or no source at all is TL407, not other audio."""
    _, left, _ = copied(SegmentBuilder("p1.in"), [base64.b64encode(b"abc")])
    other, _, _ = copied(SegmentBuilder("p1.in"), [base64.b64encode(b"xyz")])
    plain = msgspec.msgpack.encode((1, 0, 0, [(0, 0, b"raw")]))
    to_plain = msgspec.msgpack.encode((2, 0, 0, [(0, 0, b"", 0, 0, b"")], [("p1.in", 1, digest(plain))]))
    for data, found in ((left.data, other.data), (to_plain, plain)):
        with pytest.raises(StoreError) as refused:
            rebuild(data, lambda *place, found=found: found)
        assert refused.value.code == "TL407"
    with pytest.raises(StoreError, match=r"refers to segment 1 of track p1\.in") as refused:
        rebuild(left.data)
    assert refused.value.code == "TL407"


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"text", msgspec.msgpack.encode((2, 0, 0, [])), msgspec.msgpack.encode((1, 0, 0, [[1]]))]
)
def test_what_is_no_segment_is_named(data: bytes) -> None:
    """Bytes of another layout raise TL407."""
    with pytest.raises(StoreError) as refused:
        rebuild(data)
    assert refused.value.code == "TL407"


def pcm(*samples: int) -> bytes:
    """Little-endian PCM16."""
    return struct.pack(f"<{len(samples)}h", *samples)


def test_duration_and_peaks_of_a_segment() -> None:
    """20 ms at 24 kHz in two messages are 20 ms and two peaks, also when a sample is cut between the messages."""
    audio = pcm(*[1_000] * 240, *[-20_000] * 240)
    builder = SegmentBuilder("p1.in")
    for number, part in enumerate((audio[:301], audio[301:])):
        builder.add(number, 0, *wire(base64.b64encode(part)))
    packed = builder.pack()
    assert packed is not None and packed.audio == audio
    assert packed.audio_ms() == 20
    assert list(packed.peaks()) == [6, 156]
    assert packed.audio_ms(rate=8_000) == 60 and len(packed.peaks(rate=8_000)) == 6


@given(st.lists(st.integers(-32768, 32767), max_size=500))
def test_peaks_are_the_loudest_level_of_each_window(samples: list[int]) -> None:
    """Each peak is within two steps of the window's loudest sample / 128, and silence is 0."""
    peaks = list(peaks_of(pcm(*samples), 8_000))
    windows = [samples[at : at + 80] for at in range(0, len(samples), 80)]
    assert len(peaks) == len(windows)
    for peak, window in zip(peaks, windows, strict=True):
        assert -2 <= peak - max(abs(sample) for sample in window) / 128 <= 0
