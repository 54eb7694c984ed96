"""The client machine: signals from recorded sessions, the protocol's odd facts one by one, and what it builds."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from pydantic import TypeAdapter

from turnlog.core.errors import ProtocolError, TurnlogError
from turnlog.core.events.playout import PartGenerated
from turnlog.core.signals import (
    AudioCleared,
    AudioCommitted,
    DigitDialled,
    FunctionCalled,
    ItemAdded,
    OutputAudio,
    OutputText,
    ProviderBuffer,
    ProviderConfigured,
    ProviderError,
    ProviderGreeted,
    ProviderTruncated,
    ResponseBegan,
    ResponseFinished,
    ResponseRefused,
    Signal,
    SpeechBegan,
    SpeechCeased,
    TranscriptCompleted,
    TranscriptFailed,
)
from turnlog.transports.realtime.client import ClientProtocol
from turnlog.transports.realtime.say_form import compose
from turnlog.transports.realtime.wire import InvalidMessage, parse

CAPTURES = os.environ.get("TURNLOG_CAPTURES", "")
OWN = sorted((Path(__file__).parent.parent / "recordings").glob("*.jsonl"))
OPENAI = OWN + (sorted((Path(CAPTURES) / "openai").glob("*.jsonl")) if CAPTURES else [])
DIALECTS = sorted((Path(CAPTURES) / "dialects").glob("*.jsonl")) if CAPTURES else []
CLIENT_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)


def events(file: Path) -> list[dict[str, Any]]:
    """The server's events of a recording."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line["event"] for line in lines if line["dir"] == "server" and "event" in line]


def feed(client: ClientProtocol, *said: dict[str, Any]) -> list[Signal]:
    """What the machine makes of these server events."""
    return [signal for event in said for signal in client.receive(parse(msgspec.json.encode(event)))]


def created(response: str = "r1", **fields: Any) -> dict[str, Any]:
    """response.created."""
    return {"type": "response.created", "response": {"id": response, "conversation_id": "c", "metadata": None, **fields}}


def done(response: str = "r1", status: str = "completed", **fields: Any) -> dict[str, Any]:
    """response.done."""
    return {"type": "response.done", "response": {"id": response, "status": status, "output": [], **fields}}


def delta(kind: str, text: str, response: str = "r1", *, output_index: int = 0) -> dict[str, Any]:
    """A delta of a response's part."""
    place = {"response_id": response, "item_id": f"i{output_index}", "output_index": output_index, "content_index": 0}
    return {"type": f"response.{kind}.delta", **place, "delta": text}


def error(code: str, event_id: str | None) -> dict[str, Any]:
    """An error event."""
    return {
        "type": "error",
        "error": {"type": "invalid_request_error", "code": code, "message": "m", "param": None, "event_id": event_id},
    }


def sent(built: bytes) -> dict[str, Any]:
    """A built message, checked against the official types."""
    CLIENT_EVENT.validate_json(built)
    event: dict[str, Any] = json.loads(built)
    return event


# --- recorded sessions ---


@pytest.mark.parametrize("file", OPENAI, ids=[file.stem for file in OPENAI])
def test_recorded_sessions_give_their_signals(file: Path) -> None:
    """Of a recorded session: every item, turn, call, word and end once, as the events themselves say."""
    said = events(file)
    of: dict[str, list[Any]] = {}
    for event in said:
        of.setdefault(event["type"], []).append(event)
    signals = feed(ClientProtocol(), *said)

    def got(kind: type[Any]) -> list[Any]:
        return [signal for signal in signals if isinstance(signal, kind)]

    assert [s.response for s in got(ResponseBegan)] == [e["response"]["id"] for e in of.get("response.created", [])]
    assert [s.in_band for s in got(ResponseBegan)] == [
        e["response"]["conversation_id"] is not None for e in of.get("response.created", [])
    ]
    assert [(s.response, s.status) for s in got(ResponseFinished)] == [
        (e["response"]["id"], e["response"]["status"]) for e in of.get("response.done", [])
    ]
    assert [(s.item, s.previous_item) for s in got(ItemAdded)] == [
        (e["item"]["id"], e["previous_item_id"]) for e in of.get("conversation.item.added", [])
    ]
    completed = of.get("conversation.item.input_audio_transcription.completed", [])
    assert [(s.item, s.transcript) for s in got(TranscriptCompleted)] == [(e["item_id"], e["transcript"]) for e in completed]
    calls = of.get("response.function_call_arguments.done", [])
    assert [(s.call_id, s.name, s.arguments) for s in got(FunctionCalled)] == [
        (e["call_id"], e["name"], e["arguments"]) for e in calls
    ]
    assert [s.audio for s in got(OutputAudio)] == [e["delta"].encode() for e in of.get("response.output_audio.delta", [])]
    assert len(got(ProviderGreeted)) == len(of.get("session.created", []))
    assert len(got(ProviderConfigured)) == len(of.get("session.updated", []))
    assert not got(ProviderError) or of.get("error")


@pytest.mark.parametrize("file", OPENAI, ids=[file.stem for file in OPENAI])
def test_recorded_responses_end_with_their_words(file: Path) -> None:
    """A finished response carries what its message items said, text or transcript."""
    said = events(file)
    finished = {s.response: s for s in feed(ClientProtocol(), *said) if isinstance(s, ResponseFinished)}
    for event in said:
        if event["type"] != "response.done":
            continue
        parts = [part for item in event["response"]["output"] for part in item.get("content", [])]
        words = [part.get("transcript", part.get("text")) for part in parts]
        assert finished[event["response"]["id"]].transcript == " ".join(filter(None, words))


@pytest.mark.parametrize("file", DIALECTS, ids=[file.stem for file in DIALECTS])
def test_dialects_are_understood_as_far_as_they_go(file: Path) -> None:
    """xAI and Azure Voice Live sessions run through: each response begins once, ends once, and its words are known."""
    signals = feed(ClientProtocol(), *events(file))
    began = [s.response for s in signals if isinstance(s, ResponseBegan)]
    ended = [s for s in signals if isinstance(s, ResponseFinished)]
    assert began and sorted(began) == sorted(set(began))
    assert {s.response for s in ended} <= set(began)
    called = {s.response for s in signals if isinstance(s, FunctionCalled)}
    assert all(s.transcript for s in ended if s.status == "completed" and s.response not in called)


JUNK: list[Any] = [None, True, -1, 2**63, 0.5, "", "completed", [], [5], {}, {"id": 5}, {"output": 5}, "\ud800"]
SEEDS = [event for file in OPENAI[:4] for event in events(file)]


def spoiled(data: st.DataObject, value: Any) -> Any:
    """The value with something in it replaced or left out."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 3)):
        key = data.draw(st.sampled_from(sorted(value)))
        if data.draw(st.integers(0, 4)) == 0:
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: spoiled(data, value[key])}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        return [*value, spoiled(data, value[-1])]
    return data.draw(st.sampled_from(JUNK))


@given(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=6), st.data())
def test_no_server_event_breaks_it(said: list[dict[str, Any]], data: st.DataObject) -> None:
    """Events in any order, spoiled anywhere, are read or refused with a TurnlogError; the machine goes on after it."""
    client = ClientProtocol()
    client.speak("say_1", 1, "x")
    for event in said:
        try:
            client.receive(parse(json.dumps(spoiled(data, event)).encode()))
        except TurnlogError:
            pass
    assert isinstance(feed(client, done("at the end"))[-1], ResponseFinished)


# --- what bites ---


def test_a_sideband_without_session_created_works() -> None:
    """The first answer may be session.updated."""
    client = ClientProtocol()
    client.configure({"instructions": "x"})
    assert feed(client, {"type": "session.updated", "session": {"id": "sess_u1_x"}}) == [
        ProviderConfigured(session={"id": "sess_u1_x"})
    ]


def test_the_greeting_names_the_session() -> None:
    """session.created gives the provider's session id, whatever its shape."""
    assert feed(ClientProtocol(), {"type": "session.created", "session": {"id": "any shape"}}) == [
        ProviderGreeted(provider_session="any shape", session={"id": "any shape"})
    ]


def test_input_events_are_signals() -> None:
    """Speech, commit, clear and transcripts come out as they are."""
    kind = "conversation.item.input_audio_transcription"
    assert feed(
        ClientProtocol(),
        {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 5},
        {"type": f"{kind}.delta", "item_id": "u", "content_index": 0, "delta": "he"},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 9},
        {"type": "input_audio_buffer.committed", "item_id": "u", "previous_item_id": None},
        {"type": f"{kind}.completed", "item_id": "u", "transcript": "hey"},
        {"type": f"{kind}.failed", "item_id": "v", "error": {"code": "audio_unintelligible", "message": "m"}},
        {"type": "input_audio_buffer.cleared"},
    ) == [
        SpeechBegan(item="u", audio_start_ms=5),
        SpeechCeased(item="u", audio_end_ms=9),
        AudioCommitted(item="u", previous_item=None),
        TranscriptCompleted(item="u", transcript="hey"),
        TranscriptFailed(item="v", code="audio_unintelligible", message="m"),
        AudioCleared(),
    ]


def test_transcripts_in_progress_are_not_final() -> None:
    """xAI sends completed several times: only without a status, or with "completed", is it the transcript."""
    kind = "conversation.item.input_audio_transcription.completed"
    signals = feed(
        ClientProtocol(),
        {"type": kind, "item_id": "u", "transcript": "Hel", "status": "in_progress"},
        {"type": kind, "item_id": "u", "transcript": "Hello", "status": "completed"},
    )
    assert signals == [TranscriptCompleted(item="u", transcript="Hello")]


def test_order_comes_from_added_alone() -> None:
    """item.done, whose previous_item_id is often null, adds nothing; item.created of dialects is added under another name."""
    item = {"id": "i1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    signals = feed(
        ClientProtocol(),
        {"type": "conversation.item.added", "previous_item_id": "i0", "item": item},
        {"type": "conversation.item.created", "previous_item_id": "i0", "item": item},
        {"type": "conversation.item.done", "previous_item_id": None, "item": item},
    )
    assert signals == [ItemAdded(item="i1", previous_item="i0", kind="message", role="user", text="hi", has_audio=False)]


@pytest.mark.parametrize("part", ["audio", "output_audio", "input_audio"])
def test_audio_items_are_known_by_any_of_their_names(part: str) -> None:
    """Part types differ between events and items: all of them are audio."""
    item = {"id": "i", "type": "message", "role": "user", "content": [{"type": part, "transcript": None}]}
    (signal,) = feed(ClientProtocol(), {"type": "conversation.item.added", "item": item})
    assert isinstance(signal, ItemAdded) and signal.has_audio and signal.text == ""


def test_rate_limits_pings_and_echoes_mean_nothing() -> None:
    """They may come at any time, or never; a client's own type coming back is as good as none."""
    limits: dict[str, Any] = {"type": "rate_limits.updated", "rate_limits": []}
    said: list[dict[str, Any]] = [limits, {"type": "ping", "timestamp": 1}, {"type": "response.create"}]
    assert feed(ClientProtocol(), *said) == []


def test_nothing_of_a_finished_response_gets_out() -> None:
    """Late deltas, items, calls, and a second done are ignored."""
    client = ClientProtocol()
    feed(client, created(), done())
    call = {"id": "f", "type": "function_call", "status": "completed", "call_id": "c", "name": "n", "arguments": "{}"}
    late = feed(
        client,
        delta("output_audio", "AAAA"),
        delta("output_text", "x"),
        {"type": "response.function_call_arguments.done", "response_id": "r1", "item_id": "f", "call_id": "c", "arguments": "{}"},
        {"type": "response.output_item.done", "response_id": "r1", "item": call},
        created(),
        done(),
    )
    assert late == []


def test_a_response_whose_created_was_missed_is_announced() -> None:
    """Joining late, the first sign of a response stands for its created."""
    client = ClientProtocol()
    assert feed(client, delta("output_audio_transcript", "Hel"), delta("output_audio_transcript", "lo")) == [
        ResponseBegan(response="r1", say=None, attempt=0, in_band=True),
        OutputText(response="r1", item="i0", content_index=0, text="Hel", spoken=True),
        OutputText(response="r1", item="i0", content_index=0, text="lo", spoken=True),
    ]
    began, finished = feed(client, done("r2"))
    assert isinstance(began, ResponseBegan) and isinstance(finished, ResponseFinished)


def test_interleaved_items_keep_their_words_apart() -> None:
    """Index 1 may start before index 0's text is done; the transcript is in index order."""
    *_, finished = feed(
        ClientProtocol(),
        created(),
        delta("output_audio_transcript", "One"),
        delta("output_audio_transcript", "three", output_index=1),
        delta("output_audio_transcript", " two"),
        delta("output_audio_transcript", " four", output_index=1),
        done(),
    )
    assert isinstance(finished, ResponseFinished) and finished.transcript == "One two three four"


def test_the_done_text_counts_over_deltas() -> None:
    """A sideband that missed deltas still has all words."""
    place = {"response_id": "r1", "item_id": "i0", "output_index": 0, "content_index": 0}
    *_, finished = feed(
        ClientProtocol(),
        created(),
        delta("output_audio_transcript", "lo"),
        {"type": "response.output_audio_transcript.done", **place, "transcript": "Hello"},
        done(),
    )
    assert isinstance(finished, ResponseFinished) and finished.transcript == "Hello"


@pytest.mark.parametrize(
    ("session", "response", "ms"),
    [
        ({}, {}, 1.0),
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, {}, 6.0),
        (
            {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}}}},
            {"audio": {"output": {"format": {"type": "audio/pcma"}}}},
            6.0,
        ),
        ({"output_audio_format": "g711_ulaw"}, {}, 6.0),
        (
            {"output_audio_format": "not specified", "audio": {"output": {"format": {"type": "audio/pcm", "rate": 48000}}}},
            {},
            0.5,
        ),
        ({"audio": {"output": {"format": {"type": "audio/opus", "rate": "?"}}}}, {"audio": {"output": None}}, 1.0),
    ],
)
def test_durations_follow_the_declared_format(session: dict[str, Any], response: dict[str, Any], ms: float) -> None:
    """48 bytes last as long as the session's, or the response's own, output format says."""
    signals = feed(
        ClientProtocol(),
        {"type": "session.updated", "session": session},
        created(**response),
        *[delta("output_audio", "A" * 64)] * 2,
        done(),
    )
    assert [signal.ms for signal in signals if isinstance(signal, OutputAudio)] == [ms, ms]
    assert isinstance(signals[-1], ResponseFinished) and signals[-1].generated_ms == int(2 * ms)


def test_audio_that_is_not_base64_is_refused() -> None:
    """Damaged audio is an InvalidMessage TL305, and the machine goes on."""
    client = ClientProtocol()
    with pytest.raises(InvalidMessage, match="TL305"):
        feed(client, created(), delta("output_audio", "###"))
    assert isinstance(feed(client, done())[-1], ResponseFinished)


# --- calls ---


def call_events(status: str, arguments: str) -> list[dict[str, Any]]:
    """A function call whose item closes with this status; the name stands only in the item, as in some dialects."""
    item = {"id": "f", "type": "function_call", "status": status, "call_id": "c1", "name": "find", "arguments": arguments}
    return [
        created(),
        {"type": "response.output_item.added", "response_id": "r1", "item": {**item, "status": "in_progress", "arguments": ""}},
        {"type": "response.function_call_arguments.done", "response_id": "r1", "item_id": "f", "arguments": arguments},
        {"type": "response.output_item.done", "response_id": "r1", "item": item},
        done(output=[item]),
    ]


def test_a_call_is_signalled_once_with_its_name() -> None:
    """Arguments, item and response.done all show the call: it is one signal."""
    calls = [s for s in feed(ClientProtocol(), *call_events("completed", '{"a":1}')) if isinstance(s, FunctionCalled)]
    assert calls == [FunctionCalled(response="r1", item="f", call_id="c1", name="find", arguments='{"a":1}')]


def test_a_cut_call_is_not_made() -> None:
    """A barge-in closes the item as incomplete: its arguments are half a JSON text and call nothing."""
    assert not [s for s in feed(ClientProtocol(), *call_events("incomplete", '{"a":')) if isinstance(s, FunctionCalled)]


def test_a_call_known_only_from_response_done_is_made() -> None:
    """If its own events were missed, the call is signalled before the response's end."""
    events_ = call_events("completed", "{}")
    signals = feed(ClientProtocol(), events_[0], events_[-1])
    assert [type(signal) for signal in signals] == [ResponseBegan, FunctionCalled, ResponseFinished]


# --- ends ---


@pytest.mark.parametrize(
    ("status", "details", "code", "message"),
    [
        ("completed", None, "", ""),
        ("cancelled", {"type": "cancelled", "reason": "turn_detected"}, "turn_detected", ""),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, "max_output_tokens", ""),
        (
            "failed",
            {"type": "failed", "error": {"type": "server_error", "code": "no_model", "message": "none"}},
            "no_model",
            "none",
        ),
        ("failed", {"type": "failed", "error": {"type": "server_error"}}, "server_error", ""),
        ("completed", "unimplemented", "", ""),
    ],
)
def test_how_a_response_ended(status: str, details: Any, code: str, message: str) -> None:
    """The reason or the error's code and message travel with the end; a dialect's word there is no reason."""
    *_, finished = feed(ClientProtocol(), created(), done(status=status, status_details=details, usage={"total_tokens": 3}))
    assert isinstance(finished, ResponseFinished)
    assert (finished.status, finished.code, finished.message, finished.usage) == (status, code, message, {"total_tokens": 3})


# --- says and other creates ---


def test_a_say_has_the_published_wire_form() -> None:
    """Out of band, no input, exact words, no tools, its id in the metadata and with the attempt in event_id."""
    event = sent(ClientProtocol().speak("say_7", 2, 'Say "hi"'))
    assert event == {
        "type": "response.create",
        "event_id": "say_7:2",
        "response": {
            "conversation": "none",
            "input": [],
            "instructions": compose('Say "hi"'),
            "output_modalities": ["audio"],
            "tools": [],
            "tool_choice": "none",
            "metadata": {"turnlog_say": "say_7"},
        },
    }


def test_a_say_may_choose_its_voice_and_band() -> None:
    """Voice and format go into audio.output; in_band is the conversation "auto"."""
    event = sent(ClientProtocol().speak("s", 1, "x", conversation="auto", output={"voice": "marin"}))
    assert event["response"]["audio"] == {"output": {"voice": "marin"}}
    assert event["response"]["conversation"] == "auto"
    assert sent(ClientProtocol().speak("s", 1, "x", modalities=["text"]))["response"]["output_modalities"] == ["text"]
    with pytest.raises(ProtocolError, match="TL307"):
        ClientProtocol().speak("s", 1, "x", conversation="all")


def test_a_response_is_known_as_our_say() -> None:
    """The echoed metadata names the say, our own record its attempt."""
    client = ClientProtocol()
    client.speak("say_7", 3, "hi")
    assert feed(client, created(conversation_id=None, metadata={"turnlog_say": "say_7"})) == [
        ResponseBegan(response="r1", say="say_7", attempt=3, in_band=False)
    ]


def test_without_conversation_id_our_create_tells_the_band() -> None:
    """A dialect that leaves conversation_id out is believed to have done what was asked."""
    client = ClientProtocol()
    client.speak("say_7", 1, "hi")
    event = created(metadata={"turnlog_say": "say_7"})
    del event["response"]["conversation_id"]
    (began,) = feed(client, event)
    assert isinstance(began, ResponseBegan) and not began.in_band


def test_someone_elses_metadata_is_not_our_say() -> None:
    """A say id that this connection never sent belongs to another."""
    (began,) = feed(ClientProtocol(), created(metadata={"turnlog_say": "say_7"}))
    assert isinstance(began, ResponseBegan) and began.say is None


def test_a_refused_say_is_known_by_its_event_id() -> None:
    """The error names our create: that attempt is over, the next one stands by itself."""
    client = ClientProtocol()
    client.speak("say_7", 1, "hi")
    assert feed(client, error("conversation_already_has_active_response", "say_7:1")) == [
        ResponseRefused(
            say="say_7", attempt=1, code="conversation_already_has_active_response", message="m", event_id="say_7:1"
        )
    ]
    client.speak("say_7", 2, "hi")
    (began,) = feed(client, created(metadata={"turnlog_say": "say_7"}))
    assert isinstance(began, ResponseBegan) and began.attempt == 2


def test_a_refusal_without_event_id_means_the_only_say() -> None:
    """A server that echoes no event_id: with one say waiting, the code can mean only that one."""
    client = ClientProtocol()
    client.speak("say_7", 1, "hi")
    (refused,) = feed(client, error("conversation_already_has_active_response", None))
    assert isinstance(refused, ResponseRefused) and refused.say == "say_7"
    client.speak("say_8", 1, "hi")
    client.speak("say_9", 1, "ho")
    assert isinstance(feed(client, error("conversation_already_has_active_response", None))[0], ProviderError)


def test_other_creates_are_refused_too() -> None:
    """An error that answers a plain response.create is a refusal without a say."""
    client = ClientProtocol()
    assert sent(client.create_response(None, "ask_1")) == {"type": "response.create", "event_id": "ask_1"}
    (refused,) = feed(client, error("invalid_value", "ask_1"))
    assert refused == ResponseRefused(say=None, attempt=0, code="invalid_value", message="m", event_id="ask_1")


def test_all_other_errors_are_the_providers() -> None:
    """An error that answers nothing of ours, or no create, is a ProviderError."""
    client = ClientProtocol()
    client.configure({}, event_id="cfg")
    for event_id in ("cfg", "unknown", None):
        assert feed(client, error("session_expired", event_id)) == [
            ProviderError(code="session_expired", message="m", param=None, event_id=event_id)
        ]


# --- building ---


def test_built_messages_are_client_events() -> None:
    """Everything it builds is valid by the official types, and says what was asked."""
    client = ClientProtocol()
    assert sent(client.configure({"instructions": "x"}))["session"] == {"type": "realtime", "instructions": "x"}
    assert sent(client.append_audio(b"AAAA")) == {"type": "input_audio_buffer.append", "audio": "AAAA"}
    assert sent(client.commit(event_id="e")) == {"type": "input_audio_buffer.commit", "event_id": "e"}
    assert sent(client.clear())["type"] == "input_audio_buffer.clear"
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    assert sent(client.create_item(message, previous="root"))["previous_item_id"] == "root"
    assert sent(client.function_output("c1", "{}"))["item"] == {"type": "function_call_output", "call_id": "c1", "output": "{}"}
    assert sent(client.cancel()) == {"type": "response.cancel"}
    assert sent(client.cancel("r1"))["response_id"] == "r1"
    assert sent(client.truncate("i", 0, 120))["audio_end_ms"] == 120
    assert sent(client.delete_item("i"))["item_id"] == "i"


def test_building_what_breaks_the_protocol_is_refused() -> None:
    """An unanswered event_id again, negative times, text that is no Unicode: ProtocolError, and nothing is remembered."""
    client = ClientProtocol()
    client.speak("s", 1, "x")
    with pytest.raises(ProtocolError, match="TL307"):
        client.speak("s", 1, "x")
    with pytest.raises(ProtocolError, match="TL307"):
        client.truncate("i", 0, -1)
    with pytest.raises(ProtocolError, match="TL304"):
        client.create_response({"instructions": "\ud800"}, "e9")
    assert isinstance(feed(client, error("x", "e9"))[0], ProviderError)


def test_nothing_is_sent_or_heard_after_the_close() -> None:
    """A closed connection builds nothing and means nothing."""
    client = ClientProtocol()
    client.receive_close()
    assert feed(client, created()) == []
    builds: list[Callable[[], bytes]] = [lambda: client.append_audio(b"AAAA"), client.commit, lambda: client.speak("s", 1, "x")]
    for build in builds:
        with pytest.raises(ProtocolError, match="TL307"):
            build()


# --- playout ---


def test_parts_are_told_apart() -> None:
    """A finished response tells the audio and the words of each part, in the order in which they began."""
    second = base64.b64encode(bytes(48_000)).decode()
    *_, finished = feed(
        ClientProtocol(),
        created(),
        delta("output_audio_transcript", "Later", output_index=1),
        delta("output_audio_transcript", "First", output_index=0),
        delta("output_audio", second, output_index=0),
        delta("output_audio", second, output_index=1),
        delta("output_audio", second, output_index=1),
        done(status="cancelled"),
    )
    assert isinstance(finished, ResponseFinished)
    assert finished.parts == [
        PartGenerated(item="i1", generated_ms=2000, transcript="Later"),
        PartGenerated(item="i0", generated_ms=1000, transcript="First"),
    ]
    assert (finished.generated_ms, finished.transcript) == (3000, "First Later")


def test_parts_that_were_not_seen_stand_in_the_end() -> None:
    """A side that gets no deltas learns of the items and their words from response.done."""
    content = [{"type": "output_audio", "transcript": "Hi."}, {"type": "output_text", "text": ""}]
    said = {"id": "i0", "type": "message", "role": "assistant", "status": "completed", "content": content}
    *_, finished = feed(ClientProtocol(), created(), done(output=[said, {"id": "i1", "type": "function_call", "call_id": "c"}]))
    assert isinstance(finished, ResponseFinished)
    assert finished.parts == [PartGenerated(item="i0", transcript="Hi.")]


def test_the_providers_own_playout_is_heard() -> None:
    """What its media path plays, what it truncates by itself, and the keys of a telephone, which have no event_id."""
    assert feed(
        ClientProtocol(),
        {"type": "output_audio_buffer.started", "event_id": "e", "response_id": "r1"},
        {"type": "output_audio_buffer.stopped", "event_id": "e", "response_id": "r1"},
        {"type": "output_audio_buffer.cleared", "event_id": "e", "response_id": "r1"},
        {"type": "conversation.item.truncated", "event_id": "e", "item_id": "i", "content_index": 1, "audio_end_ms": 1500},
        {"type": "conversation.item.deleted", "event_id": "e", "item_id": "i"},
        {"type": "input_audio_buffer.dtmf_event_received", "event": "9", "received_at": 1763605109},
    ) == [
        ProviderBuffer(response="r1", state="started"),
        ProviderBuffer(response="r1", state="stopped"),
        ProviderBuffer(response="r1", state="cleared"),
        ProviderTruncated(item="i", content_index=1, audio_end_ms=1500),
        DigitDialled(digit="9"),
    ]


def test_cancelling_what_is_over_is_no_fault() -> None:
    """response_cancel_not_active says that what was wanted is so; any other refusal is told."""
    client = ClientProtocol()
    client.cancel("r1", event_id="cancel_9")
    assert feed(client, error("response_cancel_not_active", "cancel_9")) == []
    (told,) = feed(client, error("invalid_value", "truncate_9"))
    assert isinstance(told, ProviderError) and told.event_id == "truncate_9"
