"""The server machine's cancel, truncate, clear and playout: what each does, and every refusal."""

import base64
import itertools
import json
from typing import Any

import msgspec
import pytest
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import TypeAdapter

from turnlog.core.signals import AnswerRequested, CancelRequested, OutputCleared, PlayoutReported, Signal
from turnlog.transports.realtime.checks import Refusal
from turnlog.transports.realtime.client_messages import PlayoutReport
from turnlog.transports.realtime.conversation import MOST_ITEMS
from turnlog.transports.realtime.server import ServerProtocol
from turnlog.transports.realtime.server_playout import SentAudio
from turnlog.transports.realtime.wire import InvalidMessage, parse

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
SECOND = base64.b64encode(bytes(48_000))
Json = dict[str, Any]


class Peer:
    """A server machine, driven by hand."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.server = ServerProtocol(ids=lambda kind: f"{kind}_{next(numbers)}", model="m")
        self.server.start()
        self.server.messages_to_send()

    def sent(self) -> list[Json]:
        """What the server owes, each event valid by the official types."""
        messages = self.server.messages_to_send()
        for message in messages:
            SERVER_EVENT.validate_json(message)
        return [json.loads(message) for message in messages]

    def say(self, type_: str, **fields: Any) -> list[Signal]:
        """Send a client event."""
        return self.server.receive(parse(msgspec.json.encode({"type": type_, "event_id": "mine", **fields})))

    def error(self, type_: str, **fields: Any) -> tuple[str, str | None, str]:
        """(code, param, message) of the one error that answers this."""
        assert self.say(type_, **fields) == []
        (answer,) = self.sent()
        assert (answer["type"], answer["error"]["event_id"]) == ("error", "mine")
        return answer["error"]["code"], answer["error"]["param"], answer["error"]["message"]

    def spoken(self, words: str = "one two three four", seconds: int = 2) -> tuple[str, str]:
        """An open response that has spoken so much: its id and its item's."""
        response = self.server.start_response()
        self.server.output_transcript(response, words)
        for _ in range(seconds):
            self.server.output_audio(response, SECOND)
        item = self.server.output_item(response)
        assert item is not None
        self.sent()
        return response, item

    def truncate(self, item: str, ms: int, index: int = 0) -> list[Signal]:
        """conversation.item.truncate."""
        return self.say("conversation.item.truncate", item_id=item, content_index=index, audio_end_ms=ms)


# --- cancel ---


@pytest.mark.parametrize("named", [True, False])
def test_sequence_9_cancel(named: bool) -> None:
    """With its id or without one: the tail of what was streaming, incomplete, and one response.done by client_cancelled."""
    peer = Peer()
    response, item = peer.spoken()
    (signal,) = peer.say("response.cancel", **({"response_id": response} if named else {}))
    assert signal == CancelRequested(event_id="mine", response=response if named else "")
    assert peer.sent() == []
    assert peer.server.cancel_response(signal.response) == response
    peer.server.output_audio(response, SECOND)
    peer.server.finish_response(response)
    events = peer.sent()
    assert [event["type"] for event in events] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert (events[-2]["item"]["id"], events[-2]["item"]["status"]) == (item, "incomplete")
    done = events[-1]["response"]
    assert (done["status"], done["status_details"]) == ("cancelled", {"type": "cancelled", "reason": "client_cancelled"})
    assert peer.server.active_response is None


def test_a_cancel_where_nothing_is_active_is_refused() -> None:
    """Nothing asked, an unknown id, one that is done: the service's own words, each time."""
    peer = Peer()
    refusal = ("response_cancel_not_active", None, "Cancellation failed: no active response found")
    assert peer.error("response.cancel") == refusal
    assert peer.error("response.cancel", response_id="resp_x") == refusal
    response, _ = peer.spoken()
    peer.server.finish_response(response)
    peer.sent()
    assert peer.error("response.cancel", response_id=response) == refusal
    assert peer.server.cancel_response(response) is None


def test_a_cancel_reaches_what_was_asked_and_not_begun() -> None:
    """The response that was promised begins and ends at once: the conversation is free again."""
    peer = Peer()
    (asked,) = peer.say("response.create")
    assert isinstance(asked, AnswerRequested)
    assert peer.say("response.cancel") == [CancelRequested(event_id="mine")]
    assert peer.server.cancel_response() == asked.response
    created, done = peer.sent()
    assert (created["type"], done["type"]) == ("response.created", "response.done")
    assert (done["response"]["id"], done["response"]["status"]) == (asked.response, "cancelled")
    assert peer.server.active_response is None


def test_a_cancel_without_an_id_means_the_conversation() -> None:
    """An out-of-band response beside it goes on, and is cancelled by its own id only."""
    peer = Peer()
    beside = peer.server.start_response(in_band=False)
    peer.sent()
    assert peer.error("response.cancel")[0] == "response_cancel_not_active"
    response, _ = peer.spoken()
    assert peer.server.cancel_response() == response
    assert peer.say("response.cancel", response_id=beside) == [CancelRequested(event_id="mine", response=beside)]
    assert peer.server.cancel_response(beside) == beside


# --- truncate ---


def test_sequence_10_truncate() -> None:
    """item.truncated; the words are gone for the client, and for a model those that were heard are left."""
    peer = Peer()
    response, item = peer.spoken()
    peer.server.finish_response(response)
    peer.sent()
    assert peer.truncate(item, 1000) == [
        PlayoutReported(response=response, item=item, content_index=0, played_ms=1000, final=True, source="ack")
    ]
    (truncated,) = peer.sent()
    assert truncated["type"] == "conversation.item.truncated"
    assert (truncated["item_id"], truncated["content_index"], truncated["audio_end_ms"]) == (item, 0, 1000)
    assert peer.say("conversation.item.retrieve", item_id=item) == []
    assert peer.sent()[0]["item"]["content"] == [{"type": "output_audio"}]
    assert peer.server.history[-1]["content"] == [{"type": "output_audio", "transcript": "one two"}]


def test_truncating_what_is_still_spoken() -> None:
    """The words that follow do not come back when the item closes."""
    peer = Peer()
    response, item = peer.spoken()
    peer.truncate(item, 500)
    peer.server.output_transcript(response, " five six")
    peer.server.finish_response(response)
    assert peer.server.items[-1]["content"] == [{"type": "output_audio"}]
    assert peer.server.history[-1]["content"] == [{"type": "output_audio", "transcript": "one"}]


def test_what_is_truncated_can_only_get_shorter() -> None:
    """The first cut is the new end; cutting again keeps a part of what was left; 0 ms leaves no word."""
    peer = Peer()
    response, item = peer.spoken()
    peer.server.finish_response(response)
    peer.truncate(item, 1500)
    peer.sent()
    message = "Audio content of 1500ms is already shorter than 1501ms"
    fields = {"item_id": item, "content_index": 0}
    assert peer.error("conversation.item.truncate", **fields, audio_end_ms=1501) == ("invalid_value", "audio_end_ms", message)
    assert peer.server.history[-1]["content"][0]["transcript"] == "one two three"
    peer.truncate(item, 750)
    assert peer.server.history[-1]["content"][0]["transcript"] == "one"
    peer.truncate(item, 0)
    assert peer.server.history[-1]["content"][0]["transcript"] == ""


@pytest.mark.parametrize(
    ("ms", "index", "refusal"),
    [
        (2001, 0, ("invalid_value", "audio_end_ms", "Audio content of 2000ms is already shorter than 2001ms")),
        (2**70, 0, ("invalid_value", "audio_end_ms", f"Audio content of 2000ms is already shorter than {2**70}ms")),
        (-1, 0, ("invalid_value", "audio_end_ms", "Invalid value for 'audio_end_ms': expected 0 or more, but got -1.")),
        (10, 1, ("invalid_value", "content_index", "Only audio that the model has spoken can be truncated.")),
        (10, -1, ("invalid_value", "content_index", "Only audio that the model has spoken can be truncated.")),
    ],
)
def test_absurd_truncations_are_refused(ms: int, index: int, refusal: tuple[str, str, str]) -> None:
    """Beyond the end, before the start, of a part that is not there: nothing is changed."""
    peer = Peer()
    response, item = peer.spoken()
    peer.server.finish_response(response)
    peer.sent()
    before = peer.server.items
    assert peer.error("conversation.item.truncate", item_id=item, content_index=index, audio_end_ms=ms) == refusal
    assert peer.server.items == before == peer.server.history


def test_only_spoken_items_of_the_conversation_are_truncated() -> None:
    """An unknown item, a deleted one, a user's, a typed one, one that was said out of band."""
    peer = Peer()
    no_item = "item_truncate_invalid_item_id"
    fields = {"content_index": 0, "audio_end_ms": 0}
    assert peer.error("conversation.item.truncate", item_id="nobody", **fields)[:2] == (no_item, "item_id")
    response, item = peer.spoken()
    peer.server.finish_response(response)
    peer.say("conversation.item.delete", item_id=item)
    peer.sent()
    assert peer.error("conversation.item.truncate", item_id=item, **fields)[0] == no_item
    peer.server.commit_audio("user_1")
    text = peer.server.start_response()
    peer.server.output_text(text, "typed")
    typed = peer.server.output_item(text)
    peer.sent()
    for other in ("user_1", typed):
        assert peer.error("conversation.item.truncate", item_id=other, **fields)[:2] == ("invalid_value", "item_id")
    beside = peer.server.start_response(in_band=False)
    peer.server.output_audio(beside, SECOND)
    said = peer.server.output_item(beside)
    peer.sent()
    assert peer.error("conversation.item.truncate", item_id=said, **fields)[0] == no_item


def test_g711_is_measured_by_its_own_rate() -> None:
    """A second of mu-law has 8000 bytes."""
    peer = Peer()
    peer.say("session.update", session={"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcmu"}}}})
    response = peer.server.start_response()
    peer.server.output_audio(response, base64.b64encode(bytes(8000)))
    item = peer.server.output_item(response)
    peer.sent()
    fields = {"item_id": item, "content_index": 0, "audio_end_ms": 1001}
    assert peer.error("conversation.item.truncate", **fields)[2] == "Audio content of 1000ms is already shorter than 1001ms"


def test_part_of_a_millisecond_counts_as_one() -> None:
    """A client that rounds up what it was sent is not refused."""
    peer = Peer()
    response = peer.server.start_response()
    peer.server.output_audio(response, base64.b64encode(bytes(4)))
    item = peer.server.output_item(response)
    assert item is not None and peer.truncate(item, 1)


# --- turnlog.playout ---


def test_a_player_tells_how_far_it_is() -> None:
    """A report is a signal and is answered by nothing; a player's last frame may be longer than the audio."""
    peer = Peer()
    response, item = peer.spoken()
    report = PlayoutReported(response=response, item=item, content_index=0, played_ms=700, final=False, source="ack")
    assert peer.say("turnlog.playout", item_id=item, content_index=0, played_ms=700) == [report]
    (clamped,) = peer.say("turnlog.playout", item_id=item, played_ms=2015)
    assert clamped == msgspec.structs.replace(report, played_ms=2000)
    assert peer.sent() == []


def test_a_report_of_what_was_never_sent_is_refused() -> None:
    """An unknown item, another part, a time before the start or far beyond the end."""
    peer = Peer()
    _, item = peer.spoken()
    assert peer.error("turnlog.playout", item_id="nobody", played_ms=1)[:2] == ("item_playout_invalid_item_id", "item_id")
    assert peer.error("turnlog.playout", item_id=item, content_index=1, played_ms=1)[0] == "item_playout_invalid_item_id"
    assert peer.error("turnlog.playout", item_id=item, played_ms=-1)[:2] == ("invalid_value", "played_ms")
    assert peer.error("turnlog.playout", item_id=item, played_ms=2101)[:2] == ("invalid_value", "played_ms")
    with pytest.raises(InvalidMessage):
        peer.say("turnlog.playout", item_id=item, played_ms=0.5)


# --- clear, digits, parts ---


def test_clear_is_told_for_the_latest_response() -> None:
    """Before anything sounded there is nothing to name; afterwards output_audio_buffer.cleared names the response."""
    peer = Peer()
    assert peer.say("output_audio_buffer.clear") == [OutputCleared(event_id="mine")]
    assert peer.sent() == []
    response, _ = peer.spoken()
    assert peer.say("output_audio_buffer.clear") == [OutputCleared(event_id="mine")]
    (event,) = peer.sent()
    assert (event["type"], event["response_id"]) == ("output_audio_buffer.cleared", response)


def test_a_digit_has_no_event_id() -> None:
    """As the specification has it."""
    peer = Peer()
    peer.server.digit("#", 1_763_605_109)
    assert peer.sent() == [{"type": "input_audio_buffer.dtmf_event_received", "event": "#", "received_at": 1_763_605_109}]


def test_parts_are_items_of_their_own() -> None:
    """What names two parts writes two items, also in turns; a cut leaves the earlier one whole and the last incomplete."""
    peer = Peer()
    response = peer.server.start_response()
    for part, words in ((("a", 0), "one"), (("b", 0), "two"), (("a", 0), " more")):
        peer.server.output_transcript(response, words, part)
    assert peer.server.output_item(response, ("a", 0)) != peer.server.output_item(response, ("b", 0))
    peer.server.interrupt()
    done = peer.sent()[-1]["response"]
    assert [(item["status"], item["content"][0]["transcript"]) for item in done["output"]] == [
        ("completed", "one more"),
        ("incomplete", "two"),
    ]
    assert [item["id"] for item in peer.server.items] == [item["id"] for item in done["output"]]


def test_the_audio_of_the_last_items_is_counted() -> None:
    """Of older ones nothing is held: a claim about them is one about no item of this server's."""
    sent = SentAudio()
    for n in range(MOST_ITEMS + 1):
        sent.begin(f"i{n}", "r", 48.0)
    assert sent.get("i0") is None and sent.get("i1") is not None
    assert isinstance(sent.played(PlayoutReport(item_id="i0", content_index=0, played_ms=0)), Refusal)
