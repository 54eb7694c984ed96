"""Pacing through a live session, on virtual time: when audio leaves, what it waits for, and that nothing is left behind."""

import asyncio
import base64
import os
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.engine.living import Living, Speaker, assert_rebuilt, living
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.engine import run
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.sources import Sources
from turnlog.testing import VirtualClock, virtual_time
from turnlog.transports.realtime.say_form import recognise


@pytest.fixture(autouse=True)
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pacing is on."""
    monkeypatch.setattr(run, "PACED", True)


class Fast(Speaker):
    """A provider that makes `ms` of audio at once and says only later, when `finish` is called, that this was all."""

    response = ""

    def answer(self, asked: s.AnswerRequested) -> None:
        """Speak, in deltas of 200 ms."""
        self.spoken.append(recognise(asked.request))
        self.response = self.server.start_response(asked)
        for at in range(0, self.ms, 200):
            self.server.output_audio(self.response, base64.b64encode(os.urandom(48 * min(200, self.ms - at))))
        self.server.output_transcript(self.response, "Spoken")
        self.answered.set()

    def finish(self) -> None:
        """That was all."""
        self.server.finish_response(self.response)
        self.flush()


async def desk(session: RealtimeSession) -> None:
    """Say something and wait until it was heard."""
    await (await session.say("A long say")).settled()


async def listens(session: RealtimeSession) -> None:
    """Say nothing."""
    async for _ in session.turns():
        pass


def virtual() -> dict[str, Any]:
    """The engine's clock on the loop's virtual time."""
    return {"sources": Sources(clock=VirtualClock)}


def got_ms(alive: Living) -> float:
    """How much audio the caller has."""
    return sum(len(one["delta"]) * 3 / 4 / 48 for one in alive.caller.events("response.output_audio.delta"))


def audio_of(events: list[dict[str, Any]]) -> bytes:
    """The bytes of all audio in these deltas."""
    return b"".join(base64.b64decode(one["delta"]) for one in events)


@virtual_time
async def test_audio_leaves_as_it_is_played() -> None:
    """5 s that come at once take 5 s to leave: the caller always has audio to play, never more than 400 ms; all is recorded."""
    provider = Fast(ms=5000)
    async with living(desk, provider=provider, engine=virtual()) as alive:
        await alive.caller.until("response.output_audio.delta")
        began_s = time_s()
        while (had_ms := got_ms(alive)) < 5000:
            passed_ms = (time_s() - began_s) * 1000
            assert passed_ms < had_ms <= passed_ms + 400 + 1e-6
            await asyncio.sleep(0.02)
        assert 4600 <= (time_s() - began_s) * 1000 <= 5000
        provider.finish()
        await alive.ended()
    sent = [msgspec.json.decode(raw) for raw in provider.sent if b"response.output_audio.delta" in raw]
    assert audio_of(alive.caller.events("response.output_audio.delta")) == audio_of(sent)
    assert_rebuilt(alive.store, alive.session.id, "p1.in", provider.sent, whole=False)
    assert_rebuilt(alive.store, alive.session.id, "c1.out", alive.caller.received)
    assert alive.of(e.SaySettled)[0].status == "played"


@virtual_time
async def test_what_is_due_overtakes_no_message() -> None:
    """While messages wait for their append nothing leaves; then what is due does, behind them: the wire is as the log has it."""
    provider = Fast(ms=3000)
    async with living(desk, provider=provider, engine=virtual()) as alive:
        await alive.caller.until("response.output_audio.delta")
        await asyncio.sleep(0.5)
        alive.store.may_append.clear()
        alive.caller.send({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief"}})
        await alive.store.until_held()
        had_ms = got_ms(alive)
        await asyncio.sleep(0.5)
        assert got_ms(alive) == had_ms
        alive.store.may_append.set()
        await alive.caller.until("session.updated")
        await asyncio.sleep(0.1)
        assert got_ms(alive) >= had_ms + 300
        await asyncio.sleep(4)
        assert got_ms(alive) == 3000
        provider.finish()
        await alive.ended()
    assert_rebuilt(alive.store, alive.session.id, "c1.out", alive.caller.received)


@virtual_time
async def test_a_session_that_ends_leaves_nothing_behind() -> None:
    """Ended while audio waits, it sends no more of it, and no timer stays."""
    async with living(desk, provider=Fast(ms=5000), engine=virtual()) as alive:
        await alive.caller.until("response.output_audio.delta")
        alive.session.end("enough", drain=False)
        await alive.ended()
        await alive.caller.until_closed()
        assert got_ms(alive) == 400
        assert alive.session._run.speaking._timer is None


@virtual_time
async def test_a_model_that_answers_is_not_held_back() -> None:
    """With answers="model" all that it makes is the caller's at once."""
    provider = Fast(ms=5000)
    async with living(desk, provider=provider, engine=virtual(), answers="model") as alive:
        await alive.caller.until("response.output_audio.delta", 25)
        assert time_s() < 1
        provider.finish()
        await alive.ended()


@virtual_time
async def test_the_end_follows_the_audio() -> None:
    """All is there at once, its end too: the caller learns of it behind the last audio, and the say is heard when that is."""
    async with living(desk, provider=Speaker(ms=5000), engine=virtual()) as alive:
        await alive.caller.until("response.output_audio.delta")
        began_s = time_s()
        await alive.caller.until("response.done")
        assert 4.6 <= time_s() - began_s < 5
        assert got_ms(alive) == 5000
        await alive.ended()
        assert 5 <= time_s() - began_s < 5.1
        types = alive.caller.types()
        assert max(n for n, one in enumerate(types) if one == "response.output_audio.delta") < types.index("response.done")
    assert alive.of(e.ResponseDelivered)[0].delivered_ms == 5000
    settled = alive.of(e.SaySettled)[0]
    assert (settled.status, settled.heard_ms, settled.source) == ("played", 5000, "clock")


@virtual_time
async def test_a_cut_leaves_the_lead_and_no_more() -> None:
    """Interrupted after 2 s the caller has at most the lead and a piece more than was heard, and none of it comes later."""
    provider = Speaker(ms=10_000)

    async def listens(session: RealtimeSession) -> None:
        await session.say("A very long say")
        await session.input()

    async with living(listens, provider=provider, engine=virtual()) as alive:
        await alive.caller.until("response.output_audio.delta")
        await asyncio.sleep(2)
        provider.server.speech_started("item_user", 1900)
        provider.flush()
        cut = await alive.until(e.PlayoutCut)
        had_ms = got_ms(alive)
        await asyncio.sleep(3)
        assert got_ms(alive) == had_ms
        assert 2000 < had_ms <= 2400
        assert [(part.heard_ms, part.delivered_ms, part.generated_ms) for part in cut.heard] == [(2000, had_ms, 10_000)]


def time_s() -> float:
    """The time that has passed."""
    return asyncio.get_running_loop().time()


@virtual_time
async def test_falling_silent_waits_for_no_append_of_media() -> None:
    """Audio is on its way into the log when the disk hangs: a cut acts at once all the same, and stands behind that audio."""
    provider = Fast(ms=5000)
    async with living(desk, provider=provider, engine=virtual()) as alive:
        await alive.until(e.AudioStarted)
        alive.store.may_append.clear()
        await alive.store.until_held()
        await asyncio.sleep(0.7)  # more is due meanwhile
        provider.server.speech_started("u1", 0)
        provider.flush()
        await provider.until("response.cancel")
        await alive.caller.until("response.done")
        assert not alive.of(e.PlayoutCut)
        alive.store.may_append.set()
        await alive.until(e.SaySettled)
        provider.finish()
        alive.session.end()
        await alive.ended()
    assert_rebuilt(alive.store, alive.session.id, "c1.out", alive.caller.received)
    assert_rebuilt(alive.store, alive.session.id, "p1.in", provider.sent, whole=False)
    assert (await alive.store.verify(alive.session.id)).ok


@virtual_time
async def test_what_is_decided_while_media_is_written_follows_it() -> None:
    """Only what makes quieter is early: a turn, and audio behind it, go on when all before is in the log."""
    provider = Fast(ms=0)
    async with living(listens, provider=provider, engine=virtual(), answers="model") as alive:
        await alive.until(e.LinkReady)
        response = provider.server.start_response()
        provider.server.output_audio(response, base64.b64encode(bytes(960)))
        provider.flush()
        await alive.until(e.AudioStarted)
        alive.store.may_append.clear()
        provider.server.output_audio(response, base64.b64encode(bytes(960)))
        provider.flush()
        await alive.store.until_held()
        had, asked = got_ms(alive), provider.types()
        alive.caller.type("hello")
        await asyncio.sleep(0.01)
        provider.server.output_audio(response, base64.b64encode(bytes(960)))
        provider.flush()
        await asyncio.sleep(0.5)
        assert (got_ms(alive), provider.types()) == (had, asked)
        alive.store.may_append.set()
        await provider.until("conversation.item.create")
        await asyncio.sleep(0.5)
        assert got_ms(alive) == had + 20
        alive.session.end(drain=False)
        await alive.ended()
    assert_rebuilt(alive.store, alive.session.id, "p1.in", provider.sent, whole=False)
    assert (await alive.store.verify(alive.session.id)).ok


class Appends:
    """An observer that keeps when something was written."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def appended(self, session: str, staged: Any, seconds: float) -> None:
        """Keep it."""
        self.at_s.append(asyncio.get_running_loop().time())

    def around(self, session: str, seq: int) -> nullcontext[None]:
        """Nothing surrounds."""
        return nullcontext()

    def closed(self, session: str, failure: BaseException | None) -> None:
        """It is over."""


@virtual_time
async def test_what_waits_is_written_when_it_is_due_and_not_before() -> None:
    """Records that come all the time, beside audio, are written five times a second, not each by itself."""
    provider, appends = Fast(ms=0), Appends()
    async with living(listens, provider=provider, engine={**virtual(), "observers": [appends]}) as alive:
        await alive.until(e.LinkReady)
        await asyncio.sleep(0.5)
        appends.at_s.clear()
        for at in range(100):
            provider.send(b'{"type":"rate_limits.updated","event_id":"r","rate_limits":[]}')
            await asyncio.sleep(0.012)
            if at % 2:
                alive.caller.append()
            await asyncio.sleep(0.012)
        gaps_s = [after - before for before, after in pairwise(appends.at_s)]
        alive.session.end()
        await alive.ended()
    assert 10 <= len(gaps_s) <= 12
    assert min(gaps_s) > 0.15 and max(gaps_s) < 0.25


@virtual_time
async def test_falling_silent_waits_for_no_append() -> None:
    """The disk hangs: the caller hears at once that the user speaks, the provider is told to stop; the log has it later."""
    provider = Fast(ms=5000)
    async with living(desk, provider=provider, engine=virtual()) as alive:
        await alive.caller.until("response.output_audio.delta")
        await asyncio.sleep(1)
        alive.store.may_append.clear()
        provider.server.speech_started("u1", 0)
        provider.flush()
        await provider.until("response.cancel")
        await alive.caller.until("input_audio_buffer.speech_started")
        (done,) = await alive.caller.until("response.done")
        assert done["response"]["status"] == "cancelled"
        assert not alive.of(e.SpeechStarted) and not alive.of(e.PlayoutCut)
        alive.store.may_append.set()
        await alive.until(e.SaySettled)
        assert alive.of(e.PlayoutCut)[0].heard[0].heard_ms in range(950, 1_050)
        provider.finish()
        alive.session.end()
        await alive.ended()
    assert_rebuilt(alive.store, alive.session.id, "c1.out", alive.caller.received)
