"""The server machine: each sequence and each error of the protocol, every event valid by the official types."""

import base64
import itertools
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import TypeAdapter

from turnlog.core.errors import ProtocolError
from turnlog.core.signals import (
    AnswerRequested,
    AudioAppended,
    AudioCleared,
    CallerConfigured,
    CommitRequested,
    ItemCreated,
    Signal,
)
from turnlog.transports.realtime import conversation
from turnlog.transports.realtime.server import ServerProtocol
from turnlog.transports.realtime.server_output import Outcome
from turnlog.transports.realtime.wire import InvalidMessage, parse

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
SECOND = base64.b64encode(bytes(48_000)).decode()
TRANSCRIPTION = "conversation.item.input_audio_transcription"


def counting() -> Callable[[str], str]:
    """Ids in a row."""
    numbers = itertools.count(1)
    return lambda kind: f"{kind}_{next(numbers)}"


class Peer:
    """A server machine and what it has sent."""

    def __init__(self, overrides: dict[str, Any] | None = None) -> None:
        self.server = ServerProtocol(ids=counting(), model="local", expires_at=1_785_217_655)
        self.server.start(overrides)
        self.greeting = self.sent()

    def sent(self) -> list[dict[str, Any]]:
        """What the server owes now, each event checked against the official types."""
        messages = self.server.messages_to_send()
        for message in messages:
            SERVER_EVENT.validate_json(message)
        return [json.loads(message) for message in messages]

    def types(self) -> list[str]:
        """The types of what the server owes now."""
        return [event["type"] for event in self.sent()]

    def say(self, **event: Any) -> list[Signal]:
        """Send a client event."""
        return self.server.receive(parse(msgspec.json.encode(event)))

    def error(self, **event: Any) -> dict[str, Any]:
        """Send a client event that must be answered by exactly one error, and by no signal."""
        assert self.say(**{"event_id": "mine", **event}) == []
        (answer,) = self.sent()
        assert answer["type"] == "error"
        error: dict[str, Any] = answer["error"]
        assert (error["type"], error["event_id"]) == ("invalid_request_error", "mine")
        return error

    def update(self, **session: Any) -> dict[str, Any]:
        """Send session.update and give the session of the answer."""
        assert self.say(type="session.update", session={"type": "realtime", **session})
        (answer,) = self.sent()
        assert answer["type"] == "session.updated"
        merged: dict[str, Any] = answer["session"]
        return merged

    def ask(self, **request: Any) -> AnswerRequested:
        """Send response.create and give the signal."""
        (signal,) = self.say(type="response.create", event_id="ask", response=request)
        assert isinstance(signal, AnswerRequested)
        return signal


def message(text: str, **fields: Any) -> dict[str, Any]:
    """A user message item."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}


# --- sequences ---


def test_sequence_1_the_server_greets() -> None:
    """The first event is session.created with the whole session."""
    (event,) = Peer().greeting
    assert (event["type"], event["session"]["model"], event["session"]["type"]) == ("session.created", "local", "realtime")
    assert event["session"]["audio"]["input"]["transcription"] is None


def test_the_defaults_can_be_the_drivers() -> None:
    """Overrides stand in the greeting; invalid ones are the driver's mistake."""
    (event,) = Peer({"instructions": "be brief", "audio": {"output": {"voice": "joe"}}}).greeting
    assert (event["session"]["instructions"], event["session"]["audio"]["output"]["voice"]) == ("be brief", "joe")
    with pytest.raises(ProtocolError, match=r"TL307.*session\.nonsense"):
        Peer({"nonsense": 1})


def test_sequence_2_update_merges_deeply_and_answers_with_all() -> None:
    """What is not named stays, at every depth; the signal has the changes as sent and the merged session."""
    peer = Peer()
    changes = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    (signal,) = peer.say(type="session.update", session=changes)
    (event,) = peer.sent()
    assert signal == CallerConfigured(changes=changes, session=event["session"])
    before = peer.greeting[0]["session"]
    transcription = {"model": "whisper-1", "language": None, "prompt": None}
    audio = {"input": {**before["audio"]["input"], "transcription": transcription}, "output": before["audio"]["output"]}
    assert event["session"] == {**before, "audio": audio}


def test_sequence_3_a_text_turn() -> None:
    """The recorded order: the user's item, then the response around its item, conversation.item.done before output_item.done."""
    peer = Peer()
    (created,) = peer.say(type="conversation.item.create", item=message("hi", id="mine"))
    assert created == ItemCreated(item="mine", kind="message", role="user", text="hi", raw=message("hi", id="mine"))
    assert peer.types() == ["conversation.item.added", "conversation.item.done"]
    response = peer.server.start_response(peer.ask(output_modalities=["text"], metadata={"k": "v"}))
    peer.server.output_text(response, "Hel")
    peer.server.output_text(response, "lo")
    peer.server.finish_response(response, Outcome(usage={"total_tokens": 3}))
    events = peer.sent()
    assert [event["type"] for event in events] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    by_type = {event["type"]: event for event in events}
    opened = by_type["response.output_item.added"]["item"]
    assert (opened["status"], opened["content"]) == ("in_progress", [])
    assert by_type["conversation.item.added"]["previous_item_id"] == "mine"
    assert by_type["response.content_part.added"]["part"] == {"type": "text", "text": ""}
    assert by_type["response.output_text.done"]["text"] == "Hello"
    closed = by_type["response.output_item.done"]["item"]
    assert closed == {**opened, "status": "completed", "content": [{"type": "output_text", "text": "Hello"}]}
    ended = by_type["response.done"]["response"]
    assert (ended["status"], ended["status_details"], ended["output"]) == ("completed", None, [closed])
    assert (ended["metadata"], ended["usage"], ended["output_modalities"]) == ({"k": "v"}, {"total_tokens": 3}, ["text"])
    assert by_type["response.created"]["response"]["metadata"] == {"k": "v"}


def test_sequence_4_audio_out() -> None:
    """Transcript and audio deltas interleave; audio.done, transcript.done, part, item, response follow."""
    peer = Peer()
    response = peer.server.start_response()
    peer.server.output_transcript(response, "Hel")
    peer.server.output_audio(response, b"AAAA")
    peer.server.output_transcript(response, 'lo "x"')
    peer.server.output_audio(response, b"//8A")
    peer.server.finish_response(response)
    events = peer.sent()
    assert [event["type"].removeprefix("response.") for event in events[3:]] == [
        "content_part.added",
        "output_audio_transcript.delta",
        "output_audio.delta",
        "output_audio_transcript.delta",
        "output_audio.delta",
        "output_audio.done",
        "output_audio_transcript.done",
        "content_part.done",
        "conversation.item.done",
        "output_item.done",
        "done",
    ]
    assert [event["delta"] for event in events if event["type"].endswith("delta")] == ["Hel", "AAAA", 'lo "x"', "//8A"]
    assert events[3]["part"] == {"type": "audio", "transcript": ""}
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "output_audio", "transcript": 'Hello "x"'}]
    places = {(e["response_id"], e["item_id"], e["output_index"], e["content_index"]) for e in events if "content_index" in e}
    assert places == {(response, events[1]["item"]["id"], 0, 0)}


def test_sequence_5_server_vad() -> None:
    """Speech, commit, the item without words, and its transcription later."""
    peer = Peer()
    peer.say(type="conversation.item.create", item=message("before", id="i0"))
    (appended,) = peer.say(type="input_audio_buffer.append", audio=SECOND)
    assert appended == AudioAppended(audio=SECOND.encode(), ms=1000.0)
    peer.sent()
    peer.server.speech_started("u1", 40)
    peer.server.transcription_delta("u1", "he")
    peer.server.speech_stopped("u1", 900)
    peer.server.commit_audio("u1")
    peer.server.transcription_completed("u1", "hey", {"type": "duration", "seconds": 1.0})
    events = peer.sent()
    assert [event["type"] for event in events] == [
        "input_audio_buffer.speech_started",
        f"{TRANSCRIPTION}.delta",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{TRANSCRIPTION}.completed",
    ]
    assert (events[3]["previous_item_id"], events[4]["previous_item_id"]) == ("i0", "i0")
    assert events[4]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert peer.server.items[-1]["content"] == [{"type": "input_audio", "transcript": "hey"}]


def test_a_failed_transcription_is_told() -> None:
    """The user's words will not come: failed names the item and why."""
    peer = Peer()
    peer.server.transcription_failed("u1", "audio_unintelligible", "no words")
    (event,) = peer.sent()
    assert (event["type"], event["error"]["code"]) == (f"{TRANSCRIPTION}.failed", "audio_unintelligible")


def test_sequence_6_manual_commit() -> None:
    """A client's commit makes the item; no response until one is asked for."""
    peer = Peer()
    peer.say(type="input_audio_buffer.append", audio=SECOND)
    (signal,) = peer.say(type="input_audio_buffer.commit")
    events = peer.sent()
    assert [event["type"] for event in events] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert signal == CommitRequested(item=events[0]["item_id"])
    assert events[1]["item"]["id"] == events[0]["item_id"]


def test_a_commit_during_speech_makes_the_announced_item() -> None:
    """The item that speech_started announced is the one that the commit makes."""
    peer = Peer()
    peer.say(type="input_audio_buffer.append", audio=SECOND)
    peer.server.speech_started("u1", 0)
    assert peer.say(type="input_audio_buffer.commit") == [CommitRequested(item="u1")]


def test_sequence_7_function_calls() -> None:
    """A call is an item of its own; several calls have rising indices and their own ids."""
    peer = Peer()
    response = peer.server.start_response()
    peer.server.function_call(response, "c1", "find", '{"a":1}')
    peer.server.function_call(response, "c2", "find", "{}")
    peer.server.finish_response(response)
    events = peer.sent()
    assert [event["type"] for event in events[1:7]] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
    ]
    assert (events[1]["item"]["arguments"], events[4]["arguments"], events[4]["name"]) == ("", '{"a":1}', "find")
    assert [(item["call_id"], item["status"]) for item in events[-1]["response"]["output"]] == [
        ("c1", "completed"),
        ("c2", "completed"),
    ]
    added = [event for event in events if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in added] == [0, 1]
    assert len({event["item"]["id"] for event in added}) == 2


def test_words_before_a_call_are_an_item_of_their_own() -> None:
    """A commentary message closes before the call and the next words open another item."""
    peer = Peer()
    response = peer.server.start_response()
    peer.server.output_transcript(response, "One moment.")
    peer.server.function_call(response, "c1", "find", "{}")
    peer.server.output_transcript(response, "Well.")
    peer.server.finish_response(response)
    output = peer.sent()[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "message"]


def test_an_output_given_during_a_response_waits_for_its_end() -> None:
    """A function_call_output created while the response is active gets added and done after response.done."""
    peer = Peer()
    response = peer.server.start_response()
    peer.server.function_call(response, "c1", "find", "{}")
    peer.sent()
    item = {"type": "function_call_output", "call_id": "c1", "output": "42", "id": "out"}
    (signal,) = peer.say(type="conversation.item.create", item=item)
    assert isinstance(signal, ItemCreated)
    assert peer.sent() == []
    assert peer.error(type="conversation.item.create", item=item)["code"] == "item_create_duplicate_item_id"
    peer.server.finish_response(response)
    assert peer.types() == ["response.done", "conversation.item.added", "conversation.item.done"]


def test_sequence_8_barge_in() -> None:
    """Speech, then the tail of what was streaming, its item incomplete, the response cancelled by turn_detected."""
    peer = Peer()
    response = peer.server.start_response()
    peer.server.output_audio(response, b"AAAA")
    peer.sent()
    peer.server.speech_started("u1", 10)
    assert peer.server.interrupt() == response
    peer.server.output_audio(response, b"AAAA")
    peer.server.output_transcript(response, "late")
    peer.server.function_call(response, "c", "n", "{}")
    peer.server.finish_response(response)
    events = peer.sent()
    assert [event["type"] for event in events] == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert events[-2]["item"]["status"] == "incomplete"
    ended = events[-1]["response"]
    assert (ended["status"], ended["status_details"]) == ("cancelled", {"type": "cancelled", "reason": "turn_detected"})
    assert peer.server.interrupt() is None


def test_sequence_11_out_of_band() -> None:
    """Beside an active response, with conversation_id null, and nothing of it in the conversation."""
    peer = Peer()
    peer.server.start_response()
    peer.sent()
    asked = peer.ask(conversation="none", input=[], instructions="Say hi", metadata={"turnlog_say": "s"})
    assert asked.out_of_band
    response = peer.server.start_response(asked)
    peer.server.output_audio(response, b"AAAA")
    peer.server.finish_response(response)
    events = peer.sent()
    assert not [event for event in events if event["type"].startswith("conversation.")]
    assert events[0]["response"]["conversation_id"] is None and events[-1]["response"]["conversation_id"] is None
    assert events[-1]["response"]["metadata"] == {"turnlog_say": "s"}
    assert peer.server.items == []


@pytest.mark.parametrize(
    ("outcome", "details"),
    [
        (
            Outcome(status="failed", code="no_model", message="there is no model"),
            {"type": "failed", "error": {"type": "server_error", "code": "no_model", "message": "there is no model"}},
        ),
        (Outcome(status="incomplete", reason="max_output_tokens"), {"type": "incomplete", "reason": "max_output_tokens"}),
        (Outcome(status="cancelled", reason="client_cancelled"), {"type": "cancelled", "reason": "client_cancelled"}),
    ],
)
def test_other_ends(outcome: Outcome, details: dict[str, Any]) -> None:
    """A response that did not complete says why, even without any output."""
    peer = Peer()
    peer.server.finish_response(peer.server.start_response(), outcome)
    ended = peer.sent()[-1]["response"]
    assert (ended["status"], ended["status_details"], ended["output"]) == (outcome.status, details, [])


def test_clear_delete_and_retrieve() -> None:
    """Sequence 13: each is answered; clearing an empty buffer is no error."""
    peer = Peer()
    assert peer.say(type="input_audio_buffer.clear") == [AudioCleared()]
    peer.say(type="conversation.item.create", item=message("hi", id="i1"))
    peer.say(type="conversation.item.retrieve", item_id="i1")
    peer.say(type="conversation.item.delete", item_id="i1")
    *_, retrieved, deleted = peer.sent()
    assert retrieved["item"] == {**message("hi", id="i1"), "status": "completed"}
    assert (deleted["type"], deleted["item_id"]) == ("conversation.item.deleted", "i1")
    assert peer.server.items == []


# --- items ---


def test_items_stand_where_they_were_put() -> None:
    """previous_item_id names the place, "root" is the first; the echo tells the item that is now before it."""
    peer = Peer()
    for item_id, previous in (("b", None), ("a", "root"), ("d", None), ("c", "b")):
        place = {} if previous is None else {"previous_item_id": previous}
        peer.say(type="conversation.item.create", item=message("x", id=item_id), **place)
    assert [item["id"] for item in peer.server.items] == ["a", "b", "c", "d"]
    added = [event for event in peer.sent() if event["type"] == "conversation.item.added"]
    assert [event["previous_item_id"] for event in added] == [None, None, "b", "b"]


def test_the_last_items_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of conversation have no more; a forgotten one is as one that never was, and a call takes its output along."""
    most = 10
    monkeypatch.setattr(conversation, "MOST_ITEMS", most)
    peer = Peer()
    call = {"type": "function_call", "id": "call", "call_id": "c1", "name": "look", "arguments": "{}"}
    output = {"type": "function_call_output", "id": "output", "call_id": "c1", "output": "1"}
    for item in (call, message("between", id="between"), output, *(message("x", id=f"i{n}") for n in range(most - 3))):
        peer.say(type="conversation.item.create", item=item)
    assert len(peer.server.items) == most
    peer.say(type="conversation.item.create", item=message("first", id="first"), previous_item_id="root")
    assert [item["id"] for item in peer.server.items] == ["first", "between", *(f"i{n}" for n in range(most - 3))]
    for n in range(most):
        peer.say(type="conversation.item.create", item=message("x", id=f"more{n}"))
    assert [item["id"] for item in peer.server.items] == [f"more{n}" for n in range(most)]
    peer.sent()
    assert peer.error(type="conversation.item.retrieve", item_id="call")["code"] == "item_retrieve_invalid_item_id"
    behind = peer.error(type="conversation.item.create", item=message("x", id="x"), previous_item_id="call")
    assert behind["param"] == "previous_item_id"
    assert peer.say(type="conversation.item.create", item=call), "its id is free again"


def test_item_ids_are_opaque_and_unknown_keys_kept() -> None:
    """Free text is an id; what the server does not know comes back as it came; no id gets one."""
    peer = Peer()
    item = message("hi", id="Free text, 世界", phase="x", future={"a": [1]})
    peer.say(type="conversation.item.create", item=item)
    assert peer.sent()[0]["item"] == {**item, "status": "completed"}
    (signal,) = peer.say(type="conversation.item.create", item=message("hi"))
    assert isinstance(signal, ItemCreated) and signal.item == peer.sent()[0]["item"]["id"]


def test_audio_items_are_echoed_without_their_audio() -> None:
    """The bytes go with the signal, not back over the wire."""
    peer = Peer()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}
    (signal,) = peer.say(type="conversation.item.create", item=item)
    assert isinstance(signal, ItemCreated) and signal.raw == item and signal.text == ""
    assert peer.sent()[0]["item"]["content"] == [{"type": "input_audio", "transcript": None}]


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "hologram"}, "invalid_value", "item.type"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "role": "king", "content": []}, "invalid_value", "item.role"),
        ({"type": "message", "role": "user", "content": "hi"}, "invalid_type", "item.content"),
        ({"type": "message", "role": "user", "content": [{"type": "output_text"}]}, "invalid_value", "item.content[0].type"),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 5}]},
            "invalid_type",
            "item.content[0].text",
        ),
        ({"type": "message", "role": "user", "content": [5]}, "invalid_type", "item.content[0]"),
        ({"type": "function_call_output", "call_id": "c"}, "missing_required_parameter", "item.output"),
        ({"type": "function_call", "call_id": "c", "name": "n", "arguments": {}}, "invalid_type", "item.arguments"),
        (message("hi", id=5), "invalid_type", "item.id"),
        (message("hi", x=[[[[[]]]]] * 2, y=json.loads("[" * 80 + "]" * 80)), "invalid_value", "item"),
    ],
)
def test_items_that_cannot_be_stored(item: dict[str, Any], code: str, param: str) -> None:
    """A wrong item changes nothing and is refused by the path of what is wrong."""
    peer = Peer()
    error = peer.error(type="conversation.item.create", item=item)
    assert (error["code"], error["param"]) == (code, param)
    assert peer.server.items == []


def test_items_without_a_place() -> None:
    """An id twice, or a previous item that is not there."""
    peer = Peer()
    peer.say(type="conversation.item.create", item=message("hi", id="i1"))
    peer.server.speech_started("u1", 0)
    peer.sent()
    for item_id in ("i1", "u1"):
        error = peer.error(type="conversation.item.create", item=message("x", id=item_id))
        assert error["code"] == "item_create_duplicate_item_id"
    error = peer.error(type="conversation.item.create", item=message("x"), previous_item_id="nowhere")
    assert (error["code"], error["param"]) == ("invalid_value", "previous_item_id")
    for verb in ("delete", "retrieve"):
        error = peer.error(type=f"conversation.item.{verb}", item_id="nowhere")
        assert (error["code"], error["param"]) == (f"item_{verb}_invalid_item_id", "item_id")


# --- the session ---


def vad(**fields: Any) -> dict[str, Any]:
    """A session.update of the turn detection."""
    return {"audio": {"input": {"turn_detection": {"type": "server_vad", **fields}}}}


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"type": None}, "invalid_value", "session.type"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"x": 1}, "unknown_parameter", "session.x"),
        ({"modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({"audio": {"output": {"x": 1}}}, "unknown_parameter", "session.audio.output.x"),
        ({"audio": None}, "invalid_type", "session.audio"),
        ({"model": "other"}, "invalid_value", "session.model"),
        ({"instructions": 5}, "invalid_type", "session.instructions"),
        ({"output_modalities": ["audio", "text"]}, "invalid_value", "session.output_modalities"),
        ({"tools": [{"type": "function", "name": 5}]}, "invalid_type", "session.tools[0].name"),
        ({"max_output_tokens": 0}, "invalid_value", "session.max_output_tokens"),
        ({"audio": {"output": {"speed": "fast"}}}, "invalid_type", "session.audio.output.speed"),
        ({"audio": {"output": {"voice": {"name": "x"}}}}, "missing_required_parameter", "session.audio.output.voice.id"),
        ({"audio": {"input": {"format": {"rate": 24000}}}}, "missing_required_parameter", "session.audio.input.format.type"),
        ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "invalid_value", "session.audio.input.format"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}}, "invalid_value", "session.audio.input.format"),
        (vad(threshold=1.5), "invalid_value", "session.audio.input.turn_detection.threshold"),
        (vad(threshold=True), "invalid_type", "session.audio.input.turn_detection.threshold"),
        (vad(silence_duration_ms=0.5), "invalid_type", "session.audio.input.turn_detection.silence_duration_ms"),
        (vad(create_response="no"), "invalid_type", "session.audio.input.turn_detection.create_response"),
        (vad(eagerness="low"), "unknown_parameter", "session.audio.input.turn_detection.eagerness"),
        (vad(type="semantic_vad", threshold=0.5), "unknown_parameter", "session.audio.input.turn_detection.threshold"),
        (vad(type="semantic_vad", eagerness="wild"), "invalid_value", "session.audio.input.turn_detection.eagerness"),
        (vad(type="psychic"), "invalid_value", "session.audio.input.turn_detection.type"),
        ({"audio": {"input": {"turn_detection": {}}}}, "missing_required_parameter", "session.audio.input.turn_detection.type"),
        ({"audio": {"input": {"turn_detection": 5}}}, "invalid_type", "session.audio.input.turn_detection"),
        ({"tracing": json.loads("[" * 80 + "]" * 80)}, "invalid_value", "session"),
    ],
)
def test_a_refused_update_changes_nothing(session: dict[str, Any], code: str, param: str) -> None:
    """The error has the protocol's code and the path; the session is what it was, also for the good half of the update."""
    peer = Peer()
    before = peer.server.session
    error = peer.error(type="session.update", session={"instructions": "new", "type": "realtime", **session})
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]
    assert peer.server.session == before


def test_the_recorded_error_texts() -> None:
    """Unknown key and missing type are told in the service's words."""
    peer = Peer()
    error = peer.error(type="session.update", session={"type": "realtime", "x": 1})
    assert error["message"] == "Unknown parameter: 'session.x'."
    error = peer.error(type="session.update", session={"instructions": "x"})
    assert (error["code"], error["message"]) == ("missing_required_parameter", "Missing required parameter: 'session.type'.")


def test_turn_detection_takes_its_defaults_with_its_type() -> None:
    """Off, on with defaults, a change of kind, a change of one value."""

    def turn_detection(value: dict[str, Any] | None) -> Any:
        return peer.update(audio={"input": {"turn_detection": value}})["audio"]["input"]["turn_detection"]

    peer = Peer()
    assert turn_detection(None) is None
    common = {"create_response": True, "interrupt_response": True}
    assert turn_detection({"type": "semantic_vad"}) == {"type": "semantic_vad", "eagerness": "auto", **common}
    times = {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500, "idle_timeout_ms": None}
    changed = turn_detection({"type": "server_vad", "create_response": False})
    assert changed == {"type": "server_vad", **times, **common, "create_response": False}
    assert turn_detection({"type": "server_vad", "threshold": 0.9}) == {**changed, "threshold": 0.9}


def test_formats_are_replaced_whole_and_completed() -> None:
    """G.711 leaves no rate of PCM behind; PCM without a rate is 24 kHz; audio is measured by the new format."""
    peer = Peer()
    assert peer.update(audio={"input": {"format": {"type": "audio/pcmu"}}})["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    (signal,) = peer.say(type="input_audio_buffer.append", audio=SECOND)
    assert isinstance(signal, AudioAppended) and signal.ms == 6000.0
    pcm = peer.update(audio={"input": {"format": {"type": "audio/pcm"}}})["audio"]["input"]["format"]
    assert pcm == {"type": "audio/pcm", "rate": 24000}


def test_the_voice_is_fixed_once_it_was_heard() -> None:
    """Before any audio it may change; afterwards only the same voice is accepted."""
    peer = Peer()
    peer.update(audio={"output": {"voice": "ash"}})
    peer.server.output_audio(peer.server.start_response(), b"AAAA")
    peer.sent()
    peer.update(audio={"output": {"voice": "ash"}})
    error = peer.error(type="session.update", session={"type": "realtime", "audio": {"output": {"voice": "verse"}}})
    assert (error["code"], error["param"]) == ("cannot_update_voice", "session.audio.output.voice")


# --- responses ---


def test_a_second_in_band_response_is_refused() -> None:
    """From the accepted request to response.done the conversation is held; the refusal names who holds it."""
    peer = Peer()
    asked = peer.ask()
    for _ in ("requested", "open"):
        error = peer.error(type="response.create")
        assert error["code"] == "conversation_already_has_active_response"
        assert f"in progress: {asked.response}." in error["message"]
        if asked.response == peer.server.active_response and not peer.server.items:
            with pytest.raises(ProtocolError, match="TL307"):
                peer.server.start_response()
        with pytest.raises(ProtocolError, match="TL307"):
            peer.server.start_response(AnswerRequested(event_id=None, request={}, out_of_band=False, response="resp_unknown"))
        if _ == "requested":
            assert peer.server.start_response(asked) == asked.response
            peer.sent()
    peer.server.finish_response(asked.response)
    assert peer.server.active_response is None
    assert peer.ask().response != asked.response


def test_a_response_keeps_the_configuration_of_its_creation() -> None:
    """An update between the request and the answer changes neither."""
    peer = Peer({"instructions": "old", "audio": {"output": {"voice": "ash"}}})
    asked = peer.ask(max_output_tokens=7)
    peer.update(instructions="new", output_modalities=["text"], audio={"output": {"voice": "verse"}})
    settings = peer.server.settings(asked.response)
    assert (settings.instructions, settings.output_modalities, settings.output["voice"]) == ("old", ["audio"], "ash")
    response = peer.server.start_response(asked)
    assert peer.server.settings(response) is settings
    (event,) = peer.sent()
    assert event["response"]["audio"]["output"]["voice"] == "ash"
    assert (event["response"]["max_output_tokens"], event["response"]["output_modalities"]) == (7, ["audio"])


def test_a_request_overrides_the_session_for_once() -> None:
    """Instructions, tools, voice and input are the request's; `request` is as sent."""
    peer = Peer({"instructions": "old"})
    asked = peer.ask(conversation="none", input=[], instructions="x", tools=[], audio={"output": {"voice": "ash"}})
    settings = peer.server.settings(asked.response)
    assert (settings.instructions, settings.input, settings.output["voice"]) == ("x", [], "ash")
    assert settings.request == asked.request
    assert settings.output["format"] == {"type": "audio/pcm", "rate": 24000}


@pytest.mark.parametrize(
    ("request_", "code", "param"),
    [
        ({"x": 1}, "unknown_parameter", "response.x"),
        ({"conversation": "all"}, "invalid_value", "response.conversation"),
        ({"metadata": {"a": 1}}, "invalid_type", "response.metadata.a"),
        ({"metadata": []}, "invalid_type", "response.metadata"),
        ({"tools": [{}] * 1025}, "invalid_value", "response.tools"),
        ({"metadata": {str(n): "" for n in range(17)}}, "invalid_value", "response.metadata"),
        ({"input": {}}, "invalid_type", "response.input"),
        ({"audio": {"output": {"speed": 1}}}, "unknown_parameter", "response.audio.output.speed"),
    ],
)
def test_requests_that_cannot_be_used(request_: dict[str, Any], code: str, param: str) -> None:
    """A wrong response.create holds nothing."""
    peer = Peer()
    error = peer.error(type="response.create", response=request_)
    assert (error["code"], error["param"]) == (code, param)
    assert peer.server.active_response is None


def test_the_drivers_mistakes_are_named() -> None:
    """Output of a response that never was, settings of one that is over, an item committed twice."""
    peer = Peer()
    with pytest.raises(ProtocolError, match="TL307"):
        peer.server.output_audio("resp_x", b"AAAA")
    response = peer.server.start_response()
    assert peer.server.output_item(response) is None
    peer.server.output_transcript(response, "x")
    assert peer.server.output_item(response) is not None
    with pytest.raises(ProtocolError, match="TL304"):
        peer.server.output_transcript(response, "\ud800")
    with pytest.raises(ProtocolError, match="TL304"):
        peer.server.function_call(response, "c", "n", "\ud800")
    peer.server.finish_response(response)
    assert peer.server.output_item(response) is None
    with pytest.raises(ProtocolError, match="TL307"):
        peer.server.settings(response)
    peer.server.commit_audio("u1")
    with pytest.raises(ProtocolError, match="TL307"):
        peer.server.commit_audio("u1")
    peer.sent()


# --- other errors ---


def test_unknown_types() -> None:
    """What no client sends gets the list of what it may, with its event_id."""
    peer = Peer()
    for type_ in ("hologram.create", "session.updated"):
        error = peer.error(type=type_, **({"session": {}} if type_ == "session.updated" else {}))
        assert (error["code"], error["param"]) == ("invalid_value", "type")
        assert "'response.create'" in error["message"]


@pytest.mark.parametrize("ms", [0, 99])
@pytest.mark.parametrize("emptied_by", ["clear", "commit"])
def test_a_commit_needs_audio(emptied_by: str, ms: int) -> None:
    """Less than 100 ms since the last commit or clear is refused in the service's words."""
    peer = Peer()
    peer.say(type="input_audio_buffer.append", audio=SECOND)
    peer.say(type=f"input_audio_buffer.{emptied_by}")
    peer.say(type="input_audio_buffer.append", audio=base64.b64encode(bytes(48 * ms)).decode())
    peer.sent()
    error = peer.error(type="input_audio_buffer.commit")
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["message"].endswith(f"but buffer only has {ms}.00ms of audio.")


def test_audio_that_is_not_base64() -> None:
    """Nothing is appended and the client is told."""
    error = Peer().error(type="input_audio_buffer.append", audio="###")
    assert (error["code"], error["param"]) == ("invalid_value", "audio")


@pytest.mark.parametrize(
    ("raw", "code", "param", "event_id"),
    [
        (b"{", "invalid_json", None, None),
        (b'{"event_id":"e1"}', "invalid_event", "type", "e1"),
        (b'{"event_id":"e1","type":5}', "invalid_event", "type", "e1"),
        (b'{"event_id":"e1","type":"conversation.item.create"}', "missing_required_parameter", "item", "e1"),
        (b'{"event_id":"e1","type":"session.update","session":5}', "invalid_type", "session", "e1"),
    ],
)
def test_messages_that_cannot_be_read(raw: bytes, code: str, param: str | None, event_id: str | None) -> None:
    """What parse refuses is answered, with the event_id where there is one, and the session stays open."""
    peer = Peer()
    with pytest.raises(InvalidMessage) as caught:
        parse(raw)
    peer.server.receive_invalid(caught.value)
    (event,) = peer.sent()
    error = event["error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, param, event_id)
    peer.ask()


def test_an_expired_session_is_told_and_closed() -> None:
    """session_expired is the last thing sent."""
    peer = Peer()
    peer.server.expire()
    peer.say(type="response.create")
    (event,) = peer.sent()
    assert (event["error"]["code"], event["error"]["event_id"]) == ("session_expired", None)


def test_nothing_is_sent_after_close() -> None:
    """Neither the client's events nor the driver's bring out another byte; what was owed before is still there."""
    peer = Peer()
    response = peer.server.start_response()
    peer.server.close()
    peer.server.output_audio(response, b"AAAA")
    peer.server.finish_response(response)
    peer.server.speech_started("u", 0)
    assert peer.say(type="input_audio_buffer.clear") == []
    assert peer.types() == ["response.created"]


# --- any client ---

VALUES: list[Any] = [None, True, -1, 2**63, 2**70, 0.5, "", "x", "server_vad", [], [5], {}, {"type": "message"}, {"x": {"y": []}}]
GOOD: list[dict[str, Any]] = [
    {"type": "session.update", "session": {"type": "realtime", **vad(threshold=0.5, idle_timeout_ms=None)}},
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "tools": [{"type": "function", "name": "n", "parameters": {}}],
            "tool_choice": {"type": "function", "name": "n"},
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "m"},
                    "noise_reduction": None,
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "v"}, "speed": 1.0},
            },
        },
    },
    {"type": "conversation.item.create", "previous_item_id": "root", "item": message("hi", id="i")},
    {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c", "output": "o"}},
    {"type": "conversation.item.create", "item": {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}},
    {"type": "response.create", "response": {"conversation": "none", "input": [message("x")], "metadata": {"a": "b"}}},
    {"type": "response.create", "response": {"audio": {"output": {"voice": "v", "format": {"type": "audio/pcma"}}}, "tools": []}},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "conversation.item.retrieve", "item_id": "i"},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1},
    {"type": "turnlog.playout", "item_id": "i", "content_index": 0, "played_ms": 1},
    {"type": "response.cancel", "response_id": "r"},
]


def spoiled(data: st.DataObject, value: Any) -> Any:
    """The value with something in it replaced, doubled or left out."""
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(value)))
        if data.draw(st.integers(0, 5)) == 0:
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: spoiled(data, value[key])}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        return [spoiled(data, value[0]), *value]
    return data.draw(st.sampled_from(VALUES))


@given(st.lists(st.sampled_from(GOOD), min_size=1, max_size=3), st.data())
def test_no_client_event_breaks_it(events: list[dict[str, Any]], data: st.DataObject) -> None:
    """Whatever stands in a client's event, it is accepted or answered with an error, and what is sent stays valid."""
    peer = Peer()
    for event in events:
        spoilt = spoiled(data, event) if data.draw(st.booleans()) else event
        try:
            signals = peer.server.receive(parse(json.dumps(spoilt).encode()))
        except InvalidMessage as error:
            peer.server.receive_invalid(error)
            signals = []
        messages = peer.server.messages_to_send()
        assert signals or messages
        assert all(json.loads(sent)["type"] for sent in messages)
