"""Reading and writing messages: verbatim for every recording, typed where used, a TurnlogError for everything else."""

import base64
import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core.errors import ProtocolError, TurnlogError
from turnlog.transports.realtime.client_messages import AudioAppend, ItemCreate
from turnlog.transports.realtime.message_objects import StatusDetails
from turnlog.transports.realtime.messages import ErrorEvent, OutputAudioDelta, ResponseDone
from turnlog.transports.realtime.wire import (
    MEDIA_TYPES,
    InvalidMessage,
    audio_text,
    check_base64,
    encode_event,
    event_id_of,
    parse,
)

CAPTURES = os.environ.get("TURNLOG_CAPTURES", "")
FILES = sorted((Path(__file__).parent.parent / "recordings").glob("*.jsonl")) + (
    sorted(file for file in Path(CAPTURES).rglob("*.jsonl") if file.parent.name != "gemini") if CAPTURES else []
)


class Line(msgspec.Struct):
    """A line of a recording; `event` verbatim."""

    dir: str
    event: msgspec.Raw = msgspec.Raw(b"")


def lines(file: Path) -> list[bytes]:
    """The messages of a recording, as they stand in it."""
    found = (msgspec.json.decode(line, type=Line) for line in file.read_bytes().splitlines())
    return [bytes(line.event) for line in found if bytes(line.event)]


def audio_delta(delta: bytes, *, space: bytes = b"") -> bytes:
    """An audio delta with this JSON string as its payload."""
    head = b'{"type":"response.output_audio.delta","event_id":"e1","response_id":"r1",' + space
    return head + b'"item_id":"i1","output_index":0,"content_index":0,"delta":' + delta + b',"extra":[1,{"a":null}]}'


def refused(raw: bytes) -> InvalidMessage:
    """The error with which parse refuses a message."""
    with pytest.raises(InvalidMessage) as caught:
        parse(raw)
    return caught.value


# --- recordings ---


@pytest.mark.parametrize("file", FILES, ids=[f"{file.parent.name}/{file.stem}" for file in FILES])
def test_every_recorded_message_passes_unchanged(file: Path) -> None:
    """Any recorded message, of either direction and in any dialect, is read and keeps its bytes."""
    messages = lines(file)
    assert messages
    for raw in messages:
        message = parse(raw)
        assert message.raw == raw
        assert message.type == json.loads(raw)["type"]


# --- reading ---


def test_unknown_types_and_keys_are_kept() -> None:
    """A type that nobody knows is a message like any other, without a view."""
    raw = b'{ "b":1, "type":"response.hologram.delta" , "a":{"z":[]},"event_id":"e9"}'
    message = parse(raw)
    assert (message.type, message.view, message.raw) == ("response.hologram.delta", None, raw)
    assert event_id_of(message) == "e9"


def test_the_type_may_stand_anywhere() -> None:
    """Order of keys does not matter, not even for the tag."""
    view = parse(b'{"error":{"code":"c","message":"m"},"event_id":"e","type":"error"}').view
    assert isinstance(view, ErrorEvent)
    assert (view.error.code, view.error.message, view.event_id) == ("c", "m", "e")


def test_beta_names_are_read_as_the_same_thing() -> None:
    """Dialects' response.audio.delta is an audio delta."""
    view = parse(b'{"type":"response.audio.delta","response_id":"r","item_id":"i","delta":"AAAA"}').view
    assert isinstance(view, OutputAudioDelta)


def test_a_message_without_event_id_is_fine() -> None:
    """dtmf_event_received has no event_id in the specification."""
    message = parse(b'{"type":"input_audio_buffer.dtmf_event_received","event":"9","received_at":1763605109}')
    assert event_id_of(message) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"type"',
        b"{}",
        b'{"type":7}',
        b'{"type":null}',
        b'{"type":"a"} {"type":"b"}',
        b'\xef\xbb\xbf{"type":"a"}',
        b'{"type":"a","x":"\xff"}',
        b'{"type":"a","x":"\xed\xa0\x80"}',
        b'{"type":"a","x":"line\nbreak"}',
        b'{"type":"\\ud800"}',
        b'{"type":"a","x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",  # 3.14 reads as deep as the stack is
        b'{"type":"session.update","session":{"x":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001 + b"}",
        b'{"type":"session.update","session":{"x":' + b"1" * 6_000 + b"}}",
        b'{"type":"session.update","session":{"x":1e999}}',
        b'{"type":"session.update","session":{"x":NaN}}',
    ],
    ids=lambda raw: raw[:24].decode(errors="replace"),
)
def test_what_is_no_event_is_refused_with_a_hint(raw: bytes) -> None:
    """Whatever is not one JSON object with a text `type` in UTF-8 is TL304."""
    error = refused(raw)
    assert error.code == "TL304"
    assert error.hint


@pytest.mark.parametrize(
    ("raw", "param", "missing"),
    [
        (b'{"type":"conversation.item.create","item":3,"event_id":"c1"}', "item", False),
        (b'{"type":"conversation.item.create","event_id":"c1"}', "item", True),
        (b'{"event_id":"c1","type":"response.done","response":{}}', "response.id", True),
        (b'{"event_id":"c1","type":"response.done","response":{"id":"r","output":[{"id":5}]}}', "response.output[0].id", False),
        (
            b'{"type":"input_audio_buffer.speech_started","item_id":"i","audio_start_ms":"1","event_id":"c1"}',
            "audio_start_ms",
            False,
        ),
        (b'{"event_id":"c1"}', "type", True),
    ],
)
def test_a_wrong_field_is_named(raw: bytes, param: str, missing: bool) -> None:
    """A field of the wrong kind is refused by its path, and the sender's event_id is there to be echoed."""
    error = refused(raw)
    assert (error.code, error.param, error.missing, error.event_id) == ("TL304", param, missing, "c1")


# --- audio ---


def test_audio_is_handed_on_as_the_text_on_the_wire() -> None:
    """Forwarding gets the base64 text itself."""
    assert audio_text(parse(audio_delta(b'"//8A"'))) == b"//8A"
    append = parse(b'{"type":"input_audio_buffer.append","audio":"AAECAw=="}')
    assert isinstance(append.view, AudioAppend)
    assert audio_text(append) == b"AAECAw=="


def test_escaped_slashes_are_slashes() -> None:
    """Encoders that write \\/ mean /; the wire text stays as it was."""
    message = parse(audio_delta(rb'"\/\/8A"'))
    assert audio_text(message) == b"//8A"


@pytest.mark.parametrize(
    "delta", [b'"AA"', b'"AAA"', b'"A=AA"', b'"AAAA="', b'"AA A"', b'"AA-_"', b"5", b"null", b'{"a":1}', rb'"\u00e9AAA"']
)
def test_what_is_not_base64_is_refused(delta: bytes) -> None:
    """Audio that cannot be decoded is TL305 and names its field."""
    with pytest.raises(InvalidMessage) as caught:
        audio_text(parse(audio_delta(delta)))
    assert (caught.value.code, caught.value.param, caught.value.event_id) == ("TL305", "delta", "e1")


def test_only_audio_messages_have_audio() -> None:
    """Asking a text message for audio is a mistake of the caller."""
    with pytest.raises(ProtocolError, match="TL307"):
        audio_text(parse(b'{"type":"input_audio_buffer.clear"}'))


@given(st.binary(max_size=400))
def test_check_base64_agrees_with_the_standard_library(text: bytes) -> None:
    """The quick check accepts exactly what strict decoding accepts."""
    for candidate in (text, base64.b64encode(text)):
        try:
            base64.b64decode(candidate, validate=True)
            good = len(candidate) % 4 == 0
        except ValueError:
            good = False
        try:
            check_base64(candidate)
            accepted = True
        except InvalidMessage:
            accepted = False
        assert accepted == good


def test_media_types_are_the_deltas_and_appends() -> None:
    """Everything that comes at the rate of audio or words is media, and nothing else."""
    assert all(type_.endswith((".delta", ".append")) for type_ in MEDIA_TYPES)
    assert "response.output_audio.done" not in MEDIA_TYPES


# --- writing ---


def test_events_are_compact_and_in_order() -> None:
    """type first, then event_id, then what was given."""
    assert encode_event("x.y", "e1", b=1, a=None) == b'{"type":"x.y","event_id":"e1","b":1,"a":null}'
    assert encode_event("x.y", None) == b'{"type":"x.y"}'


@pytest.mark.parametrize("value", ["\ud800", object()])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    """Half a surrogate pair, or an object: a ProtocolError that names the event."""
    with pytest.raises(ProtocolError, match=r"TL304 a\.b cannot be written"):
        encode_event("a.b", None, x=value)


# --- fuzzing ---

SEEDS = [raw for file in FILES[:6] for raw in lines(file)[:40]] + [
    b'{"type":"response.create","response":{"metadata":{"a":"b"},"conversation":"none"}}',
    b'{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}}',
    audio_delta(b'"//8A"'),
]


def survives(raw: bytes) -> None:
    """Reading gives a message or a TurnlogError, never another exception."""
    try:
        message = parse(raw)
    except TurnlogError:
        return
    assert message.raw == raw
    if message.type in ("response.output_audio.delta", "input_audio_buffer.append"):
        try:
            audio_text(message)
        except TurnlogError:
            pass


@given(st.binary(max_size=300))
def test_random_bytes_never_break_it(raw: bytes) -> None:
    """Noise is refused in order."""
    survives(raw)


@given(st.sampled_from(SEEDS), st.data())
def test_damaged_messages_never_break_it(raw: bytes, data: st.DataObject) -> None:
    """Cut, repeated or overwritten anywhere, a real message is read or refused."""
    at = data.draw(st.integers(0, len(raw)))
    until = data.draw(st.integers(at, len(raw)))
    survives(raw[:at])
    survives(raw[:at] + data.draw(st.binary(max_size=6)) + raw[until:])
    survives(raw[:until] + raw[at:])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(SEEDS), st.data())
def test_fields_of_any_kind_never_break_it(raw: bytes, data: st.DataObject) -> None:
    """A known event with any of its fields replaced or doubled is read or refused."""
    event = json.loads(raw)
    key = data.draw(st.sampled_from(sorted(event)))
    value = json.dumps(data.draw(JSON))
    survives(json.dumps({**event, key: json.loads(value)}).encode())
    survives(raw[:-1] + b"," + json.dumps(key).encode() + b":" + value.encode() + b"}")


def test_views_read_what_they_name() -> None:
    """A view's fields are the message's."""
    created = parse(b'{"type":"conversation.item.create","previous_item_id":"root","item":{"type":"message","k":[1]}}').view
    assert isinstance(created, ItemCreate)
    assert (created.previous_item_id, created.item) == ("root", {"type": "message", "k": [1]})
    done = parse(b'{"type":"response.done","response":{"id":"r","status":"failed","status_details":{"error":{"code":"x"}}}}').view
    assert isinstance(done, ResponseDone)
    assert isinstance(done.response.status_details, StatusDetails) and done.response.status_details.error is not None
    assert done.response.status_details.error.code == "x"
