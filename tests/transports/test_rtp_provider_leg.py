"""Our end of a provider's line whose audio comes by RTP: whose audio a cut stops, and what the buffer's events do not mean."""

import json
from typing import Any

from turnlog.core import events as e
from turnlog.core.core import SessionCore, Staged
from turnlog.core.signals import ResponseBegan
from turnlog.transports.realtime.rtp_provider_leg import RtpProviderLeg
from turnlog.transports.realtime.wire import parse

STATE = SessionCore().state


def told(leg: RtpProviderLeg, state: str, response: str) -> list[Any]:
    """output_audio_buffer.<state> comes: its signals, then what is owed."""
    message = {"type": f"output_audio_buffer.{state}", "response_id": response}
    return [*leg.receive(parse(json.dumps(message).encode())), *map(json.loads, leg.owed())]


def cancel(leg: RtpProviderLeg, response: str, link: str = "p1") -> list[dict[str, Any]]:
    """What leaves when a response is to be stopped."""
    event = e.CancelDispatched(link=link, response=response)
    return [json.loads(raw) for raw in leg.present(Staged(7, 0, 0, event), STATE)]


def test_the_providers_buffer_is_no_signal() -> None:
    """Its audio passes the mouth here, which knows better what callers have heard; all else means what it always does."""
    leg = RtpProviderLeg("p1", [])
    created = b'{"type":"response.created","response":{"id":"r1","metadata":{"turnlog_say":"s"}}}'
    assert [type(signal) for signal in leg.receive(parse(created))] == [ResponseBegan]
    assert [told(leg, state, "r1") for state in ("started", "stopped", "cleared")] == [[], [], []]


def test_a_cut_of_what_plays_clears_the_providers_buffer() -> None:
    """The cancel stops what is generated, the clear what sounds; of a response that does not sound there is nothing to clear."""
    leg = RtpProviderLeg("p1", [])
    told(leg, "started", "r1")
    both = cancel(leg, "r1")
    assert [message["type"] for message in both] == ["response.cancel", "output_audio_buffer.clear"]
    assert both[1]["event_id"] == "clear_7"
    assert [message["type"] for message in cancel(leg, "r2")] == ["response.cancel"]
    told(leg, "stopped", "r1")
    assert [message["type"] for message in cancel(leg, "r1")] == ["response.cancel"]
    assert cancel(leg, "r1", link="v1") == []


def test_what_was_cut_while_it_waited_is_cleared_when_it_starts() -> None:
    """A provider that had generated it plays it all the same, when its turn comes."""
    leg = RtpProviderLeg("p1", [])
    told(leg, "started", "r1")
    cancel(leg, "r2")
    assert [message["type"] for message in told(leg, "started", "r2")] == ["output_audio_buffer.clear"]
    assert leg.owed() == []
