"""A track's messages are read from its segments and those that they refer to."""

import base64

import pytest

from turnlog.core.chain import digest
from turnlog.core.errors import StoreError
from turnlog.core.ports import Segment
from turnlog.store.media import SegmentBuilder
from turnlog.store.messages import scan_messages
from turnlog.store.port import MediaReads

__all__: list[str] = []


class Shelf:
    """Segments of one session; counts how often a track is read from its beginning."""

    def __init__(self, segments: list[Segment]) -> None:
        self.kept = segments
        self.scans = 0

    def scan_segments(self, session: str, track: str, *, after: int = 0, erased: bool = False):  # type: ignore[no-untyped-def]
        """As MediaReads has it."""
        self.scans += 1
        yield from (part for part in self.kept if part.track == track and part.n > after)


def recorded(order: list[int]) -> tuple[list[Segment], list[bytes]]:
    """Ten segments that came, and for each number of `order` one that carries that one's audio on; and what was sent."""
    came, left = SegmentBuilder("p1.in"), SegmentBuilder("c1.out")
    packed, kept, texts = [], [], []
    for n in range(10):
        text = base64.b64encode(b"%03d" % n)
        texts.append(text)
        kept.append(came.add(n, n, b'{"delta":"%b"}' % text, (10, 14)))
        packed.append(came.pack())
    written = []
    for ordinal, n in enumerate(order):
        raw, found = b'"%b"' % texts[n], kept[n]
        assert found is not None
        written.append(raw)
        left.add_copy(ordinal, ordinal, raw, (1, 5), found)
        packed.append(left.pack())
    return [one.at(seq) for seq, one in enumerate(packed, 1) if one is not None], written


@pytest.mark.parametrize("order", [list(range(10)), [0, 0, 3, 9], [9, 0, 5, 1, 8], [5, 4, 3, 2, 1, 0]])
def test_sources_are_found_in_any_order(order: list[int]) -> None:
    """References go forth and back; each gives its own audio."""
    segments, written = recorded(order)
    assert [message.raw for message in scan_messages(as_reads(Shelf(segments)), "s1", "c1.out")] == written


def test_a_track_is_read_once_for_references_in_order() -> None:
    """One pass over the track that is asked for, one over the track that it refers to."""
    shelf = Shelf(recorded(list(range(10)))[0])
    assert len(list(scan_messages(as_reads(shelf), "s1", "c1.out"))) == 10
    assert shelf.scans == 2


def test_a_source_that_is_gone_is_named() -> None:
    """Erased, its audio cannot be had from what was handed on either."""
    segments = [part for part in recorded([0, 1])[0] if (part.track, part.n) != ("p1.in", 2)]
    reading = scan_messages(as_reads(Shelf(segments)), "s1", "c1.out")
    assert next(reading).raw == b'"%b"' % base64.b64encode(b"000")
    with pytest.raises(StoreError, match=r"segment 2 of track p1\.in is not there") as refused:
        next(reading)
    assert refused.value.code == "TL407"


def test_a_source_that_was_changed_is_named() -> None:
    """The reference holds the digest of what it was made from."""
    segments, _ = recorded([0])
    other = segments[1].data
    changed = [part._replace(data=other, digest=digest(other)) if part.track == "p1.in" else part for part in segments]
    with pytest.raises(StoreError, match="is not the one that it refers to"):
        list(scan_messages(as_reads(Shelf(changed)), "s1", "c1.out"))


def as_reads(shelf: Shelf) -> MediaReads:
    """Only scan_segments is asked for."""
    return shelf  # type: ignore[return-value] # the rest of the port is not needed to scan
