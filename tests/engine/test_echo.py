"""Echo and voice told apart by real speech: what is played comes back quieter and later, or somebody speaks over it."""

import random
from array import array
from functools import cache
from pathlib import Path
from statistics import median

import pytest

from turnlog.engine.sound.ears import LASTED_MS
from turnlog.engine.sound.echo import Detector, Played
from turnlog.engine.sound.levels import FRAME_MS, Meter
from turnlog.transports.realtime.audio import PCM16, read_wav

FOLDER = Path(__file__).parents[2] / "examples" / "audio"
NAMES = ["1-room", "2-breakfast", "3-pool", "4-goodbye"]
LOUDNESS = 2000  # mean magnitude of the frames that are speech

Samples = list[float]


@cache
def voice(name: str) -> Samples:
    """A recording at the common loudness, from its first sound on."""
    pcm16, _ = read_wav(FOLDER / f"{name}.wav")
    levels = Meter().read(pcm16, PCM16)
    loud = [level for level in levels if level > max(levels) / 10]
    gain = LOUDNESS * len(loud) / sum(loud)
    first = next(n for n, level in enumerate(levels) if level > max(levels) / 10) * 480
    return [sample * gain for sample in array("h", pcm16)][first:]


@cache
def played() -> Samples:
    """Five seconds of speech: all recordings."""
    return [sample for name in NAMES for sample in voice(name)]


@cache
def echo(db: float, delay_ms: int, *, room: bool = False) -> Samples:
    """What is played, as a microphone hears it; `room`: with reflections up to 60 ms behind."""
    gain = 10 ** (db / 20)
    heard = [0.0] * (delay_ms * 24) + [sample * gain for sample in played()]
    if room:
        for late_ms, share in ((7, 0.4), (23, 0.3), (41, 0.2), (60, 0.15)):
            late = late_ms * 24
            heard = [sample + share * heard[at - late] if at >= late else sample for at, sample in enumerate(heard)]
    return heard


def noise(level: float, samples: int) -> Samples:
    """A steady hiss."""
    chance = random.Random(1)
    return [chance.uniform(-2 * level, 2 * level) for _ in range(samples)]


def levels(samples: Samples) -> list[int]:
    """As the microphone's frames."""
    return Meter().read(array("h", [max(-32768, min(32767, round(sample))) for sample in samples]).tobytes(), PCM16)


def lasted(microphone: list[int]) -> list[int]:
    """Frame by frame, for how long a voice has been heard."""
    out = Played()
    out.add(0, levels(played()))
    detector = Detector()
    return [detector.hear(slot, level, out) for slot, level in enumerate(microphone)]


@pytest.mark.parametrize("db", [-6, -10, -20])
@pytest.mark.parametrize("delay_ms", [50, 217, 300])
@pytest.mark.parametrize("room", [False, True], ids=["dry", "room"])
def test_an_echo_is_no_voice(db: int, delay_ms: int, room: bool) -> None:
    """Speech that comes back as loud as an open loudspeaker gives it, and up to 300 ms late, stays far below what tells."""
    if room and db == -6:
        db = -8  # its reflections add the rest
    assert max(lasted(levels(echo(db, delay_ms, room=room)))) < LASTED_MS * 0.6


@pytest.mark.parametrize("db", [None, -6, -10, -20])
def test_a_voice_as_loud_as_what_is_played_is_heard(db: int | None) -> None:
    """Over speech of its own loudness each voice is heard: most within 320 ms of their first sound, all within 900."""
    heard_ms = []
    for name in NAMES:
        for at_ms in (500, 1700, 2900):
            microphone = list(echo(db, 120)) if db is not None else [0.0] * len(played())
            for n, sample in zip(range(at_ms * 24, len(microphone)), voice(name), strict=False):
                microphone[n] += sample
            told = [n * FRAME_MS + FRAME_MS for n, ms in enumerate(lasted(levels(microphone))) if ms >= LASTED_MS]
            assert told, (name, at_ms)
            heard_ms.append(told[0] - at_ms)
    heard_ms.sort()
    assert heard_ms[0] >= LASTED_MS
    assert median(heard_ms) <= 300
    assert heard_ms[len(heard_ms) * 2 // 3] <= 320, heard_ms
    assert heard_ms[-1] <= 900, heard_ms


def test_an_echo_in_a_noisy_place_is_no_voice() -> None:
    """A steady hiss of a fifth of the speech's loudness is nobody, also where what is played pauses."""
    microphone = [a + b for a, b in zip(echo(-10, 150), noise(400, len(played())), strict=False)]
    assert max(lasted(levels(microphone))) < LASTED_MS


def test_a_click_is_no_voice() -> None:
    """Something loud that is over in 100 ms is not long enough."""
    microphone = [0.0] * len(played())
    microphone[24_000:26_400] = noise(8000, 2400)
    assert 0 < max(lasted(levels(microphone))) < LASTED_MS


def test_silence_costs_no_doubt() -> None:
    """A microphone that hears nothing speaks against nothing."""
    assert max(lasted([0] * 400)) == 0


def test_a_room_holds_on_to_what_it_hears() -> None:
    """Behind a loud frame the bounds fall bit by bit, for each delay from its own moment on."""
    out = Played()
    out.add(0, [1000])
    by_delay = dict(zip(range(20, -3, -1), out.bounds(6, 1.0), strict=True))
    assert [round(by_delay[delay]) for delay in (7, 6, 5, 4, 3, 2)] == [0, 1000, 1000, 700, 490, 343]


def test_what_was_not_played_is_forgotten() -> None:
    """Levels outside of the kept slots are gone."""
    out = Played()
    out.add(0, [100] * 50)
    out.forget(10, 20)
    assert (out.at(9), out.at(10), out.at(20), out.at(21)) == (0, 100, 100, 0)
