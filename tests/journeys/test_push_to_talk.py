"""A caller with a talk button, on the official SDK: it commits its words itself, and it alone says when an answer is to stop."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import turnlog
from tests.journeys.phone import PER_MS, Phone, calling, calmly, recording
from tests.journeys.test_interrupted_by_speech import TOUR
from tests.server.hosting import Hosted, hosted
from turnlog.core import events as e
from turnlog.transports.speech.engines import Speech

pytestmark = pytest.mark.realtime

CALM_MS = 40  # towards a provider by WebRTC audio that is later than the cushion (50 ms) leaves a gap amid a word

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


class Call(NamedTuple):
    """A call that is over: its caller, the two answers as they began, their ends, what was truncated, and the log."""

    phone: Phone
    begun: tuple[dict[str, Any], dict[str, Any]]
    done: tuple[dict[str, Any], dict[str, Any]]
    told_ms: int
    log: list[Any]


async def call(server: Hosted, session: str) -> Call:
    """Two answers, stopped by cancel and by clear."""
    async with calling(server, f"hotel.{session}", "sockets", muted=True) as phone:
        by_hand = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await phone.sends({"type": "session.update", "session": by_hand})
        await phone.until(lambda: phone.of("session.updated"))
        phone.late_ms = 0.0  # what connecting took is not amid words

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
    return Call(phone, (first, second), (cancelled, cleared), told_ms, await server.events(name))


@pytest.mark.parametrize("session", ["desk", "called"])
async def test_a_caller_with_a_button(tmp_path: Path, speech: Speech, session: str) -> None:
    """Its commit is a turn that is answered; response.cancel and clear stop the answer, truncate tells what was heard."""

    async def held(folder: Path) -> tuple[Call, float]:
        async with hosted(app, folder, speech=speech) as server:
            one = await call(server, session)
        print(f"{session}: a tick of the caller's clock was {one.phone.late_ms:.0f} ms late at worst")
        return one, one.phone.late_ms

    (phone, begun, ends, told_ms, log), _ = await calmly(held, tmp_path, CALM_MS if session == "called" else math.inf)
    assert phone.of("error") == []
    for done, response in zip(ends, begun, strict=True):
        assert (done["response"]["id"], done["response"]["status"]) == (response["id"], "cancelled")
        assert phone.late.get(response["id"], 0) <= 100 * PER_MS
    assert [phone.of(f"input_audio_buffer.{kind}") for kind in ("speech_started", "speech_stopped")] == [[], []]
    turns = [event.text.lower() for event in log if isinstance(event, e.TurnEnded)]
    assert len(turns) == 2 and "goodbye" in turns[0] and "pool" in turns[1]
    says = [event for event in log if isinstance(event, e.SaySettled)]
    assert [(one.status, one.code) for one in says] == [("interrupted", "caller")] * 2
    assert (says[0].heard_ms, says[0].source) == (told_ms, "ack")
    assert says[1].source == "clock"
    assert abs(says[1].heard_ms - phone.flushes[1].played_ms) <= says[1].error_ms
