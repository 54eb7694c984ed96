"""A caller whose sound the program carries itself: it hears and is heard in PCM, and the log is as of any session."""

import asyncio
import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.delivery.scenes import TEN_S, line
from tests.engine.living import living
from tests.engine.test_passage import Begun, says, wait
from turnlog import (
    AudioCaller,
    AudioCleared,
    AudioFinished,
    AudioPart,
    MediaError,
    PlayAudio,
    ProtocolError,
    RealtimeSession,
    ShowText,
    TurnlogError,
    rederive,
)
from turnlog.core import events as e
from turnlog.core.errors import LinkClosed
from turnlog.engine.recording import record
from turnlog.testing import Call, Kit
from turnlog.testing.fake_speech import listen, speak
from turnlog.transports.callers.audio import Heard
from turnlog.transports.links.in_process import pair
from turnlog.transports.realtime.audio import PCM16, bytes_for_ms

FRAME = bytes_for_ms(20, PCM16)
GREETING = "Hello and welcome to the harbour"


async def answers(session: RealtimeSession) -> None:
    """Greet, then repeat what is said."""
    await session.say(GREETING)
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


async def talks(session: RealtimeSession) -> None:
    """Ten seconds of words, then what follows."""
    await session.say(TEN_S)
    async for turn in session.turns():
        await session.say(f"Now {turn.text}.")


@dataclass
class Ear:
    """A player that keeps what it was told, and when."""

    audio_of: dict[str, bytearray] = field(default_factory=dict)
    parts: list[AudioPart] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)
    does: Callable[[bytes], Any] | None = None

    def audio(self, pcm16: bytes, part: AudioPart) -> None:
        """Keep it, by response."""
        self.audio_of.setdefault(part.response, bytearray()).extend(pcm16)
        self.at_s.append(asyncio.get_running_loop().time())
        self.pieces.append(len(pcm16))
        if part not in self.parts:
            self.parts.append(part)
        if self.does:
            self.does(pcm16)

    def text(self, text: str, part: AudioPart) -> None:
        """Keep the words."""
        self.told.append(("text", text))

    def cleared(self, response: str) -> None:
        """Keep that it was cut."""
        self.told.append(("cleared", response))

    def finished(self, response: str) -> None:
        """Keep that it is over."""
        self.told.append(("finished", response))

    @property
    def heard(self) -> list[str]:
        """The words in the sound of each response."""
        return [listen(bytes(pcm16)) for pcm16 in self.audio_of.values()]


async def person(call: Call, ear: Ear | None = None) -> tuple[AudioCaller, Ear]:
    """Attach one."""
    ear = ear or Ear()
    caller = AudioCaller(ear)
    await call.engine.attach(call.session.id, caller)
    return caller, ear


async def speaks(caller: AudioCaller, text: str) -> None:
    """Speak in real time, then be silent for a second."""
    pcm16 = speak(text) + bytes(50 * FRAME)
    for start in range(0, len(pcm16), FRAME):
        await asyncio.sleep(0.02)
        caller.speak(pcm16[start : start + FRAME].ljust(FRAME, b"\0"))


async def test_it_hears_and_is_heard(turnlog: Kit) -> None:
    """What a handler says comes as sound and words, what the person says is a turn; the log verifies and replays."""
    async with turnlog.call(line(answers), "line.talk", calls_in=False) as call:
        caller, ear = await person(call)
        await asyncio.sleep(4)
        await speaks(caller, "a room please")
        await asyncio.sleep(4)
        store, session = call.engine.store, call.session.id
        await caller.close()
        await call.ended(within_s=120)
        assert (await store.verify(session)).ok
        tracks = await store.tracks(session)
        again = await asyncio.to_thread(rederive, store, session)
        file = await asyncio.to_thread(record, store, session, "agent", tracks)
    assert (again.equal, again.differences) == (1, [])
    assert ear.heard == [GREETING, "You said a room please."]
    assert [text for kind, text in ear.told if kind == "text"] and ("finished", ear.parts[0].response) in ear.told
    assert [turn.text for turn in call.of(e.TurnEnded)] == ["a room please"]
    assert [one.status for one in call.of(e.SaySettled)] == ["played", "played"]
    [opened] = [one for one in call.of(e.LinkOpened) if one.side == "caller"]
    assert opened.transport == "pcm"
    assert "c1.in" in tracks and "c1.out" not in tracks
    assert all(bytes(pcm16)[:FRAME] in file.read(0, file.size) for pcm16 in ear.audio_of.values())


async def test_audio_comes_ahead_of_its_time_by_the_lead_at_most(turnlog: Kit) -> None:
    """A provider that is done at once fills no player with seconds of sound."""
    async with turnlog.call(line(talks), "line.talk", calls_in=False) as call:
        _, ear = await person(call)
        await asyncio.sleep(12)
        [pcm16] = ear.audio_of.values()
    seconds = len(pcm16) / 48_000
    assert seconds - 0.5 <= ear.at_s[-1] - ear.at_s[0] <= seconds
    assert TEN_S.startswith(listen(bytes(pcm16)))


async def test_speech_clears_what_sounds(turnlog: Kit) -> None:
    """The player is told at once; nothing of that response comes behind it, and the next answer does."""
    async with turnlog.call(line(talks), "line.talk", calls_in=False) as call:
        caller, ear = await person(call)
        await asyncio.sleep(2)
        await speaks(caller, "wait a moment")
        await asyncio.sleep(3)
        [settled, *_] = call.of(e.SaySettled)
    first = ear.parts[0].response
    assert ear.told.count(("cleared", first)) == 1
    assert ("finished", first) not in ear.told
    assert settled.status == "interrupted"
    delivered_ms = len(ear.audio_of[first]) / 48
    assert settled.heard_ms <= delivered_ms <= settled.heard_ms + 400 + 20
    assert ear.heard[1] == "Now wait a moment."


async def test_what_the_program_measured_counts(turnlog: Kit) -> None:
    """played() goes before the clock: what a slower player had played by the cut is what was heard."""
    async with turnlog.call(line(talks), "line.talk", calls_in=False) as call:
        caller, ear = await person(call)
        await asyncio.sleep(2)
        caller.played(ear.parts[0], 900)
        await asyncio.sleep(0.1)
        caller.interrupt()
        await asyncio.sleep(0.05)
        caller.played(ear.parts[0], 950, final=True)
        await asyncio.sleep(1)
        [settled] = call.of(e.SaySettled)
    assert (settled.status, settled.heard_ms, settled.source) == ("interrupted", 950, "ack")
    assert ("cleared", ear.parts[0].response) in ear.told


async def test_nobody_hears_more_than_was_delivered(turnlog: Kit) -> None:
    """A program that counts wrong cannot make more of a say than there was."""
    async with turnlog.call(line(talks), "line.talk", calls_in=False) as call:
        caller, ear = await person(call)
        await asyncio.sleep(2)
        caller.interrupt()
        caller.played(ear.parts[0], 99_000, final=True)
        await asyncio.sleep(1)
        [settled] = call.of(e.SaySettled)
    assert settled.heard_ms <= len(ear.audio_of[ear.parts[0].response]) / 48


async def test_beside_a_caller_with_a_wire(turnlog: Kit) -> None:
    """Both hear the same; the one that speaks the protocol is told in it."""
    async with turnlog.call(line(answers), "line.talk") as call:
        _, ear = await person(call)
        await call.caller.hears("welcome to the harbour")
        await call.caller.falls_silent()
        [sounded] = call.caller.heard
    assert ear.heard == [GREETING]
    assert len(ear.audio_of[ear.parts[0].response]) / 48 == sounded.heard_ms


async def test_iterating_gives_all_in_order_and_ends_with_the_line() -> None:
    """Sound, words and the end of a say; then the session's end ends the loop."""

    async def one_say(session: RealtimeSession) -> None:
        await session.say("Goodbye.")

    async with living(one_say, callers=0) as alive:
        caller = AudioCaller()
        await alive.engine.attach(alive.session.id, caller)
        heard: list[Heard] = [one async for one in caller]
        await alive.ended()
    part = next(one.part for one in heard if isinstance(one, PlayAudio))
    assert b"".join(one.pcm16 for one in heard if isinstance(one, PlayAudio)) == bytes(48 * 40)
    assert ShowText("Goodbye.", part) in heard
    assert heard[-1] == AudioFinished(part.response)
    assert caller.closed is not None and caller.closed.close_code == 1000


async def test_what_is_unread_of_a_cut_response_is_not_given() -> None:
    """Who iterates late is not given sound that is to be thrown away."""
    async with living(wait, callers=0, provider=Begun(), answers="model") as alive:
        caller = AudioCaller()
        await alive.engine.attach(alive.session.id, caller)
        await alive.until(e.LinkReady)
        response = alive.provider.server.start_response()
        says(alive.provider, response, 5)
        await alive.until(e.AudioStarted)
        caller.interrupt()
        await alive.until(e.PlayoutCut)
        heard = aiter(caller)
        assert await anext(heard) == AudioCleared(response)
        await caller.close()
        assert [one async for one in heard] == []


async def test_a_player_that_fails_ends_its_line_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The session goes on; the log says why that caller has gone."""

    def fails(pcm16: bytes) -> None:
        raise OSError("no such device")

    async with living(wait, callers=1, answers="model") as alive:
        caller = AudioCaller(Ear(does=fails))
        await alive.engine.attach(alive.session.id, caller)
        await alive.until(e.LinkReady)
        with caplog.at_level(logging.ERROR, "turnlog.links"):
            response = alive.provider.server.start_response()
            says(alive.provider, response, 3)
            await alive.until(e.LinkClosed)
        await alive.caller.until("response.output_audio.delta", 3)
        [closed] = alive.of(e.LinkClosed)
        assert (closed.code, closed.reason) == (1011, "its player failed: OSError: no such device")
        assert not alive.of(e.SessionEnded)


async def test_a_program_that_does_not_read_is_cut_off() -> None:
    """1008, and nothing more is kept for it."""
    async with living(wait, callers=0, provider=Begun(), answers="model") as alive:
        caller = AudioCaller(limit_bytes=3000)
        await alive.engine.attach(alive.session.id, caller)
        await alive.until(e.LinkReady)
        says(alive.provider, alive.provider.server.start_response(), 4)
        closed = await alive.until(e.LinkClosed)
        assert closed.code == 1008
        with pytest.raises(LinkClosed):
            caller.speak(bytes(2))


async def test_samples_that_are_cut_between_pieces_come_whole() -> None:
    """A provider may send any number of bytes at a time; half a sample waits for its other half."""
    pcm16 = bytes(range(256)) * 4
    async with living(wait, callers=0, provider=Begun(), answers="model") as alive:
        ear = Ear()
        await alive.engine.attach(alive.session.id, AudioCaller(ear))
        await alive.until(e.LinkReady)
        server = alive.provider.server
        response = server.start_response()
        for start, end in ((0, 501), (501, 502), (502, 503), (503, 801), (801, 1024)):
            server.output_audio(response, base64.b64encode(pcm16[start:end]))
            alive.provider.flush()
        server.finish_response(response)
        alive.provider.flush()
        await alive.until(e.PlayoutEnded)
    assert bytes(ear.audio_of[response]) == pcm16
    assert all(ear.pieces)


@pytest.mark.parametrize("side", ["input", "output"])
async def test_g711_and_pcm_do_not_meet_in_a_session(turnlog: Kit, side: str) -> None:
    """Whoever comes second is refused: the caller by an error of the protocol, the program by TL505."""
    asks = {"type": "session.update", "session": {"type": "realtime", "audio": {side: {"format": {"type": "audio/pcmu"}}}}}
    async with turnlog.call(line(answers), "line.talk") as call:
        caller, _ = await person(call)
        call.caller.sends(asks)
        await asyncio.sleep(1)
        [refusal] = call.caller.events("error")
        assert refusal["error"]["param"] == f"session.audio.{side}.format"
        await caller.close()
        await asyncio.sleep(1)
        call.caller.sends(asks)
        await asyncio.sleep(1)
        with pytest.raises(TurnlogError, match=r"TL505.*audio/pcmu"):
            await person(call)


async def test_bad_input_is_refused_and_changes_nothing() -> None:
    """Half a sample, time below zero, two readers, a reader beside a player, anything after the end."""
    caller = AudioCaller()
    with pytest.raises(MediaError, match=r"TL602.*3 bytes"):
        caller.speak(bytes(3))
    with pytest.raises(ProtocolError, match=r"TL307.*played\(-1\)"):
        caller.played(AudioPart("r", "i", 0), -1)
    with pytest.raises(ProtocolError, match=r"TL307.*player"):
        aiter(AudioCaller(Ear()))
    first = asyncio.ensure_future(anext(aiter(caller)))
    await asyncio.sleep(0)
    with pytest.raises(ProtocolError, match=r"TL307.*two tasks"):
        await anext(aiter(caller))
    await caller.close(1000, "done")
    with pytest.raises(StopAsyncIteration):
        await first
    with pytest.raises(LinkClosed):
        caller.speak(bytes(2))
    with pytest.raises(LinkClosed):
        caller.interrupt()
    with pytest.raises(LinkClosed):
        caller.play(bytes(2), AudioPart("r", "i", 0))


async def test_a_seat_is_taken_over(turnlog: Kit) -> None:
    """Who comes with the same seat replaces the one who had it, and hears what follows."""
    async with turnlog.call(line(talks), "line.talk", calls_in=False) as call:
        first, second = AudioCaller(Ear()), AudioCaller(ear := Ear())
        await call.engine.attach(call.session.id, first, seat="7")
        await asyncio.sleep(2)
        await call.engine.attach(call.session.id, second, seat="7")
        await speaks(second, "here I am")
        await asyncio.sleep(2)
        assert first.closed is not None and first.closed.close_code == 1001
    assert ear.heard == ["Now here I am."]


async def test_a_caller_over_webrtc_keeps_g711_away_as_well(turnlog: Kit) -> None:
    """Its player knows PCM alone: what another caller asks for later is refused, as it is refused itself where it comes later."""
    asks = {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcmu"}}}}}
    async with turnlog.call(line(answers), "line.talk") as call:
        await call.engine.attach(call.session.id, pair()[1], transport="webrtc")
        call.caller.sends(asks)
        await asyncio.sleep(1)
        [refusal] = call.caller.events("error")
    assert refusal["error"]["param"] == "session.audio.output.format"
