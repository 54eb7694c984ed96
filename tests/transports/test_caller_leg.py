"""What a caller sees of a session: one response at a time, each part an item, cuts at once, held speech not at all."""

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

from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.core import Staged
from turnlog.core.definition import define_session
from turnlog.core.state import State
from turnlog.transports.realtime.caller_leg import CallerLeg
from turnlog.transports.realtime.wire import parse

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
SECOND = base64.b64encode(bytes(48_000))
MS = 1_000_000
Json = dict[str, Any]


class Caller:
    """A caller's leg, and all that the caller has seen."""

    def __init__(self, answers: str = "handler", *, plays: bool = False, pcm_only: bool = False) -> None:
        numbers = itertools.count(1)
        self.leg = CallerLeg("c1", "m", lambda kind: f"{kind}_{next(numbers)}", plays=plays, pcm_only=lambda: pcm_only)
        self.state = State()
        definition = define_session("desk", provider="scripted", transport="in_process", answers=answers)
        self.state.apply(1, 0, e.SessionStarted(session="s1", target="hotel.desk", definition=definition))
        self.seen: list[Json] = []
        self.tell(e.LinkOpened(link="c1", side="caller", transport="in_process"))

    def _see(self, messages: list[bytes]) -> list[Json]:
        for message in messages:
            SERVER_EVENT.validate_json(message)
        new = [json.loads(message) for message in messages]
        self.seen += new
        return new

    def tell(self, *events: e.Event) -> list[Json]:
        """What the caller sees of these events."""
        return [seen for event in events for seen in self._see(self.leg.present(Staged(9, 5_000 * MS, 8, event), self.state))]

    def types(self, *events: e.Event) -> list[str]:
        """The types of what the caller sees of these events."""
        return [event["type"] for event in self.tell(*events)]

    def says(self, type_: str, **fields: Any) -> list[s.Signal]:
        """The caller's message as the session understands it."""
        signals = self.leg.receive(parse(msgspec.json.encode({"type": type_, **fields})))
        self._see(self.leg.owed())
        return signals

    def begins(self, response: str = "r1") -> list[Json]:
        """A say's response begins."""
        return self.tell(e.ResponseStarted(response=response, say="say_1", attempt=1))

    def hears(self, response: str = "r1", item: str = "i1", words: str = "", index: int = 0) -> list[Json]:
        """A second of a part, with its words if there are any."""
        text = s.OutputText(response=response, item=item, content_index=index, text=words, spoken=True)
        audio = s.OutputAudio(response=response, item=item, content_index=index, audio=SECOND, ms=1000.0)
        return self._see([raw for signal in ([text, audio] if words else [audio]) for raw in self.leg.media(signal)])

    def ends(self, response: str = "r1", status: str = "completed", code: str = "") -> list[Json]:
        """The response ends and all of it is with the caller."""
        ended = e.ResponseEnded(response=response, status=status, code=code, usage={"total_tokens": 3})
        return self.tell(ended, e.ResponseDelivered(response=response))


# --- a line that plays to its caller ---


@pytest.mark.parametrize(
    ("reason", "cleared"), [("speech", True), ("caller", True), ("cancelled", False), ("replaced", False)]
)
def test_what_flushes_a_caller_clears_the_buffer_that_plays_to_it(reason: str, cleared: bool) -> None:
    """After speech and the caller's own cancel nothing of the lead sounds any more; after others it plays out."""
    caller = Caller(plays=True)
    caller.begins()
    item = next(event["item_id"] for event in caller.hears() if "item_id" in event)
    caller.says("turnlog.playout", item_id=item, played_ms=0, source="rtp", state="started")
    types = caller.types(e.PlayoutCut(response="r1", reason=reason))
    assert types[-1] == ("output_audio_buffer.cleared" if cleared else "response.done")
    state = "cleared" if cleared else "stopped"
    (report,) = caller.says("turnlog.playout", item_id=item, played_ms=400, source="rtp", state=state)
    assert report == s.PlayoutReported(
        response="r1", item="i1", content_index=0, played_ms=400, final=False, source="rtp", halted=True
    )
    assert caller.seen[-1]["type"] == ("conversation.item.truncated" if cleared else "output_audio_buffer.stopped")


def test_the_lead_of_what_was_delivered_whole_is_cleared_too() -> None:
    """The response is done for the caller and still sounds: speech throws away the rest of it."""
    caller = Caller(plays=True)
    caller.begins()
    caller.hears()
    caller.ends()
    assert caller.types(e.PlayoutCut(response="r1", reason="speech")) == ["output_audio_buffer.cleared"]
    assert caller.types(e.PlayoutCut(response="r1", reason="speech")) == []


# --- parts ---


def test_each_part_is_an_item_and_is_told_in_the_providers_ids() -> None:
    """Two items of one response are two items for the caller; what it says of either is about the provider's."""
    caller = Caller()
    caller.begins()
    caller.hears(item="i1")
    caller.hears(item="i2", index=1)
    caller.hears(item="i1")
    items = [event["item"]["id"] for event in caller.seen if event["type"] == "conversation.item.added"]
    assert len(items) == 2
    for item, ms, part in ((items[0], 2000, ("i1", 0)), (items[1], 1000, ("i2", 1))):
        (report,) = caller.says("turnlog.playout", item_id=item, played_ms=ms)
        assert report == s.PlayoutReported(response="r1", item=part[0], content_index=part[1], played_ms=ms, final=False)
    caller.ends()
    (final,) = caller.says("conversation.item.truncate", item_id=items[1], content_index=0, audio_end_ms=400)
    assert final == s.PlayoutReported(response="r1", item="i2", content_index=1, played_ms=400, final=True)
    assert caller.seen[-1]["type"] == "conversation.item.truncated"


def test_what_a_caller_never_had_is_refused_at_its_leg() -> None:
    """More than it was sent of an item, and an item of the provider's, are errors and no signals."""
    caller = Caller()
    caller.begins()
    caller.hears()
    (item,) = [event["item"]["id"] for event in caller.seen if event["type"] == "conversation.item.added"]
    fields = {"content_index": 0, "audio_end_ms": 1001}
    assert caller.says("conversation.item.truncate", item_id=item, **fields) == []
    assert caller.seen[-1]["error"]["message"] == "Audio content of 1000ms is already shorter than 1001ms"
    assert caller.says("conversation.item.truncate", item_id="i1", **fields) == []
    assert caller.seen[-1]["error"]["code"] == "item_truncate_invalid_item_id"


# --- cancel ---


def test_a_cancel_names_the_providers_response() -> None:
    """With the caller's id the provider's; without one the core knows what sounds."""
    caller = Caller()
    (created,) = caller.begins()
    named = caller.says("response.cancel", event_id="e1", response_id=created["response"]["id"])
    assert named == [s.CancelRequested(event_id="e1", response="r1")]
    assert caller.says("response.cancel", event_id="e2") == [s.CancelRequested(event_id="e2", response="")]
    assert caller.says("output_audio_buffer.clear", event_id="e3") == [s.OutputCleared(event_id="e3")]
    assert caller.types(e.PlayoutCut(response="r1", reason="caller")) == ["response.done"]
    assert caller.says("response.cancel") == []
    assert caller.seen[-1]["error"]["code"] == "response_cancel_not_active"


def test_what_was_asked_and_has_not_begun_is_cancelled_at_once() -> None:
    """The caller's response begins and ends cancelled; words that come later answer nothing that was asked."""
    caller = Caller()
    (asked,) = caller.says("response.create", response={"metadata": {"k": "v"}})
    assert isinstance(asked, s.AnswerRequested)
    assert caller.says("response.cancel", response_id=asked.response) == [s.CancelRequested(event_id=None)]
    done = caller.seen[-1]["response"]
    assert (done["id"], done["status"], done["metadata"]) == (asked.response, "cancelled", {"k": "v"})
    (created,) = caller.begins()
    assert created["response"]["metadata"] is None
    assert caller.tell(e.AnswerTimedOut(link="c1")) == []


# --- cuts ---


def test_a_barge_in_is_seen_in_order() -> None:
    """speech_started, the tail of what was spoken, response.done; nothing that comes of that response afterwards."""
    caller = Caller()
    caller.begins()
    caller.hears(words="Hello there")
    new = caller.tell(e.SpeechStarted(item="u1", audio_start_ms=40), e.PlayoutCut(response="r1", reason="speech"))
    assert [event["type"].removeprefix("response.") for event in new] == [
        "input_audio_buffer.speech_started",
        "output_audio.done",
        "output_audio_transcript.done",
        "content_part.done",
        "conversation.item.done",
        "output_item.done",
        "done",
    ]
    done = new[-1]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert done["output"][0]["status"] == "incomplete"
    assert caller.hears() == caller.ends(status="cancelled") == []
    assert caller.begins("r2")[0]["type"] == "response.created"


def test_other_cuts_look_like_cancels() -> None:
    """Whatever else stopped it: client_cancelled; a response of which nothing came has no items."""
    caller = Caller()
    caller.begins()
    (done,) = caller.tell(e.PlayoutCut(response="r1", reason="replaced"))
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert done["response"]["output"] == []


def test_what_is_dead_or_not_for_callers_is_not_shown() -> None:
    """A response that was given up before it began, and the model's own words where a handler answers."""
    caller = Caller()
    assert caller.tell(e.ResponseStarted(response="r1", say="say_1", attempt=1, dead=True)) == []
    assert caller.tell(e.ResponseStarted(response="r2")) == []
    for response in ("r1", "r2"):
        assert caller.hears(response) == caller.ends(response) == []
        assert caller.tell(e.PlayoutCut(response=response, reason="speech")) == []
    assert Caller(answers="model").types(e.ResponseStarted(response="r2")) == ["response.created"]


def test_done_follows_what_was_delivered() -> None:
    """The provider is done long before the caller has all of it: response.done comes behind the last of it, as it ended."""
    caller = Caller()
    caller.begins()
    caller.hears()
    incomplete = e.ResponseEnded(response="r1", status="incomplete", code="max_output_tokens", usage={"total_tokens": 3})
    assert caller.tell(incomplete) == []
    assert caller.hears()[-1]["type"] == "response.output_audio.delta"
    done = caller.tell(e.ResponseDelivered(response="r1"))[-1]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["usage"] == {"total_tokens": 3}


def test_a_cut_before_all_is_delivered() -> None:
    """Ended at the provider, cut at the caller: cancelled, with the usage that is known; its delivery is no news."""
    caller = Caller()
    caller.begins()
    caller.hears()
    caller.tell(e.ResponseEnded(response="r1", status="completed", usage={"total_tokens": 3}))
    done = caller.tell(e.PlayoutCut(response="r1", reason="speech"))[-1]["response"]
    assert (done["status"], done["usage"]) == ("cancelled", {"total_tokens": 3})
    assert caller.tell(e.ResponseDelivered(response="r1")) == []


# --- one at a time ---


def test_a_response_beside_another_waits_for_its_turn() -> None:
    """What the provider speaks meanwhile is shown when the first is done, whole, and in its own order."""
    caller = Caller(answers="model")
    caller.begins("r1")
    assert caller.begins("r2") == caller.hears("r2", words="Later") == []
    assert caller.hears("r1")[-1]["type"] == "response.output_audio.delta"
    names = [event["type"] for event in caller.ends("r1")]
    assert names.index("response.done") + 1 == names.index("response.created")
    assert names[-1] == "response.output_audio.delta"
    assert caller.hears("r2")[-1]["type"] == "response.output_audio.delta"
    assert caller.ends("r2")[-1]["response"]["output"][0]["content"][0]["transcript"] == "Later"


def test_what_ends_while_it_waits_is_shown_to_its_end() -> None:
    """A call's response, and the words behind it, may both be over before the caller is there."""
    caller = Caller(answers="model")
    for response in ("r1", "r2", "r3"):
        caller.begins(response)
    assert caller.ends("r2", status="failed", code="server_error") == []
    statuses = [event["response"]["status"] for event in caller.ends("r1") if event["type"] == "response.done"]
    assert statuses == ["completed", "failed"]
    assert caller.ends("r3")[-1]["type"] == "response.done"


def test_what_is_cut_while_it_waits_is_never_shown() -> None:
    """The caller knows nothing of it."""
    caller = Caller(answers="model")
    caller.begins("r1")
    caller.begins("r2")
    assert caller.tell(e.PlayoutCut(response="r2", reason="speech")) == []
    assert [event["type"] for event in caller.ends("r1")] == ["response.done"]
    assert caller.ends("r2") == []


def test_a_text_response_has_no_audio() -> None:
    """Where the caller asked for text the words come as text, and the audio not at all."""
    caller = Caller()
    caller.says("response.create", response={"output_modalities": ["text"]})
    caller.begins()
    names = [event["type"] for event in caller.hears(words="Hello")]
    assert "response.output_text.delta" in names and not [name for name in names if "audio" in name]
    assert caller.ends()[0]["text"] == "Hello"


# --- the caller's own speech ---


def test_held_speech_is_not_told_but_what_it_became_is() -> None:
    """It may have been an echo: no started, no stopped; the item and its words are told."""
    assert Caller().types(
        e.SpeechStarted(item="u1", audio_start_ms=40, held=True),
        e.SpeechStopped(item="u1", audio_end_ms=540),
        e.InputCommitted(item="u1"),
        e.InputTranscribed(item="u1", transcript="hm"),
    ) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]


def test_confirmed_speech_is_told_then() -> None:
    """From the confirmation on it is like any other; it is told once, its words' duration is that of the speech."""
    caller = Caller()
    assert caller.tell(e.SpeechStarted(item="u1", audio_start_ms=40, held=True)) == []
    (started,) = caller.tell(e.SpeechConfirmed(item="u1", audio_start_ms=40))
    assert (started["type"], started["audio_start_ms"]) == ("input_audio_buffer.speech_started", 40)
    assert caller.tell(e.SpeechConfirmed(item="u1", audio_start_ms=40)) == []
    assert caller.types(e.SpeechStopped(item="u1", audio_end_ms=540)) == ["input_audio_buffer.speech_stopped"]
    caller.tell(e.InputCommitted(item="u1"))
    (words,) = caller.tell(e.InputTranscribed(item="u1", transcript="hello"))
    assert words["usage"] == {"type": "duration", "seconds": 0.5}


def test_late_confirmations() -> None:
    """After the speech has stopped both are told; after its item there is nothing to tell, nor for one never heard of."""
    caller = Caller()
    caller.tell(e.SpeechStarted(item="u1", audio_start_ms=40, held=True), e.SpeechStopped(item="u1", audio_end_ms=90))
    assert caller.types(e.SpeechConfirmed(item="u1", audio_start_ms=40)) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
    ]
    caller.tell(e.SpeechStarted(item="u2", audio_start_ms=200, held=True), e.InputCommitted(item="u2"))
    assert caller.tell(e.SpeechConfirmed(item="u2", audio_start_ms=200), e.SpeechConfirmed(item="u9", audio_start_ms=0)) == []


def test_the_callers_own_commit_keeps_its_item() -> None:
    """Its words come under the id that the caller was told at its commit; words that will not come are told as failed."""
    caller = Caller()
    caller.says("input_audio_buffer.append", audio=SECOND.decode())
    (commit,) = caller.says("input_audio_buffer.commit")
    assert isinstance(commit, s.CommitRequested)
    assert caller.tell(e.InputCommitted(item="theirs")) == []
    (failed,) = caller.tell(e.InputTranscribed(item="theirs", transcript="", status="late"))
    assert (failed["item_id"], failed["error"]["code"]) == (commit.item, "late")
    (words,) = caller.tell(e.TranscriptArrivedLate(item="theirs", transcript="hello"))
    assert (words["item_id"], words["transcript"]) == (commit.item, "hello")


def test_a_callers_out_of_band_response_is_refused() -> None:
    """It begins, fails with a code of its own, and leaves the conversation as it was."""
    caller = Caller()
    assert caller.says("response.create", response={"conversation": "none", "metadata": {"k": "v"}}) == []
    done = caller.seen[-1]["response"]
    assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "not_supported")
    assert (done["conversation_id"], done["metadata"]) == (None, {"k": "v"})


def test_nothing_is_seen_after_the_end() -> None:
    """The session's end is the end of the line."""
    caller = Caller()
    caller.begins()
    caller.tell(e.SessionEnded(reason="completed"))
    assert caller.hears() == caller.ends() == []


def test_a_digit_is_told_with_its_time() -> None:
    """In whole seconds of Unix time, without an event_id."""
    (event,) = Caller().tell(e.DigitPressed(digit="4"))
    assert event == {"type": "input_audio_buffer.dtmf_event_received", "event": "4", "received_at": 5}


# --- any order ---

RESPONSES = st.sampled_from(["r1", "r2", "r3", "r4"])
OF_RESPONSES = ["begin", "dead", "audio", "words", "end", "deliver", "cut"]
OF_CALLERS = ["ask", "cancel", "cancel one", "clear", "give up"]
STEPS = st.tuples(st.sampled_from(OF_RESPONSES + OF_CALLERS), RESPONSES, st.sampled_from(["i1", "i2"]))


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=40))
def test_any_order_of_events_gives_the_caller_a_sound_session(steps: list[tuple[str, str, str]]) -> None:
    """One response at a time, one done each, nothing of it after, no part of it after its cut; in the end none is open."""
    caller = Caller(answers="model")
    started, ended, over = set[str](), set[str](), set[str]()
    for kind, response, item in steps:
        match kind:
            case "begin" if response not in started:
                started.add(response)
                caller.begins(response)
            case "dead" if response not in started:
                started.add(response)
                over.add(response)
                caller.tell(e.ResponseStarted(response=response, say="say_9", dead=True))
            case "audio":
                caller.hears(response, item)
            case "words":
                caller.hears(response, item, words="word ")
            case "end" if response in started and response not in ended:
                ended.add(response)
                caller.tell(e.ResponseEnded(response=response, status="completed"))
            case "deliver" if response in ended and response not in over:
                over.add(response)
                caller.tell(e.ResponseDelivered(response=response))
            case "cut" if response in started and response not in over:
                over.add(response)
                caller.tell(e.PlayoutCut(response=response, reason="speech"))
                assert caller.hears(response, item) == []
            case "ask":
                caller.says("response.create")
            case "cancel":
                caller.says("response.cancel")
            case "cancel one":
                created = [event for event in caller.seen if event["type"] == "response.created"]
                caller.says("response.cancel", response_id=created[-1]["response"]["id"] if created else "nobody")
            case "clear":
                caller.says("output_audio_buffer.clear")
            case "give up":
                caller.tell(e.AnswerTimedOut(link="c1"))
    for response in sorted(started - over):
        caller.tell(e.PlayoutCut(response=response, reason="ended"))
    caller.tell(e.AnswerTimedOut(link="c1"))
    open_: list[str] = []
    finished = set[str]()
    for event in caller.seen:
        of = event.get("response", {}).get("id") or event.get("response_id", "")
        match event["type"]:
            case "response.created":
                assert open_ == [] and of not in finished
                open_.append(of)
            case "response.done":
                assert open_.pop() == of
                finished.add(of)
            case name if of and name != "output_audio_buffer.cleared":
                assert open_ == [of]
    assert open_ == []
    assert caller.says("response.create"), "the conversation is free"


@pytest.mark.parametrize("side", ["input", "output"])
def test_where_only_pcm_passes_another_format_is_refused(side: str) -> None:
    """The provider is called over WebRTC: a telephone's G.711 would be noise to it; nothing of such an update is taken."""
    caller = Caller(pcm_only=True)
    audio = {side: {"format": {"type": "audio/pcmu"}}}
    changes = {"type": "realtime", "instructions": "Sing.", "audio": audio}
    assert caller.says("session.update", event_id="u1", session=changes) == []
    error = caller.seen[-1]["error"]
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", f"session.audio.{side}.format", "u1")
    pcm = {"type": "realtime", "audio": {side: {"format": {"type": "audio/pcm", "rate": 24_000}}}}
    (configured,) = caller.says("session.update", session=pcm)
    assert isinstance(configured, s.CallerConfigured)
    assert configured.session["instructions"] == ""
    assert len(Caller().says("session.update", session=changes)) == 1
    assert len(Caller(plays=True, pcm_only=True).says("session.update", session=changes)) == 1  # its link knows no formats


# --- callers that come later ---


def later(*events: e.Event, first: int = 2) -> Caller:
    """A caller whose own line is event 9, in a session with these events from number `first` on."""
    caller = Caller.__new__(Caller)
    numbers = itertools.count(1)
    caller.leg, caller.state, caller.seen = CallerLeg("c1", "m", lambda kind: f"{kind}_{next(numbers)}"), State(), []
    definition = define_session("desk", provider="scripted", transport="in_process", voice="ash")
    caller.state.apply(1, 0, e.SessionStarted(session="s1", target="hotel.desk", definition=definition))
    for seq, event in enumerate(events, start=first):
        caller.state.apply(seq, 0, event)
    caller.tell(e.LinkOpened(link="c1", side="caller", transport="in_process"))
    return caller


SAID = [
    e.TurnEnded(turn=1, item="u1", text="A table", transcript="A table"),
    e.SayRequested(index=1, say="say_1", command=c.Say(text="For whom?"), site=c.Site("desk.py", 3)),
    e.SaySettled(say="say_1", status="interrupted", heard_ms=400, heard_text="For"),
    e.TurnEnded(turn=2, item="mine", text="For two", channel="text"),
]


def told(caller: Caller) -> list[tuple[str, str, str, str]]:
    """What it was told of the conversation: (id, role, kind, words); each item is added, then done, behind the one before."""
    added = [one for one in caller.seen if one["type"] == "conversation.item.added"]
    done = [one for one in caller.seen if one["type"] == "conversation.item.done"]
    assert [one["item"] for one in added] == [one["item"] for one in done]
    assert [one["previous_item_id"] for one in added] == [None, *(one["item"]["id"] for one in added)][: len(added)]
    parts = [(one["item"], one["item"]["content"][0]) for one in added]
    return [(item["id"], item["role"], part["type"], part.get("transcript") or part["text"]) for item, part in parts]


def test_a_caller_that_comes_later_is_told_what_was_said() -> None:
    """Behind session.created: each contribution as it was heard, under the ids that callers know where there are any."""
    caller = later(*SAID)
    assert [one["type"] for one in caller.seen[:2]] == ["session.created", "conversation.item.added"]
    (first, second, third) = told(caller)
    assert first == ("u1", "user", "input_audio", "A table")
    assert second[1:] == ("assistant", "output_audio", "For") and second[0].startswith("item_")
    assert third == ("mine", "user", "input_text", "For two")


def test_an_item_that_it_was_told_of_is_an_item_like_others() -> None:
    """It can be asked for and taken out, and its id is taken."""
    caller = later(*SAID)
    caller.says("conversation.item.retrieve", item_id="u1")
    assert caller.seen[-1]["item"]["content"] == [{"type": "input_audio", "transcript": "A table"}]
    caller.says("conversation.item.create", item={"id": "mine", "type": "message", "role": "user", "content": []})
    assert caller.seen[-1]["error"]["code"] == "item_create_duplicate_item_id"


def test_an_id_that_was_used_twice_is_given_to_one_item() -> None:
    """Two callers may have made the same one."""
    both = [e.TurnEnded(turn=n, item="mine", text=f"text {n}", channel="text") for n in (1, 2)]
    first, second = told(later(*both))
    assert (first[0], first[3], second[3]) == ("mine", "text 1", "text 2") and second[0] != "mine"


def test_what_is_said_in_the_same_moment_is_told_once() -> None:
    """A turn that is behind the caller's line in the log comes as it comes, not as history."""
    assert told(later(SAID[0], first=10)) == []
    assert len(told(later(SAID[0], first=8))) == 1


def test_the_session_is_the_one_that_it_now_is() -> None:
    """What callers and the handler have set stands in session.created, under which the caller's own updates are merged."""
    changes = {"voice": "verse", "output_modalities": ["text"], "turn_detection": None, "output_format": {"type": "audio/pcmu"}}
    session = later(e.SettingsAsked(link="c0", settings=changes)).seen[0]["session"]
    assert (session["output_modalities"], session["audio"]["output"]["voice"]) == (["text"], "verse")
    assert (session["audio"]["input"]["turn_detection"], session["audio"]["output"]["format"]) == (None, {"type": "audio/pcmu"})
    plain = later().seen[0]["session"]
    assert (plain["audio"]["output"]["voice"], plain["audio"]["input"]["turn_detection"]["type"]) == ("ash", "server_vad")


def test_words_of_a_speech_before_it_came_are_told_with_their_turn() -> None:
    """Their transcription would be of an item that this caller does not have; the item comes when the turn has ended."""
    caller = later()
    assert caller.tell(e.InputTranscribed(item="u7", transcript="A table")) == []
    seen = caller.tell(e.TurnEnded(turn=1, item="u7", text="A table", transcript="A table"))
    assert [one["type"].rpartition(".")[2] for one in seen] == ["added", "done"]
    assert told(caller) == [("u7", "user", "input_audio", "A table")]
