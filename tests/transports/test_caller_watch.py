"""What a caller is told that watches: turns and the ends of says, in its own ids and in the log's figures."""

from typing import Any

import msgspec

from tests.transports.test_caller_leg import SERVER_EVENT, Caller
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.transports.realtime.server import ServerProtocol
from turnlog.transports.realtime.wire import parse

SITE = c.Site(file="desk.py", line=3)
SETTLED = e.SaySettled(
    say="say_1", status="interrupted", code="speech", generated_ms=2000, heard_ms=940, source="mark", error_ms=50, heard_text="H"
)


class Watcher(Caller):
    """A caller that may be told more than the protocol knows."""

    def _see(self, messages: list[bytes]) -> list[dict[str, Any]]:
        new = [msgspec.json.decode(message) for message in messages]
        for message, event in zip(messages, new, strict=True):
            if not event["type"].startswith("turnlog."):
                SERVER_EVENT.validate_json(message)
        self.seen += new
        return new

    def asks(self, text: str = "Hello there.", **fields: Any) -> None:
        """The handler asks for a say."""
        self.tell(e.SayRequested(index=1, say="say_1", command=c.Say(text=text, **fields), site=SITE))

    def told(self, *events: e.Event) -> list[dict[str, Any]]:
        """What it is told of these, of turnlog's own."""
        return [one for one in self.tell(*events) if one["type"].startswith("turnlog.")]


def test_nobody_is_told_who_did_not_ask() -> None:
    """A standard client sees nothing but the protocol."""
    caller = Watcher()
    caller.asks()
    caller.begins()
    caller.hears()
    assert caller.told(SETTLED, e.TurnEnded(turn=1, item="u1", text="Hi")) == []


def test_a_say_is_told_in_the_figures_of_the_log_and_the_ids_of_the_caller() -> None:
    """Also of a say that was asked for before the caller watched; nothing is answered to the message itself."""
    caller = Watcher()
    caller.asks()
    assert caller.says("turnlog.watch", event_id="e1") == [] and caller.leg.owed() == []
    (created,) = caller.begins()
    caller.hears()
    (item,) = [event["item"]["id"] for event in caller.seen if event["type"] == "conversation.item.added"]
    caller.tell(e.PlayoutCut(response="r1", reason="speech", say="say_1"))
    (told,) = caller.told(SETTLED)
    assert {key: told[key] for key in msgspec.structs.asdict(SETTLED)} == msgspec.to_builtins(SETTLED)
    assert (told["text"], told["interrupted"], told["at_ms"]) == ("Hello there.", True, 5000)
    assert (told["response_id"], told["item_id"]) == (created["response"]["id"], item)


def test_a_say_in_pieces_has_all_its_responses_and_one_that_nobody_saw_has_none() -> None:
    """Pieces are told in order; ids are null where nothing was shown."""
    caller = Watcher()
    caller.says("turnlog.watch")
    caller.asks()
    for response in ("r1", "r2"):
        caller.begins(response)
        caller.hears(response, item=f"i{response}")
        caller.ends(response)
    created = [event["response"]["id"] for event in caller.seen if event["type"] == "response.created"]
    added = [event["item"]["id"] for event in caller.seen if event["type"] == "conversation.item.added"]
    (told,) = caller.told(e.SaySettled(say="say_1", status="played"))
    assert (told["response_ids"], told["item_ids"]) == (created, added) and len(added) == 2
    assert (told["response_id"], told["item_id"], told["interrupted"]) == (created[0], added[0], False)
    caller.asks()
    (told,) = caller.told(e.SaySettled(say="say_1", status="cancelled", code="busy"))
    assert (told["response_ids"], told["item_ids"], told["response_id"], told["item_id"]) == ([], [], None, None)


def test_the_words_of_a_stream_are_those_that_were_asked_for() -> None:
    """Its text comes piece by piece."""
    caller = Watcher()
    caller.says("turnlog.watch")
    caller.asks("", stream=4)
    for part, text in enumerate(["One. ", "Two."]):
        caller.tell(e.SayDispatched(say="say_1", attempt=part + 1, link="p1", text=text, part=part))
    (told,) = caller.told(e.SaySettled(say="say_1", status="played"))
    assert told["text"] == "One. Two."


def test_what_was_asked_for_before_the_caller_came_is_told_with_its_words() -> None:
    """A greeting that waits for its caller is known by the state that it joins."""
    caller = Watcher()
    caller.state.apply(3, 0, e.SayRequested(index=1, say="say_1", command=c.Say(text="Front desk."), site=SITE))
    caller.tell(e.LinkOpened(link="c1", side="caller", transport="in_process"))
    caller.says("turnlog.watch")
    (told,) = caller.told(e.SaySettled(say="say_1", status="played"))
    assert told["text"] == "Front desk."


def test_a_turn_is_told_by_the_item_that_the_caller_knows() -> None:
    """Its own where it committed the audio itself."""
    caller = Watcher()
    caller.says("turnlog.watch")
    (told,) = caller.told(e.TurnEnded(turn=1, item="u1", text="Hi", transcript="Hi", start_ms=9, end_ms=90, interrupted=["s1"]))
    assert (told["item_id"], told["text"], told["transcript"], told["interrupted"]) == ("u1", "Hi", "Hi", ["s1"])
    assert (told["turn"], told["channel"], told["start_ms"], told["end_ms"], told["at_ms"]) == (1, "audio", 9, 90, 5000)
    caller.says("input_audio_buffer.append", audio="A" * 12800)
    caller.says("input_audio_buffer.commit")
    mine = caller.seen[-1]["item"]["id"]
    caller.tell(e.InputCommitted(item="u2"), e.InputTranscribed(item="u2", transcript="Yes"))
    (told,) = caller.told(e.TurnEnded(turn=2, item="u2", text="Yes"))
    assert told["item_id"] == mine != "u2"


def test_a_provider_takes_the_message_and_has_nothing_to_tell() -> None:
    """No error: one client's half for servers of both kinds."""
    server = ServerProtocol(ids=lambda kind: kind, model="m")
    assert len(server.receive(parse(b'{"type":"turnlog.watch"}'))) == 1
    assert server.messages_to_send() == []
