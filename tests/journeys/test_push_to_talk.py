"""A caller with a talk button, on the official SDK: it commits its words itself, and it alone says when an answer is to stop."""

from pathlib import Path
from typing import Any

import pytest

import turnlog
from tests.journeys.phone import PER_MS, Phone, calling, recording
from tests.journeys.test_interrupted_by_speech import TOUR
from tests.server.hosting import hosted
from turnlog.core import events as e
from turnlog.transports.speech.engines import Speech

pytestmark = pytest.mark.realtime

app = turnlog.App("hotel")


@app.session("called", provider="openai", transport="webrtc")
@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Each turn gets the long answer."""
    async for turn in session.turns():
        await session.say(f"You said: {turn.text} {TOUR}")


async def asks(phone: Phone, name: str, n: int) -> dict[str, Any]:
    """Hold the button while a recording is said, and a little longer, let go, hear a second of the n-th answer: what began it."""
    phone.says(recording(name) + bytes(300 * PER_MS))
    await phone.until_said()
    await phone.sends({"type": "input_audio_buffer.commit"})
    await phone.sends({"type": "response.create"})
    await phone.until_played(1000, response=n - 1)
    created: dict[str, Any] = phone.of("response.created")[n - 1]["response"]
    return created


@pytest.mark.parametrize("session", ["desk", "called"])
async def test_a_caller_with_a_button(tmp_path: Path, speech: Speech, session: str) -> None:
    """Its commit is a turn that is answered; response.cancel and clear stop the answer, truncate tells what was heard."""
    async with hosted(app, tmp_path, speech=speech) as server:
        async with calling(server, f"hotel.{session}", "sockets", muted=True) as phone:
            by_hand = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            await phone.sends({"type": "session.update", "session": by_hand})
            await phone.until(lambda: phone.of("session.updated"))

            first = await asks(phone, "4-goodbye", 1)
            await phone.sends({"type": "response.cancel", "response_id": first["id"]})
            phone.flush()
            cancelled = await phone.until_done(1)
            (item,) = cancelled["response"]["output"]
            told_ms = round(phone.flushes[0].played_ms)
            truncate = {"type": "conversation.item.truncate", "item_id": item["id"], "content_index": 0, "audio_end_ms": told_ms}
            await phone.sends(truncate)
            await phone.until(lambda: phone.of("conversation.item.truncated"))

            second = await asks(phone, "3-pool", 2)
            await phone.sends({"type": "output_audio_buffer.clear"})
            phone.flush()
            cleared = await phone.until_done(2)
            await phone.until(lambda: phone.of("output_audio_buffer.cleared"))
        await server.ended(name := await server.only_session())
        log = await server.events(name)
    assert phone.of("error") == []
    for done, response in ((cancelled, first), (cleared, second)):
        assert (done["response"]["id"], done["response"]["status"]) == (response["id"], "cancelled")
        assert phone.late.get(response["id"], 0) <= 100 * PER_MS
    assert [phone.of(f"input_audio_buffer.{kind}") for kind in ("speech_started", "speech_stopped")] == [[], []]
    turns = [event.text.lower() for event in log if isinstance(event, e.TurnEnded)]
    assert len(turns) == 2 and "thank" in turns[0] and "where is the sw" in turns[1]  # a late packet costs a word behind these
    says = [event for event in log if isinstance(event, e.SaySettled)]
    assert [(one.status, one.code) for one in says] == [("interrupted", "caller")] * 2
    assert (says[0].heard_ms, says[0].source) == (told_ms, "ack")
    assert says[1].source == "clock"
    assert abs(says[1].heard_ms - phone.flushes[1].played_ms) <= says[1].error_ms
