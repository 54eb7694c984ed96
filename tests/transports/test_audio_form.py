"""Audio that is read without being parsed: the same as parsed, or not read so at all."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core.signals import AudioAppended, OutputAudio
from turnlog.transports.realtime.audio_form import AudioReader, form_of
from turnlog.transports.realtime.client import ClientProtocol
from turnlog.transports.realtime.messages import OutputAudioDelta, View
from turnlog.transports.realtime.server import ServerProtocol
from turnlog.transports.realtime.wire import InvalidMessage, parse

PLACE: dict[str, Any] = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}


def delta(audio: bytes, event_id: str | None = "e1", *, spaces: bool = False, **more: Any) -> bytes:
    """An audio delta as a server writes it."""
    head = {"type": "response.output_audio.delta"} | ({} if event_id is None else {"event_id": event_id})
    fields = {**head, **PLACE, **more, "delta": base64.b64encode(audio).decode()}
    return json.dumps(fields, separators=None if spaces else (",", ":")).encode()


def taught(raw: bytes) -> AudioReader[OutputAudioDelta]:
    """A reader that has seen one message parsed."""
    view = parse(raw).view
    assert isinstance(view, OutputAudioDelta)
    reader: AudioReader[OutputAudioDelta] = AudioReader()
    reader.learn(raw, view, bytes(view.delta))
    return reader


@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize("event_id", ["event_2", None])
def test_audio_like_the_last_is_read(event_id: str | None, *, spaces: bool) -> None:
    """Another event_id and payload: text and bytes come out, whatever the writer's spacing."""
    reader = taught(delta(b"abcd", event_id and "event_1", spaces=spaces))
    read = reader.read(delta(b"efghi", event_id, spaces=spaces))
    assert read is not None
    assert (read[0].response_id, *read[1:]) == ("r1", base64.b64encode(b"efghi"), b"efghi")


@pytest.mark.parametrize(
    "raw",
    [
        delta(b"abcd", "e2", output_index=1),
        delta(b"abcd", "e2", more="x"),
        delta(b"abcd", None),
        delta(b"abcd", 'e"2'),
        delta(b"abcd", "é2"),
        delta(b"abcd", "e" * 200),
        delta(b"", "e2"),
        delta(b"abcd", "e2") + b" ",
        delta(b"abcd", "e2")[:-1],
        delta(b"abcd", "e2").replace(b'=="', b'"'),
        delta(b"abcd", "e2").replace(b'=="', b'=!"'),
        delta(b"abc", "e2").replace(b"YWJj", b"YW\\/j"),
        delta(b"abcd", "e2").replace(b"ZA==", b"ZB=="),
        b"{}",
        b"",
    ],
)
def test_other_messages_are_left_to_the_parser(raw: bytes) -> None:
    """Another place, key, id, end or text: nothing is guessed."""
    assert taught(delta(b"abcd")).read(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        delta(b"abcd", copy=base64.b64encode(b"abcd").decode()),
        delta(b"abcd", copy="e1"),
        delta(b"abcd", note='a "quote"'),
        delta(b"abcd", None)[:-1] + b',"event_id":"late"}',
    ],
)
def test_what_is_not_certain_is_not_learnt(raw: bytes) -> None:
    """A value that stands twice, an escape, an event_id behind the payload: no form."""
    view = parse(raw).view
    assert isinstance(view, OutputAudioDelta)
    assert form_of(raw, view.event_id, bytes(view.delta)) is None


def read_or_none(raw: bytes) -> View | None:
    """The parsed view, None for what is no message."""
    try:
        return parse(raw).view
    except InvalidMessage:
        return None


@given(
    first=st.binary(min_size=1, max_size=40),
    second=st.binary(min_size=1, max_size=40),
    at=st.integers(0, 200),
    change=st.binary(max_size=3) | st.sampled_from([b'"', b'","', b"\\"]),
)
def test_whatever_is_read_would_be_parsed_so(first: bytes, second: bytes, at: int, change: bytes) -> None:
    """A message changed anywhere is left to the parser, or the parser finds the same in it."""
    message = delta(second, "e2")
    message = message[:at] + change + message[at + len(change) :]
    read = taught(delta(first)).read(message)
    if read is not None:
        view = read_or_none(message)
        assert isinstance(view, OutputAudioDelta)
        assert bytes(view.delta) == b'"%b"' % read[1]
        assert base64.b64encode(read[2]) == read[1]
        same = {"event_id": None, "delta": msgspec.Raw(b"")}
        assert msgspec.structs.replace(view, **same) == msgspec.structs.replace(read[0], **same)


def test_a_client_hears_the_same_either_way() -> None:
    """Signals and sums of a response are those of the parser, also for a response that is over."""
    short, long = ClientProtocol(), ClientProtocol()
    assert short.receive_audio(delta(b"ab" * 24)) is None
    for machine in (short, long):
        machine.receive(parse(delta(b"ab" * 24)))
    (heard,) = short.receive_audio(delta(b"cd" * 24, "e2")) or []
    (parsed,) = long.receive(parse(delta(b"cd" * 24, "e2")))
    assert isinstance(heard, OutputAudio)
    assert heard.payload == b"cd" * 24
    assert msgspec.structs.replace(heard, payload=None) == parsed
    done = b'{"type":"response.done","response":{"id":"r1","status":"completed"}}'
    assert short.receive(parse(done)) == long.receive(parse(done))
    assert short.receive_audio(delta(b"ef", "e3")) == long.receive(parse(delta(b"ef", "e3"))) == []
    short.receive_close()
    assert short.receive_audio(delta(b"ef", "e4")) is None


def test_a_server_hears_the_same_either_way() -> None:
    """A caller's audio counts the same for its commit."""

    def append(audio: bytes) -> bytes:
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}).encode()

    server = ServerProtocol(ids=str, model="m")
    assert server.receive_audio(append(b"ab" * 1200)) is None
    server.receive(parse(append(b"ab" * 1200)))
    (heard,) = server.receive_audio(append(b"cd" * 1200)) or []
    assert isinstance(heard, AudioAppended)
    assert (heard.ms, heard.payload) == (50.0, b"cd" * 1200)
    server.messages_to_send()
    server.receive(parse(b'{"type":"input_audio_buffer.commit"}'))
    assert b"input_audio_buffer.committed" in server.messages_to_send()[0]
    server.close()
    assert server.receive_audio(append(b"cd" * 1200)) is None
