"""The engine's ears: who listens when, what the provider is given, and what is told."""

import base64
import json
from array import array
from pathlib import Path
from typing import Any

import pytest

from tests.engine.living import Speaker, assert_rebuilt, living
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.core import SessionCore
from turnlog.core.definition import SessionDefinition
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.sound.ears import LASTED_MS, Ears
from turnlog.engine.sound.levels import Meter
from turnlog.transports.realtime.audio import PCM16, PCMA, PCMU, AudioFormat, read_wav
from turnlog.transports.realtime.g711 import from_pcm16

FOLDER = Path(__file__).parents[2] / "examples" / "audio"
MS = 1_000_000


def speech(name: str) -> bytes:
    """A recording at the common loudness, from its first sound on."""
    pcm16 = read_wav(FOLDER / f"{name}.wav")[0]
    levels = Meter().read(pcm16, PCM16)
    loud = [level for level in levels if level > max(levels) / 10]
    return at_gain(pcm16[levels.index(loud[0]) * 960 :], 2000 * len(loud) / sum(loud))


def at_gain(pcm16: bytes, gain: float) -> bytes:
    """Louder or quieter."""
    return array("h", [round(sample * gain) for sample in array("h", pcm16)]).tobytes()


def frames(pcm16: bytes, form: AudioFormat = PCM16) -> list[bytes]:
    """Payloads of 20 ms; PCM16 at 24 kHz in, every third sample of it for G.711."""
    if form is not PCM16:
        pcm16 = from_pcm16(array("h", pcm16)[::3].tobytes(), form)
    size = int(form.bytes_per_ms * 20)
    return [pcm16[at : at + size] for at in range(0, len(pcm16) - size + 1, size)]


class Room:
    """The ears of one session with one caller, on a clock in the test's hand."""

    def __init__(self, *, transport: str = "websocket", form: AudioFormat = PCM16, **options: Any) -> None:
        self.core = SessionCore()
        definition = SessionDefinition(name="desk", provider="scripted", transport="in_process", **options)
        self.core.record(e.SessionStarted(session="s", target="hotel.desk", definition=definition), e.Root.START, 0)
        wire = {"type": form.type, "rate": form.rate}
        settings = {"input_format": wire, "output_format": wire}
        self.told: list[tuple[str, int]] = []
        self.form = form
        self.now_ms = 1000
        self.ears = Ears(self.core.state, lambda link, ms: self.told.append((link, ms)))
        self.happens(e.LinkOpened(link="c1", side="caller", transport=transport, peer=""))
        self.happens(e.SettingsAsked(link="c1", settings=settings))

    def happens(self, event: e.Event) -> None:
        """A fact, as the live loop shows it."""
        self.core.record(event, e.Root.HOST, self.now_ms * MS)
        self.ears.observe(self.core.events_to_append())

    def plays(self, pcm16: bytes) -> None:
        """Audio goes to the caller, all of it now."""
        starts_ns = self.now_ms * MS
        for payload in frames(pcm16, self.form):
            if self.ears.listen:
                self.ears.plays(20, starts_ns, payload)
            starts_ns += 20 * MS

    def hears(self, payload: bytes, link: str = "c1") -> s.AudioAppended:
        """20 ms of the caller's audio, which came in the last 20 ms; returns what goes on."""
        self.now_ms += 20
        audio = s.AudioAppended(audio=base64.b64encode(payload), ms=20)
        return self.ears.hear(link, audio, self.now_ms * MS)

    def listens(self, pcm16: bytes, link: str = "c1") -> None:
        """All of a caller's audio, in its time; it goes on as it is."""
        for payload in frames(pcm16, self.form):
            assert self.hears(payload, link).audio == base64.b64encode(payload)


# --- the policy ---


@pytest.mark.parametrize(
    ("transport", "echo", "policy"),
    [
        ("websocket", None, "guard"),
        ("in_process", None, "client_aec"),
        ("websocket", "client_aec", "client_aec"),
        ("in_process", "half_duplex", "half_duplex"),
    ],
)
def test_the_policy(transport: str, echo: str | None, policy: str) -> None:
    """What is declared counts, else guard for callers over WebSockets."""
    assert Room(transport=transport, echo=echo).ears.policy == policy


def test_the_policy_follows_who_is_there() -> None:
    """A caller over a WebSocket brings guard with it, and takes it along."""
    room = Room(transport="in_process")
    policies = []
    for event in (e.LinkOpened(link="c2", side="caller", transport="websocket", peer=""), e.LinkClosed(link="c2")):
        room.happens(event)
        policies.append(room.ears.policy)
    assert policies == ["guard", "client_aec"]


# --- guard ---


@pytest.mark.parametrize("form", [PCM16, PCMU, PCMA], ids=lambda form: form.type)
def test_a_voice_over_what_is_played_is_told_once(form: AudioFormat) -> None:
    """Speech over speech is told once for a stretch of sound, and again in the next stretch."""
    room = Room(form=form)
    for stretch in (1, 2):
        room.plays(speech("1-room"))
        room.listens(speech("2-breakfast"))
        assert [link for link, _ in room.told] == ["c1"] * stretch
        room.now_ms += 3000
    assert all(ms >= LASTED_MS for _, ms in room.told)


@pytest.mark.parametrize("form", [PCM16, PCMU, PCMA], ids=lambda form: form.type)
@pytest.mark.parametrize("delay_ms", [60, 280])
def test_an_echo_is_not_told(form: AudioFormat, delay_ms: int) -> None:
    """What is played, back at half its loudness and late, is nobody's voice."""
    room = Room(form=form)
    room.plays(speech("1-room"))
    room.listens(bytes(48 * delay_ms) + at_gain(speech("1-room"), 0.5))
    assert room.told == []


def test_callers_are_told_apart() -> None:
    """One speaks while the other's microphone hears the echo only."""
    room = Room()
    room.plays(speech("1-room"))
    room.listens(at_gain(speech("1-room"), 0.5))
    room.now_ms -= len(speech("1-room")) // 960 * 20
    room.listens(speech("3-pool"), "c2")
    assert [link for link, _ in room.told] == ["c2"]


def test_audio_in_large_frames_or_late_is_measured_too() -> None:
    """Frames of 100 ms that come after a gap in the network are placed anew."""
    room = Room()
    room.plays(speech("1-room"))
    room.now_ms += 500
    voice = speech("2-breakfast")
    for at in range(0, 4800 * 10, 4800):
        room.now_ms += 100
        audio = s.AudioAppended(audio=base64.b64encode(voice[at : at + 4800]), ms=100, payload=voice[at : at + 4800])
        room.ears.hear("c1", audio, room.now_ms * MS)
    assert len(room.told) == 1


def test_an_echo_after_a_gap_in_the_network_is_still_one() -> None:
    """Frames that were lost on their way move what comes behind them to its own time."""
    room = Room()
    out = speech("1-room") + speech("3-pool")
    room.plays(out)
    heard = frames(bytes(48 * 100) + at_gain(out, 0.5))
    for n, payload in enumerate(heard):
        if 20 <= n < 55:
            room.now_ms += 20
        else:
            room.hears(payload)
    assert room.told == []


def test_nothing_is_computed_while_nothing_sounds() -> None:
    """Before, and a second after what was played has ended or was cut, audio is not even decoded; nor ever for client_aec."""
    broken = s.AudioAppended(audio=b"no base64", ms=20)
    room = Room()
    assert room.ears.hear("c1", broken, room.now_ms * MS) is broken
    room.plays(speech("1-room"))
    room.happens(e.PlayoutCut(response="r", reason="speech"))
    room.now_ms += 1001
    assert room.ears.hear("c1", broken, room.now_ms * MS) is broken
    room.plays(speech("1-room"))
    room.now_ms += 10_000
    assert room.ears.hear("c1", broken, room.now_ms * MS) is broken
    alone = Room(transport="in_process")
    assert not alone.ears.listen
    assert alone.ears.hear("c1", broken, 1) is broken


def test_a_voice_right_behind_what_was_played_is_told() -> None:
    """Within a second of its end, where speech may still be taken for an echo; an echo's own end is not told."""
    out = speech("3-pool")
    room = Room()
    room.plays(out)
    room.listens(bytes(48 * 200) + at_gain(out, 0.5))
    assert room.told == []
    room.listens(speech("2-breakfast")[: 48 * 500])
    assert [link for link, _ in room.told] == ["c1"]


def test_who_has_spoken_over_one_response_must_do_so_again_over_the_next() -> None:
    """A voice is told once for each response; what was heard before the next began tells nothing of it."""
    room = Room()
    room.plays(speech("1-room"))
    room.listens(speech("2-breakfast")[: 48 * 1000])
    assert len(room.told) == 1
    room.happens(e.AudioStarted(response="r2"))
    room.listens(bytes(48 * 300))
    assert len(room.told) == 1
    room.listens(speech("3-pool")[: 48 * 1000])
    assert len(room.told) == 2


def test_what_was_cut_raises_no_bound() -> None:
    """After a cut the next stretch is measured against what is played then."""
    room = Room()
    room.plays(at_gain(speech("1-room"), 1.5))
    room.now_ms += 100
    room.happens(e.PlayoutCut(response="r", reason="speech"))
    room.plays(at_gain(speech("4-goodbye"), 0.1))
    room.listens(speech("2-breakfast"))
    assert len(room.told) == 1


# --- half duplex ---


@pytest.mark.parametrize(
    ("form", "silence"), [(PCM16, b"\x00"), (PCMU, b"\xff"), (PCMA, b"\xd5")], ids=["pcm", "pcmu", "pcma"]
)
def test_half_duplex_gives_silence(form: AudioFormat, silence: bytes) -> None:
    """While something sounds the provider gets silence of the same length and format, before and after what came."""
    room = Room(echo="half_duplex", form=form)
    payload = frames(speech("2-breakfast"), form)[5]
    text = base64.b64encode(payload)
    assert room.hears(payload).audio == text
    room.plays(speech("1-room"))
    given = room.hears(payload)
    assert (base64.b64decode(given.audio), given.ms) == (silence * len(payload), 20)
    assert given.payload == silence * len(payload)
    room.now_ms += 2200
    assert room.hears(payload).audio == text


async def test_half_duplex_keeps_what_came() -> None:
    """Through the engine: the provider hears silence while a say sounds, the log holds what the caller sent."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("A long say")
        await session.input()

    loud = base64.b64encode(b"\x00\x40" * 480).decode()
    async with living(desk, provider=Speaker(ms=2000), echo="half_duplex") as alive:
        await alive.until(e.AudioStarted)
        alive.caller.send({"type": "input_audio_buffer.append", "audio": loud})
        await alive.provider.until("input_audio_buffer.append")
        await alive.caller.until("response.done")  # until then its response.create would be refused
        alive.caller.type("thanks")
        await alive.ended()
    appended = [json.loads(raw) for raw in alive.provider.received if b"input_audio_buffer.append" in raw]
    assert [base64.b64decode(one["audio"]) for one in appended] == [bytes(960)]
    assert_rebuilt(alive.store, alive.session.id, "c1.in", alive.caller.sent)
    assert_rebuilt(alive.store, alive.session.id, "p1.out", alive.provider.received)
