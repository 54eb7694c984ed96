"""Events to bytes and back."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.codec import VERSIONS, decode, encode, to_json
from turnlog.core.definition import define_session
from turnlog.core.errors import StoreError
from turnlog.core.ports import Recorded

NONCE = bytes(range(16))
SITE = c.Site("desk.py", 12)
HEARD = e.HeardPart(item="i", content_index=1, generated_ms=900, delivered_ms=800, heard_ms=640, heard_text="Hi")
PLAIN: dict[str, Any] = {"a": [1, 2.5, None, True, "ü", b"\x00"], "b": {"c": -(2**63)}}

SAMPLES: list[e.Event] = [
    e.SessionStarted(
        session="s",
        target="hotel.desk",
        definition=define_session("desk", provider="openai", transport="websocket", metadata=PLAIN),
        metadata=PLAIN,
        python="3.11",
        code_version="abc",
        handler="m:f",
        engine_flags=3,
        replayable=False,
        forked_from="r",
        forked_at=7,
        seed="q",
        tools=[e.ToolRules(name="find", filler="One moment", after_ms=700, cancel_on_interruption=True)],
    ),
    e.SessionEnding(reason="r", code="TL302", detail="d", drain=True),
    e.SessionEnded(reason="r", code="c", detail="d"),
    e.LinkOpened(link="p1", side="provider", transport="websocket", peer="x"),
    e.LinkReady(link="p1", session=PLAIN),
    e.LinkClosed(link="p1", code=1006, reason="gone"),
    e.LinkFailed(side="provider", code="TL301", message="m"),
    e.CallersGone(reason="hung up"),
    e.CallerAwaited(grace_ms=30_000, link="c1", code=1006, reason="lost"),
    e.TransportReceived(link="c1", n=7, data=b'{"type":"\xf0\x9f\x98\x80"}'),
    e.TransportSent(link="c1", n=8, data=b"\xff\x00"),
    e.MediaRecorded(track="p1.in", n=2, duration_ms=200, digest=bytes(32), messages=10, first=4, peaks=b"\x01\xff"),
    e.BinaryReceived(link="c1", n=3, data=b"\xff\x00"),
    e.BinarySent(link="p1", n=3, data=b"\xff\x00"),
    e.PeerFaulted(link="c1", code="TL304", message="m"),
    e.SpeechStarted(item="i", audio_start_ms=300, held=True),
    e.SpeechStopped(item="i", audio_end_ms=900),
    e.InputCommitted(item="i", previous_item="h"),
    e.InputTranscribed(item="i", transcript="hello", status="failed"),
    e.TurnEnded(turn=3, item="i", text="t", transcript="t ", channel="audio", start_ms=1, end_ms=2, transcript_status="late"),
    e.TurnDiscarded(item="i", reason="blank"),
    e.TranscriptArrivedLate(item="i", transcript="late"),
    e.ItemSeeded(link="c1", item="i", role="user", text="t", raw=PLAIN),
    e.InputCommitAsked(link="c1"),
    e.InputClearAsked(link="c1"),
    e.SettingsAsked(link="c1", settings={"turn_detection": None}),
    e.AnswerAsked(link="c1", event_id="evt", request=PLAIN),
    e.AnswerTimedOut(link="c1"),
    e.InputRequested(index=1, command=c.Input(timeout_s=2.5), site=SITE),
    e.SayRequested(index=2, say="say_2", command=c.Say(text="Hi", metadata=PLAIN), site=SITE),
    e.CallRequested(index=3, call="call_3", command=c.Call(target="t", args=[1], kwargs=PLAIN), site=SITE),
    e.CallCompleted(index=3, result=b"\xc0"),
    e.CallFailed(index=3, type_name="ValueError", message="m", data=b"\x01"),
    e.StepRequested(index=3, step="step_3", command=c.Step(name="m:f", options=c.Options(retries=1)), site=SITE),
    e.AttemptFailed(index=3, attempt=1, type_name="OSError", message="m"),
    e.StreamRequested(index=3, stream="stream_3", command=c.Stream(name="m:f", args=[1]), site=SITE),
    e.StreamItem(index=3, n=1, item=b"\x01"),
    e.StreamEnded(index=3, type_name="OSError", message="m", data=b"\x01"),
    e.SignalAwaited(index=3, command=c.AwaitSignal(name="paid"), site=SITE),
    e.SignalReceived(name="paid", data=b"\x01", key="k"),
    e.OutsideCallRequested(execution="x", target="n.t", arguments="{}", caller="token", peer="h:1", agent="n"),
    e.OutsideCallEnded(execution="x", status="passed_on", output="1", error="m", elsewhere="y"),
    e.UpdateRequested(index=3, command=c.Update(tools=["t"]), site=SITE),
    e.UpdateApplied(index=3),
    e.UpdateRefused(index=3, code="voice_locked", message="m"),
    e.PatchMarked(index=3, command=c.Patch(name="p"), site=SITE),
    e.ConfigurationConfirmed(link="p1"),
    e.ConfigurationRefused(link="p1", code="c", message="m"),
    e.EndRequested(index=4, command=c.End(reason="bye", drain=False), site=SITE),
    e.CommandAbandoned(index=5, command=1),
    e.TimerFired(timer=1, deadline_ns=2**62),
    e.HandlerReturned(index=6),
    e.HandlerFailed(index=6, type_name="KeyError", message="'x'", traceback=["a", "b"]),
    e.ConfigurationDispatched(link="p1", settings=PLAIN, answers="model", answer_held=True),
    e.SayDispatched(say="say_2", attempt=2, link="p1", text="Hi", part=3),
    e.SayRefused(say="say_2", attempt=2, code="busy", message="m"),
    e.ItemForwarded(link="p1", item="i", raw=PLAIN, previous="h"),
    e.AnswerDispatched(link="p1", request=PLAIN),
    e.ClientToolCalled(response="r", item="i", call_id="c", name="n", arguments="{}"),
    e.AnswerRefused(link="p1", code="c", message="m", answer=7),
    e.InputCommitDispatched(link="p1"),
    e.InputClearDispatched(link="p1"),
    e.ToolOutputDispatched(link="p1", call_id="c", output="{}"),
    e.ResponseStarted(response="r", say="say_2", attempt=2, in_band=True, dead=True, link="v1"),
    e.AudioStarted(response="r"),
    e.ResponseEnded(
        response="r",
        status="failed",
        code="c",
        message="m",
        generated_ms=20,
        transcript="Hi",
        usage={"total_tokens": 1},
        parts=[e.PartGenerated(item="i", content_index=1, generated_ms=20, transcript="Hi")],
    ),
    e.PlayoutEnded(response="r", say="say_2", interrupted=True, heard=[HEARD], source="mark", error_ms=20),
    e.PlayoutCut(response="r", reason="speech", say="say_2", item="i", heard=[HEARD], source="clock", error_ms=300),
    e.PlayoutAcknowledged(link="c1", response="r", item="i", content_index=1, played_ms=640, source="ack", halted=True),
    e.PlayoutBuffered(link="p1", response="r", state="cleared"),
    e.CallOpened(call_id="rtc_1", link="c1"),
    e.CallRefused(code="TL303", message="no key"),
    e.CallEnded(call_id="rtc_1", reason="it is not there any more"),
    e.ConfigurationOverridden(link="p1", changed=["tools"], effective={"tools": []}),
    e.OutputClearDispatched(link="p1"),
    e.ResponseDelivered(response="r", delivered_ms=900, ends_ns=2**62),
    e.CancelDispatched(link="p1", response="r"),
    e.TruncateDispatched(link="p1", item="i", content_index=1, audio_end_ms=640),
    e.ItemDeleteDispatched(link="p1", item="i"),
    e.ItemTruncated(link="p1", item="i", content_index=1, audio_end_ms=640),
    e.SpeechSustained(link="c1", ms=200),
    e.SpeechConfirmed(item="i", audio_start_ms=300),
    e.CallerCancelled(link="c1", response="r"),
    e.DigitPressed(digit="#"),
    e.AnswersSwitched(answers="model"),
    e.SayCancelRequested(index=9, command=c.CancelSay(say="say_2"), site=SITE),
    e.SayRepeated(index=9, say="say_2", command=c.Say(text="Hi", key="k"), site=SITE),
    e.SayResumed(say="say_2", text="rest of it"),
    e.SaySpoken(say="say_2", requested="Hi", spoken="Hi.", similarity=0.5),
    e.SaySettled(
        say="say_2",
        status="interrupted",
        code="c",
        requested_ms=1,
        generated_ms=2,
        heard_ms=3,
        source="clock",
        error_ms=4,
        heard_text="H",
    ),
    e.ToolRequested(response="r", item="i", call_id="c", name="n", arguments="{}", output_index=1, allowed=False),
    e.ToolAnswered(call_id="c", output="{}", ok=False),
]


def entry(type_: str, data: bytes | None, version: int = 1) -> Recorded:
    """A log entry."""
    return Recorded(5, type_, version, 0, 1, -1, b"", b"", data)


def test_there_is_a_sample_of_every_event_type() -> None:
    """The round trip below leaves no type out."""
    assert {type(sample) for sample in SAMPLES} == set(e.EVENT_TYPES.values())


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_comes_back_equal(event: e.Event) -> None:
    """What was encoded decodes to an equal event of the same type."""
    type_, version, data = encode(event, NONCE)
    back = decode(entry(type_, data, version))
    assert back == event
    assert type(back) is type(event)


def test_stored_data_is_the_nonce_and_a_map_of_fields() -> None:
    """Any msgpack reader can read a log: 16 bytes, then a map with the fields' names."""
    type_, version, data = encode(e.SpeechStarted(item="i", audio_start_ms=3), NONCE)
    assert (type_, version, data[:16]) == ("SpeechStarted", 1, NONCE)
    assert msgspec.msgpack.decode(data[16:]) == {"item": "i", "audio_start_ms": 3, "held": False}


def test_an_unknown_type_is_kept_as_unknown() -> None:
    """A log of a newer turnlog can be read; what is not known is named."""
    assert decode(entry("SomethingNewer", NONCE + b"\x80", 4)) == e.Unknown(type="SomethingNewer", version=4)


def test_a_newer_version_of_a_known_type_is_unknown() -> None:
    """A changed layout is not guessed at."""
    newer = VERSIONS.get("SpeechStarted", 1) + 1
    _, _, data = encode(e.SpeechStarted(item="i", audio_start_ms=3), NONCE)
    assert decode(entry("SpeechStarted", data, newer)) == e.Unknown(type="SpeechStarted", version=newer)


@pytest.mark.parametrize("type_", ["TurnEnded", "SomethingNewer"])
def test_an_entry_without_data_is_erased(type_: str) -> None:
    """Erasure leaves the type and takes the rest."""
    assert decode(entry(type_, None)) == e.Erased(type=type_)


def test_unknown_fields_of_a_newer_turnlog_are_passed_over() -> None:
    """A new field with a default does not make old readers fail."""
    data = NONCE + msgspec.msgpack.encode({"item": "i", "audio_start_ms": 3, "newer": [1]})
    assert decode(entry("SpeechStarted", data)) == e.SpeechStarted(item="i", audio_start_ms=3)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x81",
        b"\xc1",
        b"\x82\xa4item\xa1\xff\xaeaudio_start_ms\x03",
        b"\x82\xa4item\x05\xaeaudio_start_ms\x03",
        b"\x81\xa4item\xa1i",
        b"\x82\xa4item\xa1i\xaeaudio_start_ms\x03\x00",
    ],
    ids=["nothing", "cut", "no msgpack", "no UTF-8", "wrong type", "field missing", "more behind"],
)
def test_damaged_data_is_tl407(payload: bytes) -> None:
    """Bytes of a known type that do not decode are damage: code, seq and type are named."""
    with pytest.raises(StoreError, match=r"event 5 \(SpeechStarted\)") as caught:
        decode(entry("SpeechStarted", NONCE + payload))
    assert caught.value.code == "TL407"
    assert caught.value.hint


def test_data_shorter_than_its_nonce_is_tl407() -> None:
    """A cut inside of the nonce is damage too."""
    with pytest.raises(StoreError, match="TL407"):
        decode(entry("SpeechStarted", NONCE[:7]))


def test_endless_nesting_is_tl407() -> None:
    """Crafted bytes cannot exhaust the stack."""
    data = NONCE + b"\x82\xa4link\xa2c1\xa8settings" + b"\x81\xa1a" * 100_000
    with pytest.raises(StoreError, match="TL407"):
        decode(entry("SettingsAsked", data))


@given(st.sampled_from(SAMPLES), st.data())
def test_damage_anywhere_never_raises_anything_else(event: e.Event, data: st.DataObject) -> None:
    """A changed, cut or added byte gives another event of the type or TL407, never another exception."""
    type_, version, raw = encode(event, NONCE)
    at = data.draw(st.integers(16, len(raw)))
    damaged = raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + data.draw(st.integers(0, 3)) :]
    try:
        back = decode(entry(type_, damaged, version))
    except StoreError as error:
        assert error.code == "TL407"
    else:
        assert type(back) is type(event)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_can_be_shown_as_json(event: e.Event) -> None:
    """to_json leaves nothing that JSON cannot hold."""
    shown = to_json(event)
    assert isinstance(shown, dict)
    assert set(shown) == set(event.__struct_fields__)
    msgspec.json.encode(shown)


def test_wire_bytes_are_shown_as_the_text_they_were() -> None:
    """A wire message is readable; bytes that are no text are hexadecimal."""
    assert to_json(e.TransportReceived(link="c1", n=1, data='{"ü":1}'.encode())) == {"link": "c1", "n": 1, "data": '{"ü":1}'}
    assert to_json(e.TransportReceived(link="c1", n=1, data=b"\xff\x01")) == {"link": "c1", "n": 1, "data": "ff01"}
