"""The media path: who hears what, at once, and what of it is in the log."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from tests.engine.living import Speaker, assert_rebuilt, living
from turnlog.core import events as e
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.store import export_archive, import_archive, open_archive
from turnlog.store.memory import MemoryStore


async def wait(session: RealtimeSession) -> None:
    """Listen until the end."""
    async for _ in session.turns():
        pass


async def test_a_models_own_words_are_kept_from_the_caller() -> None:
    """Where the handler answers, audio and text that no say asked for are recorded and not delivered."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        server = alive.provider.server
        response = server.start_response()
        server.output_audio(response, base64.b64encode(bytes(4800)))
        server.output_transcript(response, "I was not asked")
        server.finish_response(response)
        alive.provider.flush()
        await alive.until(e.ResponseEnded)
        assert_rebuilt(alive.store, alive.session.id, "p1.in", alive.provider.sent)
        assert not alive.of(e.AudioStarted)
    assert alive.caller.types() == ["session.created"]


async def test_a_models_own_words_are_heard_where_it_answers() -> None:
    """With answers="model" they are delivered like any other."""
    async with living(wait, answers="model") as alive:
        await alive.until(e.LinkReady)
        alive.caller.type("hello")
        await alive.caller.until("response.done")
        assert len(alive.caller.events("response.output_audio.delta")) == 2
        await alive.until(e.PlayoutEnded)
        assert len(alive.of(e.AudioStarted)) == 1


async def test_a_caller_that_wants_text_gets_text() -> None:
    """output_modalities ["text"]: the say comes as text deltas and counts as played though no audio sounded."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()
        await (await session.say("In writing")).settled()

    async with living(desk) as alive:
        await alive.until(e.LinkReady)
        alive.caller.send({"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}})
        alive.caller.type("hello")
        await alive.ended()
        await alive.caller.until_closed()
    assert "".join(one["delta"] for one in alive.caller.events("response.output_text.delta")) == "In writing"
    assert not alive.caller.events("response.output_audio.delta")
    settled = alive.of(e.SaySettled)[0]
    assert (settled.status, settled.heard_ms, settled.heard_text) == ("played", 0, "In writing")


async def test_what_was_handed_on_is_stored_once(tmp_path: Path) -> None:
    """Audio to the caller takes the room of its ids, and comes back byte for byte from the log, its archive and a copy of it."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("A while of audio")).settled()

    async with living(desk, provider=Speaker(ms=400)) as alive:
        await alive.ended()
        await alive.caller.until_closed()
    name = alive.session.id
    came, left = (list(alive.store.scan_segments(name, track)) for track in ("p1.in", "c1.out"))
    assert sum(len(part.data) for part in left) < sum(len(part.data) for part in came) / 2
    assert {part.codec for part in came} == {"tlm1"}
    assert "tlm2" in {part.codec for part in left}
    assert (await alive.store.verify(name)).ok
    await export_archive(alive.store, name, tmp_path / "call.turnlog")
    archive, copy = open_archive(tmp_path / "call.turnlog"), MemoryStore()
    await import_archive(copy, archive)
    for store in (alive.store, archive, copy):
        assert_rebuilt(store, name, "c1.out", alive.caller.received)


async def test_callers_audio_is_kept_until_the_provider_hears() -> None:
    """What a caller says before the provider is ready is sent once it is, in order and byte for byte."""
    provider = Speaker()
    provider.may_greet.clear()
    async with living(wait, provider=provider) as alive:
        await alive.caller.until("session.created")
        for ms in (20, 40, 60):
            alive.caller.append(ms)
        await alive.until(e.MediaRecorded)
        assert "input_audio_buffer.append" not in provider.types()
        provider.may_greet.set()
        await provider.until("input_audio_buffer.append", 3)
    sent = [json.loads(raw)["audio"] for raw in alive.caller.sent]
    assert [json.loads(raw)["audio"] for raw in provider.received[1:]] == sent


async def test_a_caller_that_has_gone_is_no_hindrance() -> None:
    """A link that is closed while audio is on its way to it is skipped; the other caller hears all of it."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("For the one who stayed")).settled()

    provider = Speaker(ms=60)
    provider.may_answer.clear()
    async with living(desk, provider=provider, callers=2) as alive:
        await provider.until("response.create")
        await alive.callers[0].hang_up()
        provider.may_answer.set()
        await alive.ended()
        await alive.callers[1].until_closed()
    assert len(alive.callers[1].events("response.output_audio.delta")) == 3
    assert alive.of(e.SaySettled)[0].status == "played"


async def test_loudness_stands_beside_the_recording() -> None:
    """MediaRecorded carries a peak per 10 ms of PCM."""
    loud = base64.b64encode(b"\x00\x40" * 480).decode()
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        alive.caller.send({"type": "input_audio_buffer.append", "audio": loud})
        recorded = await alive.until(e.MediaRecorded)
    assert recorded.duration_ms == 20
    assert recorded.peaks == bytes([128, 128])


@pytest.mark.parametrize("log", ["held", "free"])
async def test_first_audio_is_a_fact(log: str) -> None:
    """AudioStarted is logged once per response, behind the response's start and before its end."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("One")).settled()

    async with living(desk, provider=Speaker(ms=100)) as alive:
        if log == "held":
            alive.store.may_append.clear()
            await asyncio.sleep(0.01)
            alive.store.may_append.set()
        await alive.ended()
    kinds = [type(event) for event in alive.story]
    assert kinds.count(e.AudioStarted) == 1
    assert kinds.index(e.ResponseStarted) < kinds.index(e.AudioStarted) < kinds.index(e.ResponseEnded)
