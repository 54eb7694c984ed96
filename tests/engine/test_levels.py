"""Levels: the mean magnitude of each 20 ms, whatever the format and however the audio is cut."""

import sys
from array import array

import pytest

from turnlog.engine.sound.levels import Meter
from turnlog.transports.realtime.audio import PCM16, PCMA, PCMU, AudioFormat
from turnlog.transports.realtime.g711 import from_pcm16


def tone(level: int, samples: int) -> bytes:
    """A square wave of this magnitude."""
    return array("h", [level if at // 8 % 2 else -level for at in range(samples)]).tobytes()


def test_a_level_is_the_mean_magnitude() -> None:
    """A square wave's level is its height, frame by frame; silence is 0."""
    assert Meter().read(tone(1000, 480) + bytes(960) + tone(32767, 480), PCM16) == [1000, 0, 32767]


@pytest.mark.parametrize("form", [PCMU, PCMA])
def test_g711_has_levels_too(form: AudioFormat) -> None:
    """Within the law's own error."""
    level = Meter().read(from_pcm16(tone(1000, 160), form), form)
    assert len(level) == 1
    assert abs(level[0] - 1000) < 40


def test_cuts_do_not_show() -> None:
    """What is less than a frame waits for the rest of it."""
    pcm = tone(500, 1200) + tone(3000, 1200)
    meter = Meter()
    cut = [level for at in range(0, len(pcm), 700) for level in meter.read(pcm[at : at + 700], PCM16)]
    assert cut == Meter().read(pcm, PCM16)
    assert len(cut) == 5


def test_samples_are_little_endian_on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where arrays are big-endian the samples' bytes are swapped first."""
    swapped = array("h", tone(1000, 480))
    swapped.byteswap()
    monkeypatch.setattr(sys, "byteorder", "big")
    assert Meter().read(swapped.tobytes(), PCM16) == [1000]
