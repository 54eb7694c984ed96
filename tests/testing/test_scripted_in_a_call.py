"""A call on a scripted provider: the wire is asserted message by message."""

import pytest

from turnlog import App, RealtimeSession
from turnlog.core.errors import ProtocolError
from turnlog.testing import Call, Kit, ScriptedProvider, allow, emit, expect
from turnlog.transports.providers.scripted import Step

SESSION = {"id": "sess_1", "object": "realtime.session", "type": "realtime"}
app = App("hotel")


@app.session("desk", provider="openai", transport="websocket")
async def desk(session: RealtimeSession) -> None:
    """Says one thing."""
    await session.say("Good morning")


def steps() -> list[Step]:
    """A provider that greets, and expects one say."""
    return [
        emit({"type": "session.created", "event_id": "event_1", "session": SESSION}),
        expect("session.update"),
        emit({"type": "session.updated", "event_id": "event_2", "session": SESSION}),
        expect(lambda event: event["type"] == "response.create" and "Good morning" in event["response"]["instructions"]),
    ]


async def heard_out(call: Call) -> None:
    """Long enough for what is asked for to be asked for."""
    await call.caller.is_silent(5)


def test_a_script_is_followed_on_virtual_time(turnlog: Kit) -> None:
    """What the script expects comes, and the script is complete."""
    provider = ScriptedProvider(steps(), strict=True)
    turnlog.run(app, "hotel.desk", heard_out, provider=provider)
    provider.assert_complete()


def test_what_the_script_does_not_expect_fails(turnlog: Kit) -> None:
    """A message that no step waits for is named."""
    provider = ScriptedProvider([*steps()[:3], allow("session.update")])
    turnlog.run(app, "hotel.desk", heard_out, provider=provider)
    with pytest.raises(ProtocolError, match=r"TL309 the script is over; the client sent .*response\.create"):
        provider.assert_complete()
