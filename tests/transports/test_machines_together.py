"""Both machines back to back: the protocol's invariants under any traffic, and the recordings they make.

The recordings in tests/recordings are this file's own: `python tests/transports/test_machines_together.py` writes them.
"""

import base64
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule, run_state_machine_as_test

from turnlog.core.signals import (
    AnswerRequested,
    AudioAppended,
    CancelRequested,
    FunctionCalled,
    ItemAdded,
    OutputAudio,
    OutputText,
    PlayoutReported,
    ResponseBegan,
    ResponseFinished,
    ResponseRefused,
    Signal,
)
from turnlog.transports.realtime.client import ClientProtocol
from turnlog.transports.realtime.say_form import recognise
from turnlog.transports.realtime.server import ServerProtocol
from turnlog.transports.realtime.server_output import WHOLE, Outcome, PartKey
from turnlog.transports.realtime.wire import parse

RECORDINGS = Path(__file__).parent.parent / "recordings"


class Wire:
    """A client and a server machine, and all that passed between them."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.server = ServerProtocol(ids=lambda kind: f"{kind}_{next(numbers):04d}", model="local")
        self.client = ClientProtocol()
        self.lines: list[tuple[str, bytes]] = []
        self.heard: list[Signal] = []  # by the client
        self.server.start()
        self.deliver()

    def send(self, raw: bytes) -> list[Signal]:
        """The client's bytes to the server and its answers back; gives what the server heard."""
        self.lines.append(("client", raw))
        signals = self.server.receive(parse(raw))
        self.deliver()
        return signals

    def deliver(self) -> None:
        """What the server owes, to the client."""
        for raw in self.server.messages_to_send():
            self.lines.append(("server", raw))
            self.heard += self.client.receive(parse(raw))

    def events(self) -> list[dict[str, Any]]:
        """The server's events so far."""
        return [json.loads(raw) for side, raw in self.lines if side == "server"]


# --- the invariants ---

PARTS = st.sampled_from([WHOLE, ("a", 0), ("b", 0), ("b", 1)])


class Traffic(RuleBasedStateMachine):
    """Anything that a client may send and a driver may do, in any order."""

    items = Bundle("items")
    asked = Bundle("asked")
    open = Bundle("open")

    @initialize()
    def connect(self) -> None:
        """A fresh pair."""
        self.wire = Wire()
        self.numbers = itertools.count(1)
        self.appended, self.received, self.spoken, self.sounded = b"", b"", b"", b""
        self.calls: list[str] = []
        self.says: dict[str, str] = {}
        self.truncated: set[str] = set()
        self.closed_at: int | None = None

    def send(self, raw: bytes) -> list[Signal]:
        """Send, and keep the audio that arrived."""
        signals = self.wire.send(raw)
        self.received += b"".join(base64.b64decode(s.audio) for s in signals if isinstance(s, AudioAppended))
        return signals

    # the client

    @rule(item=st.sampled_from(["i1", "i2", "i3", None]), previous=st.none() | st.just("root") | items, output=st.booleans())
    def create_item(self, item: str | None, previous: str | None, output: bool) -> None:
        """Items with ids of the client's, twice, or none, at any place."""
        body = {"type": "function_call_output", "call_id": "c", "output": "o"} if output else {"type": "message", "role": "user"}
        content = {} if output else {"content": [{"type": "input_text", "text": "x"}]}
        named = {} if item is None else {"id": item}
        self.send(self.wire.client.create_item({**body, **content, **named}, previous=previous))

    @rule(target=items)
    def an_item(self) -> Any:
        """Some item to stand behind, or to delete."""
        held = self.wire.server.items
        return held[next(self.numbers) % len(held)]["id"] if held else "nowhere"

    @rule(item=items)
    def delete_item(self, item: str) -> None:
        """Deleting an item, also one that is being written."""
        self.send(self.wire.client.delete_item(item))

    @rule(payload=st.binary(min_size=1, max_size=9600))
    def append(self, payload: bytes) -> None:
        """Caller audio."""
        self.appended += payload
        self.send(self.wire.client.append_audio(base64.b64encode(payload)))

    @rule(kind=st.sampled_from(["commit", "clear"]))
    def commit_or_clear(self, kind: str) -> None:
        """The buffer taken or thrown away."""
        self.send(self.wire.client.commit() if kind == "commit" else self.wire.client.clear())

    @rule(modality=st.sampled_from(["audio", "text", "smell"]), metadata=st.none() | st.just({"k": "v"}), target=asked)
    def create_response(self, modality: str, metadata: dict[str, str] | None) -> Any:
        """A plain response.create, good or bad."""
        request = {"output_modalities": [modality], "metadata": metadata}
        signals = self.send(self.wire.client.create_response(request, f"ask_{next(self.numbers)}"))
        return multiple(*signals)

    @rule(text=st.text(max_size=8), conversation=st.sampled_from(["none", "auto"]), target=asked)
    def speak(self, text: str, conversation: str) -> Any:
        """A say, which the server recognises with its text."""
        say = f"say_{next(self.numbers)}"
        self.says[say] = text
        signals = self.send(self.wire.client.speak(say, 1, text, conversation=conversation))
        assert all(isinstance(s, AnswerRequested) and recognise(s.request) == text for s in signals)
        return multiple(*signals)

    @rule(changes=st.sampled_from([{"instructions": "x"}, {"nonsense": 1}, {"audio": {"output": {"voice": "ash"}}}]))
    def configure(self, changes: dict[str, Any]) -> None:
        """Updates, good or bad."""
        self.send(self.wire.client.configure(changes))

    @rule(named=st.sampled_from(["", "open", "unknown"]), acts=st.booleans(), data=st.data())
    def cancel(self, named: str, acts: bool, data: st.DataObject) -> None:
        """A cancel, of what is in the conversation, of some response, or of none; its driver may be slow."""
        began = [signal.response for signal in self.wire.heard if isinstance(signal, ResponseBegan)]
        which = data.draw(st.sampled_from(began)) if named == "open" and began else named or None
        held = self.wire.server.active_response
        for signal in self.send(self.wire.client.cancel(which)):
            assert isinstance(signal, CancelRequested) and (signal.response or held)
            if acts:
                cut = self.wire.server.cancel_response(signal.response)
                assert cut == (signal.response or held)
                self.wire.deliver()

    @rule(item=items, ms=st.sampled_from([0, 1, 5, 10**6]))
    def truncate(self, item: str, ms: int) -> None:
        """A truncation, also of what has no audio, and beyond the end: what is left has no words for the client."""
        for signal in self.send(self.wire.client.truncate(item, 0, ms)):
            assert isinstance(signal, PlayoutReported) and (signal.final, signal.played_ms) == (True, ms)
            self.truncated.add(item)

    @rule(item=items, ms=st.sampled_from([-1, 0, 3, 10**6]))
    def report_playout(self, item: str, ms: int) -> None:
        """A player's report."""
        for signal in self.send(msgspec.json.encode({"type": "turnlog.playout", "item_id": item, "played_ms": ms})):
            assert isinstance(signal, PlayoutReported) and not signal.final and 0 <= signal.played_ms <= max(ms, 0)

    @rule()
    def clear_output(self) -> None:
        """Silence, please."""
        assert self.send(b'{"type":"output_audio_buffer.clear"}') or self.closed_at is not None

    # the driver

    @rule(request=asked, target=open)
    def answer(self, request: AnswerRequested) -> Any:
        """Start an accepted request, if that was not done before."""
        started = {s.response for s in self.wire.heard if isinstance(s, ResponseBegan)}
        if request.response in started or self.closed_at is not None:
            return multiple()
        response = self.wire.server.start_response(request)
        self.wire.deliver()
        return response

    @rule(in_band=st.booleans(), target=open)
    def answer_unasked(self, in_band: bool) -> Any:
        """A response that nobody asked for, where one may start."""
        if self.closed_at is not None or (in_band and self.wire.server.active_response is not None):
            return multiple()
        response = self.wire.server.start_response(in_band=in_band)
        self.wire.deliver()
        return response

    def running(self, response: str) -> bool:
        """Whether the client knows this response as open."""
        finished = {s.response for s in self.wire.heard if isinstance(s, ResponseFinished)}
        return self.closed_at is None and response not in finished

    @rule(response=open, payload=st.binary(min_size=1, max_size=600), part=PARTS)
    def output_audio(self, response: str, payload: bytes, part: PartKey) -> None:
        """Audio of an open or a finished response, of any part of it."""
        self.spoken += payload if self.running(response) else b""
        self.wire.server.output_audio(response, base64.b64encode(payload), part)
        self.wire.deliver()

    @rule(response=open, words=st.text(max_size=5), spoken=st.booleans(), part=PARTS)
    def output_words(self, response: str, words: str, spoken: bool, part: PartKey) -> None:
        """Transcript or text."""
        (self.wire.server.output_transcript if spoken else self.wire.server.output_text)(response, words, part)
        self.wire.deliver()

    @rule(response=open)
    def call(self, response: str) -> None:
        """A function call."""
        call_id = f"call_{next(self.numbers)}"
        if self.running(response):
            self.calls.append(call_id)
        self.wire.server.function_call(response, call_id, "find", "{}")
        self.wire.deliver()

    @rule(response=open, status=st.sampled_from(["completed", "failed", "incomplete"]))
    def finish(self, response: str, status: Any) -> None:
        """The end, also a second one."""
        self.wire.server.finish_response(response, Outcome(status=status, code="x", reason="content_filter"))
        self.wire.deliver()

    @rule()
    def barge_in(self) -> None:
        """The user speaks over the response; what was said becomes an item."""
        item = f"user_{next(self.numbers)}"
        self.wire.server.speech_started(item, 0)
        self.wire.server.interrupt()
        self.wire.server.speech_stopped(item, 100)
        self.wire.server.commit_audio(item)
        self.wire.server.transcription_completed(item, "x", {"type": "duration", "seconds": 0.1})
        self.wire.deliver()

    @rule(expired=st.booleans(), really=st.integers(0, 9))
    def close(self, expired: bool, really: int) -> None:
        """The server's end."""
        if self.closed_at is None and really == 0:
            (self.wire.server.expire if expired else self.wire.server.close)()
            self.wire.deliver()
            self.closed_at = len(self.wire.events())

    # what must hold

    @invariant()
    def responses_are_in_order(self) -> None:
        """One in-band response at most; one done at most per created; nothing of a response after its done."""
        open_, finished = dict[str, bool](), set[str]()
        for event in self.wire.events():
            match event["type"], str(event.get("response", {}).get("id") or event.get("response_id", "")):
                case "response.created", response:
                    assert response not in open_ and response not in finished
                    open_[response] = event["response"]["conversation_id"] is not None
                case "response.done", response:
                    del open_[response]
                    finished.add(response)
                case _, "":
                    pass
                case "output_audio_buffer.cleared", response:
                    assert response in open_ or response in finished  # what sounded may be over
                case _, response:
                    assert response in open_
            assert sum(open_.values()) <= 1

    @invariant()
    def nothing_is_sent_after_close(self) -> None:
        """The last event before the close stays the last."""
        assert self.closed_at is None or len(self.wire.events()) == self.closed_at

    @invariant()
    def ids_and_indices_are_stable(self) -> None:
        """Event ids are unique; an item keeps its response and index; indices rise without gaps."""
        events = self.wire.events()
        assert len({event["event_id"] for event in events}) == len(events)
        places: dict[str, tuple[str, int]] = {}
        rising = Counter[str]()
        for event in events:
            if event["type"] == "response.output_item.added":
                assert event["output_index"] == rising[event["response_id"]]
                rising[event["response_id"]] += 1
            if "output_index" in event:
                item = event.get("item_id") or event["item"]["id"]
                assert places.setdefault(item, (event["response_id"], event["output_index"])) == (
                    event["response_id"],
                    event["output_index"],
                )

    @invariant()
    def no_byte_is_lost_or_doubled(self) -> None:
        """Audio arrives as it was sent, in both directions; calls arrive once each."""
        assert self.closed_at is not None or self.received == self.appended
        heard = b"".join(base64.b64decode(s.audio) for s in self.wire.heard if isinstance(s, OutputAudio))
        assert heard == self.spoken
        assert [s.call_id for s in self.wire.heard if isinstance(s, FunctionCalled)] == self.calls

    @invariant()
    def signals_of_a_response_are_framed(self) -> None:
        """The client hears Began first and Finished last, and knows its own says, each refused or begun at most once."""
        state: dict[str, str] = {}
        settled: list[str] = []
        for signal in self.wire.heard:
            match signal:
                case ResponseBegan():
                    assert signal.response not in state
                    state[signal.response] = "open"
                    settled += [signal.say] if signal.say else []
                case ResponseRefused(say=str() as say):
                    settled.append(say)
                case ResponseFinished() | OutputAudio() | OutputText() | FunctionCalled():
                    assert state[signal.response] == "open"
                    if isinstance(signal, ResponseFinished):
                        state[signal.response] = "over"
        assert len(set(settled)) == len(settled) and set(settled) <= set(self.says)

    @invariant()
    def truncated_items_have_no_words(self) -> None:
        """For the client their transcript is gone; a model reads no more than was spoken."""
        server = self.wire.server
        for item, heard in zip(server.items, server.history, strict=True):
            if item["id"] in self.truncated:
                assert all("transcript" not in part for part in item["content"])
                assert [part["type"] for part in heard["content"]] == ["output_audio"]
            else:
                assert item == heard

    @invariant()
    def the_order_is_built_from_added(self) -> None:
        """previous_item_id of .added gives the server's order, item by item."""
        order: list[str] = []
        for event in self.wire.events():
            if event["type"] == "conversation.item.added":
                previous = event["previous_item_id"]
                order.insert(order.index(previous) + 1 if previous is not None else 0, event["item"]["id"])
            elif event["type"] == "conversation.item.deleted":
                order.remove(event["item_id"])
        assert self.closed_at is not None or order == [item["id"] for item in self.wire.server.items]

    def teardown(self) -> None:
        """When all responses have ended, every added has its done, every created its response.done, in equal measure."""
        if self.closed_at is not None:
            return
        for began in [signal for signal in self.wire.heard if isinstance(signal, ResponseBegan)]:
            self.wire.server.finish_response(began.response)
        self.wire.server.cancel_response()  # of what was asked for and never begun
        assert self.wire.server.active_response is None
        self.wire.deliver()
        events = self.wire.events()
        for kind, key in (("conversation.item", "item"), ("response.output_item", "item"), ("response.content_part", "item_id")):
            added, done = (
                Counter(str(e[key]["id"] if key == "item" else e[key]) for e in events if e["type"] == f"{kind}.{end}")
                for end in ("added", "done")
            )
            assert added == done
        created, ended = (
            Counter(e["response"]["id"] for e in events if e["type"] == f"response.{end}") for end in ("created", "done")
        )
        assert created == ended
        finished = [signal for signal in self.wire.heard if isinstance(signal, ResponseFinished)]
        parts = sum(part.generated_ms for s in finished for part in s.parts)
        assert parts == pytest.approx(sum(s.generated_ms for s in finished), abs=sum(len(s.parts) for s in finished))
        assert sum(s.generated_ms for s in finished) == pytest.approx(len(self.spoken) / 48, abs=len(finished) + 1)
        added_items = [signal.item for signal in self.wire.heard if isinstance(signal, ItemAdded)]
        assert len(set(added_items)) == len(added_items)


def test_any_traffic_keeps_the_invariants() -> None:
    """Whatever clients send and drivers do, in whatever order, the invariants hold on the wire and in the signals."""
    run_state_machine_as_test(Traffic, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


# --- recordings ---


def record_text_turn_with_a_call() -> Wire:
    """A typed question, a tool call, its output given early, and the answer in text."""
    wire = Wire()
    wire.send(wire.client.configure({"output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}))
    question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Is Ann Grün in? 👋"}]}
    wire.send(wire.client.create_item(question))
    (asked,) = wire.send(wire.client.create_response(None, "ask_1"))
    assert isinstance(asked, AnswerRequested)
    response = wire.server.start_response(asked)
    wire.server.function_call(response, "call_1", "find_guest", '{"name":"Ann Grün"}')
    wire.deliver()
    wire.send(wire.client.function_output("call_1", '{"room":12}'))
    wire.server.finish_response(response)
    wire.deliver()
    (asked,) = wire.send(wire.client.create_response(None, "ask_2"))
    assert isinstance(asked, AnswerRequested)
    response = wire.server.start_response(asked)
    for words in ("She is", " in room", " 12."):
        wire.server.output_text(response, words)
    wire.server.finish_response(response, Outcome(usage={"total_tokens": 12, "input_tokens": 8, "output_tokens": 4}))
    wire.deliver()
    return wire


def record_spoken_turn_and_says() -> Wire:
    """Speech, its transcript, a say out of band, a refused say, a barge-in over a say in the conversation, an error."""
    wire = Wire()
    turn_detection = {"type": "server_vad", "create_response": False}
    input_ = {"transcription": {"model": "gpt-realtime-whisper"}, "turn_detection": turn_detection}
    wire.send(wire.client.configure({"audio": {"input": input_}}))
    for n in range(8):
        wire.send(wire.client.append_audio(base64.b64encode(bytes((n * 7 + i * i) % 256 for i in range(96)))))
    wire.server.speech_started("item_u1", 0)
    wire.server.transcription_delta("item_u1", "Ann")
    wire.server.speech_stopped("item_u1", 160)
    wire.server.commit_audio("item_u1")
    wire.server.transcription_completed("item_u1", "Ann Grün.", {"type": "duration", "seconds": 0.16})
    wire.deliver()
    (asked,) = wire.send(wire.client.speak("say_1", 1, 'Welcome back, "Ann".'))
    say_out_of_band(wire, asked, ["Welcome back,", ' "Ann".'])
    (asked,) = wire.send(wire.client.speak("say_2", 1, "How can I help?", conversation="auto"))
    assert isinstance(asked, AnswerRequested)
    wire.send(wire.client.speak("say_3", 1, "Hello?", conversation="auto"))
    response = wire.server.start_response(asked)
    wire.server.output_transcript(response, "How can")
    wire.server.output_audio(response, base64.b64encode(bytes(range(60))))
    wire.server.speech_started("item_u2", 400)
    wire.server.interrupt()
    wire.deliver()
    wire.send(wire.client.configure({"nonsense": True}, event_id="cfg_2"))
    return wire


def say_out_of_band(wire: Wire, asked: Signal, words: list[str]) -> None:
    """Speak these words, with some audio for each."""
    assert isinstance(asked, AnswerRequested) and asked.out_of_band
    response = wire.server.start_response(asked)
    for n, delta in enumerate(words):
        wire.server.output_transcript(response, delta)
        wire.server.output_audio(response, base64.b64encode(bytes(n + i for i in range(48))))
    wire.server.finish_response(response)
    wire.deliver()


RECORDED = {
    "text_turn_with_a_call": record_text_turn_with_a_call,
    "spoken_turn_and_says": record_spoken_turn_and_says,
}


def written(wire: Wire) -> bytes:
    """The lines of a recording; each event verbatim."""
    return b"".join(msgspec.json.encode({"dir": side, "event": msgspec.Raw(raw)}) + b"\n" for side, raw in wire.lines)


@pytest.mark.parametrize("name", RECORDED)
def test_the_recordings_are_what_the_machines_say(name: str) -> None:
    """Driven the same way, the machines say the same bytes as when the recording was made."""
    assert (RECORDINGS / f"{name}.jsonl").read_bytes() == written(RECORDED[name]())


def test_the_spoken_recording_holds_what_it_should() -> None:
    """Its say is begun out of band and finished, one is refused, one interrupted, one update refused."""
    heard = record_spoken_turn_and_says().heard
    assert [(s.say, s.attempt, s.in_band) for s in heard if isinstance(s, ResponseBegan)] == [
        ("say_1", 1, False),
        ("say_2", 1, True),
    ]
    assert [(s.status, s.code, s.transcript) for s in heard if isinstance(s, ResponseFinished)] == [
        ("completed", "", 'Welcome back, "Ann".'),
        ("cancelled", "turn_detected", "How can"),
    ]
    assert [(s.say, s.code) for s in heard if isinstance(s, ResponseRefused)] == [
        ("say_3", "conversation_already_has_active_response")
    ]


if __name__ == "__main__":
    for name, record in RECORDED.items():
        (RECORDINGS / f"{name}.jsonl").write_bytes(written(record()))
