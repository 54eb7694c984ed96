"""The two lines of a direct call: the sideband, which is told all but audio, and the caller's own, which is told nothing."""

import asyncio
import base64
import json
from typing import Any

import msgspec
import pytest
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from pydantic import TypeAdapter

from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.core import Staged
from turnlog.core.definition import define_session
from turnlog.core.errors import LinkClosed, ProtocolError
from turnlog.core.state import State
from turnlog.transports.callers.direct import DirectCaller
from turnlog.transports.realtime.direct_leg import DirectLeg
from turnlog.transports.realtime.session_wire import call_session
from turnlog.transports.realtime.sideband_leg import SidebandLeg
from turnlog.transports.realtime.wire import parse

CLIENT_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)
AUDIO = s.AudioAppended(audio=base64.b64encode(bytes(960)), ms=20)
FIND = {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}}
HIDE = {"type": "function", "name": "hide", "parameters": {"type": "object", "properties": {}}}


def state(**options: Any) -> State:
    """A session's state."""
    made = State()
    defined = define_session("desk", provider="openai", transport="webrtc", **options)
    made.apply(1, 1, e.SessionStarted(session="s1", target="hotel.desk", definition=defined))
    return made


def told(leg: SidebandLeg, event: e.Event, of: State) -> dict[str, Any]:
    """The one message for this event, valid by the official types."""
    (raw,) = leg.present(Staged(7, 7, 6, event), of)
    CLIENT_EVENT.validate_json(raw)
    message: dict[str, Any] = json.loads(raw)
    return message


def test_a_sidebands_configuration_is_whole_and_names_no_format() -> None:
    """What the caller's client had set before goes, also where the definition says nothing."""
    message = told(SidebandLeg("p1", [FIND]), e.ConfigurationDispatched(link="p1", answers="handler"), state())
    assert message["session"] == {
        "type": "realtime",
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "transcription": {"model": "gpt-realtime-whisper"},
                "turn_detection": {
                    "type": "server_vad",
                    "create_response": False,
                    "interrupt_response": False,
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                },
            }
        },
    }


def test_a_call_is_opened_with_what_its_sideband_asks_for() -> None:
    """And with the model, which never changes; the tools are those that the session names."""
    of = state(answers="model", tools=["find"], voice="marin", instructions="Be kind.")
    asked = e.ConfigurationDispatched(link="p1", answers="model")
    opened = call_session(of.life.definition, asked, [FIND, HIDE], model="gpt-realtime-2.1")
    assert opened.pop("model") == "gpt-realtime-2.1"
    assert told(SidebandLeg("p1", [FIND, HIDE]), asked, of)["session"] == opened
    assert (opened["tools"], opened["audio"]["output"]) == ([FIND], {"voice": "marin"})


def test_a_say_cuts_and_clears_by_the_sideband_as_by_any_line() -> None:
    """Only its configuration is its own; another line's dispatches are not for it."""
    leg, of = SidebandLeg("p2", []), state()
    assert told(leg, e.CancelDispatched(link="p2", response="r1"), of)["type"] == "response.cancel"
    assert told(leg, e.OutputClearDispatched(link="p2"), of) == {"type": "output_audio_buffer.clear", "event_id": "clear_7"}
    for event in (e.OutputClearDispatched(link="p1"), e.ConfigurationDispatched(link="p1")):
        assert leg.present(Staged(7, 7, 6, event), of) == []


def test_a_sideband_carries_no_audio_either_way() -> None:
    """What a caller of another line says does not go there, and audio that a service sends all the same is passed over."""
    leg = SidebandLeg("p1", [])
    assert leg.media(AUDIO) == []
    place = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
    delta = {"type": "response.output_audio.delta", "event_id": "ev", **place, "delta": AUDIO.audio.decode()}
    words = {"type": "response.output_audio_transcript.delta", "event_id": "ev", **place, "delta": "Hi"}
    signals = [signal for event in (delta, words) for signal in leg.receive(parse(msgspec.json.encode(event)))]
    assert [type(signal) for signal in signals] == [s.ResponseBegan, s.OutputText]


def test_a_direct_callers_line_is_told_nothing() -> None:
    """The provider tells its client what there is to tell."""
    leg = DirectLeg()
    staged = Staged(7, 7, 6, e.SpeechStarted(item="u1", audio_start_ms=0))
    assert leg.present(staged, state()) == leg.media(AUDIO) == leg.owed() == []
    assert leg.refuse(b"", ProtocolError("TL304", "x")) == []
    assert leg.receive(parse(b'{"type":"x"}')) == []
    assert leg.receive_audio(b"") is None


async def test_closing_a_direct_caller_hangs_up_once() -> None:
    """Whoever reads it learns of it, and nothing can be sent any more."""
    hung_up: list[int] = []

    async def hang_up() -> None:
        hung_up.append(1)

    link = DirectCaller(hang_up)
    link.send(b"{}")
    reading = asyncio.create_task(link.receive())
    await link.close(1011, "provider_lost")
    await link.close()
    with pytest.raises(LinkClosed) as closed:
        await reading
    assert (closed.value.close_code, closed.value.reason, hung_up) == (1011, "provider_lost", [1])
    with pytest.raises(LinkClosed):
        link.send(b"{}")


async def test_a_call_that_is_over_is_not_hung_up() -> None:
    """Its line closes in order."""

    async def hang_up() -> None:
        raise AssertionError("it is over")

    link = DirectCaller(hang_up)
    link.over("the call has ended")
    link.over("twice")
    await link.close()
    with pytest.raises(LinkClosed) as closed:
        await link.receive()
    assert (closed.value.close_code, closed.value.reason) == (1000, "the call has ended")
