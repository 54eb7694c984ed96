"""A line: its name, its ordinals, and segments that are closed in time."""

import base64
import json

import pytest

from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.engine.line import Line, Track
from turnlog.store.media import MAX_SEGMENT_MS
from turnlog.store.rebuild import rebuild
from turnlog.transports.links.in_process import pair
from turnlog.transports.realtime.caller_leg import CallerLeg

MS = 1_000_000


def append(ms: int) -> tuple[bytes, s.Audio]:
    """An append of silence, and the audio in it."""
    audio = base64.b64encode(bytes(48 * ms))
    raw = json.dumps({"type": "input_audio_buffer.append", "audio": audio.decode()}).encode()
    return raw, s.AudioAppended(audio=audio, ms=float(ms))


def test_control_and_media_share_the_ordinals() -> None:
    """Messages of one direction are numbered together, whichever way they are logged."""
    track = Track("c1", "in")
    raw, audio = append(20)
    assert track.next() == 1
    track.add(raw, 0, audio)
    track.add(b'{"type":"x.delta"}', 5 * MS)
    assert track.next() == 4
    ((packed, ms),) = track.pack()
    assert [(one.ordinal, one.raw) for one in rebuild(packed.data)] == [(2, raw), (3, b'{"type":"x.delta"}')]
    assert (packed.first, packed.messages, ms) == (2, 2, 20)


def test_a_segment_is_due_in_time() -> None:
    """What was gathered must be in the log 200 ms after its first message; an empty track owes nothing."""
    track = Track("c1", "in")
    assert (track.due_ns, track.pack()) == (None, [])
    raw, audio = append(20)
    track.add(raw, 0, audio)
    assert track.due_ns == MAX_SEGMENT_MS * MS
    assert len(track.pack()) == 1
    assert track.due_ns is None


def test_audio_that_is_handed_on_is_stored_once() -> None:
    """What leaves refers to what came; what leaves with audio that is not kept as it came holds it itself."""
    came, left = Track("c1", "in"), Track("p1", "out")
    raw, audio = append(20)
    left.add_copy(raw, 0, audio, came.add(raw, 0, audio))
    left.add_copy(raw, 0, audio, None)
    left.add_copy(b'{"type":"x"}', 0, None, None)
    ((source, _),) = came.pack()
    ((packed, ms),) = left.pack()
    assert (packed.codec, ms, packed.audio) == ("tlm2", 40, bytes(48 * 40))
    assert len(packed.data) < len(source.data) + 400
    given = {("c1.in", 1): source.data}
    assert [one.raw for one in rebuild(packed.data, lambda *place: given[place])] == [raw, raw, b'{"type":"x"}']


def test_what_left_may_be_full_before_what_it_refers_to() -> None:
    """Audio that waited leaves later than it came: its segment is over sooner, and still names the digest of its source."""
    came, left = Track("p1", "in"), Track("c1", "out")
    raw, audio = append(20)
    kept = [came.add(raw, at_ns, audio) for at_ns in (0, 150 * MS, 190 * MS)]
    for at_ns, one in zip((0, 150 * MS, 210 * MS), kept, strict=True):
        left.add_copy(raw, at_ns, audio, one)
    ((source, _),) = came.pack()
    sent = [packed for packed, _ in left.pack()]
    assert [packed.messages for packed in sent] == [2, 1]
    for packed in sent:
        assert {one.raw for one in rebuild(packed.data, lambda *place: {("p1.in", 1): source.data}[place])} == {raw}


def test_a_segment_is_not_packed_before_what_it_refers_to() -> None:
    """Its digest would not be known: that is a fault of the engine, and nothing wrong is written."""
    came, left = Track("p1", "in"), Track("c1", "out")
    raw, audio = append(20)
    left.add_copy(raw, 0, audio, came.add(raw, 0, audio))
    with pytest.raises(ValueError, match=r"segment c1\.out 1 is packed before p1\.in 1"):
        left.pack()


def test_no_segment_is_longer_than_it_may_be() -> None:
    """A late packing makes several segments, numbered in order, each with its own ms of audio."""
    track = Track("c1", "in")
    raw, audio = append(20)
    for n in range(25):
        track.add(raw, n * 20 * MS, audio)
    packed = track.pack()
    assert [segment.n for segment, _ in packed] == [1, 2, 3]
    assert [ms for _, ms in packed] == [200, 200, 100]
    assert all(segment.dur_ns < MAX_SEGMENT_MS * MS for segment, _ in packed)
    assert [one.raw for segment, _ in packed for one in rebuild(segment.data)] == [raw] * 25


def test_audio_that_stands_differently_in_the_message() -> None:
    """Base64 that is escaped on the wire is kept as it came."""
    raw = b'{"type":"input_audio_buffer.append","audio":"\\/\\/\\/\\/"}'
    track = Track("c1", "in")
    track.add(raw, 0, s.AudioAppended(audio=b"////", ms=0.06))
    ((packed, _),) = track.pack()
    assert [one.raw for one in rebuild(packed.data)] == [raw]


async def test_a_line_tells_whose_it_is() -> None:
    """The name says which side it leads to; a line stands from its LinkOpened on."""
    link, _ = pair()
    leg = CallerLeg("c2", "m", str)
    caller, provider = Line("c2", link, leg, "websocket"), Line("p1", link, leg, "in_process")
    assert (caller.of_provider, provider.of_provider) == (False, True)
    assert caller.opened("1.2.3.4") == e.LinkOpened(link="c2", side="caller", transport="websocket", peer="1.2.3.4")
    assert provider.opened("").side == "provider"
    assert caller.since > 10**15
    assert (caller.received.name, caller.sent.name) == ("c2.in", "c2.out")
