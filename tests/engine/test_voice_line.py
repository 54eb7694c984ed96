"""Sessions that this machine speaks in: recorded, replayed, decided anew, forked, asked what if; and the life of its line."""

import asyncio
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.engine.living import assert_rebuilt, living
from turnlog import App, RealtimeSession, clip, replay
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.core.events import WIRE_TYPES
from turnlog.core.explain import Trail, why_late, why_silent, why_stopped
from turnlog.engine.handlers.clip import AudioClip
from turnlog.engine.offline.fork import fork
from turnlog.engine.offline.fork_rest import parse_script
from turnlog.engine.offline.rederive import rederive
from turnlog.engine.offline.what_if import what_if
from turnlog.engine.sources import Sources
from turnlog.store.memory import MemoryStore
from turnlog.testing import Call, Kit, speak
from turnlog.testing.fake_speech import FakeSynthesiser
from turnlog.transports.providers.voice import Voice
from turnlog.transports.speech.synthesise import Synthesiser

Handler = Callable[[RealtimeSession], Awaitable[None]]
FAKE = Sources(voice=FakeSynthesiser)


def music(folder: Path) -> AudioClip:
    """A recording of three seconds."""
    with wave.open(str(folder / "hold.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(speak("la " * 10))
    return clip(folder / "hold.wav")


def handler_of(hold: AudioClip) -> Handler:
    """Speaks with both voices and plays; is cut in each."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("Welcome to the bank")
        first = await session.say("Your balance is one two three four five six", mode="tts", key="balance")
        again = await session.say("Your balance is one two three four five six", mode="tts", key="balance")
        turn = await session.input()
        assert first.id == again.id
        playing = await session.say(hold, key="music")
        await session.say(hold, key="music")
        turn = await session.input()
        outcome = await playing.settled()
        await session.say(f"{turn.text} {outcome.status} {len(session.conversation)}")

    return desk


async def recorded(kit: Kit, handler: Handler, store: MemoryStore) -> Call:
    """A call in which the user speaks over words and over music."""
    bank = App("bank")
    bank.session("desk", provider="openai", transport="websocket", echo="client_aec")(handler)
    async with kit.call(bank, "bank.desk", store=store) as call:
        await call.caller.hears("balance is one")
        await call.caller.says("enough")
        await asyncio.sleep(1.0)
        await call.caller.says("stop the music")
        await call.caller.hears("stop the music interrupted")
        await call.ended()
    return call


async def test_it_is_read_again_in_every_way(turnlog: Kit, tmp_path: Path) -> None:
    """Each prefix replays, without the file too; an unchanged handler asks for the same; turns are decided the same again."""
    store, hold = MemoryStore(), music(tmp_path)
    call = await recorded(turnlog, handler_of(hold), store)
    assert [(one.status, one.code) for one in call.of(e.SaySettled)][1:3] == [("interrupted", "speech")] * 2
    (tmp_path / "hold.wav").unlink()
    log, gone = call.log, handler_of(clip(tmp_path / "hold.wav"))

    def offline() -> None:
        for n in range(1, len(log) + 1):
            assert replay(log[:n], gone).complete == (n == len(log))
        found = what_if(log, gone)
        assert [row for row in found.rows if str(row.status) != "equal"] == [] and found.seq == len(log)
        assert rederive(store, call.session.id).differences == []

    await asyncio.to_thread(offline)


async def test_it_can_be_forked_anywhere(turnlog: Kit, tmp_path: Path) -> None:
    """At each event that is no message's: what is stored verifies and replays, and each of its says is settled once."""
    store, handler = MemoryStore(), handler_of(music(tmp_path))
    call = await recorded(turnlog, handler, store)

    async def every() -> None:
        for at in [one.seq for one in call.log[:-1] if one.type not in WIRE_TYPES]:
            into, script = MemoryStore(), parse_script("enough\nstop")
            forked = await fork(store, call.session.id, at, handler, name="fork", script=script, into=into)
            assert forked.past == at and (await into.verify("fork")).ok
            events = [decode(one) for one in into.scan("fork")]
            asked = [event.say for event in events if isinstance(event, e.SayRequested)]
            settled = [event for event in events if isinstance(event, e.SaySettled)]
            assert sorted(event.say for event in settled) == sorted(asked)

    await asyncio.to_thread(asyncio.run, every())  # a handler's loop of its own


async def test_a_recording_that_no_record_knows_takes_its_own_time(turnlog: Kit, tmp_path: Path) -> None:
    """What-if: it counts as played after three seconds, not after the time of its words."""
    hold = music(tmp_path)

    async def short(session: RealtimeSession) -> None:
        await session.input()

    async def plays(session: RealtimeSession) -> None:
        outcome = await (await session.say(hold)).settled()
        await session.say(f"{outcome.status} {outcome.heard_ms}")
        await session.input()

    bank = App("bank")
    bank.session("desk", provider="openai", transport="websocket")(short)
    async with turnlog.call(bank, "bank.desk") as call:
        await call.caller.is_silent(5.0)
        call.caller.types("Hi")
        await call.ended()
    found = await asyncio.to_thread(what_if, call.log, plays)
    assert "played 3000" in "".join(row.now.text for row in found.rows if row.now)


async def test_it_can_be_explained_everywhere(turnlog: Kit, tmp_path: Path) -> None:
    """One waiter after each event, an outcome of each say with its outside cause, and no ms of a gap unexplained."""
    call = await recorded(turnlog, handler_of(music(tmp_path)), MemoryStore())
    trail = Trail.of(call.log)
    assert {why_silent(trail, seq=entry.seq).name for entry in trail.entries} >= {"playout", "provider_response", "ended"}
    for settled in call.of(e.SaySettled):
        assert why_stopped(trail, settled.say).outside in ("wire", "timer", "start", "host")
    for turn in call.of(e.TurnEnded):
        late = why_late(trail, turn.turn)
        assert late.unexplained_ms == 0 and sum(one.ms for one in late.stretches) == late.gap_ms


async def test_the_lines_messages_are_in_the_log() -> None:
    """Each message of it can be rebuilt, as those of any line; it closes with the session and leaves nothing behind."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("One two", mode="tts")

    async with living(desk, engine={"sources": FAKE}) as alive:
        await alive.ended()
        sent = [event.data for event in alive.of(e.TransportSent) if event.link == "v1"]
    assert_rebuilt(alive.store, alive.session.id, "v1.out", sent)
    spoken = [one for one in alive.of(e.MediaRecorded) if one.track == "v1.in"]
    assert sum(one.duration_ms for one in spoken) == 600
    assert alive.provider.spoken == []


async def test_a_lost_line_fails_its_says_and_the_next_opens_another() -> None:
    """Code no_voice; the session goes on, and the say after it is heard by the line v2."""
    outcomes: list[tuple[str, str]] = []

    async def desk(session: RealtimeSession) -> None:
        for words in ("One two three four five six seven eight", "Again"):
            outcome = await (await session.say(words, mode="tts")).settled()
            outcomes.append((outcome.status, outcome.code))

    never = asyncio.Event()

    class Slow(Voice):
        """A voice that does not come to speaking while it is told not to."""

        async def synthesiser(self) -> Synthesiser:
            if not never.is_set():
                await never.wait()
            return await super().synthesiser()

    async with living(desk, engine={"sources": FAKE}) as alive:
        alive.session._voice = Slow(FakeSynthesiser)
        await alive.until(e.ResponseStarted)
        never.set()
        await alive.session._run.lines["v1"].link.close(1011, "gone")
        await alive.ended()
    assert outcomes == [("failed", "no_voice"), ("played", "")]
    assert [one.link for one in alive.of(e.LinkOpened) if one.side == "voice"] == ["v1", "v2"]


async def test_a_handler_on_the_hosts_loop_plays_too(tmp_path: Path) -> None:
    """replay=False: the recording is found as it is in a replayable session, and forgotten when its say is settled."""
    hold = music(tmp_path)

    async def desk(session: RealtimeSession) -> None:
        await session.say(hold)

    async with living(desk, replay=False, engine={"sources": FAKE}) as alive:
        await alive.ended()
        journal = alive.session._run.handler.journal
    assert [one.heard_ms for one in alive.of(e.SaySettled)] == [3000]
    assert journal.asking.host.clips == {}
