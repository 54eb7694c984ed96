"""The server machine where our end of the line plays: output_audio_buffer.* in their places, cuts, and the formats."""

import base64
import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import TypeAdapter

from turnlog.core.signals import AnswerRequested, CallerConfigured, OutputCleared, PlayoutReported, Signal
from turnlog.transports.realtime.server import ServerProtocol
from turnlog.transports.realtime.wire import parse

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
SECOND = base64.b64encode(bytes(48_000))
PCM = {"type": "audio/pcm", "rate": 24000}
TAIL = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
STARTED, STOPPED, CLEARED = (f"output_audio_buffer.{state}" for state in ("started", "stopped", "cleared"))
TRUNCATED = "conversation.item.truncated"
Json = dict[str, Any]


class Peer:
    """A server machine that plays, driven by hand."""

    def __init__(self, *, plays: bool = True) -> None:
        numbers = itertools.count(1)
        self.server = ServerProtocol(ids=lambda kind: f"{kind}_{next(numbers)}", model="m", plays=plays)
        self.server.start()
        self.sent()

    def sent(self) -> list[Json]:
        """What the server owes, each event valid by the official types."""
        messages = self.server.messages_to_send()
        for message in messages:
            SERVER_EVENT.validate_json(message)
        return [json.loads(message) for message in messages]

    def types(self) -> list[str]:
        """The types of what the server owes."""
        return [event["type"] for event in self.sent()]

    def say(self, type_: str, **fields: Any) -> list[Signal]:
        """Send a client event."""
        return self.server.receive(parse(msgspec.json.encode({"type": type_, **fields})))

    def report(self, state: str, item: str, ms: int) -> list[Signal]:
        """What our own player says."""
        return self.say("turnlog.playout", item_id=item, content_index=0, played_ms=ms, source="rtp", state=state)

    def spoken(self, *, in_band: bool = True, words: str = "one two three four") -> tuple[str, str]:
        """An open response that has spoken two seconds: its id and its item's."""
        response = self.server.start_response(in_band=in_band)
        self.server.output_transcript(response, words)
        self.server.output_audio(response, SECOND)
        self.server.output_audio(response, SECOND)
        item = self.server.output_item(response)
        assert item is not None
        self.sent()
        return response, item


def test_sequence_5_a_response_is_played() -> None:
    """Started with the first audio, before its output_audio.done; stopped when all was played, behind its response.done."""
    peer = Peer()
    response, item = peer.spoken()
    (started,) = peer.report("started", item, 0)
    assert started == PlayoutReported(
        response=response, item=item, content_index=0, played_ms=0, final=False, source="rtp"
    )
    (told,) = peer.sent()
    assert (told["type"], told["response_id"]) == (STARTED, response)
    peer.server.finish_response(response)
    assert peer.types() == TAIL
    (stopped,) = peer.report("stopped", item, 2000)
    assert isinstance(stopped, PlayoutReported) and stopped.played_ms == 2000
    (told,) = peer.sent()
    assert (told["type"], told["response_id"]) == (STOPPED, response)


def test_a_response_that_was_played_before_it_was_done() -> None:
    """Stopped waits for response.done; and what was finished before its first frame left has started all the same."""
    peer = Peer()
    response, item = peer.spoken()
    peer.server.finish_response(response)
    assert peer.types() == [STARTED, *TAIL]
    peer.report("started", item, 0)
    assert peer.types() == []
    peer.report("stopped", item, 2000)
    assert peer.types() == [STOPPED]
    response, item = peer.spoken()
    peer.report("started", item, 0)
    peer.report("stopped", item, 2000)  # a model that makes a pause behind its last sample
    assert peer.types() == [STARTED]
    peer.server.finish_response(response)
    assert peer.types() == [*TAIL, STOPPED]


def test_what_is_queued_behind_another_response_starts_when_it_sounds() -> None:
    """Two in the buffer: the second one is finished before the first one has sounded, and is told in its turn."""
    peer = Peer()
    first, one = peer.spoken()
    peer.report("started", one, 0)
    peer.server.finish_response(first)
    second, two = peer.spoken()
    peer.server.finish_response(second)
    assert STARTED not in peer.types()
    peer.report("stopped", one, 2000)
    peer.report("started", two, 0)
    peer.report("stopped", two, 2000)
    assert [(told["type"], told["response_id"]) for told in peer.sent()] == [
        (STOPPED, first),
        (STARTED, second),
        (STOPPED, second),
    ]


def test_sequence_8_speech_throws_away_what_is_in_the_buffer() -> None:
    """The tail, cleared, and with the player's figure a truncation by the server; a late report changes nothing."""
    peer = Peer()
    response, item = peer.spoken()
    peer.report("started", item, 0)
    peer.sent()
    peer.server.speech_started("item_u", 100)
    assert peer.server.interrupt() == response
    types = peer.types()
    assert types == ["input_audio_buffer.speech_started", *TAIL, CLEARED]
    (signal,) = peer.report("cleared", item, 740)
    assert isinstance(signal, PlayoutReported) and (signal.played_ms, signal.final) == (740, False)
    (told,) = peer.sent()
    assert (told["type"], told["item_id"], told["audio_end_ms"]) == (TRUNCATED, item, 740)
    (kept,) = (one for one in peer.server.items if one["id"] == item)
    assert "transcript" not in kept["content"][0]
    (read,) = (one for one in peer.server.history if one["id"] == item)
    assert read["content"][0]["transcript"] == "one"
    peer.report("stopped", item, 2000)
    assert peer.types() == []


def test_a_cut_that_finds_the_buffer_empty_truncates_too() -> None:
    """What had come was sent when the cut ended the item: its player tells "stopped" behind cleared, and more was to come."""
    peer = Peer()
    response, item = peer.spoken()
    peer.report("started", item, 0)
    assert peer.server.interrupt() == response
    assert peer.types() == [STARTED, *TAIL, CLEARED]
    peer.report("stopped", item, 2000)
    (told,) = peer.sent()
    assert (told["type"], told["item_id"], told["audio_end_ms"]) == (TRUNCATED, item, 2000)
    peer.report("stopped", item, 2000)
    assert peer.types() == []


def test_what_stopped_as_it_was_cleared_is_whole() -> None:
    """A finished item that has sounded to its end while the clear was on its way is not truncated."""
    peer = Peer()
    response, item = peer.spoken()
    peer.server.finish_response(response)
    peer.server.interrupt()
    peer.report("stopped", item, 2000)
    assert peer.types() == [STARTED, *TAIL, CLEARED]


def test_speech_over_what_was_generated_long_ago() -> None:
    """The response is done and its audio still sounds: nothing to cancel, but cleared and truncated."""
    peer = Peer()
    response, item = peer.spoken()
    peer.server.finish_response(response)
    peer.report("started", item, 0)
    peer.sent()
    assert peer.server.interrupt() is None
    assert peer.types() == [CLEARED]
    peer.report("cleared", item, 1999)
    assert peer.types() == [TRUNCATED]


@pytest.mark.parametrize("ms", [2000, 2020, 9000])
def test_what_was_cleared_behind_its_last_sample_is_whole(ms: int) -> None:
    """No truncation of a finished item that was heard to its end; a report beyond it counts as its end."""
    peer = Peer()
    response, item = peer.spoken()
    peer.server.finish_response(response)
    peer.server.interrupt()
    (signal,) = peer.report("cleared", item, ms)
    assert isinstance(signal, PlayoutReported) and signal.played_ms == 2000
    assert peer.types() == [STARTED, *TAIL, CLEARED]


def test_a_response_beside_the_conversation_is_not_truncated_nor_interrupted() -> None:
    """Speech leaves it in the buffer; the client's own clear does not, and it has no item to truncate."""
    peer = Peer()
    response, item = peer.spoken(in_band=False)
    peer.report("started", item, 0)
    peer.sent()
    assert peer.server.interrupt() is None
    assert peer.types() == []
    assert peer.say("output_audio_buffer.clear") == [OutputCleared()]
    (told,) = peer.sent()
    assert (told["type"], told["response_id"]) == (CLEARED, response)
    assert len(peer.report("cleared", item, 700)) == 1
    assert peer.types() == []


def test_a_clear_where_nothing_sounds_is_answered_all_the_same() -> None:
    """With the latest response, as where the client plays; a client that waits for the answer goes on."""
    peer = Peer()
    peer.say("output_audio_buffer.clear")
    assert peer.types() == []
    response, item = peer.spoken()
    peer.server.finish_response(response)
    peer.report("stopped", item, 2000)
    assert peer.types() == [STARTED, *TAIL, STOPPED]
    peer.say("output_audio_buffer.clear")
    (told,) = peer.sent()
    assert (told["type"], told["response_id"]) == (CLEARED, response)


def test_the_client_truncates_further_than_our_player_tells() -> None:
    """A truncated item only gets shorter: the client's figure stays, and no second event contradicts it."""
    peer = Peer()
    response, item = peer.spoken()
    peer.server.finish_response(response)
    peer.say("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=300)
    peer.server.clear_output()
    peer.sent()
    peer.report("cleared", item, 900)
    assert peer.types() == []


def test_a_report_of_what_is_not_known_is_passed_over() -> None:
    """An item that is gone, or was never there: no error reaches a client that has sent nothing."""
    peer = Peer()
    assert peer.report("started", "item_x", 0) == []
    assert peer.types() == []


def test_where_the_client_plays_it_has_no_player_of_ours_to_report_of() -> None:
    """`state` is refused by name, and no output_audio_buffer event is sent by itself."""
    peer = Peer(plays=False)
    response, item = peer.spoken()
    assert peer.report("started", item, 0) == []
    (told,) = peer.sent()
    assert (told["error"]["code"], told["error"]["param"]) == ("unknown_parameter", "state")
    peer.server.finish_response(response)
    peer.server.interrupt()
    peer.server.clear_output()
    assert peer.types() == TAIL


def test_the_formats_stay_whatever_is_asked() -> None:
    """G.711 is accepted and passed over, in the session and in a response; a format that does not exist is refused."""
    peer = Peer()
    g711 = {"format": {"type": "audio/pcmu"}}
    asked = {"type": "realtime", "audio": {"input": {**g711, "turn_detection": None}, "output": {**g711, "voice": "verse"}}}
    (configured,) = peer.say("session.update", session=asked)
    (updated,) = peer.sent()
    audio = updated["session"]["audio"]
    assert (audio["input"]["format"], audio["output"]["format"]) == (PCM, PCM)
    assert (audio["input"]["turn_detection"], audio["output"]["voice"]) == (None, "verse")
    assert isinstance(configured, CallerConfigured)
    assert configured.changes["audio"] == {"input": {"turn_detection": None}, "output": {"voice": "verse"}}
    (wanted,) = peer.say("response.create", response={"audio": {"output": g711}})
    assert isinstance(wanted, AnswerRequested)
    assert peer.server.settings(wanted.response).output["format"] == PCM
    peer.say("session.update", session={"type": "realtime", "audio": {"input": {"format": {"type": "audio/mp3"}}}})
    (refused,) = peer.sent()
    assert refused["error"]["code"] == "invalid_value"


@given(st.lists(st.sampled_from(["speak", "finish", "started", "stopped", "cleared", "interrupt", "clear"]), max_size=40))
@settings(max_examples=60, deadline=None)
def test_every_buffer_event_stands_in_its_place(steps: list[str]) -> None:
    """Whatever is reported when: started once before one end, nothing behind it, and stopped only behind response.done."""
    peer = Peer()
    items: list[tuple[str, str]] = []
    told: list[Json] = []
    for step in steps:
        if step == "speak" and peer.server.active_response is None:
            items.append(peer.spoken())
        elif step == "interrupt":
            peer.server.interrupt()
        elif step == "clear":
            peer.say("output_audio_buffer.clear")
        elif items and step == "finish":
            peer.server.finish_response(items[-1][0])
        elif items and step in ("started", "stopped", "cleared"):
            peer.report(step, items[-1][1], 800)
        told += peer.sent()
    for response, _ in items:
        mine = [
            one["type"] for one in told if response in (one.get("response_id"), one.get("response", {}).get("id"))
        ]
        states = [one for one in mine if one.startswith("output_audio_buffer.")]
        assert states.count(STARTED) <= 1 and states.count(STOPPED) <= 1
        if STOPPED in states:
            assert states.index(STARTED) < states.index(STOPPED)
            assert mine.index("response.done") < mine.index(STOPPED)
            assert set(states[states.index(STOPPED) + 1 :]) <= {CLEARED}  # the answer to a client's clear
        elif CLEARED in states:
            assert STARTED not in states[states.index(CLEARED) :]


@pytest.mark.parametrize("plays", [True, False])
def test_a_fault_of_the_line_is_answered(plays: bool) -> None:
    """What our own end of a line could not take as a message is an error for the client; on other lines nobody tells of that."""
    peer = Peer(plays=plays)
    assert peer.say("turnlog.fault", code="TL304", message="a binary message") == []
    (told,) = peer.sent()
    known = ("TL304", "a binary message")
    assert ((told["error"]["code"], told["error"]["message"]) == known) is plays
    assert told["error"]["code"] == ("TL304" if plays else "invalid_value")
