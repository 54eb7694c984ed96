"""Our dispatches as a provider's messages: says in both modes, cancels, truncations, deletions, and who detects turns."""

import json
from typing import Any, Literal

import pytest
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from pydantic import TypeAdapter

from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.core import Staged
from turnlog.core.definition import define_session
from turnlog.core.state import State
from turnlog.transports.realtime.provider_leg import ProviderLeg

CLIENT_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)
Mode = Literal["", "out_of_band", "in_band"]


class Provider:
    """A provider's leg and the state it reads."""

    def __init__(self, **definition: Any) -> None:
        self.leg = ProviderLeg("p1", [])
        self.state = State()
        self.seq = 0
        defined = define_session("desk", provider="scripted", transport="in_process", **definition)
        self.apply(e.SessionStarted(session="s1", target="hotel.desk", definition=defined))

    def apply(self, event: e.Event) -> None:
        """Fold an event."""
        self.seq += 1
        self.state.apply(self.seq, self.seq, event)

    def gets(self, event: e.Event) -> dict[str, Any]:
        """The one message that carries out this dispatch, valid by the official types."""
        self.seq += 1
        (raw,) = self.leg.present(Staged(self.seq, self.seq, self.seq - 1, event), self.state)
        CLIENT_EVENT.validate_json(raw)
        message: dict[str, Any] = json.loads(raw)
        return message


@pytest.mark.parametrize(
    ("mode", "declared", "conversation"),
    [
        ("", "out_of_band", "none"),
        ("", "in_band", "auto"),
        ("in_band", "out_of_band", "auto"),
        ("out_of_band", "in_band", "none"),
    ],
)
def test_a_say_goes_where_its_mode_says(mode: Mode, declared: str, conversation: str) -> None:
    """The say's own mode, else the session's; in both the words are an instruction and correlated by their metadata."""
    provider = Provider(say_mode=declared)
    provider.apply(e.LinkOpened(link="p1", side="provider", transport="in_process"))
    command = c.Say(text="Hi.", mode=mode)
    provider.apply(e.SayRequested(index=1, say="say_1", command=command, site=c.Site("desk.py", 1)))
    message = provider.gets(e.SayDispatched(say="say_1", attempt=1, link="p1", text="Hi."))
    assert (message["type"], message["event_id"]) == ("response.create", "say_1:1")
    response = message["response"]
    assert (response["conversation"], response["metadata"]) == (conversation, {"turnlog_say": "say_1"})
    assert response["instructions"].endswith('"Hi."')


def test_reducing_actions_name_their_seq() -> None:
    """Cancel, truncate and delete: each with an event_id that leads back to its dispatch."""
    provider = Provider()
    cancel = provider.gets(e.CancelDispatched(link="p1", response="r1"))
    assert cancel == {"type": "response.cancel", "event_id": "cancel_2", "response_id": "r1"}
    truncate = provider.gets(e.TruncateDispatched(link="p1", item="i1", content_index=1, audio_end_ms=1200))
    place = {"item_id": "i1", "content_index": 1, "audio_end_ms": 1200}
    assert truncate == {"type": "conversation.item.truncate", "event_id": "truncate_3", **place}
    delete = provider.gets(e.ItemDeleteDispatched(link="p1", item="i1"))
    assert delete == {"type": "conversation.item.delete", "event_id": "delete_4", "item_id": "i1"}


def test_another_links_dispatches_are_not_ours() -> None:
    """After a reconnect the old link is not written to."""
    provider = Provider()
    assert provider.leg.present(Staged(2, 2, 1, e.CancelDispatched(link="p2", response="r1")), provider.state) == []


@pytest.mark.parametrize("answers", ["handler", "model"])
def test_the_engine_cuts_where_a_handler_answers(answers: str) -> None:
    """Then the provider neither answers nor interrupts by itself, whatever was declared; else it does what was declared."""
    turn_detection = {"type": "server_vad", "create_response": True, "interrupt_response": True}
    provider = Provider(answers=answers, turn_detection=turn_detection)
    provider.apply(e.LinkOpened(link="p1", side="provider", transport="in_process"))
    message = provider.gets(e.ConfigurationDispatched(link="p1"))
    sent = message["session"]["audio"]["input"]["turn_detection"]
    assert (sent["create_response"], sent["interrupt_response"]) == (answers == "model", answers == "model")


def test_who_answers_may_change() -> None:
    """The dispatch says who answers by it: tools go with the model; while a say is open it neither answers nor cuts by itself."""
    provider = Provider(answers="model", tools=["look_up"])
    provider.leg = ProviderLeg("p1", [{"type": "function", "name": "look_up", "parameters": {}}])
    provider.apply(e.LinkOpened(link="p1", side="provider", transport="in_process"))

    def told(answers: str, *, held: bool = False) -> tuple[list[str], bool, bool]:
        session = provider.gets(e.ConfigurationDispatched(link="p1", answers=answers, answer_held=held))["session"]
        detection = session["audio"]["input"]["turn_detection"]
        return [tool["name"] for tool in session["tools"]], detection["create_response"], detection["interrupt_response"]

    assert told("model") == told("") == (["look_up"], True, True)
    assert told("model", held=True) == (["look_up"], False, False)
    assert told("handler") == ([], False, False)
